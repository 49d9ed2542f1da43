"""What a target gets of a request: the caller's bytes, less what must not travel, plus the router's own fields."""

import pytest

from tests.harness import Proxy, Target, simple_yaml, wait_until
from tests.hostile.wire import NO_CONTENT, OK, head, post, sent_on

ID = b"X-Request-Id: r"


def carry(proxy: Proxy, target: Target, request: bytes) -> bytes:
    """Send a request that must be carried, and return what the target got of it."""
    target.answer(OK)
    with proxy.caller() as caller:
        caller.send(request)
        response = caller.response()
    assert (response.status, response.body) == (200, b"ok")
    (received,) = target.requests
    return received


def test_everything_else_is_byte_exact(proxy: Proxy, target: Target) -> None:
    """Names, values, order, repeats and white space of fields reach the target as sent (RFC 9110 5.3, 5.5)."""
    lines = [
        b"Host: h",
        b"uSeR-aGeNt: \xe4\xf6\xfc \xff",
        b"X-Twice: b",
        b"Accept:",
        b"X-Twice:a",
        b"x-twice:   c  ",
        b"Cookie: a=1; b=2",
        b"Cookie: a=3",
        b"X-Tab: a\tb",
        b"X-Quoted: \"a, b\"; c='d'",
        b"!#$%&'*+.^`|~: token",
        ID,
        b"Content-Type: text/plain; charset=\xa0",
    ]
    received = carry(proxy, target, b"\r\n".join([b"GET / HTTP/1.1", *lines, b"", b""]))
    assert received == sent_on(b"GET / HTTP/1.1", *lines)


TARGETS = [
    b"/?",
    b"/a?",
    b"/a??b",
    b"/a?b=c&b=d&&",
    b"/%7Euser/%7euser",
    b"/a%2Fb%2f",
    b"/a%00b",
    b"/a//b///",
    b"/a;b=c;d",
    b"/caf%C3%A9",
    b"/a|b\\c^d`e{f}g",
    b"/\"<>'",
    b"/a:b@c!$&()*+,;=",
    b"/a?b=http://x/?y#"[:-1],
    b"/a?%",
    b"/%zz",
    b"/[x]",
    b"//h/a",
    b"/http://other/",
    b"/a/./b/../c",
    b"/" + b"a" * 4000,
]


@pytest.mark.parametrize("path", TARGETS)
def test_path_and_query_are_byte_exact(proxy: Proxy, target: Target, path: bytes) -> None:
    """Path and query reach the target as they were sent, a trailing question mark included (RFC 9110 7.7)."""
    received = carry(proxy, target, head(ID, start=b"GET %b HTTP/1.1" % path))
    assert received == sent_on(b"GET %b HTTP/1.1" % path, b"Host: h", ID)


@pytest.mark.parametrize("method", [b"GET", b"POST", b"PUT", b"DELETE", b"PATCH", b"OPTIONS"])
def test_methods_are_carried(proxy: Proxy, target: Target, method: bytes) -> None:
    """Each supported method reaches the target as itself, with its body (RFC 9110 9.1)."""
    received = carry(proxy, target, head(ID, b"Content-Length: 3", start=method + b" /a HTTP/1.1") + b"abc")
    assert received == sent_on(method + b" /a HTTP/1.1", b"Host: h", ID, b"Content-Length: 3", body=b"abc")


def test_asterisk_form(proxy: Proxy, target: Target) -> None:
    """``OPTIONS *`` is forwarded as it is (RFC 9112 3.2.4)."""
    received = carry(proxy, target, head(ID, start=b"OPTIONS * HTTP/1.1"))
    assert received == sent_on(b"OPTIONS * HTTP/1.1", b"Host: h", ID)


@pytest.mark.parametrize(
    ("url", "path", "host"),
    [
        (b"http://a/b?c", b"/b?c", b"a"),
        (b"HTTP://A:8080/b", b"/b", b"A:8080"),
        (b"https://a/b", b"/b", b"a"),
        (b"http://a", b"/", b"a"),
        (b"http://a?b", b"/?b", b"a"),
        (b"http://[::1]:80/", b"/", b"[::1]:80"),
        (b"http://a//b", b"//b", b"a"),
        (b"http://a/http://b/", b"/http://b/", b"a"),
    ],
)
def test_absolute_form(proxy: Proxy, target: Target, url: bytes, path: bytes, host: bytes) -> None:
    """An absolute target is sent on as a path, and its authority replaces Host (RFC 9112 3.2.2)."""
    received = carry(proxy, target, head(ID, b"X: y", start=b"GET %b HTTP/1.1" % url, host=b"other.example"))
    assert received == sent_on(b"GET %b HTTP/1.1" % path, b"Host: " + host, ID, b"X: y", host=host)


