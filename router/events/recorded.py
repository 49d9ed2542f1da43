"""Everything that was decided, as far as it is kept: the journal, and what compaction took out of it.

Responsible for: reading both as one, without the journal's lock.
Does not know: what is made of it.

Rules: reads what is there at one moment; a record that is being appended is left out. Bounded by ``MOST`` records, the
latest. A revision that a crash left in both comes once.
"""

from collections import deque
from itertools import chain
from pathlib import Path
from typing import Final

from router.events import older
from router.events.journal import decode_entries, scan
from router.events.model import Revised

MOST: Final = 2000  # some 40 MB of a large configuration


def recorded(folder: Path) -> tuple[Revised, ...]:
    """Return the revisions of an event log, the oldest first.

    Args:
        folder: ``events.dir``.

    Raises:
        OSError: If its journal cannot be read; what compaction took out of it is left out where it cannot be.
    """
    journal = folder / "journal"
    present = scan((journal / "journal.ndjson").read_bytes()).entries
    entries = deque(chain(older.every(journal), present), maxlen=MOST)
    known, _ = decode_entries(entries)
    return tuple(entry for _, entry in sorted({entry.number: entry for entry in known}.items()))


def before(folder: Path, number: int) -> tuple[Revised, ...]:
    """Return the revisions that compaction took out of the journal, up to one, the oldest first.

    Args:
        folder: ``events.dir``.
        number: The first that is not wanted.
    """
    if number <= 1:
        return ()
    known, _ = decode_entries(deque(older.every(folder / "journal"), maxlen=MOST))
    return tuple(sorted((entry for entry in known if entry.number < number), key=lambda entry: entry.number))
