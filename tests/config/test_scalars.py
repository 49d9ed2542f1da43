"""Durations, sizes, shares, sources, URLs and addresses."""

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.config import scalars
from router.config.scalars import Listen, Source, Url

NAMES = st.from_regex(r"[a-z][a-z0-9]{0,10}(-[a-z0-9]{1,10})?", fullmatch=True)
PARSERS: tuple[Callable[[str], object], ...] = (
    scalars.parse_duration,
    scalars.parse_size,
    scalars.parse_share,
    scalars.parse_rate,
    scalars.parse_source,
    scalars.parse_host,
    scalars.parse_host_pattern,
    scalars.parse_network,
    scalars.parse_path,
    scalars.parse_url,
    scalars.parse_listen,
)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("250ms", 0.25), ("5s", 5.0), ("10m", 600.0), ("24h", 86400.0), ("7d", 604800.0), ("1.5s", 1.5), ("0s", 0.0)],
)
def test_durations_are_seconds(text: str, seconds: float) -> None:
    """A duration is read as seconds, whatever its unit."""
    assert scalars.parse_duration(text) == seconds


@pytest.mark.parametrize(
    ("text", "count"), [("64KiB", 65536), ("16MiB", 16 * 1024**2), ("10GiB", 10 * 1024**3), ("1.5KiB", 1536), ("7B", 7)]
)
def test_sizes_are_bytes(text: str, count: int) -> None:
    """A size is read as bytes, in powers of 1024."""
    assert scalars.parse_size(text) == count


@pytest.mark.parametrize(("text", "share"), [("5%", 0.05), ("100%", 1.0), ("0.01%", 0.0001), ("7%", 0.07)])
def test_shares_are_parts_of_one(text: str, share: float) -> None:
    """A percentage is the float that its decimal fraction would be."""
    assert scalars.parse_share(text) == share


@pytest.mark.parametrize(
    ("text", "rate"), [("1000/s", 1000.0), ("600/m", 10.0), ("1/m", 1 / 60), ("10000/h", 10000 / 3600), ("0.5/s", 0.5)]
)
def test_rates_are_requests_a_second(text: str, rate: float) -> None:
    """A rate is read as requests a second, whatever its time, and written as it was."""
    assert scalars.parse_rate(text) == rate
    assert scalars.parse_rate(scalars.format_rate(rate)) == rate


@pytest.mark.parametrize(
    ("rate", "text"), [(1000.0, "1000/s"), (0.5, "30/m"), (1 / 60, "1/m"), (10000 / 3600, "10000/h")]
)
def test_rates_are_written_without_a_fraction_where_that_can_be(rate: float, text: str) -> None:
    """The shortest time that gives a whole number is used."""
    assert scalars.format_rate(rate) == text


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("1000", "not a rate"), ("1000/d", "not a rate"), ("/s", "not a rate"), ("-1/s", "not a rate"),
        ("1 / s", "not a rate"), ("0/s", "lets nothing through"), ("10000000000/s", "the most is 1000000000/s"),
    ],
)  # fmt: skip
def test_what_is_no_rate_says_what_is(text: str, words: str) -> None:
    """A rate that cannot be read is shown, with the way out."""
    with pytest.raises(ValueError, match=words):
        scalars.parse_rate(text)


@given(st.floats(1e-9, scalars.MAX_RATE))
def test_rates_round_trip(rate: float) -> None:
    """A rate that was written is read as the same number."""
    assert scalars.parse_rate(scalars.format_rate(rate)) == rate


@given(st.floats(0, scalars.MAX_DURATION).filter(lambda x: x == 0 or x > 1e-12))
def test_durations_round_trip(seconds: float) -> None:
    """A duration that was written is read as the same number."""
    assert scalars.parse_duration(scalars.format_duration(round(seconds, 12))) == round(seconds, 12)


@given(st.integers(0, scalars.MAX_SIZE))
def test_sizes_round_trip(count: int) -> None:
    """A size that was written is read as the same number."""
    assert scalars.parse_size(scalars.format_size(count)) == count


@given(st.floats(0, 1))
def test_shares_round_trip(share: float) -> None:
    """A share that was written is read as the same number."""
    assert scalars.parse_share(scalars.format_share(share)) == share


