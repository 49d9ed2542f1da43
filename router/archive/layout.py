"""Where the archive's files are, what their names say, and which of them count.

Responsible for: the folders, the names of parts, the mark of a batch, listing all of it.
Does not know: what is in a part, how one is made or read.

The folder of the event log holds ``archive/KIND/day=YYYY-MM-DD/FIRST-LAST.parquet``: the rows of the batches FIRST to
LAST whose event time lies in that UTC day. A batch is what was sealed in one go; its number counts up.

Rules, after the parts of ClickHouse's MergeTree, which make each step one rename:

- A part whose batches lie within those of another part of the same kind and day is covered by it and does not count:
  it was merged, and is about to be deleted.
- ``archive/sealing.json`` marks the batch that is being sealed. Until it says ``committed`` the batch's parts do not
  count, and its sources do; from then on its parts count, and its sources do not, though some may still be there.
- A part is never changed. Whatever is written is written under another name, synced, and renamed.
"""

import os
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Final

import msgspec
from msgspec import Struct

from router.events.segment import find_segments

KINDS: Final = ("exposures", "exchanges", "shadows", "outcomes")
_DAY: Final = re.compile(r"day=(\d{4}-\d{2}-\d{2})")
_PART: Final = re.compile(r"(\d{10})-(\d{10})\.parquet")


class Part(Struct, frozen=True, order=True):
    """A Parquet file of the archive; sorts by day, then by batches.

    Attributes:
        day: UTC day of all its rows, ``YYYY-MM-DD``.
        first: First batch in it.
        last: Last batch in it.
        kind: One of ``KINDS``.
        path: Where it is.
        size: Bytes.
    """

    day: str
    first: int
    last: int
    kind: str
    path: Path
    size: int


class Mark(Struct, frozen=True):
    """The batch that is being sealed.

    Attributes:
        batch: Its number.
        sources: Names of the segments in it.
        outcomes: Sequence number of the last outcome in it; 0 when it has none.
        committed: Whether its parts count, instead of its sources.
    """

    batch: int
    sources: tuple[str, ...] = ()
    outcomes: int = 0
    committed: bool = False


class Listing(Struct, frozen=True):
    """What counts in a folder at one moment.

    Attributes:
        segments: Live segments that no part stands for, oldest first.
        parts: Parts that count, by day and batches.
        mark: The batch that is being sealed.
    """

    segments: tuple[Path, ...]
    parts: tuple[Part, ...]
    mark: Mark | None

    @property
    def outcomes(self) -> int:
        """Sequence number up to which outcomes are in parts, though the store may still have them."""
        return self.mark.outcomes if self.mark is not None and self.mark.committed else 0


def archive_folder(events: Path) -> Path:
    """Return the archive's folder in that of the event log."""
    return events / "archive"


def mark_file(events: Path) -> Path:
    """Return where the mark is while a batch is being sealed."""
    return archive_folder(events) / "sealing.json"


def staging_folder(events: Path) -> Path:
    """Return where parts are written before they are renamed; what is found there at a start is rubbish."""
    return archive_folder(events) / "staging"


def part_path(events: Path, kind: str, day: str, batches: tuple[int, int]) -> Path:
    """Return where a part belongs."""
    return archive_folder(events) / kind / f"day={day}" / f"{batches[0]:010d}-{batches[1]:010d}.parquet"


def find_parts(events: Path) -> list[Part]:
    """List all parts, also those that do not count, by day and batches."""
    found = []
    for kind in KINDS:
        for folder in _entries(archive_folder(events) / kind):
            day = _DAY.fullmatch(folder.name)
            if day is None:
                continue
            for entry in _entries(Path(folder.path)):
                name = _PART.fullmatch(entry.name)
                if name is None:
                    continue
                try:
                    size = entry.stat().st_size
                except FileNotFoundError:
                    continue
                found.append(Part(day[1], int(name[1]), int(name[2]), kind, Path(entry.path), size))
    found.sort()
    return found


def covered(parts: Iterable[Part]) -> list[Part]:
    """Return the parts whose batches lie within those of another of the same kind and day."""
    out = []
    widest: dict[tuple[str, str], int] = {}
    # By the first batch, wide ones first: a part is covered if an earlier one reaches as far.
    for part in sorted(parts, key=lambda part: (part.first, -part.last)):
        place = (part.kind, part.day)
        if widest.get(place, 0) >= part.last:
            out.append(part)
        widest[place] = max(widest.get(place, 0), part.last)
    return sorted(out)


def current(parts: Iterable[Part], mark: Mark | None) -> list[Part]:
    """Return the parts that count."""
    pending = mark.batch if mark is not None and not mark.committed else 0
    known = [part for part in parts if part.last != pending]
    gone = set(covered(known))
    return [part for part in known if part not in gone]


def read_mark(events: Path) -> Mark | None:
    """Return the mark; None when nothing is being sealed.

    Raises:
        ValueError: If the file is not a mark.
    """
    try:
        return msgspec.json.decode(mark_file(events).read_bytes(), type=Mark)
    except FileNotFoundError:
        return None
    except msgspec.MsgspecError as error:
        raise ValueError(f"{mark_file(events)} cannot be read: {error}") from error


def list_archive(events: Path) -> Listing:
    """Look at a folder once. Two equal listings mean that nothing was sealed or merged between them.

    Raises:
        ValueError: If the mark cannot be read.
    """
    mark = read_mark(events)
    sealed = set(mark.sources) if mark is not None and mark.committed else set()
    segments = tuple(path for path in find_segments(events) if path.name not in sealed)
    return Listing(segments, tuple(current(find_parts(events), mark)), mark)


def _entries(folder: Path) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            return list(entries)
    except (FileNotFoundError, NotADirectoryError):
        return []
