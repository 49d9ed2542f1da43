"""The small languages inside the YAML: durations, sizes, shares, rates, moments, sources, URLs, addresses.

Responsible for: turning each text into a value with its unit resolved, and back; ``parse(format(x)) == x``.
Does not know: where in a document a text stood; the caller adds the place.

Rules: pure; a text that cannot be read raises ``ValueError`` whose message shows it and says what to write instead.
The data plane imports this module too (endpoints, sources), so it imports nothing heavy.
"""

import ipaddress
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import Literal, NamedTuple, cast
from urllib.parse import unquote

from router.config.mistake import show

_DURATION_UNITS = {"ms": Decimal("0.001"), "s": Decimal(1), "m": Decimal(60), "h": Decimal(3600), "d": Decimal(86400)}
_RATE_UNITS = {"s": Decimal(1), "m": Decimal(60), "h": Decimal(3600)}
_SIZE_UNITS = {"B": 1, "KiB": 1024, "MiB": 1024**2, "GiB": 1024**3, "TiB": 1024**4}
_QUANTITY = re.compile(r"([0-9]{1,18}(?:\.[0-9]{1,18})?)([A-Za-z]+)")
_RATE = re.compile(r"([0-9]{1,18}(?:\.[0-9]{1,340})?)/([smh])")
_CHANGE = re.compile(r"([+-]?[0-9]{1,15}(?:\.[0-9]{1,340})?)%")
_SHARE = re.compile(r"([0-9]{1,15}(?:\.[0-9]{1,340})?)%")
_TIME = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt ][0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,6})?([Zz]|[+-][0-9]{2}:[0-9]{2})"
)
_URL = re.compile(r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*)://(?P<rest>.*)", re.DOTALL)
_AUTHORITY = re.compile(r"(?P<host>\[[^\]]*\]|[^:\[\]]*)(?::(?P<port>[0-9]{0,5}))?")
_LABEL = re.compile(r"[A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?")
_TOKEN = re.compile(r"[A-Za-z0-9!#$%&'*+.^`|~_-]{1,128}")
_PATH = re.compile(r"/[^?#\s]*")
_BAD_ESCAPE = re.compile(r"%(?![0-9A-Fa-f]{2})")
_POINTER = re.compile(r"(/([^~/]|~[01])*)*")
# What names a source of a kind, and what is wrong with one that does not.
_NAMED: Mapping[str, tuple[re.Pattern[str], str]] = {
    "header": (_TOKEN, "does not name a header field"),
    "cookie": (_TOKEN, "does not name a cookie"),
    "json": (_POINTER, "does not hold a JSON pointer such as /user/id"),
    "jwt": (re.compile(r"(/([^~/]|~[01])*)+"), "does not hold a JSON pointer to a claim, such as /sub"),
}
_UNIX_PATH_BYTES = 107  # sockaddr_un of Linux holds 108 with the closing NUL
_DEFAULT_PORTS = {"http": 80, "https": 443}

MAX_DURATION = 3650 * 86400.0  # ten years: far below what timers and dates can hold
MAX_SIZE = 1024**5
MAX_RATE = 1e9  # requests a second: more than any machine has

SourceKind = Literal["header", "cookie", "query", "json", "jwt", "client_ip", "request"]


class Source(NamedTuple):
    """Where a unit or an attribute is read from; ``name`` is the header (lower case), cookie, key or pointer."""

    kind: SourceKind
    name: str = ""


class Url(NamedTuple):
    """An endpoint: ``host`` without brackets, lower case; ``port`` always present."""

    scheme: Literal["http", "https"]
    host: str
    port: int


class Listen(NamedTuple):
    """Where to listen: a host (without brackets) and a port, or the path of a unix socket."""

    host: str
    port: int
    path: str = ""


