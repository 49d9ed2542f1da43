"""A file of recorded requests, one JSON object a line.

Responsible for: reading it in bounded memory, every mistake in it with its line, and which requests are taken of many.
Does not know: where requests are sent, what labels mean.

A line has ``path`` (with its query) and may have ``method``, ``headers``, one of ``body`` (text), ``base64`` and
``json``, and of what is known: ``label``, ``expected`` (the answer, as JSON or as text), ``status`` (that it had) and
``unit`` (whose request it is). What else it has is nobody's business. Blank lines are passed over.

Rules: a mistake in any line refuses the file, because a check of part of a recording is another check. Fields that
belong to one connection, and those that the router makes, are not sent again.
"""

import base64
import binascii
import hashlib
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import msgspec
from msgspec import UNSET, Raw, Struct, UnsetType

from router.routing.request import plain_value, value_at

MAX_LINE: Final = 64 * 1024 * 1024
MAX_MISTAKES: Final = 20
SENT: Final = frozenset({"GET", "HEAD", "OPTIONS", "POST", "QUERY"})
_NOT_SENT: Final = frozenset(
    {
        "host", "connection", "keep-alive", "proxy-authenticate", "proxy-authorization", "te", "trailer", "upgrade",
        "transfer-encoding", "content-length", "expect", "accept-encoding",
    }
)  # fmt: skip
_TOKEN: Final = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,128}")
_VALUE: Final = re.compile(r"[\t\x20-\x7e\x80-\xff]*")
_PATH: Final = re.compile(r"/[\x21-\x7e]*")


class RecordingError(ValueError):
    """The file cannot be used; each line of the message is a mistake."""


class Recorded(Struct, frozen=True):
    """A recorded request.

    Attributes:
        line: Where it is in the file.
        method: Request method.
        path: Path and query.
        headers: Header fields that are sent.
        body: Request body.
        label: What is true of it: text, a number, a truth value; None when not known.
        expected: The answer that it had; None when not recorded.
        status: Status of that; None when not recorded.
        unit: Whose request it is; None when not known.
    """

    line: int
    method: str
    path: str
    headers: tuple[tuple[str, str], ...]
    body: bytes
    label: str | float | bool | None
    expected: bytes | None
    status: int | None
    unit: str | None


class _Line(Struct):
    path: str
    method: str | None = None
    headers: dict[str, str] = {}
    body: str | None = None
    base64: str | None = None
    json: Raw | UnsetType = UNSET
    expected: Raw | UnsetType = UNSET
    status: int | None = None
    unit: str | int | None = None


class Recording(Struct, frozen=True):
    """A file that can be read.

    Attributes:
        path: The file.
        digest: SHA-256 of it, in hexadecimal.
        lines: Requests in it.
    """

    path: Path
    digest: str
    lines: int


_decoder: Final = msgspec.json.Decoder(_Line)
_TEXT: Final = msgspec.json.Decoder(str)


def survey(path: Path, label: tuple[str, ...]) -> Recording:
    """Read a file once, and refuse it if any line cannot be sent.

    Args:
        path: The file.
        label: Where the label is in a line, as tokens of a JSON pointer.

    Raises:
        RecordingError: If the file cannot be read, has no request, or has mistakes.
    """
    digest, mistakes, count = hashlib.sha256(), [], 0
    for number, text in _lines(path, digest):
        try:
            parse(number, text, label)
        except ValueError as error:
            mistakes.append(f"{path}:{number}: {error}")
            if len(mistakes) == MAX_MISTAKES:
                mistakes.append("and perhaps more")
                break
        count += 1
    if mistakes:
        raise RecordingError("\n".join(mistakes))
    if not count:
        raise RecordingError(f"{path}: no requests; write one JSON object a line")
    return Recording(path, digest.hexdigest(), count)


def requests(recording: Recording, label: tuple[str, ...], taken: frozenset[int] | None = None) -> Iterator[Recorded]:
    """Yield the requests of a file that was surveyed.

    Args:
        recording: The file.
        label: Where the label is in a line.
        taken: Which of them, by their place from 0; None for all.

    Raises:
        RecordingError: If the file is another by now.
    """
    for place, (number, text) in enumerate(_lines(recording.path)):
        if taken is None or place in taken:
            try:
                yield parse(number, text, label)
            except ValueError as error:
                raise RecordingError(f"{recording.path}:{number}: the file has changed: {error}") from error


def parse(number: int, text: bytes, label: tuple[str, ...]) -> Recorded:
    """Read a line.

    Raises:
        ValueError: If it is not a request that can be sent.
    """
    try:
        line = _decoder.decode(text)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise ValueError(f"not a request: {error}") from error
    body, json = _body(line)
    method = line.method or ("POST" if body is not None else "GET")
    if method not in SENT:
        raise ValueError(f"method {method!r} is not sent: only {', '.join(sorted(SENT))} have no effect by themselves")
    if not _PATH.fullmatch(line.path):
        raise ValueError(f"path {line.path[:80]!r} does not begin with / or has characters that are to be encoded")
    if line.status is not None and not 100 <= line.status <= 999:
        raise ValueError(f"status {line.status} is none")
    headers = _headers(line.headers)
    if json and not any(name.lower() == "content-type" for name, _ in headers):
        headers = (*headers, ("content-type", "application/json"))
    found = value_at(text, label)
    return Recorded(
        number,
        method,
        line.path,
        headers,
        body or b"",
        _label(found),
        None if line.expected is UNSET else _expected(line.expected),
        line.status,
        None if line.unit is None else str(line.unit),
    )


def _body(line: _Line) -> tuple[bytes | None, bool]:
    """Return the body, and whether it is JSON."""
    if sum((line.body is not None, line.base64 is not None, line.json is not UNSET)) > 1:
        raise ValueError("only one of body, base64 and json is the body")
    if line.json is not UNSET:
        return bytes(line.json), True
    if line.base64 is not None:
        try:
            return base64.b64decode(line.base64, validate=True), False
        except binascii.Error as error:
            raise ValueError(f"base64: {error}") from error
    return (None if line.body is None else line.body.encode()), False


def _headers(given: dict[str, str]) -> tuple[tuple[str, str], ...]:
    for name, value in given.items():
        if not _TOKEN.fullmatch(name) or not _VALUE.fullmatch(value):
            raise ValueError(f"headers: {name[:80]!r} is not a header field that can be sent")
    return tuple(
        (name, value)
        for name, value in given.items()
        if name.lower() not in _NOT_SENT and not name.lower().startswith("x-router-")
    )


def _label(found: Raw | None) -> str | float | bool | None:
    if found is None:
        return None
    value: Any = plain_value(found)
    if value is not None and not isinstance(value, str | int | float | bool):
        raise ValueError("the label is neither text, a number nor a truth value")
    return value


def _expected(raw: Raw) -> bytes:
    """Return an answer: JSON as it was written; text that is recorded as such, unquoted."""
    return _TEXT.decode(raw).encode() if bytes(raw)[:1] == b'"' else bytes(raw)


def _lines(path: Path, digest: Any = None) -> Iterator[tuple[int, bytes]]:
    try:
        with path.open("rb") as file:
            number = 0
            while text := file.readline(MAX_LINE + 1):
                number += 1
                if len(text) > MAX_LINE:
                    raise RecordingError(f"{path}:{number}: a line is longer than {MAX_LINE} bytes")
                if digest is not None:
                    digest.update(text)
                if text := text.strip():
                    yield number, text
    except OSError as error:
        raise RecordingError(f"{path} cannot be read: {error.strerror}") from error
