"""Where a unit comes from: ``header:``, ``cookie:``, ``query:``, ``json:``, ``jwt:``, ``client_ip``, ``request``.

Responsible for: turning the configuration's words into functions of a request.
Does not know: which of several sources is taken (``router.routing.decide``), or what the text is for.

Rules, so that the same bytes are always the same unit:

- an empty value is no value;
- bytes are UTF-8 where they are valid UTF-8 and Latin-1 otherwise. Every byte string has a text, the text can be
  logged (surrogate escapes cannot), and a name is one unit in whichever of the two encodings a client sends it;
- of a repeated header, cookie or query parameter the first counts;
- a cookie's value may stand in one pair of double quotes (RFC 6265 section 4.1.1), which are not part of it;
- names and values in a query are percent-decoded and ``+`` is a space (the WHATWG URL standard's form encoding);
- JSON scalars are their JSON text, strings unquoted; null, objects and arrays are absent. For a rule they are values:
  numbers and truth values stay what they are, and objects and arrays are there too, if they are small.
"""

import re
from collections.abc import Callable
from typing import Any, Final
from urllib.parse import unquote_to_bytes

from msgspec import Raw, Struct

from router.routing.request import Request, plain_value, pointer_tokens, scalar_text

Read = Callable[[Request], str | None]

# What is longer identifies nobody (it is a token or a document) and would swell the log: it counts as absent, so the
# next source is asked, and a request left without any is counted by the route's no-unit counter. Hashing it instead
# would give a unit that no outcome could ever be joined to.
MAX_UNIT_BYTES: Final = 512


class Source(Struct, frozen=True):
    """A compiled source.

    Attributes:
        label: As the configuration says it.
        read: Returns the text in a request, or None or an empty text when it is absent.
        field: Header field that it needs, in lower case.
        json: Whether it needs the body.
        timed: Whether it needs the moment: a token counts until it ends.
        typed: Returns the value of JSON with its type.
    """

    label: str
    read: Read
    field: bytes | None = None
    json: bool = False
    timed: bool = False
    typed: Callable[[Request], Any] | None = None

    def value(self, request: Request) -> Any:
        """Return the value for a rule: that of JSON with its type, others as text; None when absent or empty."""
        found = self.read(request) if self.typed is None else self.typed(request)
        return None if found == "" else found


def compile_source(label: str, inspect_bytes: int) -> Source:
    """Compile one source.

    Args:
        label: As the configuration says it.
        inspect_bytes: Longest body that ``json:`` reads; a longer one is absent, whoever gathered it.

    Raises:
        ValueError: If it is none of the kinds that exist.
    """
    kind, _, name = label.partition(":")
    if kind == "header" and name:
        field = name.lower().encode()
        return Source(label, _header(field), field)
    if kind == "cookie" and name:
        return Source(label, _cookie(name.encode()), b"cookie")
    if kind == "query" and name:
        return Source(label, _query(name.encode()))
    if kind == "json" and (not name or name[0] == "/"):
        tokens = pointer_tokens(name)
        return Source(label, _json(tokens, inspect_bytes), json=True, typed=_typed(tokens, inspect_bytes))
    if kind == "jwt" and name[:1] == "/":
        tokens = pointer_tokens(name)
        return Source(label, _claim(tokens), timed=True, typed=_typed_claim(tokens))
    if label == "client_ip":
        return Source(label, _client)
    if label == "request":
        return Source(label, _request)
    raise ValueError(
        f'"{label}" is not a source: header:NAME, cookie:NAME, query:NAME, json:/POINTER, jwt:/CLAIM, client_ip, '
        "request"
    )


def text(value: bytes) -> str:
    """Decode bytes of a request; see the rules above."""
    try:
        return value.decode()
    except UnicodeDecodeError:
        return value.decode("latin-1")


def _header(field: bytes) -> Read:
    def read(request: Request) -> str | None:
        value = request.fields.get(field)
        return text(value) if value else None

    return read


def _cookie(name: bytes) -> Read:
    find = re.compile(rb"(?:^|;)[ \t]*" + re.escape(name) + rb"[ \t]*=([^;]*)").search

    def read(request: Request) -> str | None:
        found = find(request.fields.get(b"cookie", b""))
        if found is None:
            return None
        value = found[1].strip(b" \t")
        if len(value) > 1 and value[:1] == b'"' == value[-1:]:
            value = value[1:-1]
        return text(value)

    return read


def _query(name: bytes) -> Read:
    def read(request: Request) -> str | None:
        for pair in request.query.split(b"&"):
            key, _, value = pair.partition(b"=")
            if key == name or _unescape(key) == name:
                return text(_unescape(value))
        return None

    return read


def _unescape(value: bytes) -> bytes:
    if b"+" in value:
        value = value.replace(b"+", b" ")
    return unquote_to_bytes(value) if b"%" in value else value


def _json(tokens: tuple[str, ...], inspect_bytes: int) -> Read:
    def read(request: Request) -> str | None:
        raw = _raw(request, tokens, inspect_bytes)
        return None if raw is None else scalar_text(raw)

    return read


def _typed(tokens: tuple[str, ...], inspect_bytes: int) -> Callable[[Request], Any]:
    def read(request: Request) -> Any:
        raw = _raw(request, tokens, inspect_bytes)
        return None if raw is None else plain_value(raw)

    return read


def _raw(request: Request, tokens: tuple[str, ...], inspect_bytes: int) -> Raw | None:
    if request.body is None or len(request.body) > inspect_bytes:
        return None
    return request.value(tokens)


def _claim(tokens: tuple[str, ...]) -> Read:
    def read(request: Request) -> str | None:
        raw = request.claim(tokens)
        return None if raw is None else scalar_text(raw)

    return read


def _typed_claim(tokens: tuple[str, ...]) -> Callable[[Request], Any]:
    def read(request: Request) -> Any:
        raw = request.claim(tokens)
        return None if raw is None else plain_value(raw)

    return read


def _client(request: Request) -> str:
    return request.client


def _request(request: Request) -> str:
    return request.id
