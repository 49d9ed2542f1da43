"""Pools under any story: what is given is given once and comes back, and what may not be used is not."""

import asyncio
from random import Random

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from router import counters
from router.config import schema
from router.events.model import Revision
from router.proxy import pool as pool_module
from router.proxy.endpoint import Endpoint
from router.proxy.pool import Shared, TargetPool, follow, plan_pool
from router.proxy.upstream import Upstream
from router.routing.breaker import HALF_OPEN
from router.routing.readiness import HEALTHY, RECOVERED, UNHEALTHY, Readiness
from tests.proxy.memory import Loop

URLS = ("http://10.0.0.1", "http://10.0.0.2", "http://10.0.0.3")
MAXIMUM = 2  # connections to an endpoint, in each worker
PROBES = 2
WORKERS = 2


def target(urls: tuple[str, ...], balance: str = "least_request", panic: float = 0.0) -> schema.Target:
    """Make a target whose breakers open and close quickly."""
    return schema.Target(
        name="t",
        endpoints=tuple(schema.Endpoint(url=url) for url in urls),
        balance=balance,  # type: ignore[arg-type]
        pool=schema.Pool(max=MAXIMUM),
        health=schema.Health(path="/ready"),
        breaker=schema.Breaker(consecutive=2, open=1.0, max_open=2.0, probes=PROBES, ramp=1.0, panic=panic),
        slow_start=1.0,
    )


class Attempt:
    """An attempt at an endpoint: what an exchange does with a pool, without an exchange."""

    def __init__(self, endpoint: Endpoint, now: float) -> None:
        self.endpoint = endpoint
        self.began = now
        self.upstream: Upstream | None = None
        self.fault: str | None = None
        self.over = False
        self.ticket = endpoint.breaker.enter() if endpoint.standing.probing else 0
        endpoint.active += 1
        free = endpoint.reuse()
        if free is None:
            endpoint.claim(self)
        else:
            self.connected(free)

    def connected(self, upstream: Upstream) -> None:
        """Take it, unless it is too late."""
        if not self.over:
            assert self.upstream is None
            assert upstream.user is None
            self.upstream = upstream
            upstream.user = self

    def not_connected(self, fault: str) -> None:
        """Note the fault."""
        self.fault = fault

    def upstream_data(self, data: bytes) -> None:
        """Take bytes."""

    def upstream_ended(self) -> bool:
        """Let the connection close."""
        return False

    def upstream_lost(self, error: Exception | None) -> None:  # noqa: ARG002 - the signature of a user
        """Note the end."""
        self.upstream = None
        self.fault = "reset"

    def upstream_writable(self, *, writable: bool) -> None:
        """Need not know."""

    def end(self, outcome: str, words: memoryview, now: float) -> None:
        """End as an exchange does."""
        endpoint = self.endpoint
        self.over = True
        if outcome == "bad" or self.fault is not None:
            endpoint.breaker.failed(self.ticket, self.began, now)
        elif outcome == "good" and self.upstream is not None:
            words[endpoint.succeeded] += 1
            if self.ticket:
                endpoint.breaker.passed(self.ticket, now)
        endpoint.withdraw(self)
        upstream, self.upstream = self.upstream, None
        if upstream is not None and outcome == "good":
            endpoint.give_back(upstream, now)
        elif upstream is not None:
            upstream.close()
        endpoint.active -= 1
        if self.ticket:
            endpoint.breaker.leave()


