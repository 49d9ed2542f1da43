"""How policies are written down: ``thompson``, ``always:treatment``, ``weights:control=1,treatment=3``.

Responsible for: from text to a policy, and every name that there is.
Does not know: logs; what a policy does.

Rules: pure. ``NAME`` or ``NAME:OPTIONS``; options of policies that learn are ``KEY=NUMBER`` with commas between. What
cannot be read is a ``ValueError`` that says what could have been meant.
"""

import json
from collections.abc import Callable, Mapping
from math import isfinite
from typing import Any, Final

import msgspec

from router.bandit.allocator import BUILT_IN
from router.policy.arms import Arms
from router.policy.learner import Learner
from router.policy.linear import LinearThompson, LinUcb
from router.policy.target import Always, ByRule, Fixed, Target, Uniform

UNIT_REWARDS: Final = frozenset({"ucb", "kl_ucb", "successive_elimination"})
"""Allocators that are for rewards between 0 and 1 alone."""
FLOOR: Final = 0.01

Policy = Target | Learner


def parse_policy(text: str, *, bounded: bool) -> Policy:
    """Return the policy that a text means.

    Args:
        text: The text.
        bounded: Whether rewards lie between 0 and 1.

    Raises:
        ValueError: If it means none.
    """
    name, _, rest = text.partition(":")
    name = name.strip()
    if name in _PLAIN:
        return _PLAIN[name](rest)
    if name in _LINEAR:
        return _linear(name, _numbers(name, rest))
    if name in BUILT_IN:
        return _allocator(name, _numbers(name, rest), bounded=bounded)
    raise ValueError(f"there is no policy {name!r}; there are: {', '.join(names())}")


def names() -> tuple[str, ...]:
    """Return how policies begin."""
    return ("always:ARM", "weights:ARM=NUMBER,…", "uniform", "rule:JSON", *BUILT_IN, *_LINEAR)


def _always(rest: str) -> Target:
    if not rest:
        raise ValueError("always needs an arm: always:treatment")
    return Always(rest)


def _weights(rest: str) -> Target:
    return Fixed(_numbers("weights", rest, needed="weights:control=1,treatment=3"))


def _uniform(rest: str) -> Target:
    if rest:
        raise ValueError(f"uniform has no options, unlike {rest!r}")
    return Uniform()


def _rule(rest: str) -> Target:
    try:
        rule = json.loads(rest)
    except json.JSONDecodeError as error:
        raise ValueError(f"the rule is not JSON: {error}") from error
    return ByRule(rule)


def _numbers(name: str, rest: str, needed: str | None = None) -> dict[str, float]:
    found: dict[str, float] = {}
    for part in filter(None, rest.split(",")):
        key, equals, number = part.partition("=")
        value = _number(number)
        if not equals or value is None or key in found:
            raise ValueError(f"{part!r} of {name} is not KEY=NUMBER, each key once")
        found[key] = value
    if needed is not None and not found:
        raise ValueError(f"{name} needs at least one: {needed}")
    return found


def _number(text: str) -> float | None:
    percent = text.endswith("%")
    try:
        value = float(text[:-1] if percent else text)
    except ValueError:
        return None
    return (value / 100 if percent else value) if isfinite(value) else None


def _allocator(name: str, options: Mapping[str, float], *, bounded: bool) -> Learner:
    if name in UNIT_REWARDS and not bounded:
        raise ValueError(f"{name} is for rewards between 0 and 1; this metric is no proportion")
    floor = options.get("floor", FLOOR)
    _check_floor(name, floor)
    own = {key: value for key, value in options.items() if key != "floor"}
    return Arms(_made(name, BUILT_IN[name], own), bounded, floor)


def _linear(name: str, options: Mapping[str, float]) -> Learner:
    _check_floor(name, options.get("floor", FLOOR))
    if name == "lin_ucb":
        if options.get("alpha", 1.0) < 0 or not options.get("ridge", 1.0) > 0:
            raise ValueError("alpha of lin_ucb is at least 0, its ridge above 0")
        made: LinUcb = _made(name, LinUcb, options)
        return made
    whole = {key: int(value) if key == "draws" else value for key, value in options.items()}
    if not 1 <= whole.get("draws", 1) <= 10_000 or not options.get("ridge", 1.0) > 0:
        raise ValueError("draws of linear_thompson are 1 to 10,000, its ridge above 0")
    learner: LinearThompson = _made(name, LinearThompson, whole)
    return learner


def _made(name: str, kind: type[Any], options: Mapping[str, float]) -> Any:
    try:
        known = set(kind.__struct_fields__)
        if unknown := options.keys() - known:
            raise ValueError(f"{name} has no option {min(unknown)!r}; it has: floor, {', '.join(sorted(known))}")
        return msgspec.convert(dict(options), kind, strict=False)
    except msgspec.ValidationError as error:
        raise ValueError(f"{name}: {error}") from error


def _check_floor(name: str, floor: float) -> None:
    if not 0 <= floor < 1:
        raise ValueError(f"the floor of {name} is a share from 0 to below 1, not {floor:g}")


_PLAIN: Final[Mapping[str, Callable[[str], Target]]] = {
    "always": _always,
    "weights": _weights,
    "uniform": _uniform,
    "rule": _rule,
}
_LINEAR: Final = ("linear_thompson", "lin_ucb")
