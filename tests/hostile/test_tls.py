"""TLS on both sides: verified towards targets, and a truncation is no end."""

import contextlib
import socket
import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest
import trustme
from msgspec import structs

from tests.harness import Caller, Proxy, Target, simple_yaml, wait_until
from tests.hostile.wire import CHUNKED, LOG_ALL, OK, assert_fault, assert_problem, head


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    """An authority of the tests' own."""
    return trustme.CA()


@pytest.fixture
def ca(authority: trustme.CA, tmp_path: Path) -> Path:
    """Its certificate in a file."""
    path = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(str(path))
    return path


def server_context(authority: trustme.CA, name: str) -> ssl.SSLContext:
    """What a target needs to be somebody."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert(name).configure_cert(context)
    return context


@contextlib.contextmanager
def secure(authority: trustme.CA, name: str, tls: str) -> Iterator[tuple[Proxy, Target]]:
    """A data plane in front of an https target.

    Args:
        authority: Who vouches for the target.
        name: Whose certificate the target has.
        tls: Keys of the target's ``tls``.
    """
    with (
        Target(context=server_context(authority, name)) as target,
        Proxy(simple_yaml(target.url, f"tls: {{{tls}}}") + LOG_ALL) as proxy,
    ):
        yield proxy, target


def test_https_target(authority: trustme.CA, ca: Path) -> None:
    """A target whose certificate is good is spoken to over TLS, on one connection for several requests."""
    with secure(authority, "127.0.0.1", f"ca: '{ca}'") as (proxy, target), proxy.caller() as caller:
        target.answer(OK, times=3)
        for _ in range(3):
            caller.send(head())
            assert caller.response().body == b"ok"
        assert proxy.connects() == 1


def test_server_name(authority: trustme.CA, ca: Path) -> None:
    """``tls.server_name`` is what the certificate must be for, in place of the URL's host (INTERFACES 2)."""
    with secure(authority, "models.internal", f"ca: '{ca}', server_name: models.internal") as (proxy, target):
        target.answer(OK)
        with proxy.caller() as caller:
            caller.send(head())
            assert caller.response().body == b"ok"


def refused_by_tls(target: Target) -> None:
    """Accept the connection that the router gives up."""
    with contextlib.suppress(ssl.SSLError, OSError):
        target.accept()


def test_unknown_authority(ca: Path) -> None:
    """A certificate of an authority that is not trusted is 502, and nothing is sent (RFC 9110 4.3.4)."""
    with secure(trustme.CA(), "127.0.0.1", f"ca: '{ca}'") as (proxy, target), proxy.caller() as caller:
        caller.send(head())
        refused_by_tls(target)
        assert_fault(proxy, caller.response(), 502, "tls")


def test_authority_of_the_system_by_default(authority: trustme.CA) -> None:
    """Without ``tls.ca`` the system's authorities are asked, and do not know the target's (INTERFACES 2)."""
    with secure(authority, "127.0.0.1", "") as (proxy, target), proxy.caller() as caller:
        caller.send(head())
        refused_by_tls(target)
        assert_fault(proxy, caller.response(), 502, "tls")


@pytest.mark.parametrize("tls", ["", ", server_name: models.internal"])
def test_certificate_of_another_name(authority: trustme.CA, ca: Path, tls: str) -> None:
    """A certificate for another name is 502, and nothing is sent (RFC 9110 4.3.4)."""
    with secure(authority, "other.internal", f"ca: '{ca}'{tls}") as (proxy, target), proxy.caller() as caller:
        caller.send(head())
        refused_by_tls(target)
        assert_fault(proxy, caller.response(), 502, "tls")


