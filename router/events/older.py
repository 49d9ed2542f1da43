"""Entries of the journal that compaction takes out of it, compressed and kept beside it.

Responsible for: writing them down before they go, finding one by its number, and a bound on all of them together.
Does not know: what an entry means, when the journal is compacted (``router.events.journal``).

Rules: a file is written once, whole, and synced before the journal drops what is in it; its name says which revisions
it holds. One that was written before a crash and again after it holds some of them twice, which changes nothing. Many
revisions of one configuration differ little, and LZMA with a window over several of them keeps a revision of 20 KiB in
less than one. The oldest files go when all together are larger than ``OLDER_BYTES`` or more than ``OLDER_FILES``.
"""

import lzma
import os
import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final, NamedTuple

import msgspec
from msgspec import Struct, json

from router.events.model import Revised

OLDER_BYTES: Final = 256 * 1024 * 1024
OLDER_FILES: Final = 1000
_NAME: Final = re.compile(r"older-([0-9]{1,18})-([0-9]{1,18})\.ndjson\.xz")
# As fast as it gets, with a window in which a large configuration is found again.
_FILTERS: Final = ({"id": lzma.FILTER_LZMA2, "preset": 0, "dict_size": 8 * 1024 * 1024},)
_LINE_MAX: Final = 64 * 1024 * 1024


class _Number(Struct, frozen=True):
    number: int = 0


class _Stored(NamedTuple):
    first: int
    last: int
    path: Path
    size: int


def keep(folder: Path, entries: Sequence[bytes]) -> None:
    """Write entries down.

    Args:
        folder: Of the journal.
        entries: As they were written, in order.

    Raises:
        OSError: If they are not on the disk.
    """
    decode = json.Decoder(_Number).decode
    numbers = [found for entry in entries if (found := decode(entry).number)]
    if not numbers:
        return
    path = folder / f"older-{min(numbers)}-{max(numbers)}.ndjson.xz"
    fresh = path.with_suffix(".new")
    with fresh.open("wb") as file:
        with lzma.open(file, "wb", filters=list(_FILTERS)) as stream:
            for entry in entries:
                stream.write(entry + b"\n")
        file.flush()
        os.fsync(file.fileno())
    fresh.rename(path)
    _expire(folder)


def find(folder: Path, number: int) -> Revised | None:
    """Return the entry of a revision; None when it is not kept, or cannot be read any more."""
    for stored in reversed(_stored(folder)):
        if stored.first <= number <= stored.last:
            for entry in _entries(stored.path):
                if json.decode(entry, type=_Number).number == number:
                    with suppress(msgspec.MsgspecError):
                        return json.decode(entry, type=Revised)
    return None


def every(folder: Path) -> Iterator[bytes]:
    """Yield all entries that are kept, the oldest first; what cannot be read is left out."""
    for stored in _stored(folder):
        yield from _entries(stored.path)


def oldest(folder: Path) -> int | None:
    """Return the number of the oldest revision that is kept."""
    return min((stored.first for stored in _stored(folder)), default=None)


def _stored(folder: Path) -> list[_Stored]:
    found = []
    with suppress(OSError):
        for path in folder.iterdir():
            name = _NAME.fullmatch(path.name)
            if name is not None:
                found.append(_Stored(int(name[1]), int(name[2]), path, path.stat().st_size))
    return sorted(found)


def _entries(path: Path) -> Iterable[bytes]:
    """Yield the entries of a file, as far as it can be read."""
    try:
        with lzma.open(path, "rb") as stream:
            while line := stream.readline(_LINE_MAX):
                yield line.rstrip(b"\n")
    except (OSError, lzma.LZMAError, EOFError):
        return


def _expire(folder: Path) -> None:
    """Delete the oldest files while all together are too large, or too many; the newest stays."""
    stored = _stored(folder)
    size, count = sum(each.size for each in stored), len(stored)
    for each in stored[:-1]:
        if size <= OLDER_BYTES and count <= OLDER_FILES:
            return
        each.path.unlink(missing_ok=True)
        size, count = size - each.size, count - 1
