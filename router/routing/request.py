"""What routing sees of a request.

Responsible for: the fields that the proxy fills in, and reading single values out of a JSON body, lazily.
Does not know: connections, how a body was gathered, what the values are for.

Rules: a body is never turned into Python objects as a whole. ``msgspec.Raw`` steps over what no pointer leads to (an
inference request is mostly tensors), and a number keeps the text it was sent in, so ``1``, ``1.0`` and ``1e0`` are
three units and an integer past 2^53 is exact. Of repeated keys the last counts. What cannot be read is absent, never
an error; ``invalid`` says so afterwards.
"""

import re
from typing import TYPE_CHECKING, Any, Final

from msgspec import Raw, Struct, ValidationError
from msgspec.json import Decoder

from router.routing.token import Forced

if TYPE_CHECKING:
    from collections.abc import Callable

Contents = dict[str, Raw] | list[Raw] | Raw  # of an object, an array, or a scalar
Key = str | int | float | bytes  # a scalar to compare: text, number, or b"true" and b"false" (True equals 1 in Python)

_OBJECT: Final = Decoder(dict[str, Raw])
_ARRAY: Final = Decoder(list[Raw])
_SCALAR: Final = Decoder(Raw)
_STRING: Final = Decoder(str)
_NUMBER: Final[Decoder[int | float]] = Decoder(int | float)
_ANY: Final[Decoder[Any]] = Decoder()
_NULL: Final = Raw(b"null")

MAX_VALUE_BYTES: Final = 4096  # of a list or map that a rule sees: names of roles, not tensors

# RFC 6901 section 4: no leading zero; nine digits are more than a body has room for.
_INDEX: Final = re.compile(r"0|[1-9][0-9]{0,8}")

_QUOTE: Final = ord('"')
_NUMERIC: Final = b"-0123456789"
_BOOLEAN: Final = b"tf"


class Request(Struct, gc=False):
    """One request, made once for each exchange.

    Attributes:
        id: The exchange's own id, 32 random hexadecimal digits.
        method: Request method.
        path: Path as received, without the query.
        query: Query as received, without ``?``.
        host: Host in lower case, without port.
        client: Address of the caller; empty when there is none.
        fields: Lower-case name to first value, for the names in ``Table.fields``; of ``cookie`` all, joined by ``; ``.
        body: None when it is not gathered (yet); empty when absent, too large, encoded or unreadable.
        invalid: Whether the body was looked at and is not JSON.
        contents: What the body holds at the top; None before somebody asked.
        forced: The override that the request may use.
        now: Unix seconds; 0 where no decision of the route depends on the moment.
        claims: What the token of the request says, once somebody asked; before, what verifies it and returns that as
            JSON, or None when there is none that counts. Set with ``now``.
    """

    id: str
    method: bytes
    path: bytes
    query: bytes
    host: bytes
    client: str
    fields: dict[bytes, bytes]
    body: bytes | None = None
    invalid: bool = False
    contents: Contents | None = None
    forced: Forced | None = None
    now: float = 0.0
    claims: "Callable[[Request], bytes | None] | Contents | None" = None

    def value(self, tokens: tuple[str, ...]) -> Raw | None:
        """Return the JSON text at a pointer, without white space around it.

        Args:
            tokens: The pointer (RFC 6901), as ``pointer_tokens`` splits it.

        Returns:
            None when there is nothing at that place, or the body is missing or not JSON.
        """
        if not self.body:
            return None
        try:
            if self.contents is None:
                self.contents = opened(self.body)
            return _find(self.contents, tokens)
        except (ValueError, RecursionError):  # msgspec raises both, and UnicodeDecodeError is a ValueError
            self.invalid = True
            if self.contents is None:
                self.contents = _NULL
            return None

    def claim(self, tokens: tuple[str, ...]) -> Raw | None:
        """Return the JSON text at a pointer into the claims of the request's token, as ``value`` does."""
        try:
            if callable(self.claims):
                verify, self.claims = self.claims, _NULL  # once, whatever comes of it
                claims = verify(self)
                self.claims = _NULL if claims is None else opened(claims)
            return _find(self.claims, tokens)
        except (ValueError, RecursionError):  # what PyJWT takes for JSON and msgspec does not, such as NaN
            return None


def value_at(text: bytes | Raw, tokens: tuple[str, ...]) -> Raw | None:
    """Return what is at a pointer of any JSON text; None when there is nothing, or it is no JSON as far as looked."""
    try:
        return _find(opened(text), tokens) if tokens else Raw(bytes(text))
    except (ValueError, RecursionError):
        return None


def pointer_tokens(pointer: str) -> tuple[str, ...]:
    """Split a JSON pointer (RFC 6901) into its unescaped tokens; the empty pointer, the whole document, has none."""
    return tuple(token.replace("~1", "/").replace("~0", "~") for token in pointer.split("/")[1:])


def scalar_text(raw: Raw) -> str | None:
    """Return a scalar as text: a string unquoted, a number or boolean as it was sent; None for anything else."""
    lead = memoryview(raw)[0]
    if lead == _QUOTE:
        return _string(raw)
    return bytes(raw).decode("ascii") if lead in _NUMERIC or lead in _BOOLEAN else None


def plain_value(raw: Raw) -> Any:
    """Return a value with its type, for rules; None for null, and for lists and maps of more than MAX_VALUE_BYTES."""
    lead = memoryview(raw)[0]
    if lead == _QUOTE:
        return _string(raw)
    if len(bytes(raw)) > MAX_VALUE_BYTES:
        return None
    try:
        return _ANY.decode(raw)
    except (ValueError, RecursionError):  # beyond what a double holds, not UTF-8, or too deep
        return None


def scalar_key(raw: Raw) -> Key | None:
    """Return a scalar for comparison with ``expected_key``; numbers compare by value. None for anything else."""
    lead = memoryview(raw)[0]
    if lead == _QUOTE:
        return _string(raw)
    if lead in _BOOLEAN:
        return bytes(raw)
    if lead not in _NUMERIC:
        return None
    try:
        return _NUMBER.decode(raw)
    except ValidationError:  # beyond what a double holds
        return None


def expected_key(value: str | float | bool) -> Key:  # noqa: FBT001 - a value to match, not a switch
    """Return a scalar of the configuration as ``scalar_key`` returns those of a body."""
    if isinstance(value, bool):
        return b"true" if value else b"false"
    return value


def _find(node: Contents | None, tokens: tuple[str, ...]) -> Raw | None:
    """Return what is at a pointer; raises ValueError or RecursionError where it is not JSON."""
    for token in tokens:
        if isinstance(node, Raw):
            node = opened(node)
        if isinstance(node, dict):
            node = node.get(token)
        elif isinstance(node, list):
            node = _element(node, token)
        else:
            return None
    return node if isinstance(node, Raw) else None


def opened(text: bytes | Raw) -> Contents:
    """Return what one level of a JSON text holds; raises ValueError or RecursionError where it is not JSON."""
    try:
        return _OBJECT.decode(text)
    except ValidationError:  # JSON, but no object
        pass
    try:
        return _ARRAY.decode(text)
    except ValidationError:
        return _SCALAR.decode(text)


def _element(items: list[Raw], token: str) -> Raw | None:
    if _INDEX.fullmatch(token) is None:
        return None
    index = int(token)
    return items[index] if index < len(items) else None


def _string(raw: Raw) -> str | None:
    try:
        return _STRING.decode(raw)
    except ValueError:  # bytes that are not UTF-8 are found only here: Raw steps over them
        return None
