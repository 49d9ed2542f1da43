"""Which notifications were told to whom, so that a restart repeats none and forgets none.

Responsible for: the form of the lines, reading them back.
Does not know: who is told, how (``router.control``), how lines survive (``lines``).

A line is either a notification with the notifiers that it is for, or that it is over for one of them. Both are written
after the fact, off the path of any decision: a crash in between repeats a notification with the same id, or, at worst,
loses one that was made in its last moments, which the decision log still has.
"""

from collections.abc import Iterable
from pathlib import Path
from typing import Final

import msgspec
from msgspec import Struct, json

from router.events.lines import Lines, read_lines

FULL_BYTES: Final = 2 * 1024 * 1024
_NAME: Final = "notices"


class Told(Struct, frozen=True, kw_only=True, tag_field="type", tag="told"):
    """A notification.

    Attributes:
        id: Its id.
        key: Of several with the same key only the first within a day is told.
        time: When, in unix seconds.
        to: For which notifiers.
        notice: The notification as JSON.
    """

    id: str
    key: str
    time: float
    to: tuple[str, ...]
    notice: msgspec.Raw


class Over(Struct, frozen=True, kw_only=True, tag_field="type", tag="over"):
    """That a notification is over for a notifier.

    Attributes:
        id: Its id.
        to: The notifier.
        result: ``sent``, ``failed`` or ``dropped``.
    """

    id: str
    to: str
    result: str


class ToldFile:
    """The lines of one router, open for appending."""

    __slots__ = ("_lines",)

    def __init__(self, folder: Path, full: int = FULL_BYTES) -> None:
        """Name the folder; nothing is written yet.

        Args:
            folder: That of the journal.
            full: Bytes after which another file begins.
        """
        self._lines = Lines(folder, _NAME, full)

    def append(self, entries: Iterable[Told | Over]) -> None:
        """Write lines so that they survive a power cut from now on.

        Raises:
            OSError: If they cannot be written.
        """
        self._lines.append(b"".join(json.encode(entry) + b"\n" for entry in entries))


def read_told(folder: Path) -> tuple[tuple[Told, frozenset[str]], ...]:
    """Return the notifications that are kept, the oldest first, each with the notifiers for which it is not over.

    Args:
        folder: That of the journal.

    Raises:
        OSError: If a file is there and cannot be read.
    """
    decode = json.Decoder(Told | Over).decode
    found: dict[str, tuple[Told, set[str]]] = {}
    for line in read_lines(folder, _NAME):
        try:
            entry = decode(line)
        except (msgspec.MsgspecError, UnicodeDecodeError):
            continue
        if isinstance(entry, Told):
            if entry.id in found:  # written again, because the disk said that it had failed
                continue
            found[entry.id] = (entry, set(entry.to))
        elif entry.id in found:
            found[entry.id][1].discard(entry.to)
    return tuple((told, frozenset(left)) for told, left in found.values())
