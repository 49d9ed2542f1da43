"""A member of a dictionary in a header field (RFC 9651, structured fields).

Responsible for: a key and a JSON value as such a member, and which keys and values fit into one.
Does not know: which header it is for, how members are joined or sent.

Rules: pure. Booleans, numbers and text keep their type. What a structured field has no exact form for (lists, maps, a
number of more than three decimals or fifteen digits) is its JSON in a String, so that nothing is rounded on the way.
Text that is not printable ASCII is a Display String (section 3.3.8). Workers import this module.
"""

import re
from decimal import Decimal
from typing import Any, Final

import msgspec

MAX_BYTES: Final = 4096
_KEY: Final = re.compile(r"[a-z*][a-z0-9_.*-]*")  # RFC 9651 section 3.1.2
_INTEGER_MOST: Final = 10**15 - 1  # section 3.3.1
_DECIMAL_WHOLE_MOST: Final = 10**12 - 1  # section 3.3.2
_DECIMAL_PLACES: Final = 3


def member(key: str, value: Any) -> bytes:
    """Write a member of a dictionary.

    Args:
        key: Its key.
        value: Its value, as JSON has it: truth value, number, text, list or map.

    Returns:
        ``KEY=VALUE``, in ASCII.

    Raises:
        ValueError: If the key cannot be one of a dictionary, or the member has more than ``MAX_BYTES``.
    """
    if not _KEY.fullmatch(key):
        raise ValueError(
            f'{key!r} is no key of a structured field: one has lower-case letters, digits, "_", "-", "." and "*", and '
            "begins with a letter"
        )
    item = f"{key}={_bare(value)}".encode("ascii")
    if len(item) > MAX_BYTES:
        raise ValueError(f"takes {len(item)} bytes of a header; the most is {MAX_BYTES}")
    return item


def _bare(value: Any) -> str:
    """Write a bare item (section 3.3)."""
    if isinstance(value, bool):
        return "?1" if value else "?0"
    if isinstance(value, int) and abs(value) <= _INTEGER_MOST:
        return str(value)
    if isinstance(value, float) and (text := _decimal(value)) is not None:
        return text
    if isinstance(value, str):
        return _text(value)
    return _text(msgspec.json.encode(value).decode())


def _decimal(value: float) -> str | None:
    """Write a number as a Decimal, or give None when that would change it."""
    exact = Decimal(repr(value))
    places = -exact.normalize().as_tuple().exponent if exact else 0  # type: ignore[operator] # finite: JSON has no other
    if places > _DECIMAL_PLACES or abs(exact) > _DECIMAL_WHOLE_MOST:
        return None
    return f"{exact:.{max(places, 1)}f}"


def _text(value: str) -> str:
    """Write a String, or a Display String where only that can hold the characters."""
    if value.isascii() and value.isprintable():
        escaped = value.replace("\\", "\\\\").replace('"', '\\"')
        return f'"{escaped}"'
    encoded = "".join(
        chr(byte) if 0x20 <= byte <= 0x7E and byte not in b'%"' else f"%{byte:02x}"
        for byte in value.encode("utf-8", "replace")
    )
    return f'%"{encoded}"'
