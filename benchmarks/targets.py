"""What is to be reached, as ratios in the same run, and whether it was.

Responsible for: the project's goals for speed and size, computed from the readings.
Does not know: how they are shown; nothing asserts them.
"""

from collections.abc import Iterator

import msgspec

from benchmarks.cases import LARGE, SMALL
from benchmarks.result import Middle, Readings, difference, ratio

MIB = 1024 * 1024
# What may be held for a caller that does not read: 64 KiB that it did not take, one read of the event loop (256 KiB),
# and the connection pair itself.
SLOW_READER_KIB = 384


class Target(msgspec.Struct, frozen=True):
    """A goal, the limit, what was measured, and whether it is within the limit; None when it was not measured."""

    what: str
    limit: str
    measured: Middle | None
    reached: bool | None


def judge(readings: Readings, half: int) -> Iterator[Target]:
    """Yield every goal with what was measured."""
    for at in ("c=32", "c=128"):
        yield cost(readings, f"CPU per request of the worker ÷ Envoy's, {at}", ("worker_us", "envoy", at), 0.75)
        yield cost(readings, f"CPU per request of the worker ÷ nginx's, {at}", ("worker_us", "nginx", at), 2.2)
        yield cost(readings, f"CPU per request of all processes ÷ Envoy's, {at}", ("all_us", "envoy", at), 1.0)
    found = readings.paired(("mirror", "router", "c=32", "worker_us"), ("mirror", "envoy", "c=32", "worker_us"), ratio)
    yield below("CPU per request with every request mirrored ÷ Envoy's with the same mirror", 0.75, found)
    yield added_latency(readings, str(half))
    at = next(iter(readings.parameters("streams")), "")
    found = readings.paired(("streams", "router", at, "worker_us"), ("streams", "nginx", at, "worker_us"), ratio)
    yield below("CPU per server-sent event of the worker ÷ nginx's", 1.5, found)
    found = readings.paired(("table", "router", LARGE, "worker_us"), ("table", "router", SMALL, "worker_us"), ratio)
    yield below("CPU per request with 1,000 routes and 100 experiments ÷ one of each", 1.1, found)
    yield size(readings, "resident memory of a warm idle worker, MiB", ("idle", "worker_resident"), 60)
    for at in readings.parameters("memory"):
        if at != "idle":
            yield size(readings, f"added resident memory of {at}, MiB", (at, "added_resident"), 100)
    found = readings.middle("failover", "router", "breaker alone", "last_failed_s")
    yield below("seconds from an endpoint's death to the last failed request", 1, found)
    found = readings.middle("kill switch", "router", "2 workers", "last_treated_s")
    yield below("seconds from a kill to the last treated request", 1, found)
    at = next(iter(readings.parameters("slow readers")), "")
    found = readings.middle("slow readers", "router", at, "each")
    what = f"KiB of a worker's memory for each of {at or 'the slow readers'} of a 10 MiB stream"
    yield below(
        what, SLOW_READER_KIB, Middle(found.median / 1024, found.low / 1024, found.high / 1024) if found else None
    )


def cost(readings: Readings, what: str, against: tuple[str, str, str], limit: float) -> Target:
    """Judge CPU per request against a peer: (the router's value, peer, connections)."""
    value, peer, at = against
    found = readings.paired(("requests", "router", at, value), ("requests", peer, at, "all_us"), ratio)
    return below(what, limit, found)


def added_latency(readings: Readings, rate: str) -> Target:
    """Judge the median latency added over direct at half load, against Envoy's."""
    router, envoy = (added(readings, name, rate, "p50") for name in ("router", "envoy"))
    what = f"added p50 at half load ({rate}/s), µs"
    if router is None or envoy is None:
        return Target(what, "≤ Envoy's", router, None)
    return Target(what, f"≤ Envoy's {envoy.median:.0f}", router, router.median <= envoy.median)


def added(readings: Readings, proxy: str, rate: str, quantile: str) -> Middle | None:
    """Return a quantile of latency through a proxy less the same quantile directly, in microseconds."""
    return readings.paired(("latency", proxy, rate, quantile), ("latency", "direct", rate, quantile), difference)


def size(readings: Readings, what: str, value: tuple[str, str], limit: float) -> Target:
    """Judge the router's memory in MiB."""
    found = readings.middle("memory", "router", *value)
    scaled = Middle(found.median / MIB, found.low / MIB, found.high / MIB) if found else None
    return Target(what, f"< {limit:g}", scaled, scaled.median < limit if scaled else None)


def below(what: str, limit: float, found: Middle | None) -> Target:
    """Return a goal that is reached at a limit or below."""
    return Target(what, f"≤ {limit:g}", found, found.median <= limit if found else None)
