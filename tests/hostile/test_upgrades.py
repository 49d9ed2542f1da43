"""Upgrades: a full tunnel after the 101 that was asked for, and HTTP in every other case (RFC 9110 7.8)."""

import contextlib
import socket
import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest
import trustme

from router import counters
from tests.harness import Caller, Connection, Proxy, Target, simple_yaml, wait_until
from tests.hostile.test_tls import server_context
from tests.hostile.wire import (
    CHUNKED,
    LOG_ALL,
    NO_CONTENT,
    OK,
    SMUGGLED,
    assert_fault,
    head,
    post,
    post_chunked,
    sent_on,
)

ID = b"X-Request-Id: r-1"
ASKED = (b"Connection: Upgrade", b"Upgrade: websocket")
KEY = (b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==", b"Sec-WebSocket-Version: 13")
SWITCHED = (
    b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n"
)


def ask(caller: Caller, target: Target, *lines: bytes, behind: bytes = b"") -> Connection:
    """Ask for an upgrade; return the target's connection, with the request read from it."""
    caller.send(head(*(lines or ASKED)) + behind)
    connection = target.accept()
    connection.read_request()
    return connection


def switch(caller: Caller, target: Target, behind: bytes = b"") -> Connection:
    """Make a tunnel."""
    connection = ask(caller, target, behind=behind)
    connection.send(SWITCHED)
    assert caller.response().status == 101
    return connection


def tunnels(proxy: Proxy) -> int:
    """Read the gauge."""
    return proxy.segment.block(0)[counters.TUNNELS]


def send_until_full(sock: socket.socket) -> int:
    """Send until nothing is taken for a while; return how many bytes were."""
    sock.settimeout(0.5)
    sent = 0
    with contextlib.suppress(TimeoutError):
        while sent < 1 << 28:
            sent += sock.send(b"x" * 65536)
    return sent


# --- what is asked of the target --------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", [b"GET", b"POST", b"OPTIONS"])
def test_an_upgrade_is_asked_of_the_target(proxy: Proxy, target: Target, method: bytes) -> None:
    """Upgrade and Connection go on with what the protocol needs, and nothing else hop-by-hop (RFC 9110 7.8)."""
    with proxy.caller() as caller:
        hop = (b"Connection: keep-alive, X-Hop, Upgrade", b"X-Hop: 1", b"Keep-Alive: timeout=5", b"TE: trailers")
        caller.send(head(ID, *hop, b"UPGRADE: WebSocket", *KEY, start=method + b" /ws?a=b HTTP/1.1"))
        connection = target.accept()
        own = (b"Connection: Upgrade", b"Upgrade: WebSocket")
        expected = sent_on(method + b" /ws?a=b HTTP/1.1", b"Host: h", ID, *KEY, *own)
        assert connection.read_request() == expected
        connection.send(NO_CONTENT)
        assert caller.response().status == 204


@pytest.mark.parametrize(
    ("asked", "sent"),
    [
        ([b"Upgrade: foo/2, bar", b"Upgrade: baz"], b"foo/2, bar, baz"),
        ([b"Upgrade: h2c, websocket"], b"websocket"),
        ([b"Upgrade: ,websocket,"], b"websocket"),
    ],
)
def test_several_protocols_are_asked_for_in_order(
    proxy: Proxy, target: Target, asked: list[bytes], sent: bytes
) -> None:
    """The caller's order is its preference (RFC 9110 7.8); only what would carry HTTP past the router is left out."""
    with proxy.caller() as caller:
        caller.send(head(b"Connection: upgrade", *asked))
        connection = target.accept()
        assert b"\r\nConnection: Upgrade\r\nUpgrade: " + sent + b"\r\n" in connection.read_request()
        connection.send(OK)
        assert caller.response().body == b"ok"


NOT_ASKED = {
    "Upgrade alone": head(ID, b"Upgrade: websocket"),
    "Connection alone": head(ID, b"Connection: upgrade"),
    "h2c": head(ID, b"Connection: Upgrade, HTTP2-Settings", b"Upgrade: h2c", b"HTTP2-Settings: AAMAAABkAAQ"),
    "H2C": head(ID, b"Connection: Upgrade", b"Upgrade: H2C"),
    "h2": head(ID, b"Connection: Upgrade", b"Upgrade: h2"),
    "HTTP/2.0": head(ID, b"Connection: Upgrade", b"Upgrade: HTTP/2.0"),
    "TLS": head(ID, b"Connection: Upgrade", b"Upgrade: TLS/1.0, HTTP/1.1"),
    "nothing": head(ID, b"Connection: Upgrade", b"Upgrade:"),
    "no protocol": head(ID, b"Connection: Upgrade", b"Upgrade: web socket"),
    "three parts": head(ID, b"Connection: Upgrade", b"Upgrade: a/b/c"),
    "HTTP/1.0": head(ID, *ASKED, start=b"GET / HTTP/1.0"),
    "a body": post(b"abc", ID, *ASKED),
    "a chunked body": post_chunked(b"3\r\nabc\r\n0\r\n\r\n", ID, *ASKED),
}


@pytest.mark.parametrize("request_bytes", NOT_ASKED.values(), ids=NOT_ASKED.keys())
def test_what_asks_for_no_upgrade_is_carried_without_it(proxy: Proxy, target: Target, request_bytes: bytes) -> None:
    """A lone Upgrade, HTTP in another form, an old version or a body: the request is carried as if it had not asked."""
    with proxy.caller() as caller:
        caller.send(request_bytes)
        connection = target.accept()
        received = connection.read_request()
        assert b"\r\nupgrade:" not in received.lower()
        assert b"\r\nconnection:" not in received.lower()
        connection.send(SWITCHED)
        assert_fault(proxy, caller.response(), 502, "malformed")


# --- the tunnel -------------------------------------------------------------------------------------------------------


def test_a_tunnel_carries_bytes_both_ways(proxy: Proxy, target: Target) -> None:
    """After the 101 whatever either side sends arrives, unread; it is counted, and logged when it is over."""
    with proxy.caller() as caller:
        connection = ask(caller, target, *ASKED, *KEY)
        assert proxy.inflight() == 1
        connection.send(SWITCHED)
        response = caller.response()
        assert response.status == 101
        assert response.field(b"upgrade") == [b"websocket"]
        assert response.field(b"connection") == [b"Upgrade"]
        assert response.field(b"sec-websocket-accept") == [b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo="]
        caller.send(SMUGGLED)
        connection.read_until(SMUGGLED)
        connection.send(OK)
        assert caller.read_until(OK) == OK
        assert tunnels(proxy) == proxy.inflight() == 1
        assert proxy.log.events == []
    assert connection.ended()
    connection.close()
    event = proxy.event()
    assert (event.status, event.target, event.failed, event.outcome_fault) == (101, "t", False, None)
    assert (event.request_bytes, event.response_bytes) == (len(SMUGGLED), len(OK))
    assert proxy.codes() == {"101": 1}
    assert tunnels(proxy) == 0


def test_first_bytes_of_the_target_come_with_its_101(proxy: Proxy, target: Target) -> None:
    """What a target sends in one packet with its 101 is of the new protocol."""
    with proxy.caller() as caller:
        ask(caller, target).send(SWITCHED + b"hello")
        assert caller.response().status == 101
        assert caller.read_until(b"hello") == b"hello"


def test_a_101_may_come_behind_other_interim_answers(proxy: Proxy, target: Target) -> None:
    """A hint before the 101 is passed on, and changes nothing."""
    with proxy.caller() as caller:
        connection = ask(caller, target)
        connection.send(b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" + SWITCHED)
        assert [caller.response().status for _ in range(2)] == [103, 101]
        connection.send(b"x")
        assert caller.read_until(b"x") == b"x"


def test_bytes_behind_the_request_wait_for_the_101(proxy: Proxy, target: Target) -> None:
    """What comes behind the request goes to the target only once it has switched: before, it could be a request."""
    with proxy.caller() as caller:
        connection = ask(caller, target, behind=b"early")
        caller.send(b" birds")
        with proxy.held():
            pass
        connection.socket.settimeout(0.1)
        with pytest.raises(TimeoutError):
            connection.socket.recv(1)
        connection.socket.settimeout(5)
        connection.send(SWITCHED)
        assert connection.read_until(b"early birds") == b"early birds"
    connection.close()
    assert proxy.event().request_bytes == len(b"early birds")


def test_many_bytes_behind_the_request_are_bounded(proxy: Proxy, target: Target) -> None:
    """A caller that sends without waiting for the answer is stopped, and all of it arrives after the 101."""
    with proxy.caller() as caller:
        connection = ask(caller, target)
        sent = send_until_full(caller.socket)
        assert sent < 32 * 1024 * 1024
        caller.socket.settimeout(5)
        connection.send(SWITCHED)
        received = 0
        while received < sent:
            received += len(connection.socket.recv(1 << 20))
        caller.send(b"end")
        assert connection.read_until(b"end") == b"end"


REFUSALS = {
    "with a length": OK,
    "426": b"HTTP/1.1 426 Upgrade Required\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nContent-Length: 2\r\n\r\nok",
    "200 that names a protocol": (
        b"HTTP/1.1 200 OK\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nContent-Length: 2\r\n\r\nok"
    ),
    "chunked": CHUNKED + b"2\r\nok\r\n0\r\n\r\n",
}


@pytest.mark.parametrize("answer", REFUSALS.values(), ids=REFUSALS.keys())
def test_after_a_refusal_the_connection_is_http(proxy: Proxy, target: Target, answer: bytes) -> None:
    """Bytes that waited behind a refused upgrade are the next request, parsed and routed as any (hardening 2.1)."""
    with proxy.caller() as caller:
        connection = ask(caller, target, behind=SMUGGLED.replace(b"\r\n\r\n", b"\r\nX-Router-Arm: forged\r\n\r\n"))
        connection.send(answer)
        response = caller.response()
        assert response.status in {200, 426}
        assert response.field(b"upgrade") == []
        second = connection.read_request()
        assert second.startswith(b"GET /smuggled HTTP/1.1\r\nHost: h\r\n")
        assert b"\r\nx-router-route: all\r\n" in second
        assert b"forged" not in second
        connection.send(OK)
        assert caller.response().body == b"ok"
    wait_until(lambda: len(proxy.log.events) == 2, "two events")
    assert tunnels(proxy) == 0


@pytest.mark.parametrize("behind", [b"\x81\x85\x00\x00\x00\x00hello", b"GET /a HTTP/1.1\r\n\r\n"])
def test_after_a_refusal_what_is_no_request_is_refused(proxy: Proxy, target: Target, behind: bytes) -> None:
    """A frame of the protocol that was not granted is no request: 400, and it reaches nobody."""
    with proxy.caller() as caller:
        connection = ask(caller, target, behind=behind)
        connection.send(OK)
        assert caller.response().body == b"ok"
        assert caller.rest().startswith(b"HTTP/1.1 400 ")
        assert connection.received == b""
    assert not target.pending()


WRONG = {
    "another protocol": SWITCHED.replace(b"websocket", b"h2c"),
    "one more protocol": SWITCHED.replace(b"websocket", b"websocket, h2c"),
    "no protocol": SWITCHED.replace(b"Upgrade: websocket\r\n", b""),
    "an empty protocol": SWITCHED.replace(b"websocket", b""),
    "no Connection": SWITCHED.replace(b"Connection: Upgrade\r\n", b""),
    "Connection: close": SWITCHED.replace(b"Connection: Upgrade", b"Connection: close"),
    "HTTP/1.0": SWITCHED.replace(b"HTTP/1.1", b"HTTP/1.0"),
}


@pytest.mark.parametrize("answer", WRONG.values(), ids=WRONG.keys())
def test_a_101_that_does_not_grant_what_was_asked(proxy: Proxy, target: Target, answer: bytes) -> None:
    """A 101 for something else is no answer: 502, the target's connection closed, and no tunnel (RFC 9110 15.2.2)."""
    with proxy.caller() as caller:
        connection = ask(caller, target, behind=b"GET /next HTTP/1.1\r\nHost: h\r\n\r\n")
        connection.send(answer)
        assert_fault(proxy, caller.response(), 502, "malformed")
        assert connection.ended()
        following = target.accept()
        assert following.read_request().startswith(b"GET /next ")
        following.send(OK)
        assert caller.response().body == b"ok"


# --- back-pressure ----------------------------------------------------------------------------------------------------


def test_a_caller_that_takes_nothing_stops_the_target(proxy: Proxy, target: Target) -> None:
    """What is on its way to a caller is bounded, and nothing of it is lost (DESIGN 9.6)."""
    with proxy.caller() as caller:
        connection = switch(caller, target)
        sent = send_until_full(connection.socket)
        assert sent < 32 * 1024 * 1024
        received = 0
        while received < sent:
            received += len(caller.socket.recv(1 << 20))
        connection.socket.settimeout(5)
        connection.send(b"end")
        assert caller.read_until(b"end") == b"end"


def test_a_target_that_takes_nothing_stops_the_caller(proxy: Proxy, target: Target) -> None:
    """What is on its way to a target is bounded, and nothing of it is lost (DESIGN 9.6)."""
    with proxy.caller() as caller:
        connection = switch(caller, target)
        sent = send_until_full(caller.socket)
        assert sent < 32 * 1024 * 1024
        received = 0
        while received < sent:
            received += len(connection.socket.recv(1 << 20))
        caller.socket.settimeout(5)
        caller.send(b"end")
        assert connection.read_until(b"end") == b"end"


# --- ends -------------------------------------------------------------------------------------------------------------


def test_an_end_of_the_targets_data_is_passed_on(proxy: Proxy, target: Target) -> None:
    """A target that has ended its data can still be sent to; the tunnel ends when the caller has ended, too."""
    with proxy.caller() as caller:
        connection = switch(caller, target)
        connection.send(b"last")
        connection.socket.shutdown(socket.SHUT_WR)
        assert caller.rest() == b"last"
        caller.send(b"more")
        assert connection.read_until(b"more") == b"more"
        assert tunnels(proxy) == 1
    assert connection.ended()
    event = proxy.event()
    assert (event.status, event.failed, event.outcome_fault) == (101, False, None)
    assert proxy.all_faults() == {}


def test_an_end_of_the_callers_data_is_passed_on(proxy: Proxy, target: Target) -> None:
    """A caller that has ended its data still gets what the target sends, however much, to its end."""
    with proxy.caller() as caller:
        connection = switch(caller, target)
        caller.send(b"question")
        caller.socket.shutdown(socket.SHUT_WR)
        assert connection.read_to_end() == b"question"
        connection.send(b"x" * 300_000)
        connection.close()
        assert caller.rest() == b"x" * 300_000
    event = proxy.event()
    assert (event.response_bytes, event.failed, event.outcome_fault) == (300_000, False, None)


def test_a_caller_that_resets_resets_the_target(proxy: Proxy, target: Target) -> None:
    """An error is no end in order: the target sees one, too, and nobody but the caller is to blame."""
    caller = proxy.caller()
    connection = switch(caller, target)
    caller.reset()
    with pytest.raises(ConnectionResetError):
        connection.socket.recv(1)
    event = proxy.event()
    assert (event.status, event.failed, event.outcome_fault) == (101, False, "client_gone")
    assert proxy.all_faults() == {}
    assert tunnels(proxy) == 0


def test_a_target_that_resets_resets_the_caller(proxy: Proxy, target: Target) -> None:
    """A tunnel that the target broke is a fault of the target, and does not look ended in order (DESIGN 9.7)."""
    with proxy.caller() as caller:
        connection = switch(caller, target)
        connection.reset()
        with pytest.raises(ConnectionResetError):
            caller.socket.recv(1)
    event = proxy.event()
    assert (event.status, event.failed, event.outcome_fault) == (101, True, "truncated")
    assert proxy.all_faults() == {"truncated": 1}


def test_a_caller_that_goes_before_the_101(proxy: Proxy, target: Target) -> None:
    """A caller that leaves while the target thinks about it ends the request, as any."""
    with proxy.caller() as caller:
        connection = ask(caller, target)
    assert connection.ended()
    event = proxy.event()
    assert (event.status, event.outcome_fault) == (0, "client_gone")


# --- deadlines --------------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def timed(timeouts: str) -> Iterator[tuple[Proxy, Target]]:
    """A data plane whose target has some time-outs."""
    with Target() as target, Proxy(simple_yaml(target.url, f"timeouts: {{{timeouts}}}") + LOG_ALL) as proxy:
        yield proxy, target


def test_silence_both_ways_ends_a_tunnel() -> None:
    """After ``timeouts.idle`` without a byte either way both sides are cut, and neither is to blame."""
    with timed("idle: 300ms") as (proxy, target), proxy.caller() as caller:
        connection = switch(caller, target)
        with pytest.raises(ConnectionResetError):
            caller.socket.recv(1)
        with pytest.raises(ConnectionResetError):
            connection.socket.recv(1)
        event = proxy.event()
        assert (event.status, event.failed, event.outcome_fault) == (101, False, "timeout_idle")
        assert proxy.all_faults() == {}


@pytest.mark.parametrize("from_caller", [True, False], ids=["caller", "target"])
def test_bytes_one_way_keep_a_tunnel(from_caller: bool) -> None:  # noqa: FBT001  # a parameter of a test
    """Neither silence in one direction nor ``timeouts.total`` ends a tunnel in which the other direction moves."""
    with timed("idle: 400ms, total: 500ms") as (proxy, target), proxy.caller() as caller:
        connection = switch(caller, target)
        sides = (caller.socket, connection.socket) if from_caller else (connection.socket, caller.socket)
        started = proxy.call(proxy.loop.time)
        while proxy.call(proxy.loop.time) < started + 1.2:  # several times either deadline
            sides[0].sendall(b"x")
            assert sides[1].recv(1) == b"x"
        assert proxy.log.events == []


def test_a_caller_that_takes_nothing_is_let_go() -> None:
    """A stalled caller does not keep a tunnel for ever: silence counts, whoever causes it."""
    with timed("idle: 300ms") as (proxy, target), proxy.caller() as caller:
        connection = switch(caller, target)
        with contextlib.suppress(ConnectionResetError, BrokenPipeError):
            send_until_full(connection.socket)
        event = proxy.event()
        assert (event.failed, event.outcome_fault) == (False, "client_stalled")


def test_the_first_byte_is_waited_for_as_ever() -> None:
    """A target that does not answer an upgrade is 504 in time."""
    with timed("first_byte: 200ms") as (proxy, target), proxy.caller() as caller:
        ask(caller, target)
        assert_fault(proxy, caller.response(), 504, "timeout_first_byte")


# --- life cycle -------------------------------------------------------------------------------------------------------


def test_a_tunnel_outlives_the_drain_of_others(proxy: Proxy, target: Target) -> None:
    """A drain closes idle connections, not tunnels; they count as connections until they end."""
    with proxy.caller() as caller:
        connection = switch(caller, target)
        proxy.call(proxy.server.drain)
        caller.send(b"x")
        assert connection.read_until(b"x") == b"x"
        assert proxy.segment.block(0)[counters.CONNECTIONS] == 1
    connection.close()
    wait_until(lambda: proxy.segment.block(0)[counters.CONNECTIONS] == 0, "the end of the connection")


def test_a_tunnel_outlives_its_target_in_the_configuration(proxy: Proxy, target: Target) -> None:
    """A reload that removes the endpoint does not end a tunnel to it."""
    with proxy.caller() as caller, Target() as other:
        connection = switch(caller, target)
        proxy.swap(simple_yaml(other.url) + LOG_ALL)
        connection.send(b"x")
        assert caller.read_until(b"x") == b"x"
        caller.send(b"y")
        assert connection.read_until(b"y") == b"y"
        assert not other.pending()


def test_a_tunnel_that_is_cut_at_the_end_is_no_fault(target: Target) -> None:
    """What ends with the router is logged, and blamed on neither side."""
    with Proxy(simple_yaml(target.url) + LOG_ALL) as proxy, proxy.caller() as caller:
        connection = switch(caller, target)
        proxy.call(proxy.server.abort)
        with pytest.raises(ConnectionResetError):
            caller.socket.recv(1)
        with pytest.raises(ConnectionResetError):
            connection.socket.recv(1)
        event = proxy.event()
        assert (event.status, event.failed, event.outcome_fault) == (101, False, "drained")


# --- TLS --------------------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def over_tls(folder: Path, *, caller: bool, target: bool) -> Iterator[tuple[Proxy, Target, Caller]]:
    """A data plane with TLS on one side or both, and a caller of it."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(folder / "ca.pem")
    mine = authority.issue_cert("localhost")
    mine.cert_chain_pems[0].write_to_path(folder / "tls.crt")
    mine.private_key_pem.write_to_path(folder / "tls.key")
    context = server_context(authority, "127.0.0.1") if target else None
    server = f"tls: {{cert: '{folder / 'tls.crt'}', key: '{folder / 'tls.key'}'}}" if caller else ""
    extra = f"tls: {{ca: '{folder / 'ca.pem'}'}}" if target else ""
    with (
        Target(context=context) as scripted,
        Proxy(simple_yaml(scripted.url, extra, server) + LOG_ALL) as proxy,
    ):
        sock = proxy.connect()
        if caller:
            trusting = ssl.create_default_context()
            authority.configure_trust(trusting)
            sock = trusting.wrap_socket(sock, server_hostname="localhost", suppress_ragged_eofs=False)
        with Caller(sock) as made:
            yield proxy, scripted, made


@pytest.mark.parametrize(("caller", "target"), [(True, False), (False, True), (True, True)])
@pytest.mark.parametrize("first", ["caller", "target"])
def test_a_tunnel_over_tls(tmp_path: Path, *, caller: bool, target: bool, first: str) -> None:
    """TLS on either side changes nothing but that an end of data is the end of the tunnel, in order."""
    with over_tls(tmp_path, caller=caller, target=target) as (proxy, scripted, asking):
        connection = switch(asking, scripted, behind=b"early")
        connection.read_until(b"early")
        connection.send(b"x" * 300_000)
        assert asking.read_until(b"x" * 300_000)
        if first == "caller":
            asking.send(b"last")
            end_in_order(asking.socket)
            assert connection.read_to_end() == b"earlylast"
            connection.close()
        else:
            connection.send(b"last")
            end_in_order(connection.socket)
            assert asking.rest() == b"last"
            asking.close()
        event = proxy.event()
        assert (event.status, event.failed, event.outcome_fault) == (101, False, None)
        assert (event.request_bytes, event.response_bytes) == ((9, 300_000) if first == "caller" else (5, 300_004))


def end_in_order(sock: socket.socket) -> None:
    """End the data that is sent, as TLS does it or as TCP does."""
    if isinstance(sock, ssl.SSLSocket):
        sock.unwrap()
    else:
        sock.shutdown(socket.SHUT_WR)


def test_an_upgrade_is_never_mirrored() -> None:
    """A shadow could not follow a tunnel, so it is not asked for one; other requests of the route are mirrored."""
    with Target() as target, Target() as shadow:
        yaml = (
            f"targets: [{{name: t, endpoints: ['{target.url}']}}, {{name: s, endpoints: ['{shadow.url}']}}]\n"
            "routes: [{name: all, target: t, shadow: [{target: s, share: 100%}]}]\n"
        )
        with Proxy(yaml + LOG_ALL) as proxy, proxy.caller() as caller:
            ask(caller, target).send(SWITCHED)
            assert caller.response().status == 101
            target.answer(OK)
            with proxy.caller() as other:
                other.send(head(start=b"GET /mirrored HTTP/1.1"))
                assert other.response().status == 200
            assert shadow.accept().read_request().startswith(b"GET /mirrored ")
            assert not shadow.pending()


@pytest.mark.parametrize(("caller", "target"), [(True, False), (False, True), (True, True)])
@pytest.mark.parametrize("first", ["caller", "target"])
def test_a_tunnel_over_tls_that_is_broken(tmp_path: Path, *, caller: bool, target: bool, first: str) -> None:
    """A reset under TLS, on either side, is none of an end in order on the other."""
    with over_tls(tmp_path, caller=caller, target=target) as (proxy, scripted, asking):
        connection = switch(asking, scripted)
        asking.send(b"x")
        connection.read_until(b"x")
        broken, other = (asking, connection.socket) if first == "caller" else (connection, asking.socket)
        if isinstance(other, ssl.SSLSocket):
            # Else Python takes an end without close_notify for one in order.
            setattr(other, "suppress_ragged_eofs", False)  # noqa: B010  # typeshed does not know it
        broken.reset()
        with pytest.raises((ConnectionResetError, ssl.SSLEOFError)):
            other.recv(1)
        event = proxy.event()
        assert event.status == 101
        assert event.outcome_fault == ("client_gone" if first == "caller" else "truncated")


def test_a_truncation_of_tls_breaks_a_tunnel(tmp_path: Path) -> None:
    """A TLS target that closes TCP alone has not ended its data (RFC 9112 9.8): the caller sees an error."""
    with over_tls(tmp_path, caller=False, target=True) as (proxy, scripted, asking):
        connection = switch(asking, scripted)
        connection.socket.close()
        with pytest.raises(ConnectionResetError):
            asking.socket.recv(1)
        assert proxy.event().outcome_fault == "truncated"