def test_an_absolute_target_never_chooses_the_upstream(target: Target) -> None:
    """Where a request goes is the configuration's to say, never the authority's in the request (RFC 9112 3.2.2)."""
    with Target() as victim, Proxy(simple_yaml(target.url)) as proxy:
        request = head(ID, start=b"GET http://127.0.0.1:%d/ HTTP/1.1" % victim.port, host=b"127.0.0.1:%d" % victim.port)
        carry(proxy, target, request)
        assert not victim.pending()


def test_options_of_an_absolute_target_without_path(proxy: Proxy, target: Target) -> None:
    """OPTIONS for an authority alone is sent on as ``OPTIONS *`` (RFC 9112 3.2.4)."""
    received = carry(proxy, target, head(ID, start=b"OPTIONS http://a HTTP/1.1", host=b"a"))
    assert received == sent_on(b"OPTIONS * HTTP/1.1", b"Host: a", ID, host=b"a")


def test_http_1_0_without_host(proxy: Proxy, target: Target) -> None:
    """A 1.0 request without Host is carried in the router's own version, with the endpoint's name (RFC 9112 3.2)."""
    received = carry(proxy, target, head(ID, b"Connection: keep-alive", start=b"GET /a HTTP/1.0", host=None))
    start, _, rest = received.partition(b"\r\n")
    assert start == b"GET /a HTTP/1.1"
    assert rest.lower().count(b"\nhost: 127.0.0.1:%d\r\n" % target.port) == 1
    assert b"connection" not in rest.lower()


def test_via_names_the_version_that_was_received(proxy: Proxy, target: Target) -> None:
    """Via carries the protocol version of the message as it came in (RFC 9110 7.6.3)."""
    received = carry(proxy, target, head(ID, b"Connection: keep-alive", start=b"GET / HTTP/1.0"))
    assert b"\r\nvia: 1.0 router\r\n" in received


def test_via_of_others_stays_in_front(proxy: Proxy, target: Target) -> None:
    """The router adds itself behind the proxies that a request came through (RFC 9110 7.6.3)."""
    received = carry(proxy, target, head(b"Via: 1.1 other", ID))
    assert received.index(b"Via: 1.1 other\r\n") < received.index(b"via: 1.1 router\r\n")


HOP_BY_HOP = [
    b"Connection: close",
    b"Connection: keep-alive",
    b"Keep-Alive: timeout=5",
    b"Proxy-Connection: keep-alive",
    b"TE: trailers, deflate",
    b"Trailer: X-Sum",
    b"Upgrade: h2c",
    b"Upgrade: websocket",
    b"HTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA",
    b"Expect: 100-continue",
]


@pytest.mark.parametrize("line", HOP_BY_HOP)
def test_hop_by_hop_field_is_removed(proxy: Proxy, target: Target, line: bytes) -> None:
    """A field that belongs to one connection does not travel on, nor a lone Upgrade (RFC 9110 7.6.1)."""
    received = carry(proxy, target, head(ID, line, b"X: y"))
    assert received == sent_on(b"GET / HTTP/1.1", b"Host: h", ID, b"X: y")


@pytest.mark.parametrize(
    "lines",
    [
        [b"Connection: X-Hop", b"X-Hop: 1"],
        [b"X-Hop: 1", b"Connection: x-hop"],
        [b"X-Hop: 1", b"Connection: close, X-HOP , other"],
        [b"Connection: ,,x-hop,", b"X-Hop: 1", b"x-hop: 2"],
        [b"Connection: keep-alive", b"X-Hop: 1", b"Connection: x-hop"],
        [b"Connection: Upgrade, HTTP2-Settings, x-hop", b"Upgrade: h2c", b"HTTP2-Settings: x", b"X-Hop: 1"],
    ],
)
def test_fields_named_in_connection_are_removed(proxy: Proxy, target: Target, lines: list[bytes]) -> None:
    """What Connection names is removed, in every spelling and every line (RFC 9110 7.6.1)."""
    received = carry(proxy, target, head(ID, *lines, b"X-Hope: stays"))
    assert received == sent_on(b"GET / HTTP/1.1", b"Host: h", ID, b"X-Hope: stays")


