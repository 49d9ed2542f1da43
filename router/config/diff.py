"""What a change from one configuration to another does.

Responsible for: one sentence for each difference.
Does not know: which changes a running router refuses (``router.control``), or how many units move
(``router.config.moves``).

Rules: pure; lists of named things are compared by name, so another order is no difference; values are shown as the YAML
has them. No key of the schema is left out: what needs no words of its own is said by the schema's.
"""

from collections.abc import Iterator, Sequence
from functools import cache
from typing import Any

from msgspec import Struct, inspect

from router.config.flag_diff import flag_differences
from router.config.json_schema import written
from router.config.mistake import show
from router.config.moves import part, percent, shares
from router.config.scalars import format_share
from router.config.schema import Config, Endpoint, Experiment, Holdout, Override
from router.config.secret import shown
from router.config.variant import applied


def differences(old: Config, new: Config) -> tuple[str, ...]:
    """Give a sentence for each difference, in the order of the schema."""
    words: dict[str, Iterator[str]] = {
        "targets": _named("target", old.targets, new.targets),
        "routes": _named("route", old.routes, new.routes),
        "layers": _named("layer", old.layers, new.layers),
        "holdouts": _holdouts(old.holdouts, new.holdouts),
        "metrics": _named("metric", old.metrics, new.metrics),
        "experiments": _experiments(old, new),
        "overrides": _overrides(old.overrides, new.overrides),
        "flags": flag_differences(old.flags, new.flags),
        "variants": iter(()),  # said last, where it is another than for all
    }
    found: list[str] = []
    for field in _schema(Config):
        before, after = getattr(old, field.name), getattr(new, field.name)
        if field.name in words:
            found += words[field.name]
        elif isinstance(before, Struct) and isinstance(after, Struct):
            found += [f"{field.name}: {text}" for text in _fields(before, after)]
        elif before != after:
            found.append(_change(field, field.name, before, after))
    return (*found, *(text for text in _variants(old, new) if text.partition(": ")[2] not in found))


def _variants(old: Config, new: Config) -> Iterator[str]:
    """Say what changes for the regions and clusters that one process serves besides its own."""
    before = {variant.label: variant for variant in old.variants}
    after = {variant.label: variant for variant in new.variants}
    for label in {**before, **after}:
        one = applied(old, before[label]) if label in before else old
        other = applied(new, after[label]) if label in after else new
        texts = _named("route", one.routes, other.routes), _experiments(one, other)
        for text in (*texts[0], *texts[1], *_overrides(one.overrides, other.overrides)):
            yield f"for {label}: {text}"


def _fields(old: Struct, new: Struct, prefix: str = "", skip: Sequence[str] = ()) -> Iterator[str]:
    """Say what differs between two structs of one class, key by key."""
    for field in () if old == new else _schema(type(old)):
        before, after = getattr(old, field.name), getattr(new, field.name)
        key = f"{prefix}{field.encode_name}"
        if before == after or field.encode_name in skip:
            continue
        if isinstance(before, Struct) and isinstance(after, Struct):
            yield from _fields(before, after, f"{key}.")
        else:
            yield _change(field, key, before, after)


def _change(field: inspect.Field, key: str, before: object, after: object) -> str:
    before, after = _without_secrets(key, before), _without_secrets(key, after)
    if before is None:
        return f"{key} is set to {_shown(field.type, after)}"
    if after is None:
        return f"{key} is no longer set (was {_shown(field.type, before)})"
    return f"{key} changes from {_shown(field.type, before)} to {_shown(field.type, after)}"


def _without_secrets(key: str, value: object) -> object:
    """Hide what may be a credential: what is said here goes into logs and the journal."""
    if not isinstance(value, dict | tuple):
        return value
    hidden = shown(f"$.events.{key}" if key == "sinks" else f"$.{key}", value)
    return tuple(hidden) if isinstance(value, tuple) else hidden


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
    text = written(kind, value)
    if isinstance(value, tuple):
        return f"[{', '.join(map(_item, text))}]"
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


def _holdouts(old: Sequence[Holdout], new: Sequence[Holdout]) -> Iterator[str]:
    before, after = _by_name(old), _by_name(new)
    for name in {**before, **after}:
        if name not in after:
            yield f"holdout {name} is removed (kept {_held(before[name])})"
        elif name not in before:
            yield f"holdout {name} is added: it keeps {_held(after[name])}"
        else:
            for text in _fields(before[name], after[name], skip=("layers",)):
                yield f"holdout {name}: {text}"
            if before[name].layers != after[name].layers:
                yield f"holdout {name}: it keeps {_held(after[name])} instead of {_out_of(before[name])}"


def _held(holdout: Holdout) -> str:
    start, end = holdout.segment
    return f"{percent(end - start)} of units out of {_out_of(holdout)}"


def _out_of(holdout: Holdout) -> str:
    return f"layers {', '.join(holdout.layers)}" if holdout.layers else "every experiment"


def _experiments(old: Config, new: Config) -> Iterator[str]:
    before, after = _by_name(old.experiments), _by_name(new.experiments)
    for name in {**before, **after}:
        if name not in after:
            yield f"experiment {name} ends; {_afterwards(before[name])}"
        elif name not in before:
            share = part(new, after[name])
            some = "" if share == 1 else f", with {percent(share)} of its units"
            yield f"experiment {name} begins on route {after[name].route}{some}"
        else:
            of = "units" if part(old, before[name]) == part(new, after[name]) == 1 else "its units"
            yield from (f"experiment {name}: {text}" for text in _experiment(before[name], after[name], of))


def _afterwards(experiment: Experiment) -> str:
    if any(arm.target is not None for arm in experiment.arms):
        return f"its units go to the target of route {experiment.route}"
    return f"requests on route {experiment.route} no longer say flag {experiment.flag}"


def _experiment(old: Experiment, new: Experiment, of: str) -> Iterator[str]:
    yield from _fields(old, new, skip=("arms", "segment"))
    if old.segment != new.segment:
        before, after = (", ".join(format_share(share) for share in item.segment or (0.0, 1.0)) for item in (old, new))
        yield f"segment changes from [{before}] to [{after}]"
    yield from _arms(old, new, of)


def _arms(old: Experiment, new: Experiment, of: str) -> Iterator[str]:
    before, after = _by_name(old.arms), _by_name(new.arms)
    shares_before, shares_after = shares(old), shares(new)
    for name in {**before, **after}:
        if name not in after:
            yield f"arm {name} is removed (had {percent(shares_before[name])} of {of})"
        elif name not in before:
            yield f"arm {name} is added with {percent(shares_after[name])} of {of}"
        else:
            if before[name].target != after[name].target:
                yield f"arm {name} is served by {after[name].target} instead of {before[name].target}"
            if before[name].value != after[name].value:
                yield f"arm {name} has the value {show(after[name].value)} instead of {show(before[name].value)}"
            if percent(shares_before[name]) != percent(shares_after[name]):
                change = f"{percent(shares_after[name])} of {of} instead of {percent(shares_before[name])}"
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