def parse_duration(text: str) -> float:
    """Read ``250ms``, ``5s``, ``10m``, ``24h`` or ``7d`` as seconds."""
    found = _QUANTITY.fullmatch(text)
    if not found or found[2] not in _DURATION_UNITS:
        raise ValueError(f"{show(text)} is not a duration; write a number and a unit, as in 250ms, 5s, 10m, 24h or 7d")
    seconds = float(Decimal(found[1]) * _DURATION_UNITS[found[2]])
    if seconds > MAX_DURATION:
        raise ValueError(f"{show(text)} is too long; the most is {format_duration(MAX_DURATION)}")
    return seconds


def format_duration(seconds: float) -> str:
    """Write seconds with the largest unit that needs no fraction."""
    exact = Decimal(repr(float(seconds)))
    for unit in ("d", "h", "m", "s", "ms"):
        count = exact / _DURATION_UNITS[unit]
        if count == int(count) and (count or unit == "s"):
            return f"{int(count)}{unit}"
    return f"{exact:f}s"


def parse_size(text: str) -> int:
    """Read ``64KiB``, ``16MiB`` or ``10GiB`` as bytes."""
    found = _QUANTITY.fullmatch(text)
    if not found or found[2] not in _SIZE_UNITS:
        hint = (
            "; units are powers of 1024: KiB, MiB, GiB"
            if text.upper().endswith(("K", "M", "G", "KB", "MB", "GB"))
            else ""
        )
        raise ValueError(f"{show(text)} is not a size; write a number and a unit, as in 64KiB or 16MiB{hint}")
    exact = Decimal(found[1]) * _SIZE_UNITS[found[2]]
    if exact != int(exact):
        raise ValueError(f"{show(text)} is not a whole number of bytes")
    if exact > MAX_SIZE:
        raise ValueError(f"{show(text)} is too large; the most is {format_size(MAX_SIZE)}")
    return int(exact)


def format_size(count: int) -> str:
    """Write bytes with the largest unit that needs no fraction."""
    for unit in ("TiB", "GiB", "MiB", "KiB"):
        if count and count % _SIZE_UNITS[unit] == 0:
            return f"{count // _SIZE_UNITS[unit]}{unit}"
    return f"{count}B"


def parse_share(text: str) -> float:
    """Read ``5%`` as 0.05."""
    found = _SHARE.fullmatch(text)
    if not found:
        raise ValueError(f"{show(text)} is not a share; write 5% or 0.05")
    return float(Decimal(found[1]) / 100)


def format_share(share: float) -> str:
    """Write 0.05 as ``5%``."""
    percent = f"{Decimal(repr(float(share))) * 100:f}"
    return f"{percent.rstrip('0').rstrip('.') if '.' in percent else percent}%"


def parse_change(text: str) -> float:
    """Read ``-5%`` as -0.05; what changes by a share of itself may grow or shrink, beyond all of it."""
    found = _CHANGE.fullmatch(text)
    if not found:
        raise ValueError(f"{show(text)} is not a change; write -5%, 5% or 0.05")
    return float(Decimal(found[1]) / 100)


def parse_rate(text: str) -> float:
    """Read ``1000/s``, ``600/m`` or ``10000/h`` as requests a second."""
    found = _RATE.fullmatch(text)
    if not found:
        raise ValueError(f"{show(text)} is not a rate; write a number and a time, as in 1000/s, 600/m or 10000/h")
    rate = float(Decimal(found[1]) / _RATE_UNITS[found[2]])
    if rate == 0:
        raise ValueError(f"{show(text)} lets nothing through; write a rate above 0")
    if rate > MAX_RATE:
        raise ValueError(f"{show(text)} is too much; the most is {format_rate(MAX_RATE)}")
    return rate


def format_rate(rate: float) -> str:
    """Write requests a second with the shortest time that needs no fraction."""
    for unit, seconds in _RATE_UNITS.items():
        count = round(rate * float(seconds))
        if count and float(Decimal(count) / seconds) == rate:
            return f"{count}/{unit}"
    return f"{Decimal(repr(rate)):f}/s"