@pytest.mark.parametrize("name", [b"Host", b"Content-Length", b"content-type", b"Content-Encoding"])
def test_connection_cannot_remove_framing_fields(proxy: Proxy, target: Target, name: bytes) -> None:
    """Naming Host or a framing field in Connection does not remove it (RFC 9110 7.6.1)."""
    lines = [ID, b"Content-Type: t", b"Content-Encoding: identity"]
    received = carry(proxy, target, post(b"abc", *lines, b"Connection: " + name))
    assert received == sent_on(b"POST / HTTP/1.1", b"Host: h", *lines, b"Content-Length: 3", body=b"abc")


def test_connection_cannot_remove_transfer_encoding(proxy: Proxy, target: Target) -> None:
    """Naming Transfer-Encoding in Connection does not turn a body into the next request (RFC 9110 7.6.1)."""
    lines = [ID, b"Transfer-Encoding: chunked"]
    request = head(*lines, b"Connection: transfer-encoding", start=b"POST / HTTP/1.1") + b"1\r\na\r\n0\r\n\r\n"
    received = carry(proxy, target, request)
    assert received == sent_on(b"POST / HTTP/1.1", b"Host: h", *lines, body=b"1\r\na\r\n0\r\n\r\n")


@pytest.mark.parametrize(
    "name", [b"X-Forwarded-For", b"x-forwarded-proto", b"X-Forwarded-Host", b"Via", b"x-router-route", b"X-Request-Id"]
)
def test_connection_cannot_remove_the_routers_own_fields(proxy: Proxy, target: Target, name: bytes) -> None:
    """The router's own fields are added after the removal of what Connection names (RFC 9110 7.6.1)."""
    received = carry(proxy, target, head(ID, b"Connection: " + name))
    assert received.lower().count(b"\r\n%b: " % name.lower()) == 1


@pytest.mark.parametrize(
    "line",
    [
        b"X_User_Id: forged",
        b"Content_Length: 3",
        b"Transfer_Encoding: chunked",
        b"X_Forwarded_For: 6.6.6.6",
        b"Ho_st: other",
        b"_: x",
        b"x-router_route: forged",
        b"_X-User-Id:",
    ],
)
def test_underscore_twin_is_dropped(proxy: Proxy, target: Target, line: bytes) -> None:
    """A name with an underscore, which a target may read as one with a hyphen, is dropped (RFC 9110 5.1)."""
    received = carry(proxy, target, head(b"X-User-Id: real", line, ID, b"X: a_b"))
    assert received == sent_on(b"GET / HTTP/1.1", b"Host: h", b"X-User-Id: real", ID, b"X: a_b")


@pytest.mark.parametrize("name", [b"X-Router-Route", b"x-router-experiments", b"X-ROUTER-ANYTHING", b"x-router-"])
def test_router_fields_of_callers_are_removed(proxy: Proxy, target: Target, name: bytes) -> None:
    """A caller cannot say what only the router says to targets: ``x-router-*`` is removed (INTERFACES 3)."""
    received = carry(proxy, target, head(name + b": forged", ID, b"X-Routers: stays"))
    assert received == sent_on(b"GET / HTTP/1.1", b"Host: h", ID, b"X-Routers: stays")


def test_router_fields_of_targets_are_removed(proxy: Proxy, target: Target) -> None:
    """Nor can a target say to callers what only the router says (INTERFACES 3)."""
    target.answer(
        b"HTTP/1.1 200 OK\r\nX-Router-Arm: forged\r\nX: y\r\nx-router-target: t\r\nContent-Length: 2\r\n\r\nok"
    )
    with proxy.caller() as caller:
        caller.send(head(ID))
        assert caller.response().head == b"HTTP/1.1 200 OK\r\nX: y\r\nContent-Length: 2\r\nx-request-id: r"


def test_a_request_id_is_made(proxy: Proxy, target: Target) -> None:
    """A request without an id gets one, the same for target, caller and event (INTERFACES 3)."""
    target.answer(OK)
    with proxy.caller() as caller:
        caller.send(head())
        (made,) = caller.response().field(b"x-request-id")
    assert target.requests[0].count(b"\r\nx-request-id: %b\r\n" % made) == 1
    assert len(made) == 32


@pytest.mark.parametrize("value", [b"", b"a b", b"\xe4", b"x" * 129, b"a\tb"])
def test_an_unusable_request_id_is_replaced(proxy: Proxy, target: Target, value: bytes) -> None:
    """An id that would not do in a log is replaced, not forwarded beside the new one (INTERFACES 3)."""
    target.answer(OK)
    with proxy.caller() as caller:
        caller.send(head(b"X-Request-Id: " + value))
        (made,) = caller.response().field(b"x-request-id")
    assert target.requests[0].lower().count(b"\r\nx-request-id:") == 1
    assert b"\r\nx-request-id: %b\r\n" % made in target.requests[0]
    assert len(made) == 32


