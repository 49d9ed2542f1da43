"""The grammar that request and response heads share, as compiled patterns.

Responsible for: finding named fields in a head, removing them from it, and the checks both kinds of head need.
Does not know: what any field means.

Rules: bytes stay bytes: a field that is forwarded is never re-encoded, re-ordered or merged. A pattern is compiled
once; its alternations are tries, which halves the time of a pass over a head.
"""

import re
from collections.abc import Iterable
from string import ascii_letters, digits
from typing import Any, Final

# Controls that llhttp lets through in a field value (BEL, DEL …); RFC 9110 5.5 forbids them. HTAB, LF and CR stay.
CONTROLS: Final = bytes(i for i in range(32) if i not in (9, 10, 13)) + b"\x7f"
MAX_LENGTH_DIGITS: Final = 18  # what fits 63 bits; bytes.isdigit() is ASCII only and false for "", "+1", "1_0"
SINGLE: Final = frozenset({b"host", b"content-length", b"transfer-encoding"})  # fields that no message has twice
# Names that Connection may list without effect: no fields, removed anyway, or what no message can do without.
OPTIONS: Final = frozenset(
    {
        b"close", b"keep-alive", b"upgrade", b"te", b"host", b"content-length", b"transfer-encoding",
        b"content-encoding", b"content-type", b"x-request-id",
    }
)  # fmt: skip
BROKEN_LINE: Final = re.compile(rb"(?<!\r)\n|\x00")  # what no incomplete head may have: a bare LF, a NUL
# Sets are matched possessively, groups never: before Python 3.11.5 a possessive group may match wrongly
# (python/cpython#106052), and Debian 12 has 3.11.2.
# A field value, white space around it included. `re` looks a set up in half the time of its complement.
VALUE: Final = rb"[\t\x20-\x7e\x80-\xff]*+"
_NAME_BYTES: Final = b"!#$%&'*+.^`|~-" + (digits + ascii_letters).encode()  # of field names, except the underscore

_END: Final = -1  # in a trie: a word ends here
_ANY: Final = -2  # in a trie: any rest of a name
_OWN: Final = b"x-router-"  # what the router's own fields begin with; nobody else may send one


def fields_pattern(names: Iterable[bytes]) -> re.Pattern[bytes]:
    """Compile the pattern that finds the given fields, and all of ``x-router-*``, in one pass over a head."""
    return re.compile(rb"\r\n((?i:" + trie(names) + rb")):[ \t]*+([^\r]*+)")


def lines_pattern(names: Iterable[bytes]) -> re.Pattern[bytes]:
    """Compile the pattern of whole lines of the given fields, and of all of ``x-router-*``, to remove them."""
    return re.compile(rb"\r\n(?i:" + trie(names) + rb"):[^\r]*+")


def trie(words: Iterable[bytes]) -> bytes:
    """Write field names, and all of ``x-router-*``, as one alternation.

    Shared prefixes are factored out, which takes half the time of a flat list.
    """
    return _alternation(_tree(words))


def other_lines(names: Iterable[bytes]) -> bytes:
    """Write field lines, but those of the given names and of ``x-router-*``, as alternatives.

    There is one for each letter that some of the names begin with, and one for all other letters: ``re`` passes over an
    alternative at once when its first byte does not fit. Looking for all the names in each line takes twice as long.
    """
    name = rb"[%b]*+" % re.escape(_NAME_BYTES)
    letters = sorted(_tree(names).items(), key=lambda item: -_count(item[1]))
    either_case = [bytes([letter]).lower() + bytes([letter]).upper() for letter, _ in letters]
    lines = [rb"[%b]%b:%b" % (re.escape(_NAME_BYTES.translate(None, b"".join(either_case))), name, VALUE)]
    for letter, (_, rest) in zip(either_case, letters, strict=True):
        lines.append(rb"[%b](?!(?i:%b):)%b:%b" % (re.escape(letter), _alternation(rest), name, VALUE))
    return b"|".join(lines)


def _tree(words: Iterable[bytes]) -> dict[int, Any]:
    root: dict[int, Any] = {}
    for word, end in ((_OWN, _ANY), *((word, _END) for word in words)):
        node = root
        for byte in word:
            node = node.setdefault(byte, {})
        node[end] = {}
    return root


def _count(node: dict[int, Any]) -> int:
    return sum(1 if byte < 0 else _count(child) for byte, child in node.items())


def _alternation(node: dict[int, Any]) -> bytes:
    branches = [
        rb"[^:\r]*+" if byte == _ANY else re.escape(bytes([byte])) + _alternation(child)
        for byte, child in sorted(node.items())
        if byte != _END
    ]
    if not branches:
        return b""
    if len(branches) == 1 and _END not in node:
        return branches[0]
    return b"(?:" + b"|".join(branches) + b")" + (b"?" if _END in node else b"")


def connection_options(value: bytes) -> tuple[bytes, ...]:
    """Split a Connection field into lower-case options."""
    return tuple(option for part in value.split(b",") if (option := part.strip(b" \t").lower()))


def without(lines: bytes, names: Iterable[bytes]) -> bytes:
    """Remove the named fields from header lines, each beginning at its CRLF."""
    alternation = b"|".join(re.escape(name) for name in sorted(names))
    return re.sub(rb"\r\n(?i:" + alternation + rb"):[^\r]*", b"", lines)


class Silent:
    """A listener of an httptools parser without callbacks: llhttp judges a head in a third of the time then."""
