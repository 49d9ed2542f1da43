"""The log of ticks: which weights allocators published when, apart from the journal.

Responsible for: the form of an entry.
Does not know: what weights are for, how lines survive (``lines``).

One line of JSON an entry. A bandit ticks up to 8640 times a day, and an entry of the journal holds the whole
configuration; an entry here is some hundred bytes, and says only what changed.

Rules: a line that is no entry is passed over and counted. Kept are more than a month of one bandit that ticks every
minute, or three days of one that never repeats itself in ten seconds.
"""

from pathlib import Path
from typing import Final

import msgspec
from msgspec import json

from router.events.lines import Lines, read_lines
from router.events.model import Ticked

FULL_BYTES: Final = 8 * 1024 * 1024
_NAME: Final = "ticks"


class Ticks:
    """The log of one router, open for appending.

    Attributes:
        folder: That of the journal.
    """

    __slots__ = ("_lines", "folder")

    def __init__(self, folder: Path, full: int = FULL_BYTES) -> None:
        """Name the folder; nothing is written yet.

        Args:
            folder: That of the journal.
            full: Bytes after which another file begins.
        """
        self.folder = folder
        self._lines = Lines(folder, _NAME, full)

    def append(self, entry: Ticked) -> None:
        """Write an entry so that it survives a power cut from now on.

        Raises:
            OSError: If it cannot be written.
        """
        self._lines.append(json.encode(entry) + b"\n")


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
    for line in read_lines(folder, _NAME):
        try:
            found.append(decode(line))
        except (msgspec.MsgspecError, UnicodeDecodeError):
            unsound += 1
    return tuple(sorted(found, key=lambda entry: entry.number)), unsound
