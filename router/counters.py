"""Counts in memory that all processes share: what each word means, and the rows that a configuration needs.

Responsible for: the layout of header, blocks and rows, who writes which word, and where rows lie.
Does not know: how the memory is made (``router.segment``), configuration classes (rows are made from anything of that
shape), Prometheus, processes.

Layout, in signed 64-bit words of the machine's own byte order::

    0 … HEADER_WORDS                   header: one for the router, written by supervisor and control
    HEADER_WORDS + b * BLOCK_WORDS     block b, written by one worker at a time:
        0 … ROWS                           status of the worker (its constants are below)
        ROWS … BLOCK_WORDS                 rows, placed by ``allocate``, at the same index in every block
    … after the last of those          a block that the control process writes, with the same rows

There is one block more than workers: while a worker is replaced in order, its successor counts beside it. Which block
the worker w writes is in the header, at ``SEATS + w``; the supervisor writes that.

Rules: a word has one writer, so ``block[i] += 1`` needs no lock. Words are aligned and read and written whole, so a
reader sees an old value or a new one, never half of each; two words may be of different moments. A row is never moved
and never reused: it outlives its route, so counters do not fall. Memory is used by touched pages only, so a block's 64
MiB are address space.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final, Protocol

from router.histogram import BUCKETS, HISTOGRAM_WORDS

# --- Header -------------------------------------------------------------------------------------------------------
MAGIC: Final = 0  # MAGIC_VALUE, written last; anything else is not (yet) a segment
WORKERS: Final = 1  # number of blocks
BLOCK_SIZE: Final = 2  # words in a block
PUBLISHED: Final = 3  # number of the revision in the run directory; 0 before the first
DRAINING: Final = 4  # 1 once the router is shutting down
RELOAD_OK: Final = 5  # 1 when the configuration on disk is the one that is served
CONTROL_HEARTBEAT: Final = 6  # time.monotonic_ns() of the control process's last tick
RESTARTS: Final = 7  # workers that the supervisor replaced
JOURNAL_FAILED: Final = 8  # 1 while the last decision could not be written to the journal
IDENTITY: Final = 9  # a random number, by which counts that were written down know whether they are of this memory
OUTCOMES: Final = 64  # one word for each of OUTCOME_FATES: outcomes that were sent, by what became of them
OUTCOMES_WAITING: Final = 80  # gauge: outcomes that wait for their commit
OUTCOMES_FAILED: Final = 81  # 1 while outcomes cannot be written
OUTCOMES_BYTES: Final = 82  # gauge: size of the outcome store
SEATS: Final = 1024  # for each worker, which block it writes
HEADER_WORDS: Final = 2048  # four pages
MAGIC_VALUE: Final = 0x01_52_54_52_43_4E_54_00  # layout version, then "RTRCNT"

REFUSALS: Final = (
    "bad_request", "bad_host", "bad_length", "bad_transfer_encoding", "bad_chunk", "header_too_large",
    "too_many_headers", "uri_too_long", "body_too_large", "method", "version", "header_timeout", "body_timeout",
    "no_route", "expectation", "overloaded",
)  # fmt: skip
GATHER_CAUSES: Final = ("too_large", "encoded", "invalid", "incomplete")
# What became of the token of a request, where one could be a unit or an attribute; all but `valid` are absent.
JWT_RESULTS: Final = (
    "valid", "absent", "malformed", "unknown_key", "bad_signature", "expired", "refused",
)  # fmt: skip
FAULTS: Final = (
    "refused", "connect_timeout", "reset", "timeout_first_byte", "timeout_idle", "timeout_total", "malformed",
    "truncated", "tls", "dns", "pool_timeout", "local", "unavailable", "breaker_open", "shed", "status",
)  # fmt: skip
HEDGES: Final = ("won", "rescued", "lost", "failed", "cancelled", "denied")  # what became of second requests
SHED_CAUSES: Final = ("rate_limit", "degrade", "queue_full", "queue_timeout", "deadline")
CAUSES: Final = ("unavailable", "timeout", "5xx", "breaker_open", "shed")  # of fallbacks

# What became of each outcome that was sent: from `malformed` to `bad_signature` refused for good, then for now.
OUTCOME_FATES: Final = (
    "accepted", "duplicate", "conflicting", "malformed", "future", "too_late", "bad_signature", "overloaded", "failed",
)  # fmt: skip

# What became of each copy that a shadow was to get: the first three are comparisons, `answered` is without one.
SHADOW_RESULTS: Final = (
    "agree", "differ", "not_comparable", "answered", "failed", "primary_failed", "cancelled", "dropped_inflight",
    "dropped_body", "dropped_incomplete", "dropped_unavailable", "dropped_upgrade",
)  # fmt: skip

# What became of each reward that an answer might have said; from `too_large` on, of those in sampled bodies only.
REWARD_RESULTS: Final = (
    "read", "absent", "not_a_number", "too_large", "encoded", "not_json", "incomplete", "no_room",
)  # fmt: skip

# Allocators that send a request to several arms.
FANS: Final = ("interleave", "ensemble")
# What became of an arm's part of a request that went to several: combined with others, the same but far from them,
# served as it was, not used; from ``failed`` on nothing that could be combined; from ``dropped`` on not asked.
FAN_RESULTS: Final = (
    "combined", "apart", "alone", "unused", "failed", "late", "too_large", "encoded", "not_json", "no_value",
    "cancelled", "dropped", "skipped",
)  # fmt: skip

# --- Status of a worker: the first words of its block -------------------------------------------------------------
HEARTBEAT: Final = 0  # time.monotonic_ns() of the worker's last tick
ACKNOWLEDGED: Final = 1  # number of the revision it serves
CONNECTIONS: Final = 2  # gauge: open caller connections
PID: Final = 3
EVENTS_DROPPED: Final = 4
CONNECTIONS_TOTAL: Final = 5  # caller connections ever accepted
NOT_ROUTED: Final = 6  # requests that no route matches
ACCEPT_PAUSES: Final = 7  # times that no connections were accepted because descriptors ran short
REFUSED: Final = 8  # one word for each of REFUSALS
GATHER: Final = 40  # one word for each of GATHER_CAUSES: bodies that were not read to decide
TUNNELS: Final = 48  # gauge: caller connections that are tunnels
REWARDS: Final = 49  # one word for each of REWARD_RESULTS
OVERHEAD: Final = 64  # histogram: time of an exchange spent in the router itself
JWT: Final = 320  # one word for each of JWT_RESULTS
ROWS: Final = 512  # where rows begin

BLOCK_WORDS: Final = 8 * 1024 * 1024  # 64 MiB of address space for each worker

# --- Rows: offsets within one -------------------------------------------------------------------------------------
# The status codes of the IANA registry, each counted apart; 0 is "closed before any response", as Envoy logs it.
CODES: Final = (
    0, 100, 101, 102, 103, 200, 201, 202, 203, 204, 205, 206, 207, 208, 226, 300, 301, 302, 303, 304, 305, 307, 308,
    400, 401, 402, 403, 404, 405, 406, 407, 408, 409, 410, 411, 412, 413, 414, 415, 416, 417, 418, 421, 422, 423, 424,
    425, 426, 428, 429, 431, 451, 500, 501, 502, 503, 504, 505, 506, 507, 508, 510, 511,
)  # fmt: skip
CODE_LABELS: Final = (*(str(code) for code in CODES), "other")
# Offset of a status in a pair's row; every status without a word of its own has that of "other".
CODE_SLOT: Final[list[int]] = [CODES.index(status) if status in CODES else len(CODES) for status in range(1000)]

# pair\0ROUTE\0TARGET
PAIR_CODES: Final = 0  # one word for each of CODE_LABELS: exchanges by what the caller saw
PAIR_SECONDS: Final = len(CODE_LABELS)  # histogram: first byte in to last byte out
PAIR_FIRST_BYTE: Final = PAIR_SECONDS + HISTOGRAM_WORDS  # histogram: first byte in to first byte out
PAIR_REQUEST_BYTES: Final = PAIR_FIRST_BYTE + HISTOGRAM_WORDS  # body bytes from callers
PAIR_RESPONSE_BYTES: Final = PAIR_REQUEST_BYTES + 1  # body bytes to callers
PAIR_WORDS: Final = PAIR_RESPONSE_BYTES + 1
# route\0ROUTE
ROUTE_NO_UNIT: Final = 0  # exchanges in which no source of the unit was present
ROUTE_CLIENT_GONE: Final = 1  # exchanges whose caller went away before the end
ROUTE_SHED: Final = 2  # one word for each of SHED_CAUSES: exchanges that were not let through
ROUTE_WORDS: Final = ROUTE_SHED + len(SHED_CAUSES)
# shadow\0ROUTE\0TARGET
SHADOW_INFLIGHT: Final = 0  # gauge: copies that wait for their answer, or for that of the primary
SHADOW_COUNTS: Final = 1  # one word for each of SHADOW_RESULTS
SHADOW_SECONDS: Final = SHADOW_COUNTS + len(SHADOW_RESULTS)  # histogram: copy sent to its last byte in
SHADOW_WORDS: Final = SHADOW_SECONDS + HISTOGRAM_WORDS
# mirror\0EXPERIMENT: how copies for a release compare with the requests themselves; what is one is in the same bucket
UNIT_BUCKETS: Final = 256
LATENCY_CLUSTERS: Final = 32
MIRROR_COPIES: Final = 0  # one word for each bucket of the unit's hash: copies whose result is known
MIRROR_FAILED: Final = UNIT_BUCKETS  # likewise: copies that failed
MIRROR_PRIMARY_FAILED: Final = 2 * UNIT_BUCKETS  # likewise: the requests themselves that failed
MIRROR_COMPARED: Final = 3 * UNIT_BUCKETS  # likewise: answers that could be compared
MIRROR_AGREED: Final = 4 * UNIT_BUCKETS  # likewise: those of them that agree
# For each cluster (the bucket modulo their number) the buckets of a histogram: of copies, and of the requests
# themselves, where neither failed
MIRROR_SECONDS: Final = 5 * UNIT_BUCKETS
MIRROR_PRIMARY_SECONDS: Final = MIRROR_SECONDS + LATENCY_CLUSTERS * BUCKETS
MIRROR_WORDS: Final = MIRROR_PRIMARY_SECONDS + LATENCY_CLUSTERS * BUCKETS
# target\0TARGET
TARGET_INFLIGHT: Final = 0  # gauge: exchanges that the target is working on
TARGET_FAULTS: Final = 1  # one word for each of FAULTS
TARGET_CONNECTS: Final = TARGET_FAULTS + len(FAULTS)  # connections opened
TARGET_RETRIES: Final = TARGET_CONNECTS + 1  # further attempts at the same target
TARGET_RETRIES_DENIED: Final = TARGET_RETRIES + 1  # those that the budget had no room for
TARGET_HEDGES: Final = TARGET_RETRIES_DENIED + 1  # one word for each of HEDGES
TARGET_QUEUED: Final = TARGET_HEDGES + len(HEDGES)  # gauge: exchanges that wait for a slot
TARGET_WORDS: Final = TARGET_QUEUED + 1
# rate\0ROUTE, and units\0ROUTE for a limit for each unit
RATE_ADMITTED: Final = 0  # exchanges that were let through
RATE_BUCKETS: Final = 1  # likewise, one word for each bucket
UNIT_SLOTS: Final = 1 << 16  # buckets that units share
RATE_WORDS: Final = RATE_BUCKETS + 1
UNITS_WORDS: Final = RATE_BUCKETS + UNIT_SLOTS
# fallback\0ROUTE\0TO
FALLBACK_WORDS: Final = len(CAUSES)  # one word for each: answers by the cause that made them necessary
# endpoint\0TARGET\0URL
ENDPOINT_STATE: Final = 0  # register of the breaker, see router.routing.breaker; the largest of all blocks holds
ENDPOINT_OPENINGS: Final = 1  # times that the breaker opened
ENDPOINT_PROBES: Final = 2  # gauge: probes in flight
ENDPOINT_PASSED: Final = 3  # the half-open period that was seen last, and the probes that passed in it
ENDPOINT_MARK: Final = 4  # successes of the router when the last failure came
ENDPOINT_STREAK: Final = 5  # failures at that mark
ENDPOINT_SUCCEEDED: Final = 6
ENDPOINT_FAILED: Final = 7  # failures that the breaker judged
ENDPOINT_SLOW: Final = 8  # successes that were slow
ENDPOINT_ACTIVE: Final = 9  # gauge: exchanges that the endpoint is working on
ENDPOINT_HEALTH: Final = 10  # written by the control process, see router.routing.readiness
ENDPOINT_WORDS: Final = 11
# fan\0EXPERIMENT\0ARM: a breaker of what the arm contributes, laid out as that of an endpoint, and
FAN_COUNTS: Final = ENDPOINT_WORDS  # one word for each of FAN_RESULTS
FAN_WORDS: Final = FAN_COUNTS + len(FAN_RESULTS)
# arm\0EXPERIMENT\0RUN\0PHASE\0ARM
ARM_EXCHANGES: Final = 0  # one word for each bucket of the unit's hash
ARM_FAILURES: Final = UNIT_BUCKETS  # likewise; counted in ARM_EXCHANGES too
ARM_WORDS: Final = 2 * UNIT_BUCKETS
# times\0EXPERIMENT\0ARM, of a release: for each cluster of units (bucket modulo their number) a histogram without its
# sum; not a row for each phase, which would never be freed
TIME_CLUSTERS: Final = 32
TIMES_DURATION: Final = 0  # first byte in to last byte out
TIMES_FIRST_BYTE: Final = TIME_CLUSTERS * BUCKETS  # first byte in to first byte out
TIMES_WORDS: Final = 2 * TIME_CLUSTERS * BUCKETS

_SIZES: Final = {
    "pair": PAIR_WORDS,
    "route": ROUTE_WORDS,
    "target": TARGET_WORDS,
    "fallback": FALLBACK_WORDS,
    "endpoint": ENDPOINT_WORDS,
    "arm": ARM_WORDS,
    "times": TIMES_WORDS,
    "fan": FAN_WORDS,
    "copies": ENDPOINT_WORDS,
    "shadow": SHADOW_WORDS,
    "mirror": MIRROR_WORDS,
    "rate": RATE_WORDS,
    "units": UNITS_WORDS,
}


class CountersFull(Exception):  # noqa: N818 - says what is the case
    """No room is left for the rows that a configuration needs; only a restart frees those of the past."""


class _Fallback(Protocol):
    @property
    def target(self) -> str | None: ...
    @property
    def cached(self) -> object | None: ...
    @property
    def rules(self) -> Sequence[object]: ...


class _Shadow(Protocol):
    @property
    def target(self) -> str: ...


class _Arm(Protocol):
    @property
    def name(self) -> str: ...
    @property
    def target(self) -> str | None: ...


class _Degrade(Protocol):
    @property
    def target(self) -> str | None: ...


class _RateLimit(Protocol):
    @property
    def per(self) -> str: ...


class _Route(Protocol):
    @property
    def name(self) -> str: ...
    @property
    def target(self) -> str: ...
    @property
    def fallback(self) -> Sequence[_Fallback]: ...
    @property
    def shadow(self) -> Sequence[_Shadow]: ...
    @property
    def degrade(self) -> Sequence[_Degrade]: ...
    @property
    def rate_limit(self) -> _RateLimit | None: ...


class _Endpoint(Protocol):
    @property
    def url(self) -> str: ...


class _Target(Protocol):
    @property
    def name(self) -> str: ...
    @property
    def endpoints(self) -> Sequence[_Endpoint]: ...


class _Allocate(Protocol):
    @property
    def use(self) -> str: ...
    @property
    def rehearsal(self) -> object | None: ...
    @property
    def driven(self) -> bool: ...


class _Experiment(Protocol):
    @property
    def name(self) -> str: ...
    @property
    def route(self) -> str: ...
    @property
    def control(self) -> str | None: ...
    @property
    def allocate(self) -> _Allocate: ...
    @property
    def arms(self) -> Sequence[_Arm]: ...


class _Variant(Protocol):
    @property
    def routes(self) -> Sequence[_Route]: ...


class _Config(Protocol):
    @property
    def targets(self) -> Sequence[_Target]: ...
    @property
    def routes(self) -> Sequence[_Route]: ...
    @property
    def experiments(self) -> Sequence[_Experiment]: ...
    @property
    def variants(self) -> Sequence[_Variant]: ...


class _Run(Protocol):
    @property
    def number(self) -> int: ...
    @property
    def phase(self) -> int: ...


def pair_key(route: str, target: str) -> str:
    """Return the key of the row of one route's exchanges with one target."""
    return f"pair\0{route}\0{target}"


