"""Who had which arm of a run, and what became of it over time: from the archive and the live events together.

Responsible for: two queries on the exposures of one run.
Does not know: what they are for. Without the extra there is ``router.events.exposures`` for the live events.
"""

from pathlib import Path

from router.archive.engine import Limits
from router.archive.reading import open_archive
from router.events.exposures import Bucket, Exposures, Held

_LIMITS = Limits(threads=1)
_HELD = """
SELECT phase, arm, count(*), count(DISTINCT unit), sum(failed::INT), min("time"), max("time")
FROM exposures WHERE experiment = ? AND run = ? GROUP BY ALL ORDER BY ALL
"""
_BUCKETS = """
SELECT floor("time" / ?) * ? AS start, arm, count(*), sum(failed::INT), quantile_cont(duration, [0.5, 0.99])
FROM exposures WHERE experiment = ? AND run = ? AND "time" BETWEEN ? AND ? AND duration IS NOT NULL
GROUP BY ALL ORDER BY ALL
"""


def archived_exposures(folder: Path, name: str, run: int, span: tuple[float, float], width_s: float) -> Exposures:
    """Return who had which arm of a run.

    Args:
        folder: ``events.dir``.
        name: The experiment.
        run: Its run.
        span: Begin and end of what is shown over time, in unix seconds.
        width_s: Width of a bucket of time, in seconds.

    Raises:
        OSError: If files cannot be opened; the database raises its own errors for what is in them.
    """
    with open_archive(folder, _LIMITS) as archive:
        held = archive.connection.execute(_HELD, [name, run]).fetchall()
        buckets = archive.connection.execute(_BUCKETS, [width_s, width_s, name, run, *span]).fetchall()
        unread = len(archive.unread)
    return Exposures(
        tuple(
            Held(phase, arm, count, units, int(failed or 0), first, last)
            for phase, arm, count, units, failed, first, last in held
        ),
        tuple(Bucket(start, arm, count, int(failed or 0), *times) for start, arm, count, failed, times in buckets),
        f"{unread} parts of the archive cannot be read" if unread else None,
    )