def test_https_target_that_speaks_plain_http(target: Target, ca: Path) -> None:
    """A plain answer to a TLS hello is 502 (RFC 9110 15.6.3)."""
    url = target.url.replace("http:", "https:")
    with Proxy(simple_yaml(url, f"tls: {{ca: '{ca}'}}") + LOG_ALL) as proxy, proxy.caller() as caller:
        caller.send(head())
        connection = target.accept()
        connection.socket.recv(1)
        connection.send(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        assert_fault(proxy, caller.response(), 502, "tls")


def test_https_target_that_says_nothing(target: Target, ca: Path) -> None:
    """A TLS set-up that stalls counts against the connect time-out (schema: timeouts.connect)."""
    url = target.url.replace("http:", "https:")
    yaml = simple_yaml(url, f"tls: {{ca: '{ca}'}}, timeouts: {{connect: 100ms}}") + LOG_ALL
    with Proxy(yaml) as proxy, proxy.caller() as caller:
        caller.send(head())
        target.accept()
        assert_fault(proxy, caller.response(), 504, "connect_timeout")


@pytest.mark.parametrize("sent", [CHUNKED + b"2\r\nok\r\n", b"HTTP/1.1 200 OK\r\n\r\nok"])
def test_tls_truncation(authority: trustme.CA, ca: Path, sent: bytes) -> None:
    """A TLS connection that ends without close_notify is cut, whatever the framing (RFC 9112 9.8)."""
    with secure(authority, "127.0.0.1", f"ca: '{ca}'") as (proxy, target), proxy.caller() as caller:
        caller.send(head())
        connection = target.accept()
        connection.read_request()
        connection.send(sent)
        caller.read_until(b"ok")
        with socket.socket(fileno=connection.socket.detach()) as plain:
            plain.shutdown(socket.SHUT_RDWR)
        assert not caller.rest().endswith(b"0\r\n\r\n")
        assert proxy.all_faults() == {"truncated": 1}


def test_tls_clean_end(authority: trustme.CA, ca: Path) -> None:
    """A close-delimited body that ends with close_notify is whole (RFC 9112 9.8)."""
    with secure(authority, "127.0.0.1", f"ca: '{ca}'") as (proxy, target), proxy.caller() as caller:
        caller.send(head())
        connection = target.accept()
        connection.read_request()
        connection.send(b"HTTP/1.1 200 OK\r\n\r\nok")
        assert isinstance(connection.socket, ssl.SSLSocket)
        with contextlib.suppress(OSError):
            connection.socket.unwrap()
        assert caller.response().body == b"2\r\nok\r\n0\r\n\r\n"


@pytest.fixture
def listening(authority: trustme.CA, tmp_path: Path, target: Target) -> Iterator[Proxy]:
    """A data plane that listens with TLS."""
    issued = authority.issue_cert("router.test")
    cert, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    issued.private_key_pem.write_to_path(str(key))
    for index, blob in enumerate(issued.cert_chain_pems):
        blob.write_to_path(str(cert), append=index > 0)
    with Proxy(simple_yaml(target.url, server=f"tls: {{cert: '{cert}', key: '{key}'}}"), tls=True) as proxy:
        yield proxy


def secure_caller(proxy: Proxy, authority: trustme.CA) -> Caller:
    """Open a caller's TLS connection."""
    context = ssl.create_default_context()
    authority.configure_trust(context)
    return Caller(context.wrap_socket(proxy.connect(), server_hostname="router.test"))


def test_tls_listener(listening: Proxy, target: Target, authority: trustme.CA) -> None:
    """Callers can speak TLS; targets are told so (INTERFACES 3)."""
    target.answer(OK, times=2)
    with secure_caller(listening, authority) as caller:
        for _ in range(2):
            caller.send(head())
            assert caller.response().body == b"ok"
    assert b"\r\nx-forwarded-proto: https\r\n" in target.requests[0]


@pytest.mark.parametrize("broken", ["gone", "rubbish", "another key"])
def test_a_certificate_that_cannot_be_read_again_holds_no_revision_up(
    listening: Proxy, target: Target, authority: trustme.CA, broken: str
) -> None:
    """A kill must not wait for a certificate that somebody is renewing: the pair of before is served, whole."""
    tls = listening.revision.config.server.tls
    assert tls is not None
    revision = structs.replace(listening.revision, number=2)
    cert = Path(tls.cert)
    if broken == "gone":
        cert.unlink()
    elif broken == "rubbish":
        cert.write_text("rubbish")
    else:
        authority.issue_cert("router.test").cert_chain_pems[0].write_to_path(str(cert))
    listening.call(listening.server.swap, revision)
    assert listening.server.table.number == 2
    target.answer(OK)
    with secure_caller(listening, authority) as caller:
        caller.send(head())
        assert caller.response().body == b"ok"


def test_tls_listener_speaks_http_1_1_only(listening: Proxy, authority: trustme.CA) -> None:
    """A client that offers HTTP/2 is told to speak HTTP/1.1 (RFC 7301 3.2)."""
    context = ssl.create_default_context()
    context.set_alpn_protocols(["h2", "http/1.1"])
    authority.configure_trust(context)
    with context.wrap_socket(listening.connect(), server_hostname="router.test") as sock:
        assert sock.selected_alpn_protocol() == "http/1.1"


def test_refusal_over_tls(listening: Proxy, target: Target, authority: trustme.CA) -> None:
    """A refused request gets its answer over TLS, too, and then the end (RFC 9112 9.6)."""
    with secure_caller(listening, authority) as caller:
        caller.send(head(host=b"a/b"))
        assert_problem(caller.rest(), 400, "bad_host")
    assert not target.pending()


def test_plain_request_to_the_tls_listener(listening: Proxy, target: Target) -> None:
    """A plain request on the TLS port is closed, and nothing of it is forwarded."""
    with listening.caller() as caller:
        caller.send(head())
        assert b"HTTP/1.1 200" not in caller.rest()
    assert not target.pending()
    wait_until(lambda: not listening.server.connections, "the end of the connection")


def test_caller_gone_over_tls(listening: Proxy, target: Target, authority: trustme.CA) -> None:
    """A TLS caller that goes away cancels its request (DESIGN 3)."""
    caller = secure_caller(listening, authority)
    caller.send(head())
    connection = target.accept()
    connection.read_request()
    caller.close()
    assert connection.ended()