def route_key(route: str) -> str:
    """Return the key of a route's row."""
    return f"route\0{route}"


def fallback_name(step: _Fallback) -> str:
    """Return what a fallback is called: its target, or the kind of its answer."""
    return step.target or ("cached" if step.cached is not None else "rules" if step.rules else "respond")


def fallback_key(route: str, to: str) -> str:
    """Return the key of the row of one fallback of a route: a target, or a kind of answer."""
    return f"fallback\0{route}\0{to}"


def target_key(target: str) -> str:
    """Return the key of a target's row."""
    return f"target\0{target}"


def copies_key(target: str, url: str) -> str:
    """Return the key of the row of one endpoint of a target, as it does with copies for shadows; laid out likewise."""
    return f"copies\0{target}\0{url}"


def endpoint_key(target: str, url: str) -> str:
    """Return the key of the row of one endpoint of a target."""
    return f"endpoint\0{target}\0{url}"


def arm_key(experiment: str, run: int, phase: int, arm: str) -> str:
    """Return the key of the row of an arm within one phase of one run."""
    return f"arm\0{experiment}\0{run}\0{phase}\0{arm}"


def times_key(experiment: str, arm: str) -> str:
    """Return the key of the row of how long the exchanges of an arm of a release take."""
    return f"times\0{experiment}\0{arm}"


