"""Whether two models gave the same answer: the primary's against a shadow's.

Responsible for: the verdict on two answers, and which places of two JSON documents differ.
Does not know: requests, connections, when or why answers are compared.

Rules, so that the same two answers always have the same verdict, in either order:

- another status is a difference, and the bodies are then not looked at. The same bytes agree;
- JSON documents are compared by value: the order of keys and white space do not count, and of a repeated key the last
  counts. ``true`` is not 1. What is under an ignored pointer does not count, be it there or not;
- two integers must be equal: they are ids and counts, and are exact whatever their size. Two numbers of which one has a
  fraction or an exponent agree within a tolerance, relative to the larger one and absolute below 1:
  ``|a - b| <= tolerance * max(1, |a|, |b|)``;
- ``NaN`` and ``Infinity``, which are not JSON but what Python model servers write, are read: each equals itself only;
- bodies that are both no JSON have to be the same bytes; gzip is opened first;
- what is too long to have been kept, nested too deeply or made of too many parts is not comparable: neither agreement
  nor difference. The work is bounded, and ends after ``MAX_DIFFERENCES``.
"""

import json
import zlib
from collections.abc import Iterable, Iterator
from itertools import chain, repeat
from math import inf
from typing import Any, Final, Literal

import msgspec
from msgspec import Struct

from router.config.schema import Compare
from router.routing.request import pointer_tokens

MAX_DIFFERENCES: Final = 8
MAX_POINTER: Final = 128  # characters of one that is named
MAX_DEPTH: Final = 512  # levels of nesting; what parsers take differs between their versions
MAX_CONTAINERS: Final = 8192  # objects and arrays that are looked into, about 20 ms

_GZIP: Final = b"\x1f\x8b"
_GZIP_WINDOW: Final = 31  # zlib's code for the gzip format
_ABSENT: Final = object()
_CONTAINERS: Final = frozenset({dict, list})
_NUMBERS: Final = frozenset({int, float})  # without bool
_decode: Final = msgspec.json.Decoder().decode

Pointer = tuple[str | int, ...]


class Rules(Struct, frozen=True):
    """What is compared, and how exactly.

    Attributes:
        tolerance: Of numbers that are not both integers.
        ignore: Pointers, as tokens, under which nothing counts.
        body_bytes: Longest body that is compared.
    """

    tolerance: float
    ignore: frozenset[tuple[str, ...]]
    body_bytes: int


class Answer(Struct, frozen=True):
    """What is compared of an answer; ``body`` is its content, None when that was too long to be kept."""

    status: int
    body: bytes | None


class Verdict(Struct, frozen=True):
    """What came of a comparison.

    Attributes:
        result: ``not_comparable`` is neither of the others.
        differences: Of ``differ``: JSON pointers, or ``status`` or ``body``; of ``not_comparable``: the reason.
    """

    result: Literal["agree", "differ", "not_comparable"]
    differences: tuple[str, ...] = ()


AGREE: Final = Verdict("agree")
_STATUS: Final = Verdict("differ", ("status",))
_BODY: Final = Verdict("differ", ("body",))
_TOO_LONG: Final = Verdict("not_comparable", ("a body is longer than compare.body_bytes",))
_TOO_MUCH: Final = Verdict("not_comparable", ("a body has too many parts, or is nested too deeply",))


class _NotJsonError(ValueError):
    """A text is not JSON."""


class _TooMuchError(ValueError):
    """A text is nested too deeply, or has too many parts."""


def compile_rules(compare: Compare) -> Rules:
    """Compile the configuration of a comparison."""
    return Rules(compare.tolerance, frozenset(map(pointer_tokens, compare.ignore)), compare.body_bytes)


def compare_answers(primary: Answer, shadow: Answer, rules: Rules) -> Verdict:
    """Compare two answers."""
    if primary.status != shadow.status:
        return _STATUS
    if primary.body is None or shadow.body is None:
        return _TOO_LONG
    if primary.body == shadow.body:
        return AGREE
    one, other = _opened(primary.body, rules.body_bytes), _opened(shadow.body, rules.body_bytes)
    if one is None or other is None:
        return _TOO_LONG
    if one == other:
        return AGREE
    return compare_json(one, other, rules)


def compare_json(one: bytes, other: bytes, rules: Rules) -> Verdict:
    """Compare two different texts as JSON where both are, and else as the bytes that they are."""
    try:
        places = _differing(_read(one), _read(other), rules)
    except _NotJsonError:
        return _BODY
    except (_TooMuchError, RecursionError):
        return _TOO_MUCH
    return Verdict("differ", tuple(map(_shown, places))) if places else AGREE