class Story(RuleBasedStateMachine):
    """Two workers with a pool each, on one loop and one clock."""

    @initialize(balance=st.sampled_from(["least_request", "round_robin", "hash", "peak_ewma"]))
    def begin(self, balance: str) -> None:
        """Make the pools."""
        self.loop = Loop()
        self.now: float = 1000.0
        self.patch = pytest.MonkeyPatch()
        self.patch.setattr(pool_module, "monotonic", lambda: self.now)
        self.random = Random(1)  # noqa: S311 - the choices of balancers
        self.attempts: list[tuple[int, Attempt]] = []
        self.gone: list[Endpoint] = []  # endpoints that a reload removed
        keys = [(counters.endpoint_key("t", url), counters.ENDPOINT_WORDS) for url in URLS]
        self.slots = counters.allocate({}, [(counters.target_key("t"), counters.TARGET_WORDS), *keys])
        self.blocks = [memoryview(bytearray(8 * 4096)).cast("q") for _ in range(WORKERS)]
        self.control = memoryview(bytearray(8 * 4096)).cast("q")
        self.config = target(URLS[:2], balance)
        self.in_use: tuple[str, ...] | None = None
        row = self.slots[counters.target_key("t")]
        self.pools = [TargetPool(self.config, row, Shared(self.blocks, n, self.control)) for n in range(WORKERS)]
        self._update()

    def _update(self) -> None:
        async def update() -> None:
            for pool in self.pools:
                before = pool.endpoints
                pool.update(self.config, pool.plan(self.config, self.slots, trust_anew=False), self.in_use)
                self.gone += [endpoint for endpoint in before if endpoint not in pool.endpoints]

        self.loop.run_until_complete(update())

    def _turns(self, count: int = 4) -> None:
        async def turns() -> None:
            for _ in range(count):
                await asyncio.sleep(0)

        self.loop.run_until_complete(turns())

    @rule(worker=st.integers(0, WORKERS - 1), spare=st.booleans(), avoid=st.booleans(), key=st.integers(0, 2**64 - 1))
    def request(self, worker: int, key: int, *, spare: bool, avoid: bool) -> None:
        """Pick an endpoint: one that may be used, or any when there is none and the request has no other way."""
        pool = self.pools[worker]
        failed = pool.endpoints[0] if avoid else None
        admitted = [endpoint for endpoint in pool.usable if endpoint.breaker.admits()]

        async def pick() -> Endpoint | None:
            if pool.direct and failed is None:
                endpoint: Endpoint | None = pool.choose(key, self.random.random)
            else:
                endpoint = pool.pick(key, self.random.random, spare=spare, avoid=failed)
            if endpoint is not None:
                self.attempts.append((worker, Attempt(endpoint, self.now)))
            return endpoint

        endpoint = self.loop.run_until_complete(pick())
        if endpoint is None:
            assert spare
            assert pool.closed_by in {"breaker_open", "unavailable"}
        else:
            panic = not spare and len(admitted) <= pool.target.breaker.panic * len(pool.used)
            assert endpoint in (pool.used if panic else admitted)
            if endpoint is failed:
                assert len(pool.used if panic else admitted) == 1
            if self.in_use is not None and {each.url for each in pool.endpoints} & set(self.in_use):
                assert endpoint.url in self.in_use

    @precondition(lambda self: self.attempts)
    @rule(index=st.integers(0, 50), outcome=st.sampled_from(["good", "good", "bad", "gone"]))
    def end(self, index: int, outcome: str) -> None:
        """End an attempt."""
        worker, attempt = self.attempts.pop(index % len(self.attempts))
        attempt.end(outcome, self.blocks[worker], self.now)

    @rule(worker=st.integers(0, WORKERS - 1), index=st.integers(0, 2))
    def open(self, worker: int, index: int) -> None:
        """Let an endpoint fail so often that its breaker opens, if it was in use."""
        endpoints = self.pools[worker].endpoints
        endpoint = endpoints[index % len(endpoints)]
        for _ in range(self.config.breaker.consecutive):
            endpoint.breaker.failed(0, self.now, self.now)

    @rule(times=st.integers(1, 3))
    def refuse(self, times: int) -> None:
        """Let connections that are made next be refused."""
        self.loop.outcomes.extend([ConnectionRefusedError()] * times)

    @precondition(lambda self: self.loop.made)
    @rule(index=st.integers(0, 50))
    def lose(self, index: int) -> None:
        """Let a connection be reset."""
        self.loop.made[index % len(self.loop.made)].reset()

    @rule(url=st.sampled_from(URLS), state=st.sampled_from([HEALTHY, UNHEALTHY, RECOVERED]))
    def say(self, url: str, state: int) -> None:
        """Say how an endpoint is, as the control process does."""
        word = Readiness(int(self.now * 1000), state).word
        self.control[self.slots[counters.endpoint_key("t", url)] + counters.ENDPOINT_HEALTH] = word

    @rule(seconds=st.sampled_from([0.05, 0.3, 1.2, 5.0]))
    def time(self, seconds: float) -> None:
        """Let time pass; every worker ticks."""
        self.now += seconds

        async def tick() -> None:
            for pool in self.pools:
                pool.tick(self.now)

        self.loop.run_until_complete(tick())
        self._turns()
        states = [{e.url: e.breaker.register for e in pool.endpoints} for pool in self.pools]
        assert states[0] == states[1]

    @rule(urls=st.lists(st.sampled_from(URLS), min_size=1, unique=True), panic=st.sampled_from([0.0, 0.5]))
    def reload(self, urls: list[str], panic: float) -> None:
        """Change the configuration."""
        self.config = target(tuple(urls), self.config.balance, panic)
        self._update()

    @rule(urls=st.none() | st.lists(st.sampled_from(URLS), unique=True).map(tuple))
    def leave_out(self, urls: tuple[str, ...] | None) -> None:
        """Leave endpoints out, as a release does, or take them back: they stay, with all that is known of them."""
        self.time(0.05)  # workers know the same
        known = [{each: (each.breaker.register, each.standing.ready) for each in pool.endpoints} for pool in self.pools]
        self.in_use = urls
        self._update()
        for pool, before in zip(self.pools, known, strict=True):
            assert {each: (each.breaker.register, each.standing.ready) for each in pool.endpoints} == before
            assert not any(each.closed for each in pool.endpoints)

    @rule()
    def turn(self) -> None:
        """Let the loop go on."""
        self._turns()

    @invariant()
    def nothing_is_lost(self) -> None:
        """Loads, probes and connections are those of the attempts under way, each with one user."""
        if not hasattr(self, "pools"):
            return
        everywhere = [*(e for pool in self.pools for e in pool.endpoints), *self.gone]
        for endpoint in everywhere:
            assert endpoint.active == sum(attempt.endpoint is endpoint for _, attempt in self.attempts)
        for url in URLS:
            row = self.slots[counters.endpoint_key("t", url)]
            probes = sum(block[row + counters.ENDPOINT_PROBES] for block in self.blocks)
            tickets = [attempt.ticket for _, attempt in self.attempts if attempt.ticket and attempt.endpoint.url == url]
            assert probes == len(tickets)
            assert all(tickets.count(ticket) <= PROBES for ticket in tickets)
        used = [id(attempt.upstream) for _, attempt in self.attempts if attempt.upstream is not None]
        assert len(used) == len(set(used))
        assert sum(not wire.closing for wire in self.loop.made) <= MAXIMUM * len(everywhere)

    @invariant()
    def what_may_be_used_is_known(self) -> None:
        """The pool's view is that of its endpoints, without a tick between."""
        for pool in getattr(self, "pools", ()):
            assert pool.usable == [endpoint for endpoint in pool.used if endpoint.standing.usable]
            assert all(endpoint.weight >= 1 for endpoint in pool.endpoints)
            if pool.direct:
                assert pool.usable
                assert all(endpoint.breaker.state != HALF_OPEN for endpoint in pool.usable)

    def teardown(self) -> None:
        """End everything; nothing is left."""
        if not hasattr(self, "pools"):
            return
        try:
            while self.attempts:
                self.end(0, "good")
            self._turns(30)
            self.nothing_is_lost()
            for pool in self.pools:
                pool.close()
            self._turns(10)
            assert all(wire.closing for wire in self.loop.made)
        finally:
            self.patch.undo()
            for task in asyncio.all_tasks(self.loop):
                task.cancel()
            self._turns()
            for wire in self.loop.made:
                wire.socket.close()
            self.loop.close()


