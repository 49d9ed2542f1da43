"""Endpoints: connections given once, bounded waiting, faults by name, names resolved, and what a reload keeps."""

import asyncio
import errno
import socket
import ssl
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from router import counters
from router.config import schema
from router.config.place import place_of
from router.proxy.endpoint import WAITERS_PER_CONNECTION, Endpoint, connect_fault
from router.proxy.upstream import Upstream
from router.routing.standing import Standing, Words
from tests.proxy.memory import OK, YAML, Loop, Plane

Infos = list[tuple[Any, Any, int, str, tuple[str, int]]]


class Claimant:
    """Somebody who wants a connection."""

    def __init__(self) -> None:
        self.upstream: Upstream | None = None
        self.fault: str | None = None
        self.gone = False
        self.data = b""

    def connected(self, upstream: Upstream) -> None:
        """Take it, unless it is too late."""
        if not self.gone:
            assert self.upstream is None
            self.upstream = upstream
            upstream.user = self

    def not_connected(self, fault: str) -> None:
        """Note the fault."""
        assert self.fault is None
        self.fault = fault

    def upstream_data(self, data: bytes) -> None:
        """Take bytes."""
        self.data += data

    def upstream_ended(self) -> bool:
        """Let the connection close."""
        return False

    def upstream_lost(self, error: Exception | None) -> None:
        """Note the end."""
        self.upstream = None
        self.fault = "lost" if error is None else type(error).__name__

    def upstream_writable(self, *, writable: bool) -> None:
        """Need not know."""


def run(scenario: Callable[[Loop], Coroutine[Any, Any, None]]) -> None:
    """Run something on a loop whose connections are wires."""
    loop = Loop()
    try:
        loop.run_until_complete(scenario(loop))
        for task in asyncio.all_tasks(loop):
            task.cancel()
        loop.run_until_complete(asyncio.sleep(0))
    finally:
        for wire in loop.made:
            wire.socket.close()
        loop.close()


def endpoint(url: str = "http://10.0.0.1:80", maximum: int = 2) -> Endpoint:
    """Make an endpoint with a small pool."""
    words = Words([memoryview(bytearray(8 * counters.ENDPOINT_WORDS)).cast("q")], 0, None, 0, 0)
    target = schema.Target(name="t", endpoints=(schema.Endpoint(url=url),))
    standing = Standing(target, words, lambda: 0.5, lambda: None)
    made = Endpoint(url, place_of(target.endpoints[0], target.tls), lambda: None, (standing, 0))
    made.limits = schema.Pool(max=maximum)
    return made


async def turns(count: int = 8) -> None:
    """Let the loop go on."""
    for _ in range(count):
        await asyncio.sleep(0)


script = st.lists(
    st.tuples(
        st.sampled_from(["claim", "give back", "lose", "withdraw", "fail next", "turn", "expire"]), st.integers(0, 9)
    ),
    max_size=60,
)


@settings(max_examples=150, deadline=None)
@given(script)
def test_a_pool_under_any_use(story: list[tuple[str, int]]) -> None:  # noqa: C901  # a table of actions
    """No connection has two users, never are there more than allowed, and nobody who can be served waits."""

    async def scenario(loop: Loop) -> None:
        pool = endpoint()
        claimants: list[Claimant] = []
        now = loop.time() + 1000
        for action, index in story:
            having = [claimant for claimant in claimants if claimant.upstream is not None]
            waiting = [c for c in claimants if c.upstream is None and c.fault is None and not c.gone]
            match action:
                case "claim":
                    claimant = Claimant()
                    claimants.append(claimant)
                    free = pool.reuse()
                    if free is None:
                        pool.claim(claimant)
                    else:
                        claimant.connected(free)
                case "give back" if having:
                    claimant = having[index % len(having)]
                    upstream = claimant.upstream
                    assert upstream is not None
                    claimant.upstream, claimant.gone = None, True
                    pool.give_back(upstream, now)
                case "lose" if loop.made:
                    loop.made[index % len(loop.made)].reset()
                case "withdraw" if waiting:
                    claimant = waiting[index % len(waiting)]
                    claimant.gone = True
                    pool.withdraw(claimant)
                case "fail next":
                    loop.outcomes.append(ConnectionRefusedError())
                case "expire":
                    pool.expire_idle(now + 100)
                case _:
                    await turns()
            users = [id(c.upstream) for c in claimants if c.upstream is not None]
            assert len(users) == len(set(users))
            assert len([wire for wire in loop.made if not wire.closing]) <= 2
        await turns(30)
        waiting = [c for c in claimants if c.upstream is None and c.fault is None and not c.gone]
        if waiting:
            assert len([c for c in claimants if c.upstream is not None]) == 2
        assert len(waiting) <= 2 * WAITERS_PER_CONNECTION

    run(scenario)


