"""JSONLogic: rules as data, compiled to functions of data.

Responsible for: ``compile_rule``, and the operators that look at the data or do not evaluate every argument.
Does not know: where rules and data come from. Which rules are well formed is ``router.config.logic``'s to say, what the
other operators mean ``operators``'.

Rules: compiled once, evaluated often, the same result for the same data. Evaluating never raises: what cannot be
compared is false, what is missing is null. It is bounded: a rule that would take more than ``MAX_STEPS``, or make more
than ``operators.MAX_ITEMS`` or ``coerce.MAX_TEXT``, gives null. Further operators on values are ``compile_rule``'s to
take.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, Final, NamedTuple

from msgspec import Struct

from router.config.logic import arguments
from router.routing.coerce import BoundError, number, text, truthy
from router.routing.operators import EAGER, Eager

_INDEX: Final = re.compile(r"0|[1-9][0-9]{0,8}")

MAX_STEPS: Final = 20_000  # operations and values that loops evaluate in one evaluation


class Meter(Struct, gc=False):
    """What one evaluation may still use."""

    left: int = MAX_STEPS

    def spend(self, steps: int) -> None:
        """Use some of it."""
        self.left -= steps
        if self.left < 0:
            raise BoundError("a rule takes too many steps")


Evaluate = Callable[[Any, Meter], Any]


class Node(NamedTuple):
    """A part of a rule: how to evaluate it, and of how many parts it consists."""

    evaluate: Evaluate
    size: int


class Rule(Struct, frozen=True):
    """A compiled rule."""

    root: Evaluate

    def evaluate(self, data: Any) -> Any:
        """Return what the rule gives for some data (maps, lists, scalars); null when it would take too much."""
        try:
            return self.root(data, Meter())
        except BoundError:
            return None

    def holds(self, data: Any) -> bool:
        """Return whether what the rule gives counts as true."""
        return truthy(self.evaluate(data))


def compile_rule(rule: Any, more: Mapping[str, Eager] = MappingProxyType({})) -> Rule:
    """Compile a rule.

    Args:
        rule: The rule as plain data.
        more: Further operators.

    Raises:
        ValueError: If it has an operator that does not exist, or a map that is no operation.
    """
    return Rule(_compile(rule, more).evaluate)


def _compile(rule: Any, more: Mapping[str, Eager]) -> Node:
    if isinstance(rule, list):
        items = [_compile(item, more) for item in rule]
        return Node(_values(items), 1 + sum(item.size for item in items))
    if not isinstance(rule, dict):
        return Node(lambda _data, _meter: rule, 1)
    if len(rule) != 1:
        raise ValueError(f"an operation is a map of one key, not of {len(rule)}")
    ((operator, value),) = rule.items()
    given = [_compile(item, more) for item in arguments(value)]
    size = 1 + sum(item.size for item in given)
    if operator in LAZY:
        return Node(LAZY[operator](given), size)
    eager = EAGER.get(operator) or more.get(operator)
    if eager is None:
        raise ValueError(f'there is no operator "{operator}"')
    return Node(_eager(eager, given), size)


def _eager(operator: Eager, given: list[Node]) -> Evaluate:
    values = _values(given)
    return lambda data, meter: operator(values(data, meter))


def _values(nodes: Sequence[Node]) -> Callable[[Any, Meter], list[Any]]:
    parts = tuple(node.evaluate for node in nodes)
    return lambda data, meter: [part(data, meter) for part in parts]


def look_up(data: Any, name: Any, default: Any = None) -> Any:
    """Return what is at a path of keys and indices with dots between them; everything for "" and null.

    A key that has dots itself is found when the path leads nowhere.
    """
    if name is None or name == "":
        return data
    path = text(name)
    node = data
    for part in path.split("."):
        if isinstance(node, dict) and part in node:
            node = node[part]
        elif isinstance(node, list) and _INDEX.fullmatch(part) and int(part) < len(node):
            node = node[int(part)]
        else:
            return data.get(path, default) if isinstance(data, dict) else default
    return node


def _var(given: list[Node]) -> Evaluate:
    values = _values(given)
    return lambda data, meter: look_up(data, *values(data, meter)) if given else data


def _missing(given: list[Node]) -> Evaluate:
    values = _values(given)

    def evaluate(data: Any, meter: Meter) -> list[Any]:
        names = values(data, meter)
        return _absent(data, names[0] if names and isinstance(names[0], list) else names)

    return evaluate


def _missing_some(given: list[Node]) -> Evaluate:
    values = _values(given)

    def evaluate(data: Any, meter: Meter) -> list[Any]:
        needed, names = values(data, meter)
        if not isinstance(names, list):
            names = [names]
        absent = _absent(data, names)
        return [] if len(names) - len(absent) >= number(needed) else absent

    return evaluate


def _absent(data: Any, names: list[Any]) -> list[Any]:
    found = ((name, look_up(data, name)) for name in names)
    return [name for name, value in found if value is None or (isinstance(value, str) and not value)]


def _if(given: list[Node]) -> Evaluate:
    parts = tuple(node.evaluate for node in given)
    pairs = tuple(zip(parts[::2], parts[1::2], strict=False))
    last = parts[-1] if len(parts) % 2 else None

    def evaluate(data: Any, meter: Meter) -> Any:
        for condition, then in pairs:
            if truthy(condition(data, meter)):
                return then(data, meter)
        return None if last is None else last(data, meter)

    return evaluate


def _first(given: list[Node], *, wanted: bool) -> Evaluate:
    """Return the first value that is (not) true, or the last; what comes behind it is not evaluated."""
    parts = tuple(node.evaluate for node in given)

    def evaluate(data: Any, meter: Meter) -> Any:
        value = None
        for part in parts:
            value = part(data, meter)
            if truthy(value) is wanted:
                return value
        return value

    return evaluate


def _and(given: list[Node]) -> Evaluate:
    return _first(given, wanted=False)


def _or(given: list[Node]) -> Evaluate:
    return _first(given, wanted=True)


def _each(given: list[Node], use: Callable[[list[Any], Callable[[Any], Any]], Any]) -> Evaluate:
    """Make an operator of a list and of what is evaluated for each of its items."""
    items_of, body = given

    def evaluate(data: Any, meter: Meter) -> Any:
        items = items_of.evaluate(data, meter)
        if not isinstance(items, list):
            items = []
        meter.spend(len(items) * body.size)
        return use(items, lambda item: body.evaluate(item, meter))

    return evaluate


def _map(given: list[Node]) -> Evaluate:
    return _each(given, lambda items, body: [body(item) for item in items])


def _filter(given: list[Node]) -> Evaluate:
    return _each(given, lambda items, body: [item for item in items if truthy(body(item))])


def _all(given: list[Node]) -> Evaluate:
    return _each(given, lambda items, body: bool(items) and all(truthy(body(item)) for item in items))


def _some(given: list[Node]) -> Evaluate:
    return _each(given, lambda items, body: any(truthy(body(item)) for item in items))


def _none(given: list[Node]) -> Evaluate:
    return _each(given, lambda items, body: not any(truthy(body(item)) for item in items))


def _reduce(given: list[Node]) -> Evaluate:
    items_of, body = given[:2]

    def evaluate(data: Any, meter: Meter) -> Any:
        items = items_of.evaluate(data, meter)
        result = given[2].evaluate(data, meter) if len(given) > 2 else None
        if not isinstance(items, list):
            return result
        meter.spend(len(items) * body.size)
        for item in items:
            result = body.evaluate({"current": item, "accumulator": result}, meter)
        return result

    return evaluate


LAZY: Final[Mapping[str, Callable[[list[Node]], Evaluate]]] = MappingProxyType(
    {
        "var": _var,
        "missing": _missing,
        "missing_some": _missing_some,
        "if": _if,
        "?:": _if,
        "and": _and,
        "or": _or,
        "map": _map,
        "filter": _filter,
        "reduce": _reduce,
        "all": _all,
        "none": _none,
        "some": _some,
    }
)
