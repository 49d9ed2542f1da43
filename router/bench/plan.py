"""What a run is asked to do, checked, and the bytes it sends.

Responsible for: the options and their limits, the parts of the URL, and the requests as finished bytes.
Does not know: connections or time.

Rules: every request is written before the run starts. `{n}` in the URL's path or in a header's value becomes 0 … 999 in
turn, so one command can speak for a thousand users.
"""

import re
import ssl
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from msgspec import Struct

VARIANTS: Final = 1000
PLACE: Final = "{n}"
LARGEST_BODY_BYTES: Final = 64 * 1024 * 1024
LARGEST_REQUESTS_BYTES: Final = 256 * 1024 * 1024
MOST_CONNECTIONS: Final = 10_000
HIGHEST_RATE: Final = 1_000_000.0

_TOKEN = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")  # RFC 9110, section 5.6.2


class BenchError(Exception):
    """The run cannot be made; the message is one sentence for the user."""


class Options(Struct, frozen=True, kw_only=True):
    """What the user may choose.

    Args:
        rate: Requests per second, sent whether or not earlier ones were answered.
        seconds: Length of the run.
        connections: Connections kept open; a request that finds none free waits, and the wait is in its latency.
        method: Request method.
        headers: Header fields as `Name: value`; they replace the ones sent by default.
        body: Request body, or None.
        body_file: File with the body; not together with ``body``.
        timeout: Seconds from sending to the last byte after which a request has failed.
        allow_errors: Exit 0 even when requests failed.
        insecure: Do not verify the certificate of an https URL.
        json: Print JSON instead of the tables.
        plot: File to draw the latencies into, `.svg` or `.png`.
    """

    rate: float = 1000.0
    seconds: float = 10.0
    connections: int = 64
    method: str = "GET"
    headers: tuple[str, ...] = ()
    body: str | None = None
    body_file: Path | None = None
    timeout: float = 10.0
    allow_errors: bool = False
    insecure: bool = False
    json: bool = False
    plot: Path | None = None


class Plan(Struct, frozen=True, kw_only=True):
    """A checked run: where to connect, and what to send in turn."""

    host: str
    port: int
    tls: ssl.SSLContext | None
    head_only: bool
    requests: tuple[bytes, ...]
    rate: float
    total: int
    connections: int
    timeout: float


def make(url: str, options: Options) -> Plan:
    """Check a URL and options; return the plan.

    Raises:
        BenchError: With the option, its value, and what was expected.
    """
    check(options)
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise BenchError(f'"{url}" is not a URL like http://127.0.0.1:8080/path')
    try:
        port = parts.port or (443 if parts.scheme == "https" else 80)
    except ValueError as error:
        raise BenchError(f'"{url}": {error}') from error
    body = read_body(options)
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return Plan(
        host=parts.hostname,
        port=port,
        tls=tls_context(options) if parts.scheme == "https" else None,
        head_only=options.method.upper() == "HEAD",
        requests=requests(options, parts.netloc.rpartition("@")[2], path, body),
        rate=options.rate,
        total=max(1, round(options.rate * options.seconds)),
        connections=options.connections,
        timeout=options.timeout,
    )


def check(options: Options) -> None:
    """Raise ``BenchError`` for the first option outside its limits."""
    limits = (
        ("--rate", options.rate, 0.0, HIGHEST_RATE),
        ("--seconds", options.seconds, 0.0, 86400.0),
        ("--timeout", options.timeout, 0.0, 3600.0),
        ("--connections", options.connections, 0, MOST_CONNECTIONS),
    )
    for name, value, low, high in limits:
        if not low < value <= high:
            raise BenchError(f"{name} {value:g} is not above {low:g} and at most {high:g}")
    if not _TOKEN.fullmatch(options.method) or options.method.upper() == "CONNECT":
        raise BenchError(f'--method "{options.method}" is not a method that can be measured')
    if options.body is not None and options.body_file is not None:
        raise BenchError("--body and --body-file exclude each other")
    if options.plot is not None and options.plot.suffix not in (".svg", ".png"):
        raise BenchError(f'--plot "{options.plot}" ends in neither .svg nor .png')


def read_body(options: Options) -> bytes:
    """Return the body's bytes; empty without one."""
    if options.body_file is None:
        return (options.body or "").encode()
    try:
        size = options.body_file.stat().st_size
        if size > LARGEST_BODY_BYTES:
            raise BenchError(
                f'--body-file "{options.body_file}" has {size} bytes; at most {LARGEST_BODY_BYTES} are sent'
            )
        return options.body_file.read_bytes()
    except OSError as error:
        raise BenchError(f'--body-file "{options.body_file}": {error.strerror}') from error


def tls_context(options: Options) -> ssl.SSLContext:
    """Return how an https target is verified."""
    context = ssl.create_default_context()
    if options.insecure:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def requests(options: Options, host: str, path: str, body: bytes) -> tuple[bytes, ...]:
    """Return the finished requests, one for each value of `{n}`, or a single one without it."""
    fields = {"host": ("Host", host), "user-agent": ("User-Agent", "router-bench"), "accept": ("Accept", "*/*")}
    if body or options.method.upper() in ("POST", "PUT", "PATCH"):  # RFC 9110, section 8.6
        fields["content-length"] = ("Content-Length", str(len(body)))
    for line in options.headers:
        name, colon, value = line.partition(":")
        if not colon or not _TOKEN.fullmatch(name) or any(ord(mark) < 32 and mark != "\t" for mark in value):
            raise BenchError(f'--header "{line}" is not `Name: value`')
        if name.lower() in ("content-length", "transfer-encoding"):
            raise BenchError(f'--header "{line}": the length is written from the body')
        fields[name.lower()] = (name, value.strip())
    if any(mark <= " " or mark == "\x7f" for mark in path):
        raise BenchError(f'the path "{path}" has white space or control characters')
    head = f"{options.method} {path} HTTP/1.1\r\n" + "".join(f"{name}: {value}\r\n" for name, value in fields.values())
    varied = [head.replace(PLACE, str(number)) for number in range(VARIANTS)] if PLACE in head else [head]
    if len(varied) * len(body) > LARGEST_REQUESTS_BYTES:
        raise BenchError(
            f"{PLACE} with a body of {len(body)} bytes would need {len(varied)} copies of it; leave one out"
        )
    try:
        return tuple(f"{head}\r\n".encode("latin-1") + body for head in varied)
    except UnicodeEncodeError as error:
        raise BenchError(f"the URL and headers must be Latin-1: {error.object[error.start : error.end]!r}") from error
