"""The endpoints of a target, and the choice among them.

Responsible for: choosing an endpoint among those that may be used, and what happens to the endpoints when the
configuration changes.
Does not know: requests, connections, why an endpoint may not be used (``routing.standing``).

Rules: an endpoint that stays in the configuration keeps its connections, breaker and health. So does one that a release
leaves out (``Revision.endpoints``): it gets no new exchange, and those under way finish. A target whose endpoints are
all left out has no share of any experiment; what reaches it all the same may use them all. What may be used is worked
out when something changes, not for each request. The last usable endpoint is never taken away from a request that has
nowhere else to go: all in use are used then (*panic*, as Envoy calls it).
"""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from random import random
from time import monotonic
from typing import Final, NamedTuple

from router import counters
from router.config import schema
from router.config.place import place_of
from router.events.model import Revision
from router.proxy.endpoint import Endpoint
from router.proxy.gate import Gate
from router.routing.admission import Limit
from router.routing.balance import Balancer, make
from router.routing.standing import Standing, Words

FULL_WEIGHT: Final = 100  # of an endpoint of weight 1 at its full share; balancers take whole numbers


class Shared(NamedTuple):
    """The memory that processes share, as a worker uses it.

    Attributes:
        blocks: Those of all workers.
        worker: Which of them is this worker's.
        control: The control process's, if there is one.
    """

    blocks: Sequence[memoryview]
    worker: int
    control: memoryview | None


