"""Retention over everything: live segments and parts alike, the oldest day first.

Responsible for: bringing parts into the terms of ``router.events.keep``, which decides and deletes.
Does not know: the journal, which never expires; outcomes that are not sealed (``router.archive.upkeep``).
"""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path

from router.archive.layout import Part
from router.events.keep import Stored


def oldest_first(segments: Iterable[Stored], parts: Iterable[Part]) -> list[Stored]:
    """Return segments and parts as what may expire, in the order in which they go when there are too many bytes.

    A part is as old as the end of its day, so that it goes by age when all of it is old enough. Of one day, parts go
    before segments, because sealing takes the oldest first; and earlier batches before later ones.
    """
    found = [((_day(segment.modified), 1, segment.modified), segment) for segment in segments]
    found += [((part.day, 0, float(part.first)), _stored(part)) for part in parts]
    return [item for _, item in sorted(found, key=lambda pair: pair[0])]


def remove_empty_days(folders: Iterable[Path]) -> None:
    """Remove the folders of days that have no part any more."""
    for folder in folders:
        try:
            folder.rmdir()
        except OSError:  # it has parts, or it is gone
            continue


def _stored(part: Part) -> Stored:
    end = datetime.fromisoformat(part.day).replace(tzinfo=UTC) + timedelta(days=1)
    return Stored(part.path, part.size, end.timestamp(), growing=False)


def _day(time: float) -> str:
    return f"{datetime.fromtimestamp(time, UTC):%Y-%m-%d}"
