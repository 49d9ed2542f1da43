"""The operators of rules that only flagd has and that need libraries: ``fractional`` and ``sem_ver``.

Responsible for: what they give, value for value as openfeature-flagd-core 2.0 has it.
Does not know: other operators, who gets which arm (``bucket``; a rule's ``fractional`` has a hash of its own).

``fractional`` is the third version of flagd's algorithm (its ADR "fractional non-string randomisation units"): the
unsigned MurmurHash3 x86_32, seed 0, of the canonical CBOR of a value (RFC 8949 section 4.2.1), with a float that is
whole as an integer; ``hash * total >> 32`` is the bucket. Versions one and two hashed text; each step moved everybody,
so this one is pinned by golden vectors whatever a library does.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from types import MappingProxyType
from typing import Any, Final, NamedTuple

import mmh3
from cbor2 import CBOREncodeError, dumps
from semver import Version

from router.config.operands import MAX_TOTAL_WEIGHT, padded
from router.routing.coerce import MAX_LEVELS, BoundError, Meter, RuleError
from router.routing.node import Evaluate, Node

_STEP: Final = 4  # as a power of two, the characters that cost a step where they are hashed
_MAX_VERSION: Final = 256  # characters of a version; its pattern takes longer for longer ones


class Fraction(NamedTuple):
    """A result and where its buckets end."""

    result: Any
    end: int


def _fractional(given: list[Node]) -> Evaluate:
    """Compile the operator: a value to hash by, which may be left out, and pairs of a result and its weight."""
    first, *others = (node.evaluate for node in given)
    distribution = given if given[0].constant and isinstance(given[0].value, list) else given[1:]
    fixed = None
    if all(node.constant for node in distribution):
        fixed = _fractions([node.value for node in distribution])

    def evaluate(data: Any, meter: Meter) -> Any:
        value = first(data, meter)
        own = isinstance(value, list)  # then it is the first of the fractions, and nothing says what to hash by
        unit = _own_unit(data) if own else value
        if fixed is None or (own and distribution is not given):
            rest = [other(data, meter) for other in others]
            fractions = _fractions([value, *rest] if own else rest)
        else:
            fractions = fixed
        if unit is None or not fractions:
            return None
        hashed = _hash(unit, meter)
        return None if hashed is None else _pick(fractions, hashed)

    return evaluate


def _own_unit(data: Any) -> list[Any] | None:
    """Return what the shorthand hashes by: the name of the experiment (flagd: the flag's key) and the unit."""
    if not isinstance(data, dict):
        raise RuleError("fractional without a value to hash by needs a unit, and an item of a list has none")
    unit = data.get("targetingKey")
    if not isinstance(unit, str) or not unit:
        return None
    about = data.get("$flagd", {})
    if not isinstance(about, dict):
        raise RuleError("$flagd is not a map")
    return [about.get("flagKey", ""), unit]


def _fractions(values: Sequence[Any]) -> tuple[Fraction, ...]:
    """Return results with the ends of their buckets; none when one is malformed, or the weights add up to nothing."""
    end = 0
    fractions: list[Fraction] = []
    for value in values:
        if not isinstance(value, list) or not 1 <= len(value) <= 2:
            return ()
        weight = value[1] if len(value) == 2 else 1
        if not isinstance(weight, int) or isinstance(weight, bool):
            return ()
        end += max(0, weight)
        fractions.append(Fraction(value[0], end))
    return tuple(fractions) if 0 < end <= MAX_TOTAL_WEIGHT else ()


def _pick(fractions: Sequence[Fraction], hashed: int) -> Any:
    bucket = (hashed * fractions[-1].end) >> 32
    return next(fraction.result for fraction in fractions if bucket < fraction.end)


def _hash(unit: Any, meter: Meter) -> int | None:
    """Return the hash of a value; None when it has no CBOR (a text with half of a surrogate pair)."""
    try:
        encoded = dumps(_normal(unit, meter, 1), canonical=True)
    except (CBOREncodeError, UnicodeEncodeError):
        return None
    return mmh3.hash(encoded, signed=False)


def _normal(value: Any, meter: Meter, level: int) -> Any:
    """Return a value with whole floats as integers where CBOR has 64 bits for them."""
    if isinstance(value, float):
        return int(value) if value.is_integer() and -(2**63) <= value <= 2**64 - 1 else value
    if isinstance(value, str):
        meter.spend(1 + (len(value) >> _STEP))
        return value
    if not isinstance(value, list | dict):
        return value
    if level > MAX_LEVELS:
        raise BoundError("a value is nested too deep to be hashed")
    meter.spend(1 + len(value))
    if isinstance(value, list):
        return [_normal(item, meter, level + 1) for item in value]
    return {key: _normal(item, meter, level + 1) for key, item in value.items()}


def _sem_ver(given: list[Node]) -> Evaluate:
    """Compile the operator: a version, a comparison, a version."""
    left, sign, right = (_read(node) if index != 1 else node.evaluate for index, node in enumerate(given))

    def evaluate(data: Any, meter: Meter) -> bool | None:
        one, how, other = left(data, meter), sign(data, meter), right(data, meter)
        if one is None or other is None or not isinstance(how, str):
            return None
        compare = _COMPARE.get(how)
        return None if compare is None else compare(one, other)

    return evaluate


def _read(node: Node) -> Evaluate:
    """Return how to get a version out of a part of a rule, once and for all where it is written there."""
    if node.constant:
        version = _version(node.value)
        return lambda _data, _meter: version
    return lambda data, meter: _version(node.evaluate(data, meter))


def _version(value: Any) -> Version | None:
    """Read a version, with an optional ``v`` before it and missing parts as 0; None when it is none."""
    if value is None or isinstance(value, bool | list | dict):
        return None
    written = str(value)
    return None if len(written) > _MAX_VERSION else _parsed(written)


@lru_cache(maxsize=1024)  # the versions of an app that are about are few, and reading one takes 5 µs
def _parsed(written: str) -> Version | None:
    try:
        return Version.parse(padded(written))
    except ValueError:
        return None


_COMPARE: Final[Mapping[str, Callable[[Version, Version], bool]]] = MappingProxyType(
    {
        "=": lambda one, other: bool(one == other),
        "!=": lambda one, other: bool(one != other),
        "<": lambda one, other: bool(one < other),
        "<=": lambda one, other: bool(one <= other),
        ">": lambda one, other: bool(one > other),
        ">=": lambda one, other: bool(one >= other),
        "^": lambda one, other: bool(one.major == other.major),
        "~": lambda one, other: bool(one.major == other.major and one.minor == other.minor),
    }
)

COMPILE: Final[Mapping[str, Callable[[list[Node]], Evaluate]]] = MappingProxyType(
    {"fractional": _fractional, "sem_ver": _sem_ver}
)
