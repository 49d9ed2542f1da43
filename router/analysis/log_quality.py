"""Whether the log that all experiments are read from can be trusted.

Responsible for: checks that belong to no experiment: exchanges without a unit, outcomes without an exposure, clocks,
and events that were dropped.
Does not know: where counts come from.

Rules: pure. Everything here warns and makes nothing invalid: which arm a loss fell on is for the sample ratio to say.
"""

from typing import Final

from msgspec import Struct

from router.analysis.finding import COUNTED, Finding, Insufficient, duration, percent, share

MISSING_UNIT: Final = 0.05
UNMATCHED: Final = 0.05
FUTURE: Final = 0.01
DROPPED: Final = 0.001
# Clocks that are kept by NTP differ by less.
TOLERANCE_S: Final = 1.0


class Traffic(Struct, frozen=True):
    """Exchanges of one route that has an experiment.

    Attributes:
        exchanges: How many; where only a sample is logged, estimated from it.
        without_unit: Those in which no source of the unit was present.
    """

    exchanges: float
    without_unit: float


class Received(Struct, frozen=True):
    """Outcomes, whoever they belong to.

    Attributes:
        outcomes: How many.
        assigned: Those that name an assignment, which the router gave, so that its exposure must be in the log.
        unmatched: Those of them whose exposure is not.
        future: Those dated more than ``TOLERANCE_S`` after they were received.
        lead_s: By how much the furthest of these is ahead; 0 without any.
        median_s: Median of received less dated.
        p90_s: The 90th percentile of the same.
    """

    outcomes: int = 0
    assigned: int = 0
    unmatched: int = 0
    future: int = 0
    lead_s: float = 0.0
    median_s: float = 0.0
    p90_s: float = 0.0


class Written(Struct, frozen=True):
    """What the router wrote since it started, by its counters.

    Attributes:
        exchanges: Exchanges that ended.
        dropped: Events that could not be written.
    """

    exchanges: int
    dropped: int


class Logged(Struct, frozen=True):
    """What a log holds, as far as it belongs to no experiment.

    Attributes:
        routes: Route to its exchanges.
        received: Its outcomes.
        written: What the router says of it; None when there is none to ask, as offline.
    """

    routes: dict[str, Traffic] = {}
    received: Received = Received()
    written: Written | None = None


def judge_log(logged: Logged) -> tuple[Finding | Insufficient, ...]:
    """Judge a log."""
    routes = sorted(logged.routes.items())
    received = logged.received
    return (
        *(_missing_unit(route, traffic) for route, traffic in routes),
        share(
            "unmatched_outcomes",
            (received.unmatched, received.assigned),
            UNMATCHED,
            "{share} of the outcomes that name an assignment belong to no exposure in the log",
        ),
        _clock_skew(received),
        _dropped(logged.written),
    )


def _missing_unit(route: str, traffic: Traffic) -> Finding | Insufficient:
    sentence = "{share} of the exchanges of route " + repr(route) + " have no unit, so they are in no experiment"
    return share(f"missing_unit:{route}", (traffic.without_unit, traffic.exchanges), MISSING_UNIT, sentence)


def _clock_skew(received: Received) -> Finding | Insufficient:
    if received.outcomes < COUNTED:
        return Insufficient("clock_skew", f"{received.outcomes} outcomes were received; {COUNTED} are needed")
    ahead = received.future / received.outcomes
    details = {"lead_s": received.lead_s, "median_s": received.median_s, "p90_s": received.p90_s}
    sentence = (
        f"outcomes are received {duration(max(received.median_s, 0.0))} after their time in the median, "
        f"{duration(max(received.p90_s, 0.0))} at p90"
    )
    if received.future:
        sentence += f"; {percent(ahead)} are dated in the future, up to {duration(received.lead_s)} ahead"
    return Finding("clock_skew", "warn" if ahead > FUTURE else "ok", ahead, FUTURE, sentence, details)


def _dropped(written: Written | None) -> Finding | Insufficient:
    if written is None:
        return Insufficient("dropped_events", "a log does not say what is missing from it; ask the running router")
    whole = written.exchanges + written.dropped
    return share(
        "dropped_events", (written.dropped, whole), DROPPED, "{share} of the events could not be written to the log"
    )
