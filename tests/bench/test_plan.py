"""Promises of ``router.bench.plan``: what is sent, and what is refused before anything is."""

from pathlib import Path

import pytest
from msgspec.structs import replace

from router.bench.plan import LARGEST_BODY_BYTES, BenchError, Options, make

URL = "http://127.0.0.1:8080/v2/models/m/infer?x=1"


def test_a_plain_request_names_its_host_and_nothing_else_is_invented() -> None:
    """The bytes of the simplest request, whole."""
    plan = make(URL, Options())
    target, fields = (
        b"GET /v2/models/m/infer?x=1 HTTP/1.1",
        b"Host: 127.0.0.1:8080\r\nUser-Agent: router-bench\r\nAccept: */*",
    )
    assert plan.requests == (target + b"\r\n" + fields + b"\r\n\r\n",)
    assert (plan.host, plan.port, plan.tls) == ("127.0.0.1", 8080, None)


def test_a_body_is_sent_with_its_length() -> None:
    """The length is in bytes, of the encoded body."""
    (request,) = make(URL, Options(method="POST", body="é")).requests
    assert request.endswith(b"Content-Length: 2\r\n\r\n\xc3\xa9")


def test_a_post_without_body_says_that_its_length_is_zero() -> None:
    """RFC 9110, section 8.6: a method that anticipates content sends Content-Length: 0."""
    (request,) = make(URL, Options(method="POST")).requests
    assert b"Content-Length: 0\r\n" in request


def test_given_fields_replace_the_default_ones() -> None:
    """Names are compared without case, and a field is never sent twice."""
    (request,) = make(URL, Options(headers=("host: models.example.org", "Accept:text/plain"))).requests
    assert request.lower().count(b"host:") == 1
    assert b"host: models.example.org\r\n" in request
    assert b"Accept: text/plain\r\n" in request


def test_the_number_placeholder_makes_a_thousand_callers() -> None:
    """`{n}` counts from 0 to 999, in the path and in fields alike."""
    plan = make("http://h/u/{n}", Options(headers=("x-user-id: user-{n}",)))
    assert len(plan.requests) == 1000
    assert b"GET /u/7 HTTP/1.1\r\n" in plan.requests[7]
    assert b"x-user-id: user-7\r\n" in plan.requests[7]


def test_a_body_is_read_from_its_file(tmp_path: Path) -> None:
    """The file's bytes are sent as they are."""
    file = tmp_path / "body.bin"
    file.write_bytes(b"\x00\xff{n}")
    (request,) = make(URL, Options(method="POST", body_file=file)).requests
    assert request.endswith(b"\r\n\r\n\x00\xff{n}")


def test_the_number_of_requests_is_rate_times_seconds_and_at_least_one() -> None:
    """A run at one request a minute for a second still sends one."""
    assert make(URL, Options(rate=1000, seconds=2.5)).total == 2500
    assert make(URL, Options(rate=1 / 60, seconds=1)).total == 1


@pytest.mark.parametrize(("url", "port", "secure"), [("http://h", 80, False), ("https://h/", 443, True)])
def test_ports_follow_the_scheme(url: str, port: int, secure: bool) -> None:  # noqa: FBT001 - a table's column
    """Without a port, the scheme's own is used, and https is verified."""
    plan = make(url, Options())
    assert (plan.port, plan.tls is not None) == (port, secure)
    assert plan.tls is None or plan.tls.check_hostname


def test_an_unverified_certificate_must_be_asked_for() -> None:
    """`insecure` is the only way to a connection without verification."""
    plan = make("https://h/", Options(insecure=True))
    assert plan.tls is not None
    assert not plan.tls.check_hostname


@pytest.mark.parametrize(
    ("options", "names"),
    [
        (Options(rate=0), "--rate"),
        (Options(rate=float("nan")), "--rate"),
        (Options(seconds=-1), "--seconds"),
        (Options(connections=0), "--connections"),
        (Options(connections=1_000_000), "--connections"),
        (Options(timeout=0), "--timeout"),
        (Options(method="GET /"), "--method"),
        (Options(method="CONNECT"), "--method"),
        (Options(headers=("no colon",)), "--header"),
        (Options(headers=("x: a\r\ny: b",)), "--header"),
        (Options(headers=("content-length: 3",)), "--header"),
        (Options(body="x", body_file=Path("y")), "--body-file"),
        (Options(body_file=Path("/nonexistent/body")), "--body-file"),
        (Options(plot=Path("plot.gif")), "--plot"),
        (Options(headers=("x: \u20ac",)), "Latin-1"),
        (Options(headers=("x: {n}",), body="b" * (LARGEST_BODY_BYTES // 4)), "{n}"),
    ],
)
def test_a_wrong_option_is_named(options: Options, names: str) -> None:
    """Each mistake says which option it is about, before anything is sent."""
    with pytest.raises(BenchError, match=r"\S") as caught:
        make(URL, options)
    assert names in str(caught.value)


@pytest.mark.parametrize("url", ["127.0.0.1:8080", "ftp://h/", "http://", "http://h:99999/", "http://h/a b"])
def test_what_is_no_url_is_refused(url: str) -> None:
    """The message shows the URL or path."""
    with pytest.raises(BenchError, match=r"URL|port|Port|path"):
        make(url, Options())


def test_a_body_file_beyond_the_limit_is_refused(tmp_path: Path) -> None:
    """Memory is bounded: the file is measured before it is read."""
    file = tmp_path / "large"
    with file.open("wb") as out:
        out.truncate(LARGEST_BODY_BYTES + 1)
    with pytest.raises(BenchError, match="at most"):
        make(URL, replace(Options(), body_file=file))
