"""Streams from labels: predictions of an interval with what became of them, from the event log.

Responsible for: asking the archive, and a point for each arm.
Does not know: when, detectors, which label belongs to which prediction (``router.analysis.labelled``).

Rules: runs in a thread, where libraries are imported; the query can be stopped, and has one thread of the database's.
"""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

from router.control.measure import EXTRA, MEMORY_BYTES, NotInstalledError, Stop
from router.detect.score import Kind, score
from router.detect.stream import Point


class Wanted(NamedTuple):
    """Of which predictions points are wanted.

    Attributes:
        score: What of.
        prediction: Where it is: ``response:/POINTER``.
        outcome: The label.
        positive: Prediction that means yes; None for a number of at least 0.5.
        experiment: The experiment.
        run: Its run.
        begin: Predictions from then on, in unix seconds.
        end: And before then.
    """

    score: Kind
    prediction: str
    outcome: str
    positive: str | None
    experiment: str
    run: int
    begin: float
    end: float


def points(folder: Path, wanted: Iterable[Wanted], now: float, stop: Stop) -> Mapping[Wanted, Mapping[str, Point]]:
    """Return arm to point, for each interval that is asked for.

    Args:
        folder: ``events.dir``.
        wanted: The intervals.
        now: Unix seconds.
        stop: Ends it.

    Raises:
        NotInstalledError: If the libraries of the archive are not installed.
        StoppedError: If it was stopped.
        OSError: If files cannot be opened; the database raises its own errors for what is in them.
    """
    try:
        import duckdb  # noqa: F401, PLC0415 - see the module's rules
        import ibis  # noqa: F401, PLC0415 - the same
    except ImportError as error:
        raise NotInstalledError(f"{EXTRA} ({error})") from error
    from router.analysis.engine import duckdb_engine  # noqa: PLC0415 - the same
    from router.analysis.labelled import Asked, labelled  # noqa: PLC0415 - the same
    from router.archive.engine import Limits  # noqa: PLC0415 - the same
    from router.archive.reading import open_archive  # noqa: PLC0415 - the same

    found: dict[Wanted, dict[str, Point]] = {}
    with (
        open_archive(folder, Limits(threads=1, memory_bytes=MEMORY_BYTES)) as archive,
        stop.using(archive.connection.interrupt),
    ):
        engine = duckdb_engine(archive.connection)
        for each in wanted:
            stop.check()
            asked = Asked(each.experiment, each.run, each.prediction, each.outcome, each.begin, each.end, now)
            pairs = labelled(engine, asked)
            made = {arm: score(each.score, known, each.positive) for arm, known in pairs.items()}
            found[each] = {arm: point for arm, point in made.items() if point is not None}
    return found