@pytest.mark.parametrize("value", [b"r", b"!~", b"x" * 128, b"%00"])
def test_a_usable_request_id_is_kept(proxy: Proxy, target: Target, value: bytes) -> None:
    """An id of visible characters is kept, for target and caller (INTERFACES 3)."""
    target.answer(OK)
    with proxy.caller() as caller:
        caller.send(head(b"X-Request-Id: " + value))
        assert caller.response().field(b"x-request-id") == [value]
    assert b"\r\nX-Request-Id: %b\r\n" % value in target.requests[0]


def test_the_request_id_of_the_answer_is_the_requests(proxy: Proxy, target: Target) -> None:
    """A target's own x-request-id does not stand beside the exchange's (INTERFACES 3)."""
    target.answer(b"HTTP/1.1 200 OK\r\nX-Request-Id: theirs\r\nContent-Length: 0\r\n\r\n")
    with proxy.caller() as caller:
        caller.send(head(ID))
        assert caller.response().field(b"x-request-id") == [b"r"]


def test_two_request_ids_are_one_to_the_target(proxy: Proxy, target: Target) -> None:
    """Of several ids the target sees the one that the router logs, and no other (INTERFACES 3)."""
    received = carry(proxy, target, head(ID, b"X-Request-Id: other"))
    assert received.lower().count(b"x-request-id: ") == 1


FORGED = [b"X-Forwarded-For: 6.6.6.6", b"X-Forwarded-Proto: https", b"X-Forwarded-Host: evil.example"]


def test_forwarded_fields_of_a_stranger_are_replaced(proxy: Proxy, target: Target) -> None:
    """What an untrusted peer says about where it comes from is removed and set anew (INTERFACES 3)."""
    received = carry(proxy, target, head(*FORGED, ID))
    assert received == sent_on(b"GET / HTTP/1.1", b"Host: h", ID)


TRUSTING = "trusted_proxies: [127.0.0.0/8, 10.0.0.0/8]"


def test_forwarded_fields_of_a_trusted_proxy_are_kept(target: Target) -> None:
    """A trusted proxy's word is kept, and its own address appended (INTERFACES 3)."""
    with Proxy(simple_yaml(target.url, server=TRUSTING)) as proxy:
        received = carry(proxy, target, head(*FORGED, ID))
    assert b"\r\nx-forwarded-for: 6.6.6.6, 127.0.0.1\r\n" in received
    assert b"\r\nx-forwarded-proto: https\r\n" in received
    assert b"\r\nx-forwarded-host: evil.example\r\n" in received
    assert received.lower().count(b"x-forwarded-") == 3


def test_a_trusted_proxy_that_says_nothing(target: Target) -> None:
    """A trusted peer without forwarding fields is itself the client (INTERFACES 3)."""
    with Proxy(simple_yaml(target.url, server=TRUSTING)) as proxy:
        received = carry(proxy, target, head(ID))
    assert sorted(received.split(b"\r\n")) == sorted(sent_on(b"GET / HTTP/1.1", b"Host: h", ID).split(b"\r\n"))


@pytest.mark.parametrize(
    ("field", "client"),
    [
        (b"", "127.0.0.1"),
        (b"6.6.6.6", "6.6.6.6"),
        (b"1.1.1.1, 6.6.6.6", "6.6.6.6"),
        (b"6.6.6.6, 10.1.2.3", "6.6.6.6"),
        (b"1.1.1.1,6.6.6.6 , 10.1.2.3,10.0.0.1", "6.6.6.6"),
        (b"10.1.2.3", "10.1.2.3"),
        (b"unknown, 10.1.2.3", "10.1.2.3"),
        (b"6.6.6.6, _hidden", "127.0.0.1"),
        (b"2001:db8::1", "2001:db8::1"),
        (b"6.6.6.6, ", "127.0.0.1"),
    ],
)
def test_the_client_is_the_last_address_nobody_vouches_for(target: Target, field: bytes, client: str) -> None:
    """As a unit, the client's address is read from the right, past trusted proxies only (INTERFACES 2)."""
    routes = ("{name: all, target: t, unit: [client_ip]}",)
    yaml = simple_yaml(target.url, server=TRUSTING, routes=routes) + "events: {unenrolled: 100%}\n"
    with Proxy(yaml) as proxy:
        carry(proxy, target, head(*([b"X-Forwarded-For: " + field] if field else []), ID))
        assert proxy.event().unit == client