TestStory = pytest.mark.fuzz(Story.TestCase)


def pool_of(urls: tuple[str, ...], in_use: tuple[str, ...] | None) -> tuple[Loop, TargetPool]:
    """Make a pool that leaves out all but some of its endpoints, and its loop."""
    loop = Loop()
    keys = [(counters.endpoint_key("t", url), counters.ENDPOINT_WORDS) for url in urls]
    slots = counters.allocate({}, [(counters.target_key("t"), counters.TARGET_WORDS), *keys])
    config = target(urls)
    pool = TargetPool(
        config, slots[counters.target_key("t")], Shared([memoryview(bytearray(8 * 4096)).cast("q")], 0, None)
    )

    async def update() -> None:
        pool.update(config, pool.plan(config, slots, trust_anew=False))
        pool.update(config, list(pool.endpoints), in_use)

    loop.run_until_complete(update())
    return loop, pool


def test_endpoint_that_comes_into_use_again_warms_up() -> None:
    """An endpoint that a release brings into use takes its share over ``slow_start``; those in use keep theirs."""
    loop, pool = pool_of(URLS, (URLS[0],))
    pool.update(pool.target, list(pool.endpoints), URLS[:2])
    assert [(each.url, each.standing.moving) for each in pool.usable] == [(URLS[0], False), (URLS[1], True)]
    loop.close()


def test_target_that_is_left_out_as_a_whole_still_answers_who_has_no_other_way() -> None:
    """With every endpoint left out, what comes all the same is served: by any of them, none refused."""
    loop, pool = pool_of(URLS, ())
    chosen = {pool.pick(key, Random(key).random, spare=False) for key in range(50)}  # noqa: S311 - the choices of balancers
    assert chosen == set(pool.endpoints)
    loop.close()


def test_worker_leaves_out_what_its_revision_leaves_out() -> None:
    """What a revision says of a target's endpoints reaches its pool."""
    loop, pool = pool_of(URLS, None)
    shared = Shared([memoryview(bytearray(8 * 4096)).cast("q")], 0, None)
    revision = Revision(
        number=2, time=0, cause="batch", author="router", digest="", config=schema.Config(targets=(), routes=()),
        weights={}, runs={}, slots={}, endpoints={"t": (URLS[2],)},
    )  # fmt: skip
    follow({"t": pool}, [plan_pool({"t": pool}, pool.target, revision, shared)])
    assert [each.url for each in pool.usable] == [URLS[2]]
    loop.close()