def fan_key(experiment: str, arm: str) -> str:
    """Return the key of the row of an arm of an experiment that sends each request to several."""
    return f"fan\0{experiment}\0{arm}"


def shadow_key(route: str, target: str) -> str:
    """Return the key of the row of one route's shadow."""
    return f"shadow\0{route}\0{target}"


def mirror_key(experiment: str) -> str:
    """Return the key of the row of the copies for a release."""
    return f"mirror\0{experiment}"


def rate_key(route: str, per: str) -> str:
    """Return the key of the row of a route's rate limit, ``per`` route or unit."""
    return f"{'units' if per == 'unit' else 'rate'}\0{route}"


def mirrored_target(experiment: _Experiment) -> str | None:
    """Return the target that gets copies before a release has traffic, that of its new arm; None without a shadow."""
    if experiment.allocate.rehearsal is None:
        return None
    control = experiment.control or experiment.arms[0].name
    return next((arm.target for arm in experiment.arms if arm.name != control), None)


def row_size(key: str) -> int:
    """Return the words in the row of a key.

    Raises:
        KeyError: If it is not a key of a row.
    """
    return _SIZES[key.partition("\0")[0]]


def _pairs(config: _Config) -> dict[str, list[str]]:
    """Return the targets that can serve each route; "" stands for answers that no target gives."""
    pairs: dict[str, list[str]] = {}
    for route in _routes(config):
        pairs.setdefault(route.name, []).extend([route.target, *(step.target or "" for step in route.fallback)])
        pairs[route.name].extend(step.target for step in route.degrade if step.target is not None)
    for experiment in config.experiments:
        pairs[experiment.route].extend(arm.target for arm in experiment.arms if arm.target is not None)
    return pairs