def test_a_stranger_cannot_choose_its_client_address(target: Target) -> None:
    """An untrusted peer's X-Forwarded-For does not change whom an assignment belongs to (INTERFACES 2)."""
    routes = ("{name: all, target: t, unit: [client_ip]}",)
    with Proxy(simple_yaml(target.url, routes=routes) + "events: {unenrolled: 100%}\n") as proxy:
        carry(proxy, target, head(*FORGED, ID))
        assert proxy.event().unit == "127.0.0.1"


def test_responses_are_byte_exact(proxy: Proxy, target: Target) -> None:
    """Reason, names, order, repeats and obs-text of a response reach the caller as they were sent (RFC 9110 5.3)."""
    top = (
        b"HTTP/1.1 203 \xdcbrigens ja\r\nSeT-cOOkie: a=1\r\nX:\r\nset-cookie: b=2\r\nDate: d\r\n"
        b"X-Latin: \xe9\xff\r\nx-space:   a  \r\nContent-Length: 2"
    )
    target.answer(top + b"\r\n\r\nok")
    with proxy.caller() as caller:
        caller.send(head(ID))
        response = caller.response()
    assert response.head == top + b"\r\nx-request-id: r"
    assert response.body == b"ok"


@pytest.mark.parametrize(
    "lines",
    [
        b"Connection: keep-alive\r\nKeep-Alive: timeout=5\r\n",
        b"Connection: X-Hop\r\nX-Hop: 1\r\n",
        b"x-hop: 1\r\nProxy-Connection: close\r\nConnection: x-hop, X-HOP\r\n",
        b"Upgrade: h2c\r\nTE: x\r\nTrailer: X-Sum\r\n",
        b"Connection: content-length\r\n",
    ],
)
def test_hop_by_hop_fields_of_a_response_are_removed(proxy: Proxy, target: Target, lines: bytes) -> None:
    """A response's fields for one connection do not travel on; its framing does (RFC 9110 7.6.1)."""
    target.answer(b"HTTP/1.1 200 OK\r\nA: b\r\n" + lines + b"Content-Length: 2\r\n\r\nok")
    with proxy.caller() as caller:
        caller.send(head(ID))
        response = caller.response()
    assert response.head == b"HTTP/1.1 200 OK\r\nA: b\r\nContent-Length: 2\r\nx-request-id: r"
    assert response.body == b"ok"


def test_connection_named_in_a_response_with_chunks(proxy: Proxy, target: Target) -> None:
    """Naming Transfer-Encoding in a response's Connection does not unframe it (RFC 9110 7.6.1)."""
    target.answer(
        b"HTTP/1.1 200 OK\r\nConnection: transfer-encoding\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n"
    )
    with proxy.caller() as caller:
        caller.send(head(ID))
        response = caller.response()
    assert response.body == b"2\r\nok\r\n0\r\n\r\n"
    assert response.field(b"transfer-encoding") == [b"chunked"]


def test_nothing_is_exposed_unless_asked_for(target: Target) -> None:
    """``server.expose`` empty: the answer is the target's and nothing else (INTERFACES 3)."""
    target.answer(NO_CONTENT)
    with Proxy(simple_yaml(target.url, server="expose: []")) as proxy, proxy.caller() as caller:
        caller.send(head(ID))
        assert caller.response().head == NO_CONTENT.removesuffix(b"\r\n\r\n")


def test_arm_and_target_are_exposed_when_asked_for(target: Target) -> None:
    """``server.expose`` names arm and target: the caller sees both (INTERFACES 3)."""
    target.answer(NO_CONTENT)
    yaml = (
        simple_yaml(
            target.url, server="expose: [arm, target]", routes=("{name: all, target: t, unit: ['header:x-user']}",)
        )
        + "experiments: [{name: e, route: all,"
        " arms: [{name: a, target: t, weight: 1}, {name: b, target: t, weight: 0}]}]\n"
    )
    with Proxy(yaml) as proxy, proxy.caller() as caller:
        caller.send(head(ID, b"X-User: u"))
        response = caller.response()
        assert response.field(b"x-router-arm") == [b"a"]
        assert response.field(b"x-router-target") == [b"t"]
        assert response.field(b"x-request-id") == []
        wait_until(lambda: b"\r\nx-router-experiments: e=a\r\n" in target.requests[0])