def parse_time(text: str) -> float:
    """Read a moment of RFC 3339, such as ``2026-12-01T00:00:00Z``, as unix seconds."""
    try:
        moment = datetime.fromisoformat(text) if _TIME.fullmatch(text) else None
    except ValueError:
        moment = None
    if moment is None:
        raise ValueError(f"{show(text)} is not a moment; write date, time and offset, as in 2026-12-01T00:00:00Z")
    return moment.timestamp()


def format_time(time: float) -> str:
    """Write unix seconds in RFC 3339, in UTC."""
    return datetime.fromtimestamp(time, UTC).isoformat().replace("+00:00", "Z")


def parse_source(text: str) -> Source:
    """Read a source: ``header:NAME``, ``cookie:NAME``, ``json:/POINTER`` and so on."""
    kind, colon, name = text.partition(":")
    if not colon and kind in ("client_ip", "request"):
        return Source(cast("SourceKind", kind))
    if kind in _NAMED and colon:
        pattern, wrong = _NAMED[kind]
        if not pattern.fullmatch(name):
            raise ValueError(f"{show(text)} {wrong}")
        return Source(cast("SourceKind", kind), name.lower() if kind == "header" else name)
    if kind == "query" and colon:
        if not name or not name.isprintable():
            raise ValueError(f"{show(text)} does not name a query key")
        return Source("query", name)
    raise ValueError(
        f"{show(text)} is not a source; write header:NAME, cookie:NAME, query:NAME, json:/POINTER, jwt:/CLAIM, "
        "client_ip or request"
    )


def format_source(source: Source) -> str:
    """Write a source as the YAML has it."""
    return f"{source.kind}:{source.name}" if source.name or source.kind == "json" else source.kind


def parse_measure(text: str) -> str:
    """Read what is measured on an exchange: ``failed``, ``duration``, ``first_byte``, ``header:NAME``, ``json:/…``.

    Returns:
        The text that events have it under: header names in lower case.
    """
    kind, colon, _ = text.partition(":")
    if text in ("failed", "duration", "first_byte"):
        return text
    if colon and kind in ("header", "json"):
        return format_source(parse_source(text))
    raise ValueError(
        f"{show(text)} cannot be measured; write failed, duration, first_byte, header:NAME or json:/POINTER"
    )


def parse_host(text: str) -> str:
    """Read a host name or an IP address (IPv6 in brackets); gives it lower-case and without brackets."""
    if text.startswith("["):
        try:
            return str(ipaddress.IPv6Address(text[1:-1] if text.endswith("]") else text))
        except ValueError as error:
            raise ValueError(f"{show(text)} is not an IPv6 address") from error
    labels = text.rstrip(".").split(".")
    if len(text) > 253 or not all(_LABEL.fullmatch(label) for label in labels):
        raise ValueError(f"{show(text)} is not a host name or an address")
    if all(label.isdigit() for label in labels):
        try:
            return str(ipaddress.IPv4Address(text))
        except ValueError as error:
            raise ValueError(f"{show(text)} is not an IPv4 address") from error
    return text.lower()


def parse_host_pattern(text: str) -> str:
    """Read a host that a request may name: a host name without port, or ``*.`` and a host name."""
    host = text.removeprefix("*.")
    if "*" in host:
        raise ValueError(f"{show(text)} has a * that is not a first label; write *.example.org")
    if ":" in host and not host.startswith("["):
        raise ValueError(f"{show(text)} has a port; hosts are matched without it")
    parsed = parse_host(host)
    return text[: len(text) - len(host)] + (f"[{parsed}]" if ":" in parsed else parsed)


def parse_network(text: str) -> str:
    """Read a network in CIDR form, or one address."""
    try:
        return str(ipaddress.ip_network(text))
    except ValueError as error:
        try:
            wider = ipaddress.ip_network(text, strict=False)
        except ValueError:
            raise ValueError(f"{show(text)} is not a network; write it as 10.0.0.0/8") from error
        raise ValueError(f"{show(text)} has bits set beyond its prefix; write {wider}") from error


