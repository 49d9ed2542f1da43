"""What connections of a worker share: who may connect, whose word counts, and the end."""

import socket

import pytest

from router import counters
from router.proxy.downstream import Downstream
from router.proxy.server import Server
from tests.harness import revision_of
from tests.proxy.memory import GET, OK, WORDS, YAML, Events, Loop, Plane, Wire


def with_server(keys: str) -> str:
    """Add keys of ``server`` to the configuration."""
    return f"server: {{{keys}}}\n" + YAML


def test_the_limit_of_connections_is_the_routers(plane: Plane) -> None:
    """Connections of other workers count, too (DESIGN 2)."""
    loop = Loop()
    blocks = [memoryview(bytearray(8 * WORDS)).cast("q") for _ in range(2)]
    blocks[1][counters.CONNECTIONS] = 3

    async def scenario() -> None:
        server = Server(revision_of(with_server("limits: {connections: 4}")), blocks, 0, Events())
        wires = [Wire(loop, server.accept()) for _ in range(2)]
        assert [wire.aborted for wire in wires] == [False, True]
        assert blocks[0][counters.CONNECTIONS] == 1
        assert blocks[0][counters.CONNECTIONS_TOTAL] == 2
        server.abort()
        for wire in wires:
            wire.socket.close()

    loop.run_until_complete(scenario())
    loop.run_until_complete(_turn())
    loop.close()
    assert plane.refusals() == {}


async def _turn() -> None:
    """Let callbacks run."""


@pytest.mark.parametrize(
    ("networks", "address", "trusted"),
    [
        ("[10.0.0.0/8]", "10.1.2.3", True),
        ("[10.0.0.0/8]", "11.1.2.3", False),
        ("[10.0.0.1]", "10.0.0.1", True),
        ("['fe80::/10']", "fe80::1%eth0", True),
        ("['::1']", "10.0.0.1", False),
        ("[10.0.0.0/8]", "", False),
        ("[10.0.0.0/8]", "unknown", False),
        ("[]", "10.1.2.3", False),
    ],
)
def test_whose_word_counts(networks: str, address: str, *, trusted: bool) -> None:
    """Only addresses within ``trusted_proxies`` are believed (INTERFACES 2)."""
    with Plane(with_server(f"trusted_proxies: {networks}")) as plane:
        assert plane.server.trusts(address) is trusted


def test_a_caller_on_a_unix_socket_has_no_address(plane: Plane) -> None:
    """Without an address nothing is said of one, and nobody is trusted."""
    protocol = plane.server.accept()

    class Unix(Wire):
        """A transport of a unix socket."""

        def get_extra_info(self, name: str, default: object = None) -> object:
            return "" if name == "peername" else super().get_extra_info(name, default)

    wire = Unix(plane.loop, protocol)
    target = plane.ask(wire)
    assert b"x-forwarded-for" not in target.sent
    assert b"\r\nx-forwarded-proto: http\r\n" in target.sent
    target.feed(OK)
    plane.settle()
    wire.end()
    plane.settle()


def test_a_caller_beyond_the_limit_is_closed_and_forgotten() -> None:
    """A connection that was never admitted leaves the gauge alone when it ends."""
    with Plane(with_server("limits: {connections: 1}")) as plane:
        _, first = plane.caller()
        _, second = plane.caller()
        plane.settle()
        assert second.lost
        assert plane.words[counters.CONNECTIONS] == 1
        assert plane.refusals() == {"overloaded": 1}
        first.end()
        plane.settle()
        assert plane.words[counters.CONNECTIONS] == 0


def test_drain_closes_idle_callers_and_lets_others_end(plane: Plane) -> None:
    """A drain ends what is idle now, and the rest after its answer (issue, item 5)."""
    _, idle = plane.caller()
    _, busy = plane.caller()
    target = plane.ask(busy)
    plane.server.drain()
    plane.settle()
    assert idle.lost
    assert not busy.lost
    target.feed(OK)
    plane.settle()
    assert b"\r\nconnection: close\r\n" in busy.sent
    assert busy.eof


def test_a_half_closed_caller_is_a_gone_one(plane: Plane) -> None:
    """A caller that ends its side is taken to have left (downstream: eof_received)."""
    protocol, wire = plane.caller()
    assert isinstance(protocol, Downstream)
    target = plane.ask(wire, GET)
    wire.end()
    plane.settle()
    assert target.lost


def test_the_peer_may_be_ipv6(plane: Plane) -> None:
    """An address of any family goes into x-forwarded-for as it is written."""
    _, wire = plane.caller("2001:db8::1")
    target = plane.ask(wire)
    assert b"\r\nx-forwarded-for: 2001:db8::1\r\n" in target.sent
    assert socket.has_ipv6 in {True, False}
