"""How far one sink has read the event log: a position in each live segment, kept on the disk.

Responsible for: the next lines, what waits, skipping what is too much, and going on after a restart.
Does not know: sinks, threads, sealing.

Rules: a line counts once it ends in a newline, and is given out if it is an event. What was given out is read again
until it is ``done``; the positions on the disk are never ahead of that, so each line is given out at least once. A sink
that is new begins with what is written from then on. Used under the caller's lock.
"""

import logging
from pathlib import Path
from typing import Final

import msgspec
from msgspec import Struct

from router.archive.sink import LINES, LINES_BYTES
from router.events.segment import find_segments

_PIECE: Final = 256 * 1024  # read of a segment at once, so that none holds up the others

logger = logging.getLogger(__name__)


class Batch(Struct, frozen=True):
    """Lines to send, and how far that is in each segment."""

    lines: tuple[bytes, ...]
    ends: dict[str, int]


class _Typed(Struct, frozen=True):
    type: str
    id: str


class Tail:
    """A sink's place in a folder of events."""

    def __init__(self, folder: Path, file: Path) -> None:
        """Continue where a predecessor was.

        Args:
            folder: ``events.dir``.
            file: Where the positions are kept.
        """
        # Per process
        self._folder = folder
        self._file = file
        self._decode = msgspec.json.Decoder(_Typed).decode
        self._torn: dict[str, int] = {}  # segments whose rest, up to this size, has no newline
        self._positions = self._load()
        self._saved = dict(self._positions)

    def read(self) -> Batch:
        """Return what comes next; without lines when nothing does."""
        lines: list[bytes] = []
        ends: dict[str, int] = {}
        total = 0
        for path, unread in self._unread():
            if total >= LINES_BYTES or len(lines) >= LINES:
                break
            start = self._positions.get(path.name, 0)
            piece = self._piece(path, start, min(unread, _PIECE))
            ends[path.name] = start
            for line in piece.splitlines(keepends=True):
                if len(lines) >= LINES:
                    break
                ends[path.name] += len(line)
                if self._is_event(line):
                    lines.append(line)
                    total += len(line)
        return Batch(tuple(lines), ends)

    def done(self, batch: Batch) -> None:
        """Count a batch as sent."""
        for name, end in batch.ends.items():
            self._positions[name] = max(self._positions.get(name, 0), end)

    def waiting(self) -> list[tuple[Path, int]]:
        """Return the segments with something to send, oldest first, and how many bytes."""
        return self._unread()

    def shed(self, most_bytes: int) -> int:
        """Skip the oldest lines until no more than so many bytes wait; return how many lines were skipped."""
        waiting = self._unread()
        total = sum(unread for _, unread in waiting)
        skipped = 0
        for path, unread in waiting:
            if total <= most_bytes:
                break
            skipped += self.skip(path)
            total -= unread
        return skipped

    def skip(self, path: Path) -> int:
        """Skip the rest of a segment; return how many lines it has."""
        offset = position = self._positions.get(path.name, 0)
        lines = 0
        try:
            with path.open("rb") as file:
                file.seek(offset)
                while piece := file.read(_PIECE):
                    if b"\n" in piece:
                        position = offset + piece.rfind(b"\n") + 1
                    lines += piece.count(b"\n")
                    offset += len(piece)
        except FileNotFoundError:
            return 0
        self._positions[path.name] = position
        self._torn[path.name] = offset
        return lines

    def save(self) -> None:
        """Write the positions down, in one step, without those of segments that are gone.

        Raises:
            OSError: If that cannot be done now.
        """
        there = {path.name for path in find_segments(self._folder)}
        self._positions = {name: end for name, end in self._positions.items() if name in there}
        self._torn = {name: size for name, size in self._torn.items() if name in there}
        if self._positions == self._saved and self._file.exists():
            return
        self._file.parent.mkdir(mode=0o750, parents=True, exist_ok=True)
        fresh = self._file.with_suffix(".new")
        fresh.write_bytes(msgspec.json.encode(self._positions))
        fresh.replace(self._file)
        self._saved = dict(self._positions)

    def _load(self) -> dict[str, int]:
        try:
            return msgspec.json.decode(self._file.read_bytes(), type=dict[str, int])
        except FileNotFoundError:
            return {path.name: path.stat().st_size for path in find_segments(self._folder)}
        except msgspec.MsgspecError as error:
            logger.warning("events: %s cannot be read, so all live segments are sent again: %s", self._file, error)
            return {}

    def _unread(self) -> list[tuple[Path, int]]:
        out = []
        for path in find_segments(self._folder):
            try:
                size = path.stat().st_size
            except FileNotFoundError:
                continue
            unread = size - self._positions.get(path.name, 0)
            if unread > 0 and self._torn.get(path.name) != size:
                out.append((path, unread))
        return out

    def _piece(self, path: Path, start: int, length: int) -> bytes:
        """Return whole lines of a segment; a line that is longer than a piece is passed over, as no event is."""
        try:
            with path.open("rb") as file:
                file.seek(start)
                piece = file.read(length)
                end = piece.rfind(b"\n") + 1
                if end:
                    return piece[:end]
                while more := file.read(_PIECE):
                    newline = more.find(b"\n")
                    if newline >= 0:
                        self._positions[path.name] = file.tell() - len(more) + newline + 1
                        return b""
                self._torn[path.name] = file.tell()
        except FileNotFoundError:
            pass
        return b""

    def _is_event(self, line: bytes) -> bool:
        try:
            self._decode(line)
        except (msgspec.MsgspecError, UnicodeDecodeError):
            return False
        return True