def test_last_in_first_out() -> None:
    """The connection given back last is used first, so that surplus ones grow old."""

    async def scenario(loop: Loop) -> None:
        pool = endpoint()
        claimants = [Claimant(), Claimant()]
        for claimant in claimants:
            pool.claim(claimant)
        await turns()
        upstreams = [claimant.upstream for claimant in claimants]
        for age, upstream in enumerate(upstreams):
            assert upstream is not None
            pool.give_back(upstream, loop.time() + age)
        assert "free=2" in repr(pool)
        assert pool.reuse() is upstreams[1]

    run(scenario)


def test_the_oldest_idle_connections_are_closed() -> None:
    """A connection is closed when it has lain idle for ``pool.idle``, a younger one is not."""

    async def scenario(loop: Loop) -> None:
        pool = endpoint()
        claimants = [Claimant(), Claimant()]
        for claimant in claimants:
            pool.claim(claimant)
        await turns()
        for age, claimant in enumerate(claimants):
            assert claimant.upstream is not None
            pool.give_back(claimant.upstream, 1000.0 + 3 * age)
        pool.expire_idle(1004.5)
        assert [wire.closing for wire in loop.made] == [True, False]

    run(scenario)


@pytest.mark.parametrize(
    ("error", "fault"),
    [
        (ConnectionRefusedError(), "refused"),
        (OSError(errno.EHOSTUNREACH, ""), "refused"),
        (OSError(errno.EMFILE, ""), "local"),
        (OSError(errno.EADDRNOTAVAIL, ""), "local"),
        (TimeoutError(), "connect_timeout"),
        (ssl.SSLCertVerificationError(), "tls"),
        (ssl.SSLError(), "tls"),
        (socket.gaierror(), "refused"),
    ],
)
def test_faults_of_connecting_have_names(error: OSError, fault: str) -> None:
    """Each way in which connecting fails is one of the counted faults."""
    assert connect_fault(error) == fault


def test_all_addresses_of_a_name_are_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    """When an endpoint's first address refuses, the next is tried; only when all have, the fault is the last one's."""

    async def scenario(loop: Loop) -> None:
        infos: Infos = [(socket.AF_INET, 1, 6, "", (f"10.0.0.{last}", 80)) for last in (1, 2)]

        async def resolve(*_: object, **__: object) -> Infos:
            return infos

        monkeypatch.setattr(loop, "getaddrinfo", resolve)
        pool = endpoint("http://models.internal:80")
        loop.outcomes.extend([ConnectionRefusedError()])
        first = Claimant()
        pool.claim(first)
        await turns()
        assert first.upstream is not None
        loop.outcomes.extend([ConnectionRefusedError(), OSError(errno.EMFILE, "")])
        second = Claimant()
        pool.claim(second)
        await turns()
        assert second.fault in {"local", "refused"}

    run(scenario)


