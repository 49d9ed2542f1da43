"""A log of lines beside the journal that survives power cuts and does not grow for ever.

Responsible for: lines that are on the disk before ``append`` returns, a bound on their number, reading them back.
Does not know: what a line says, the journal's lock (who appends holds it).

Rules: a last line without its newline was being written when the power went, and is cut off by the next ``append``. A
file that is full becomes the older one, in the place of that of before; so at least ``full`` and at most twice as many
bytes are kept.
"""

import os
from collections.abc import Iterator
from pathlib import Path


class Lines:
    """Two files of one log, open for appending: ``NAME.ndjson`` and ``NAME-older.ndjson``."""

    __slots__ = ("_full", "_older", "_path", "_size")

    def __init__(self, folder: Path, name: str, full: int) -> None:
        """Name the files; nothing is written yet.

        Args:
            folder: That of the journal.
            name: Their name.
            full: Bytes after which another file begins.
        """
        self._path, self._older = _paths(folder, name)
        self._full = full
        self._size: int | None = None

    def append(self, lines: bytes) -> None:
        """Write whole lines so that they survive a power cut from now on.

        Args:
            lines: One or more, each with its newline.

        Raises:
            OSError: If they cannot be written.
        """
        if self._size is None:
            self._size = _mend(self._path)
        if self._size and self._size + len(lines) > self._full:
            self._path.replace(self._older)
            self._size = 0
        size, self._size = self._size, None  # until all of it went well
        fd = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o640)
        try:
            view = memoryview(lines)
            while view:
                view = view[os.write(fd, view) :]
            os.fsync(fd)
        finally:
            os.close(fd)
        self._size = size + len(lines)


def read_lines(folder: Path, name: str) -> Iterator[bytes]:
    """Yield the lines that are kept, the oldest first, without a torn one.

    Args:
        folder: That of the journal.
        name: Name of the log.

    Raises:
        OSError: If a file is there and cannot be read.
    """
    path, older = _paths(folder, name)
    for file in (older, path):
        try:
            content = file.read_bytes()
        except FileNotFoundError:
            continue
        yield from content[: content.rfind(b"\n") + 1].split(b"\n")[:-1]


def _paths(folder: Path, name: str) -> tuple[Path, Path]:
    return folder / f"{name}.ndjson", folder / f"{name}-older.ndjson"


def _mend(path: Path) -> int:
    """Cut off a torn tail, and return how long the file is."""
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return 0
    sound = content.rfind(b"\n") + 1
    if sound < len(content):
        os.truncate(path, sound)
    return sound
