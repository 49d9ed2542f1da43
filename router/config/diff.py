"""What a change from one configuration to another does.

Responsible for: one sentence for each difference, and for each experiment in both the share of all units that moves
between each two arms.
Does not know: which changes a running router refuses (``router.control``), or how a unit is hashed; it relies on one
property of the assignment only, that arms race with independent exponential times.

Rules: pure; lists of named things are compared by name, so another order is no difference; values are shown as the YAML
has them.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from math import inf
from typing import Any

from msgspec import Struct, inspect

from router.config.flag_diff import flag_differences
from router.config.json_schema import written
from router.config.mistake import show
from router.config.scalars import format_share
from router.config.schema import Config, Endpoint, Experiment, Override

_SHARE_DIGITS = 6


@dataclass(frozen=True, slots=True)
class Move:
    """Units that change their arm: ``share`` (0 to 1) of all units of the experiment go from one to the other."""

    experiment: str
    before: str
    after: str
    share: float


def differences(old: Config, new: Config) -> tuple[str, ...]:
    """Give a sentence for each difference, in the order of the schema."""
    found = [f"{section}: {text}" for section in ("server", "admin", "events") for text in _section(section, old, new)]
    found += _named("target", old.targets, new.targets)
    found += _named("route", old.routes, new.routes)
    found += _experiments(old, new)
    found += _overrides(old.overrides, new.overrides)
    found += flag_differences(old.flags, new.flags)
    return tuple(found)


def _section(name: str, old: Config, new: Config) -> Iterator[str]:
    return _fields(getattr(old, name), getattr(new, name))


def _fields(old: Struct, new: Struct, prefix: str = "", skip: Sequence[str] = ()) -> Iterator[str]:
    """Say what differs between two structs of one class, key by key."""
    for field in () if old == new else _schema(type(old)):
        before, after = getattr(old, field.name), getattr(new, field.name)
        key = f"{prefix}{field.encode_name}"
        if before == after or field.encode_name in skip:
            continue
        if isinstance(before, Struct) and isinstance(after, Struct):
            yield from _fields(before, after, f"{key}.")
        elif before is None:
            yield f"{key} is set to {_shown(field.type, after)}"
        elif after is None:
            yield f"{key} is no longer set (was {_shown(field.type, before)})"
        else:
            yield f"{key} changes from {_shown(field.type, before)} to {_shown(field.type, after)}"


@cache
def _schema(kind: type[Struct]) -> tuple[inspect.Field, ...]:
    """Give the fields of a struct; kept, because msgspec reads the annotations anew each time (0.2 ms)."""
    described = inspect.type_info(kind)
    if not isinstance(described, inspect.StructType):  # pragma: no cover - type_info gives one for every Struct
        raise TypeError("only structs have fields")
    return described.fields


def _shown(kind: inspect.Type, value: Any) -> str:
    if isinstance(value, Struct):
        return _item(value)
    if isinstance(value, tuple):
        return f"[{', '.join(_item(item) for item in value)}]"
    text = written(kind, value)
    return text if isinstance(text, str) and text else show(text)


def _item(item: object) -> str:
    if isinstance(item, Struct) and not isinstance(item, Endpoint):
        set_keys = ((field.encode_name, field, getattr(item, field.name)) for field in _schema(type(item)))
        return ", ".join(
            f"{key} {_shown(field.type, value)}" for key, field, value in set_keys if value not in (None, ())
        )
    if isinstance(item, Endpoint):
        return item.url if item.weight == 1 else f"{item.url} (weight {item.weight})"
    return str(item)


def _by_name(items: Sequence[Any]) -> dict[str, Any]:
    return {item.name: item for item in items}


def _named(what: str, old: Sequence[Any], new: Sequence[Any]) -> Iterator[str]:
    before, after = _by_name(old), _by_name(new)
    for name in {**before, **after}:
        if name not in after:
            yield f"{what} {name} is removed"
        elif name not in before:
            yield f"{what} {name} is added"
        else:
            for text in _fields(before[name], after[name]):
                yield f"{what} {name}: {text}"
    common = [name for name in before if name in after]
    if what == "route" and common != [name for name in after if name in before]:
        yield "routes: the order changes, which decides between routes that match equally well"


def _experiments(old: Config, new: Config) -> Iterator[str]:
    before, after = _by_name(old.experiments), _by_name(new.experiments)
    for name in {**before, **after}:
        if name not in after:
            yield f"experiment {name} ends; its units go to the target of route {before[name].route}"
        elif name not in before:
            yield f"experiment {name} begins on route {after[name].route}"
        else:
            for text in (*_fields(before[name], after[name], skip=("arms",)), *_arms(before[name], after[name])):
                yield f"experiment {name}: {text}"


def _arms(old: Experiment, new: Experiment) -> Iterator[str]:
    before, after = _by_name(old.arms), _by_name(new.arms)
    shares_before, shares_after = shares(old), shares(new)
    for name in {**before, **after}:
        if name not in after:
            yield f"arm {name} is removed (had {percent(shares_before[name])} of units)"
        elif name not in before:
            yield f"arm {name} is added with {percent(shares_after[name])} of units"
        else:
            if before[name].target != after[name].target:
                yield f"arm {name} is served by {after[name].target} instead of {before[name].target}"
            if percent(shares_before[name]) != percent(shares_after[name]):
                change = f"{percent(shares_after[name])} of units instead of {percent(shares_before[name])}"
                yield f"arm {name} gets {change}"


def _overrides(old: Sequence[Override], new: Sequence[Override]) -> Iterator[str]:
    before = {(item.unit, item.experiment): item.arm for item in old}
    after = {(item.unit, item.experiment): item.arm for item in new}
    for key in {**before, **after}:
        who = f"override of unit {show(key[0])} in experiment {key[1]}"
        if key not in after:
            yield f"{who} is removed"
        elif key not in before:
            yield f"{who} is added: {after[key]}"
        elif before[key] != after[key]:
            yield f"{who} changes from {before[key]} to {after[key]}"


# --- How many units move --------------------------------------------------------------------------------------------


def shares(experiment: Experiment) -> dict[str, float]:
    """Give the share of units that each arm gets, 0 to 1; they add up to 1."""
    largest = max(arm.weight for arm in experiment.arms)
    parts = {arm.name: arm.weight / largest for arm in experiment.arms}  # so that a sum of huge weights stays finite
    total = sum(parts.values())
    return {name: part / total for name, part in parts.items()}


def percent(share: float) -> str:
    """Write a share in percent, with at most four decimals; a smaller one with three digits that count."""
    return format_share(round(share, _SHARE_DIGITS)) if round(share, _SHARE_DIGITS) else f"{100 * share:.3g}%"


def moves(old: Config, new: Config) -> tuple[Move, ...]:
    """Give, for each experiment in both, the share of units that moves between each two arms.

    The shares are exact in expectation over units, not simulated; overrides and changes of a route's ``unit`` are not
    counted. Pairs between which nobody moves are left out.
    """
    before = _by_name(old.experiments)
    return tuple(
        Move(experiment.name, left, right, share)
        for experiment in new.experiments
        if experiment.name in before
        for (left, right), share in _between(before[experiment.name], experiment).items()
        if share > 0
    )


def _between(old: Experiment, new: Experiment) -> dict[tuple[str, str], float]:
    before, after = shares(old), shares(new)
    if _salt(old) != _salt(new) or old.hash_version != new.hash_version:
        # Another salt draws independently.
        return {(a, b): before[a] * after[b] for a in before for b in after if a != b}
    return {(a, b): moved(before, after, a, b) for a in before for b in after if a != b}


def _salt(experiment: Experiment) -> str:
    return experiment.name if experiment.salt is None else experiment.salt


def moved(before: Mapping[str, float], after: Mapping[str, float], a: str, b: str) -> float:
    r"""Give the probability that a unit has arm ``a`` under some weights and arm ``b`` under others, same salt.

    Weighted rendezvous gives arm k the time E_k / w_k with E_k = -ln(u_k) independent and exponential, and the smallest
    wins. Let v be the later weights. ``a`` wins before and ``b`` after exactly if, with x = E_a, y = E_b and r = y / x,

        w_b / w_a < r < v_b / v_a    and    E_k > x * max(w_k / w_a, r * v_k / v_b)  for every other arm k.

    Given r, integrating x from 0 to infinity over x * exp(-x * D(r)), where D(r) = 1 + r + sum over k of that maximum,
    leaves 1 / D(r)^2. D is linear between the points where a maximum changes sides, and there the integral of 1 / D^2
    from s to t is (t - s) / (D(s) * D(t)).

    Args:
        before: arm to weight; an absent arm weighs 0.
        after: arm to weight.
        a: an arm.
        b: another arm.
    """
    w, v = before.get, after.get
    w_a, v_b = w(a, 0.0), v(b, 0.0)
    if not w_a or not v_b:
        return 0.0
    low = w(b, 0.0) / w_a
    high = v_b / v(a, 0.0) if v(a, 0.0) else inf
    if not low < high:
        return 0.0
    others = [(w(k, 0.0) / w_a, v(k, 0.0) / v_b) for k in {**before, **after} if k not in (a, b)]
    turns = sorted({flat / slope for flat, slope in others if slope and low < flat / slope < high})
    ends = [low, *turns, high]
    return sum(_integral(start, end, others) for start, end in pairwise(ends))


def _integral(start: float, end: float, others: Sequence[tuple[float, float]]) -> float:
    """Integrate 1 / D^2 over a piece on which D is linear."""

    def at(r: float) -> float:
        return 1 + r + sum(max(flat, slope * r) for flat, slope in others)

    if end < inf:
        return (end - start) / (at(start) * at(end))
    rise = 1 + sum(slope for flat, slope in others if slope and flat / slope <= start)
    return 1 / (rise * at(start))