def numbers_agree(one: float, other: float, tolerance: float) -> bool:
    """Return whether two numbers agree; integers, and what is not finite, only when they are the same."""
    if one == other:
        return True
    if isinstance(one, int) and isinstance(other, int):
        return False
    if one != one or other != other:  # noqa: PLR0124  # NaN is what is not equal to itself
        return one != one and other != other  # noqa: PLR0124
    try:
        apart = abs(one - other)
        return apart < inf and apart <= tolerance * max(1.0, abs(one), abs(other))
    except OverflowError:  # an integer that no double comes near
        return False


def _opened(body: bytes, limit: int) -> bytes | None:
    """Return the content of a gzip body, any other as it is; None when it is too long."""
    if not body.startswith(_GZIP):
        return body
    reader = zlib.decompressobj(_GZIP_WINDOW)
    try:
        content = reader.decompress(body, limit + 1)
    except zlib.error:
        return body
    if len(content) > limit:
        return None
    return content if reader.eof else body


def _read(text: bytes) -> Any:
    try:
        return _decode(text)
    except RecursionError as error:
        raise _TooMuchError from error
    except (msgspec.MsgspecError, UnicodeDecodeError):
        pass
    try:  # Slower, and takes what Python writes although it is not JSON: NaN, Infinity, lone surrogates.
        return json.loads(text)
    except RecursionError as error:
        raise _TooMuchError from error
    except ValueError as error:
        raise _NotJsonError from error


def _differing(one: Any, other: Any, rules: Rules) -> list[Pointer]:
    """Return where two documents differ, in order, and not all when there are many."""
    ignore = rules.ignore
    if () in ignore:
        return []
    if type(one) is not type(other) or type(one) not in _CONTAINERS:
        return [()] if any(_unequal([one], [other], rules.tolerance)) else []
    found: list[Pointer] = []
    path: list[str | int] = []
    open_pairs = [_unequal(one, other, rules.tolerance)]
    opened = 0
    while open_pairs:
        for key, left, right in open_pairs[-1]:
            path.append(key)
            if ignore and tuple(map(str, path)) in ignore:
                path.pop()
            elif type(left) is type(right) and type(left) in _CONTAINERS:
                opened += 1
                if len(path) > MAX_DEPTH or opened > MAX_CONTAINERS:
                    raise _TooMuchError
                open_pairs.append(_unequal(left, right, rules.tolerance))
                break
            else:
                found.append(tuple(path))
                path.pop()
                if len(found) == MAX_DIFFERENCES:
                    return found
        else:
            open_pairs.pop()
            if path:
                path.pop()
    return found


def _unequal(one: Any, other: Any, tolerance: float) -> Iterator[tuple[str | int, Any, Any]]:
    """Yield key and values of what two values hold that is not known to agree, one by one.

    Most of an answer is numbers, so what agrees costs no call and leaves no trace.
    """
    for key, left, right in _pairs(one, other):
        kind = type(left)
        if kind is not type(right):
            if kind in _NUMBERS and type(right) in _NUMBERS and numbers_agree(left, right, tolerance):
                continue
        elif kind is float:
            if -tolerance <= left - right <= tolerance or numbers_agree(left, right, tolerance):
                continue
        elif kind not in _CONTAINERS and left == right:
            continue
        yield key, left, right


def _pairs(one: Any, other: Any) -> Iterable[tuple[str | int, Any, Any]]:
    """Return keys and values of two objects or two arrays, in an order that does not depend on which comes first."""
    if type(one) is list:
        longest = range(max(len(one), len(other)))
        return zip(longest, chain(one, repeat(_ABSENT)), chain(other, repeat(_ABSENT)), strict=False)
    if [*one] == [*other]:
        return zip(one, one.values(), other.values(), strict=True)
    keys = sorted(one.keys() | other.keys())
    return [(key, one.get(key, _ABSENT), other.get(key, _ABSENT)) for key in keys]


def _shown(place: Pointer) -> str:
    """Return a pointer (RFC 6901), cut where it is long; that of the whole document is ``body``."""
    if not place:
        return "body"
    pointer = "".join("/" + str(token).replace("~", "~0").replace("/", "~1") for token in place)
    text = pointer.encode("utf-8", "replace").decode()
    return text if len(text) <= MAX_POINTER else text[: MAX_POINTER - 1] + "…"
