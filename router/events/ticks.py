"""The log of ticks: which weights allocators published when, apart from the journal.

Responsible for: entries that are on the disk before ``append`` returns, and a bound on their number.
Does not know: what weights are for, the journal's lock (who appends holds it).

One line of JSON an entry. A bandit ticks up to 8640 times a day, and an entry of the journal holds the whole
configuration; an entry here is some hundred bytes, and says only what changed.

Rules: a last line without its newline was being written when the power went, and is cut off by the next ``append``. A
line that is no entry is passed over and counted. A file that is full becomes the older one, in the place of that of
before; so at least ``FULL_BYTES`` and at most twice as much are kept: more than a month of one bandit that ticks every
minute, or three days of one that never repeats itself in ten seconds.
"""

import os
from pathlib import Path
from typing import Final

import msgspec
from msgspec import json

from router.events.model import Ticked

FULL_BYTES: Final = 8 * 1024 * 1024
_NAME: Final = "ticks.ndjson"
_OLDER: Final = "ticks-older.ndjson"


class Ticks:
    """The log of one router, open for appending."""

    __slots__ = ("_folder", "_full", "_size")

    def __init__(self, folder: Path, full: int = FULL_BYTES) -> None:
        """Name the folder; nothing is written yet.

        Args:
            folder: That of the journal.
            full: Bytes after which another file begins.
        """
        self._folder = folder
        self._full = full
        self._size: int | None = None

    def append(self, entry: Ticked) -> None:
        """Write an entry so that it survives a power cut from now on.

        Raises:
            OSError: If it cannot be written.
        """
        path = self._folder / _NAME
        line = json.encode(entry) + b"\n"
        if self._size is None:
            self._size = _mend(path)
        if self._size and self._size + len(line) > self._full:
            path.replace(self._folder / _OLDER)
            self._size = 0
        size, self._size = self._size, None  # until all of it went well
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o640)
        try:
            view = memoryview(line)
            while view:
                view = view[os.write(fd, view) :]
            os.fsync(fd)
        finally:
            os.close(fd)
        self._size = size + len(line)


def ticked(folder: Path) -> tuple[tuple[Ticked, ...], int]:
    """Return the entries that are kept, the oldest first, and how many lines are none.

    Args:
        folder: That of the journal.

    Raises:
        OSError: If a file is there and cannot be read.
    """
    decode = json.Decoder(Ticked).decode
    found: list[Ticked] = []
    unsound = 0
    for name in (_OLDER, _NAME):
        try:
            content = (folder / name).read_bytes()
        except FileNotFoundError:
            continue
        for line in content[: content.rfind(b"\n") + 1].splitlines():
            try:
                found.append(decode(line))
            except (msgspec.MsgspecError, UnicodeDecodeError):
                unsound += 1
    return tuple(sorted(found, key=lambda entry: entry.number)), unsound


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
