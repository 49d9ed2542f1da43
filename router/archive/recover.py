"""Recovery: a batch that was interrupted is finished or undone.

Responsible for: what comes after the commit of a batch, and what has to go when it never came to that.
Does not know: how a batch is made (``seal``), DuckDB.

Rules: each round begins with ``recover``. Before the commit it removes what the batch made, after it what the batch was
made of. The mark goes last, once the removals are durable: else a power cut could bring back what it stood for.
"""

import logging
import shutil
from contextlib import closing, suppress
from pathlib import Path

from router.archive import durable
from router.archive.layout import Mark, archive_folder, covered, find_parts, mark_file, read_mark, staging_folder
from router.events import outcomes

logger = logging.getLogger(__name__)


def recover(events: Path) -> None:
    """Finish a batch that was committed, undo one that was not, and delete what was merged.

    Raises:
        OSError: If files cannot be deleted.
        ValueError: If the mark cannot be read.
    """
    shutil.rmtree(staging_folder(events), ignore_errors=True)
    mark = read_mark(events)
    if mark is not None:
        logger.info("archive: batch %d was interrupted and is %s", mark.batch, "done" if mark.committed else "undone")
        if mark.committed:
            finish(events, mark)
        else:
            _undo(events, mark)
    for part in covered(find_parts(events)):
        part.path.unlink(missing_ok=True)


def finish(events: Path, mark: Mark) -> None:
    """Delete what a committed batch was made of, then the mark.

    Raises:
        OSError: If that cannot be done now.
        sqlite3.Error: Likewise.
    """
    for name in mark.sources:
        (events / name).unlink(missing_ok=True)
    durable.sync(events)
    if mark.outcomes:
        # A store that is gone has no rows that could count twice.
        with suppress(FileNotFoundError), closing(outcomes.connect(events, write=True)) as store:
            outcomes.mark_sealed(store, mark.outcomes)
    _forget(events)


def _undo(events: Path, mark: Mark) -> None:
    made = [part.path for part in find_parts(events) if part.last == mark.batch]
    for path in made:
        path.unlink(missing_ok=True)
    for folder in {path.parent for path in made}:
        durable.sync(folder)
    _forget(events)


def _forget(events: Path) -> None:
    mark_file(events).unlink(missing_ok=True)
    durable.sync(archive_folder(events))
    shutil.rmtree(staging_folder(events), ignore_errors=True)