def _routes(config: _Config) -> list[_Route]:
    """Return every route, and what it is for other regions and clusters."""
    return [*config.routes, *(route for variant in config.variants for route in variant.routes)]


def row_keys(config: _Config, runs: Mapping[str, _Run]) -> Iterator[tuple[str, int]]:
    """Yield key and size of each row that a configuration needs, each once, in a fixed order.

    Args:
        config: A ``router.config.schema.Config``.
        runs: Run and phase of each of its experiments.
    """
    yield from _target_keys(config)
    for name, targets in _pairs(config).items():
        yield route_key(name), ROUTE_WORDS
        for target_name in dict.fromkeys(targets):
            yield pair_key(name, target_name), PAIR_WORDS
    fallbacks = [fallback_key(route.name, fallback_name(step)) for route in _routes(config) for step in route.fallback]
    yield from ((key, FALLBACK_WORDS) for key in dict.fromkeys(fallbacks))
    mirrored = _mirrored(config)
    yield from ((shadow_key(*pair), SHADOW_WORDS) for pair in mirrored)
    for route in config.routes:
        if route.rate_limit is not None:
            key = rate_key(route.name, route.rate_limit.per)
            yield key, row_size(key)
    for experiment in config.experiments:
        run = runs[experiment.name]
        if mirrored_target(experiment) is not None:
            yield mirror_key(experiment.name), MIRROR_WORDS
        for arm in experiment.arms:
            yield arm_key(experiment.name, run.number, run.phase, arm.name), ARM_WORDS
            if experiment.allocate.driven:
                yield times_key(experiment.name, arm.name), TIMES_WORDS
            if experiment.allocate.use in FANS:
                yield fan_key(experiment.name, arm.name), FAN_WORDS