class TargetPool:
    """The endpoints of one target, and where its counters are.

    Attributes:
        target: The target's part of the configuration.
        row: First word of its counters.
        endpoints: All of them.
        used: Those of them that a release does not leave out.
        usable: Those of these that may be used now.
        direct: Whether ``choose`` may be called without a further question.
        straight: Whether an exchange may go to what ``choose`` gives without being looked at again.
        retrying: Further attempts under way.
        waiting: Those of them that wait for their time, and are not in flight meanwhile.
        hedging: Second requests under way.
        closed_by: The fault of a request for which there is none.
        gate: Where exchanges get a slot; None without a limit.
    """

    __slots__ = (
        "_admission", "_balancer", "_key", "_kind", "_moving", "_panic_at", "_probing", "_served", "_shared",
        "closed_by", "direct", "endpoints", "gate", "hedging", "retrying", "row", "straight", "target", "usable",
        "used", "waiting",
    )  # fmt: skip

    def __init__(
        self,
        target: schema.Target,
        row: int,
        shared: Shared,
        key: Callable[[str, str], str] = counters.endpoint_key,
    ) -> None:
        """Begin without endpoints.

        Args:
            target: The target.
            row: First word of its counters.
            shared: The shared memory.
            key: Gives the key of an endpoint's row from the names of both.
        """
        # Per target
        self._key = key
        self.row = row
        self.retrying = 0
        self.waiting = 0
        self.hedging = 0
        self._shared = shared
        self.gate: Gate | None = None
        # Per revision
        self.target = target
        self.endpoints: tuple[Endpoint, ...] = ()
        self.used: tuple[Endpoint, ...] = ()
        self._served: frozenset[str] = frozenset()  # base URLs that get exchanges of their own accord
        self._kind = ""
        self._balancer: Balancer
        self._panic_at = 0  # usable endpoints at or below which all are used
        # Per change of an endpoint's standing
        self.usable: list[Endpoint] = []
        self.direct = self.straight = False
        self.closed_by = "unavailable"
        self._probing = False  # whether some let only probes through
        self._moving = False  # whether shares grow with time
        self._admission = 1.0  # share of requests taken where others have another way

    def __repr__(self) -> str:
        return f"<TargetPool {self.target.name} usable={len(self.usable)} of {len(self.endpoints)}>"

    # --- the configuration ------------------------------------------------------------------------------------

    def plan(self, target: schema.Target, slots: Mapping[str, int], *, trust_anew: bool) -> list[Endpoint]:
        """Return the endpoints of a changed target, without changing anything; those that stay are the same objects.

        Args:
            target: The target as it is to be.
            slots: Where each row of counters begins.
            trust_anew: Whether files of certificates have changed, so that no https endpoint stays.

        Raises:
            OSError: A file with certificates cannot be read.
        """
        known = {
            (endpoint.url, endpoint.place): endpoint
            for endpoint in self.endpoints
            if not (trust_anew and endpoint.place.tls)
        }
        planned = []
        for item in target.endpoints:
            place = place_of(item, target.tls)
            endpoint = known.get((item.url, place))
            if endpoint is None:
                row = slots[self._key(target.name, item.url)]
                words = Words(*self._shared, row, slots[counters.endpoint_key(target.name, item.url)])
                standing = Standing(target, words, random, self._arrange_now)
                endpoint = Endpoint(item.url, place, self._count_connection, (standing, row))
            planned.append(endpoint)
        return planned

    def update(self, target: schema.Target, endpoints: list[Endpoint], in_use: Collection[str] | None = None) -> None:
        """Follow a change of the configuration; endpoints that stay keep connections, load and latency.

        Args:
            target: The target.
            endpoints: Its endpoints, as ``plan`` gave them.
            in_use: Base URLs of those that may get exchanges; None is all, and so are none that it has.
        """
        now = monotonic()
        before, self.endpoints = self.endpoints, tuple(endpoints)
        served = self._served
        self._served = frozenset(each.url for each in endpoints if in_use is None or each.url in in_use)
        self.used = tuple(each for each in endpoints if each.url in self._served) or self.endpoints
        self.target = target
        self._panic_at = int(target.breaker.panic * len(self.used))
        for item, endpoint in zip(target.endpoints, endpoints, strict=True):
            endpoint.configure(item, target)
            endpoint.standing.reconfigure(target, now)
            if before and endpoint.url in self._served - served:
                endpoint.standing.warm_up(now)
        for endpoint in before:
            if endpoint not in endpoints:
                endpoint.close()
        if target.balance != self._kind:
            self._kind = target.balance
            self._balancer = make(target.balance)
        self._limit(target.concurrency)
        self._arrange(now)

    def _limit(self, concurrency: schema.Concurrency | None) -> None:
        gate, self.gate = self.gate, None
        if concurrency is not None:
            limit = Limit(concurrency.max, concurrency.queue, concurrency.queue_timeout)
            self.gate = gate or Gate(limit, self.row, self._shared.blocks, self._own)
            self.gate.limit = limit
        elif gate is not None:
            gate.open()

    def close(self) -> None:
        """Use no more; who waits for a slot goes in, because nobody looks for those that other workers free."""
        if self.gate is not None:
            self.gate.open()
        for endpoint in self.endpoints:
            endpoint.close()

    def _count_connection(self) -> None:
        self._own[self.row + counters.TARGET_CONNECTS] += 1

    @property
    def _own(self) -> memoryview:
        return self._shared.blocks[self._shared.worker]

    # --- what may be used -------------------------------------------------------------------------------------

    def tick(self, now: float) -> None:
        """Do what is due: follow other workers and the health questions, let ramps rise, close idle connections."""
        own = self._own
        for endpoint in self.endpoints:
            endpoint.standing.look(now)
            own[endpoint.row + counters.ENDPOINT_ACTIVE] = endpoint.active
            endpoint.expire_idle(now)
            endpoint.refresh(now, self.target.dns)
        if self._moving:
            self._arrange(now)
        if self.gate is not None:
            self.gate.tick()

    def _arrange_now(self) -> None:
        self._arrange(monotonic())

    def _arrange(self, now: float) -> None:
        """Work out which endpoints may be used, and their weights."""
        usable = []
        self._moving = self._probing = False
        admission = 0.0
        for item, endpoint in zip(self.target.endpoints, self.endpoints, strict=True):
            standing = endpoint.standing
            endpoint.weight = max(1, round(FULL_WEIGHT * item.weight * standing.share(now)))
            self._moving = self._moving or standing.moving
            if standing.usable and (not self._served or endpoint.url in self._served):
                usable.append(endpoint)
                self._probing = self._probing or standing.probing
                admission = max(admission, standing.breaker.share(now))
        self.usable = usable
        self._admission = admission
        # A target of which some endpoints fail and some are not ready is one that fails: that passes by itself.
        failing = any(endpoint.standing.ready for endpoint in self.used)
        self.closed_by = "breaker_open" if failing else "unavailable"
        self.direct = len(usable) > self._panic_at and not self._probing and admission >= 1.0
        self.straight = self.direct and self.target.hedge is None

    # --- one exchange -----------------------------------------------------------------------------------------

    def choose(self, key: int, random: Callable[[], float]) -> Endpoint:
        """Choose an endpoint for one exchange, while the pool is ``direct``."""
        usable = self.usable
        if len(usable) == 1:
            return usable[0]
        return usable[self._balancer.pick(usable, key, random)]

    def pick(
        self, key: int, random: Callable[[], float], *, spare: bool, avoid: Endpoint | None = None
    ) -> Endpoint | None:
        """Choose an endpoint for one exchange.

        Args:
            key: Equal for requests that belong together.
            random: Returns floats uniform in [0, 1).
            spare: Whether the exchange has another way to an answer.
            avoid: Where it has just failed; chosen only when there is no other.

        Returns:
            None when there is none that may be used, for the fault ``closed_by``; never without ``spare``.
        """
        candidates: Sequence[Endpoint] = self.usable
        if self._probing:
            candidates = [endpoint for endpoint in candidates if endpoint.breaker.admits()]
        if spare:
            if not candidates or (self._admission < 1.0 and random() >= self._admission):
                return None
        elif len(candidates) <= self._panic_at:
            candidates = self.used
        if avoid is not None and len(candidates) > 1:
            candidates = [endpoint for endpoint in candidates if endpoint is not avoid]
        return candidates[self._balancer.pick(candidates, key, random)]


class Planned(NamedTuple):
    """What a pool is to become; the last three as ``TargetPool.update`` takes them."""

    pool: TargetPool
    target: schema.Target
    endpoints: list[Endpoint]
    in_use: Collection[str] | None = None


def plan_pool(
    known: Mapping[str, TargetPool],
    target: schema.Target,
    revision: Revision,
    shared: Shared,
    key: Callable[[str, str], str] = counters.endpoint_key,
) -> Planned:
    """Return the pool of a target and what it is to become, without changing it; raises OSError as ``plan`` does."""
    slots = revision.slots
    pool = known.get(target.name) or TargetPool(target, slots[counters.target_key(target.name)], shared, key)
    endpoints = pool.plan(target, slots, trust_anew=revision.cause == "certificate")
    return Planned(pool, target, endpoints, revision.endpoints.get(target.name))


def follow(known: Mapping[str, TargetPool], planned: Iterable[Planned]) -> dict[str, TargetPool]:
    """Carry out what was planned, and close what is no longer there."""
    pools: dict[str, TargetPool] = {}
    for pool, target, endpoints, in_use in planned:
        pool.update(target, endpoints, in_use)
        pools[target.name] = pool
    for name, pool in known.items():
        if name not in pools:
            pool.close()
    return pools
