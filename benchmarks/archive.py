"""What the event log costs: `python -m benchmarks.archive --help`.

Responsible for: events written, sealed, merged and read per second of one core, and their bytes, as lines and as
Parquet.
Does not know: the request path (`benchmarks.path`), the analysis of what is read.

Events are those of an experiment with a made-up unit and id each, because random text is what takes the space. Times
are CPU times of this process, the smallest of some rounds, so that a busy machine changes little.
"""

import argparse
import random
import tempfile
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from benchmarks.synthetic import Shape, make
from router.archive.engine import Limits, connect
from router.archive.layout import find_parts, list_archive
from router.archive.merge import merge
from router.archive.plan import Merge
from router.archive.reading import open_archive
from router.archive.seal import seal
from router.config.schema import Events
from router.events import keep
from router.events.log import EventLog
from router.events.model import Enrolment, Exchange
from router.events.outcomes import Outcome, OutcomeStore

NOON = 1_795_348_800.0
ATTRIBUTION = """
    SELECT arm, count(*), sum(n), sum(n * n) FROM (
        SELECT arm, unit, count(o.unit) AS n FROM (
            SELECT unit, min(arm) AS arm, min(time) AS first FROM exposures WHERE NOT override GROUP BY unit
            HAVING min(arm) = max(arm)
        ) LEFT JOIN (SELECT unit, time FROM outcomes WHERE outcome = 'click') AS o USING (unit)
        WHERE o.time IS NULL OR (o.time >= first AND o.time < first + 7 * 86400.0) GROUP BY ALL
    ) GROUP BY arm
"""


def exchanges(count: int) -> list[Exchange]:
    """Make exchanges as a busy second has them."""
    draw = random.Random(1)  # noqa: S311 - measured, not secret
    out = []
    for number in range(count):
        identity = f"{draw.getrandbits(128):032x}"
        out.append(
            Exchange(
                identity, NOON + number * 1e-4, identity, 3, "ranker", "POST", "/v2/models/ranker/infer", 200, 1,
                draw.random() / 10, draw.random() / 20, 130, 420, "ranker-v1", f"user-{draw.randrange(100_000)}",
                "header:x-user-id", (Enrolment("ranker-v2", 1, 1, 1, "control", 0.95, "ranker-v1"),),
                attributes={"country": "DE", "tier": "gold"},
            )
        )  # fmt: skip
    return out


def cpu(work: Callable[[], object]) -> float:
    """Return the seconds of CPU that some work takes, in all threads."""
    began = time.process_time()
    work()
    return time.process_time() - began


def write(folder: Path, events: list[Exchange]) -> float:
    """Write events as a worker does; return seconds of CPU, the writer thread's included."""
    log = EventLog(folder, 0, Events(), lambda lost: print(f"lost {lost}"))

    def work() -> None:
        for number, event in enumerate(events):
            log.append(event)
            if number % 10_000 == 9_999:
                log.flush()
        log.close(60)

    return cpu(work)


def bytes_of(folder: Path, kind: str) -> int:
    """Return the bytes of all parts of a kind."""
    return sum(part.size for part in find_parts(folder) if part.kind == kind)


def log_round(count: int) -> dict[str, float]:
    """Write, read live, seal and read again; return what was measured."""
    events = exchanges(count)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        found = {"events written /s": count / write(folder, events)}
        segments = keep.stored(folder, ())
        found["bytes of an exchange, NDJSON"] = sum(one.size for one in segments) / count
        found["live events opened /s"] = count / cpu(lambda: _count(folder))
        with closing(connect(Limits(threads=1, memory_bytes=128 * 1024**2), folder / "spill")) as connection:
            found["events sealed /s"] = count / cpu(lambda: seal(connection, folder, segments, time.time()))
            put_outcomes(folder, count)
            found["outcomes sealed /s"] = count / cpu(lambda: seal(connection, folder, (), time.time()))
        found["bytes of an exchange, Parquet exchanges"] = bytes_of(folder, "exchanges") / count
        found["bytes of an exchange, Parquet exposures"] = bytes_of(folder, "exposures") / count
        found["bytes of an outcome, Parquet"] = bytes_of(folder, "outcomes") / count
    return found


def put_outcomes(folder: Path, count: int) -> None:
    """Append outcomes of units."""
    draw = random.Random(2)  # noqa: S311 - measured, not secret
    store = OutcomeStore(folder)
    for _ in range(0, count, 10_000):
        some = [
            Outcome(
                f"{draw.getrandbits(128):032x}", "click", 1.0, NOON, timed=True, unit=f"user-{draw.randrange(100_000)}"
            )
            for _ in range(10_000)
        ]
        store.append(some, NOON)
    store.close()


def _count(folder: Path) -> None:
    with open_archive(folder) as archive:
        archive.connection.execute("SELECT count(*) FROM exposures").fetchall()


def archive_round(exposures: int, outcomes: int) -> dict[str, float]:
    """Make a synthetic archive, open it, ask it for effects, merge a day of it; return what was measured."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        make(folder, Shape(exposures=exposures, outcomes=outcomes), parts_a_day=8)
        found = {"archive MB": sum(part.size for part in find_parts(folder)) / 1e6}
        found["opened, s"] = cpu(lambda: _count(folder))
        with open_archive(folder) as archive:
            found["attributed and added up, s of CPU"] = min(
                cpu(lambda: archive.connection.execute(ATTRIBUTION).fetchall()) for _ in range(3)
            )
            began = time.monotonic()
            archive.connection.execute(ATTRIBUTION).fetchall()
            found["attributed and added up, s of 2 cores"] = time.monotonic() - began
        day = [part for part in list_archive(folder).parts if part.kind == "exposures"][:8]
        with closing(connect(Limits(threads=1, memory_bytes=128 * 1024**2), folder / "spill")) as connection:
            spent = cpu(lambda: merge(connection, folder, Merge(tuple(day))))
        found["merged rows /s"] = exposures / 14 / spent
    return found


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--events", type=int, default=200_000, help="events written and sealed")
    parser.add_argument("--exposures", type=int, default=2_000_000, help="of the synthetic archive")
    parser.add_argument("--outcomes", type=int, default=4_000_000, help="of the synthetic archive")
    parser.add_argument("--rounds", type=int, default=3, help="of which the best counts")
    parser.add_argument("--make", type=Path, metavar="FOLDER", help="only write the synthetic archive there")
    options = parser.parse_args()
    if options.make:
        make(options.make, Shape(exposures=options.exposures, outcomes=options.outcomes))
        return
    rounds = [log_round(options.events) for _ in range(options.rounds)]
    for name in rounds[0]:
        best = max if name.endswith("/s") or "/s" in name else min
        print(f"{name:45} {best(found[name] for found in rounds):12,.1f}")
    for name, value in archive_round(options.exposures, options.outcomes).items():
        print(f"{name:45} {value:12,.2f}")


if __name__ == "__main__":
    main()
