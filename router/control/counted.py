"""What the shared counters say of exchanges, for the live fold.

Responsible for: exchanges by route, those without a unit, dropped events, and whether anything has happened.
Does not know: the event log, what the numbers are compared with.

Rules: reads only; counts are since the router started, and over all workers.
"""

from dataclasses import dataclass

from router import counters
from router.config.schema import Config
from router.events.model import Revision
from router.segment import Segment, fold


@dataclass(frozen=True, slots=True)
class Counted:
    """What was counted since the start.

    Attributes:
        routes: Route with an experiment to its exchanges, and those of them without a unit.
        exchanges: All exchanges.
        dropped: Events that could not be written.
        outcomes: Outcomes that were sent, by what became of them.
        revision: Number of the present revision.
    """

    routes: dict[str, tuple[int, int]]
    exchanges: int
    dropped: int
    outcomes: tuple[int, ...]
    revision: int


def count(revision: Revision, segment: Segment) -> Counted:
    """Read the counters."""
    by_route: dict[str, int] = {}
    for key, base in revision.slots.items():
        kind, *names = key.split("\0")
        if kind == "pair":
            codes = fold(segment, base + counters.PAIR_CODES, len(counters.CODE_LABELS))
            by_route[names[0]] = by_route.get(names[0], 0) + sum(codes)
    status = fold(segment, 0, counters.ROWS)
    return Counted(
        routes={
            route: (by_route.get(route, 0), _without_unit(revision, segment, route))
            for route in routes(revision.config)
        },
        exchanges=sum(by_route.values()),
        dropped=status[counters.EVENTS_DROPPED],
        outcomes=tuple(status[counters.OUTCOMES : counters.OUTCOMES + len(counters.OUTCOME_FATES)]),
        revision=revision.number,
    )


def routes(config: Config) -> list[str]:
    """Return the routes that have an experiment."""
    return sorted({experiment.route for experiment in config.experiments})


def _without_unit(revision: Revision, segment: Segment, route: str) -> int:
    row = revision.slots[counters.route_key(route)]
    return int(fold(segment, row + counters.ROUTE_NO_UNIT, 1)[0])