def test_a_name_is_resolved_again_and_the_last_good_answer_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """After ``dns`` seconds a name is looked up again; when that fails the addresses known serve on (INTERFACES 2)."""

    async def scenario(loop: Loop) -> None:
        answers: list[Infos | OSError] = [
            [(socket.AF_INET, 1, 6, "", ("10.0.0.1", 80))],
            OSError("no such name"),
            [(socket.AF_INET, 1, 6, "", ("10.0.0.2", 80))],
        ]
        asked: list[object] = []

        async def resolve(*args: object, **_: object) -> Infos:
            asked.append(args)
            answer = answers.pop(0)
            if isinstance(answer, OSError):
                raise answer
            return answer

        monkeypatch.setattr(loop, "getaddrinfo", resolve)
        pool = endpoint("http://models.internal:80", 9)
        for expected in (1, 2, 3):
            claimant = Claimant()
            pool.claim(claimant)
            await turns()
            assert claimant.upstream is not None
            assert len(asked) == expected
            pool.refresh(pool.resolved_at + 10, 30.0)  # too early
            await turns()
            assert len(asked) == expected
            if answers:
                pool.refresh(pool.resolved_at + 31 * expected, 30.0)
                await turns()

    run(scenario)


def test_a_name_that_never_resolved_is_a_fault_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """A name without any address is the fault ``dns``, and looked up again for the next request."""

    async def scenario(loop: Loop) -> None:
        async def fail(*_: object, **__: object) -> Infos:
            raise socket.gaierror(-2, "Name or service not known")

        monkeypatch.setattr(loop, "getaddrinfo", fail)
        pool = endpoint("http://models.internal:80")
        pool.refresh(1e9, 30.0)  # nothing to keep fresh yet
        for _ in range(2):
            claimant = Claimant()
            pool.claim(claimant)
            await turns()
            assert claimant.fault == "dns"

    run(scenario)


@pytest.mark.parametrize(
    ("url", "port", "tls"),
    [
        ("http://a", 80, False),
        ("https://a", 443, True),
        ("http://a:8080", 8080, False),
        ("https://[::1]:8443", 8443, True),
    ],
)
def test_where_an_endpoint_is(url: str, port: int, *, tls: bool) -> None:
    """Host, port and scheme of a URL make its place; ports have their defaults (RFC 9110 4.2)."""
    place = place_of(schema.Endpoint(url=url), schema.TargetTls(server_name="n"))
    assert (place.port, place.tls) == (port, tls)
    assert place.server_name == ("n" if tls else None)
    assert place.host in {"a", "::1"}


def test_a_reload_keeps_endpoints_that_stay() -> None:
    """An endpoint in both configurations keeps its connections; one that is gone closes them when they are free."""
    with Plane(YAML.replace("80']", "80', 'http://10.0.0.2:80'], balance: round_robin")) as plane:
        for _ in range(2):
            _, wire = plane.caller()
            plane.ask(wire).feed(OK)
            plane.settle()
        first, second = plane.server.pools["t"].endpoints
        plane.swap(YAML)
        assert plane.server.pools["t"].endpoints == (first,)
        assert second.closed
        assert [wire.closing for wire in plane.targets].count(True) == 1
        plane.swap(YAML.replace("name: t", "name: u").replace("target: t", "target: u"))
        assert first.closed
        assert all(wire.closing for wire in plane.targets)
        plane.swap(YAML)


def test_a_connection_that_is_made_as_its_time_runs_out_is_given_to_nobody() -> None:
    """The event loop closes it without a word; its place is free again, and the claim hears that there is none."""

    async def scenario(loop: Loop) -> None:
        made = loop.create_connection

        async def late(factory: Any, *where: Any, **more: Any) -> Any:
            await made(factory, *where, **more)
            await asyncio.Event().wait()  # until the time-out cancels it

        loop.create_connection = late  # type: ignore[method-assign, assignment]
        subject = endpoint(maximum=1)
        subject.timeouts = schema.TargetTimeouts(connect=0.001)
        claim = Claimant()
        subject.claim(claim)
        while claim.fault is None:  # noqa: ASYNC110  # told by a callback
            await asyncio.sleep(0)
        assert claim.fault == "connect_timeout"
        await turns()
        assert subject._connections == 0
        assert loop.made[0].aborted
        loop.create_connection = made  # type: ignore[method-assign]
        subject.claim(again := Claimant())
        await turns()
        assert again.upstream is not None

    run(scenario)