def _mirrored(config: _Config) -> dict[tuple[str, str], None]:
    """Return the pairs of a route and a target that ever gets copies of its requests."""
    pairs = [(route.name, shadow.target) for route in config.routes for shadow in route.shadow]
    for experiment in config.experiments:
        target = mirrored_target(experiment)
        if target is not None:
            pairs.append((experiment.route, target))
    return dict.fromkeys(pairs)


def _target_keys(config: _Config) -> Iterator[tuple[str, int]]:
    mirrored = {target for _, target in _mirrored(config)}
    for target in config.targets:
        yield target_key(target.name), TARGET_WORDS
        for endpoint in target.endpoints:
            yield endpoint_key(target.name, endpoint.url), ENDPOINT_WORDS
            if target.name in mirrored:
                yield copies_key(target.name, endpoint.url), ENDPOINT_WORDS


def allocate(previous: Mapping[str, int], needed: Iterable[tuple[str, int]]) -> dict[str, int]:
    """Place rows: known keys stay where they are, also those no longer needed; new ones follow the last.

    Args:
        previous: Index of the first word of each row placed so far in this segment.
        needed: Key and size of each row, as ``row_keys`` yields them.

    Raises:
        CountersFull: If a block has no room for them.
    """
    slots = dict(previous)
    end = max((base + row_size(key) for key, base in slots.items()), default=ROWS)
    for key, size in needed:
        if key in slots:
            continue
        if end + size > BLOCK_WORDS:
            raise CountersFull(
                f"{len(slots)} rows of counters fill the {BLOCK_WORDS * 8} bytes that a worker has; restart the router"
            )
        slots[key] = end
        end += size
    return slots


def reset_gauges(block: memoryview, slots: Mapping[str, int]) -> None:
    """Zero what a predecessor of the worker left open; counters go on from where they were."""
    block[CONNECTIONS] = 0
    block[TUNNELS] = 0
    for key, base in slots.items():
        kind = key.partition("\0")[0]
        if kind == "target":
            block[base + TARGET_INFLIGHT] = 0
            block[base + TARGET_QUEUED] = 0
        elif kind in ("endpoint", "copies", "fan"):
            block[base + ENDPOINT_PROBES] = block[base + ENDPOINT_ACTIVE] = 0
        elif kind == "shadow":
            block[base + SHADOW_INFLIGHT] = 0