def parse_path(text: str) -> str:
    """Read a path to match: absolute, without query, fragment, spaces, and spellings that targets disagree on."""
    if not _PATH.fullmatch(text):
        raise ValueError(f'{show(text)} is not a path; it begins with "/" and has no query, fragment or space')
    if _BAD_ESCAPE.search(text):
        raise ValueError(f'{show(text)} has a "%" that is not followed by two hexadecimal digits')
    if any(segment in (".", "..") for segment in re.split(r"[/\\;]", unquote(text))):
        raise ValueError(f'{show(text)} has a "." or ".." segment, which no request is matched against')
    if "//" in text:
        raise ValueError(f'{show(text)} has an empty segment; "//" is matched as "/"')
    return text


def parse_url(text: str) -> Url:
    """Read the base URL of an endpoint: ``http://HOST[:PORT]`` or ``https://…``, nothing after it."""
    found = _URL.fullmatch(text)
    if not found:
        raise ValueError(f"{show(text)} is not a URL; write http://HOST:PORT")
    scheme, rest = found["scheme"].lower(), found["rest"]
    if scheme in ("h2", "h2c", "grpc", "grpcs"):
        raise ValueError(
            f"{show(text)}: HTTP/2 and gRPC are not supported; endpoints speak HTTP/1.1 over http or https"
        )
    if scheme not in ("http", "https"):
        raise ValueError(f"{show(text)} is not http or https")
    for mark, part in (("#", "a fragment"), ("?", "a query"), ("@", "a user name")):
        if mark in rest:
            raise ValueError(f"{show(text)} has {part}; an endpoint is http://HOST:PORT only")
    authority, slash, path = rest.partition("/")
    if path:
        raise ValueError(f"{show(text)} has a path; an endpoint is http://HOST:PORT only")
    del slash  # a lone slash names the same resource (RFC 9110 section 4.2.3)
    split = _AUTHORITY.fullmatch(authority)
    if not split or not split["host"]:
        raise ValueError(f"{show(text)} has no valid host and port")
    port = int(split["port"]) if split["port"] else _DEFAULT_PORTS[scheme]
    if not 0 < port < 65536:
        raise ValueError(f"{show(text)} has port {port}; ports are 1 to 65535")
    return Url(cast('Literal["http", "https"]', scheme), parse_host(split["host"]), port)


def format_url(url: Url) -> str:
    """Write an endpoint, without the port when it is the scheme's own."""
    host = f"[{url.host}]" if ":" in url.host else url.host
    return f"{url.scheme}://{host}" + ("" if url.port == _DEFAULT_PORTS[url.scheme] else f":{url.port}")


def parse_listen(text: str) -> Listen:
    """Read ``HOST:PORT``, ``[V6]:PORT`` or ``unix:/path``; port 0 lets the system choose."""
    if text.startswith("unix:"):
        path = text.removeprefix("unix:")
        if not path.startswith("/") or "\0" in path or len(path.encode()) > _UNIX_PATH_BYTES:
            raise ValueError(f"{show(text)} needs an absolute path of at most {_UNIX_PATH_BYTES} bytes after unix:")
        return Listen("", 0, path)
    split = _AUTHORITY.fullmatch(text)
    if not split or not split["host"] or not split["port"]:
        raise ValueError(f"{show(text)} is not an address; write HOST:PORT, [V6]:PORT or unix:/path")
    if int(split["port"]) > 65535:
        raise ValueError(f"{show(text)} has port {split['port']}; ports are 0 to 65535")
    return Listen(parse_host(split["host"]), int(split["port"]))


def format_listen(listen: Listen) -> str:
    """Write an address as the YAML has it."""
    if listen.path:
        return f"unix:{listen.path}"
    return f"[{listen.host}]:{listen.port}" if ":" in listen.host else f"{listen.host}:{listen.port}"


def is_loopback(listen: Listen) -> bool:
    """Tell whether only this machine can reach the address."""
    if listen.path or listen.host == "localhost":
        return True
    try:
        return ipaddress.ip_address(listen.host).is_loopback
    except ValueError:
        return False