@given(
    st.one_of(
        st.builds(Source, st.just("header"), NAMES),
        st.builds(Source, st.just("cookie"), NAMES),
        st.builds(Source, st.just("query"), st.text("ab ?ü", min_size=1)),
        st.builds(Source, st.just("json"), st.lists(NAMES).map(lambda parts: "".join(f"/{part}" for part in parts))),
        st.sampled_from([Source("client_ip"), Source("request")]),
    )
)
def test_sources_round_trip(source: Source) -> None:
    """A source that was written is read as the same source."""
    assert scalars.parse_source(scalars.format_source(source)) == source


@given(st.sampled_from(["http", "https"]), st.one_of(NAMES, st.ip_addresses().map(str)), st.integers(1, 65535))
def test_urls_round_trip(scheme: str, host: str, port: int) -> None:
    """An endpoint that was written is read as the same endpoint."""
    written = scalars.format_url(Url("https" if scheme == "https" else "http", host, port))
    assert scalars.parse_url(written) == (scheme, host, port)


@given(st.one_of(NAMES, st.ip_addresses().map(str)), st.integers(0, 65535))
def test_addresses_round_trip(host: str, port: int) -> None:
    """An address that was written is read as the same address."""
    assert scalars.parse_listen(scalars.format_listen(Listen(host, port))) == Listen(host, port)


def test_a_unix_socket_is_an_address() -> None:
    """A unix socket is named by its absolute path, which the system limits to 107 bytes."""
    assert scalars.parse_listen("unix:/run/r.sock") == Listen("", 0, "/run/r.sock")
    assert scalars.format_listen(Listen("", 0, "/run/r.sock")) == "unix:/run/r.sock"
    with pytest.raises(ValueError, match="at most 107 bytes"):
        scalars.parse_listen("unix:/" + "a" * 107)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        *(("127.0.0.1:1", True), ("127.9.9.9:1", True), ("[::1]:1", True), ("localhost:1", True), ("unix:/s", True)),
        *(("0.0.0.0:1", False), ("[::]:1", False), ("10.0.0.1:1", False), ("example.org:1", False)),
    ],
)
def test_loopback_is_what_only_this_machine_reaches(text: str, *, expected: bool) -> None:
    """Wildcard addresses and names other than localhost count as reachable."""
    assert scalars.is_loopback(scalars.parse_listen(text)) is expected


def test_header_names_are_lower_case_and_cookies_are_not() -> None:
    """Header fields are compared without case (RFC 9110 section 5.1), cookies with it."""
    assert scalars.parse_source("header:X-User-Id") == Source("header", "x-user-id")
    assert scalars.parse_source("cookie:UID") == Source("cookie", "UID")


@given(st.text(max_size=40), st.sampled_from(PARSERS))
def test_any_text_is_read_or_refused_with_a_reason(text: str, parse: Callable[[str], object]) -> None:
    """No text makes a parser raise anything but a ValueError with a message."""
    try:
        message = str(parse(text))
    except ValueError as error:
        message = str(error)
    assert message


@pytest.mark.parametrize(
    "text", ["http://h:0", "http://h:65536", "http://:80", "http://", "http://h:80:80", "http://[::1"]
)
def test_urls_without_a_usable_host_and_port_are_refused(text: str) -> None:
    """An endpoint has a host and a port from 1 to 65535."""
    with pytest.raises(ValueError, match=r"port|host"):
        scalars.parse_url(text)


@pytest.mark.parametrize(
    "path", ["/a/../b", "/a/%2e%2E/b", "/..;x/b", "/a\\..\\b", "/.", "/a//b", "/a b", "a", "/%g0", ""]
)
def test_paths_that_servers_read_differently_are_refused(path: str) -> None:
    """A path to match has one spelling that everybody agrees on."""
    with pytest.raises(ValueError, match=r"path|segment|%"):
        scalars.parse_path(path)


@pytest.mark.parametrize("path", ["/", "/v2/models/", "/a.b/..c/d..", "/%20", "/ü"])
def test_ordinary_paths_are_kept(path: str) -> None:
    """A path without disputed parts is kept as written."""
    assert scalars.parse_path(path) == path
