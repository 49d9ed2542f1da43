"""JSONLogic: rules as data, compiled to functions of data.

Responsible for: ``compile_rule``, and the operators that look at the data or do not evaluate every argument.
Does not know: where rules and data come from. Which rules are well formed is ``router.config.logic``'s to say, what the
other operators mean ``operators``', ``loops``' and ``flagd``'s.

Rules: compiled once, evaluated often, the same result for the same data, and that of flagd's engine (decision 0050),
but bounded: a rule that would take more than ``coerce.MAX_STEPS``, or make more than ``operators.MAX_ITEMS`` or
``coerce.MAX_TEXT``, has no value. Evaluating never raises. What is absent is null, or on request *unknown*: then a
``var`` without a default that finds nothing has no value, and neither has what is made of it, except that ``or`` is
true as soon as something known is, and ``and`` false (Kleene's logic, as SQL has it).
"""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, Final, NamedTuple

from msgspec import Struct

from router.config.logic import arguments
from router.routing.coerce import Meter, RuleError, text, truthy
from router.routing.lookup import compile_path, look_up
from router.routing.loops import LOOPS
from router.routing.node import AbsentError, Evaluate, Node, Place, values_of
from router.routing.operators import EAGER, Eager

_NO_ANSWER: Final = (RuleError, ArithmeticError, ValueError, RecursionError)

_ITEM: Final = Place(unknown=False)


class Answer(NamedTuple):
    """What a rule gives, or why it gives nothing."""

    value: Any
    why: str | None = None


class Rule(Struct, frozen=True):
    """A compiled rule."""

    root: Evaluate

    def answer(self, data: Any) -> Answer:
        """Return what the rule gives for some data (maps, lists, scalars), or why it has no value."""
        try:
            return Answer(self.root(data, Meter()))
        except _NO_ANSWER as error:
            return Answer(None, str(error))

    def evaluate(self, data: Any) -> Any:
        """Return what the rule gives for some data; null when it has no value."""
        return self.answer(data).value

    def holds(self, data: Any) -> bool:
        """Return whether what the rule gives counts as true."""
        try:
            return truthy(self.root(data, Meter()))
        except _NO_ANSWER:
            return False


def compile_rule(rule: Any, more: Mapping[str, Eager] = MappingProxyType({}), *, unknown: bool = False) -> Rule:
    """Compile a rule.

    Args:
        rule: The rule as plain data.
        more: Further operators.
        unknown: Whether what is absent is unknown instead of null.

    Raises:
        ValueError: If it has an operator that does not exist, or a map that is no operation.
    """
    return Rule(_compile(rule, more, Place(unknown, test=True)).evaluate)


def _compile(rule: Any, more: Mapping[str, Eager], place: Place) -> Node:
    if isinstance(rule, list):
        items = [_compile(item, more, place.plain) for item in rule]
        constant = all(item.constant for item in items)
        return Node(values_of(items), 1 + sum(item.size for item in items), constant)
    if not isinstance(rule, dict):
        return Node(lambda _data, _meter: rule, 1, constant=True)
    if len(rule) != 1:
        raise ValueError(f"an operation is a map of one key, not of {len(rule)}")
    ((operator, value),) = rule.items()
    places = _PLACES.get(operator, _plain)
    given = [_compile(item, more, places(place, index)) for index, item in enumerate(arguments(value))]
    size = 1 + sum(item.size for item in given)
    if operator in LAZY:
        return Node(LAZY[operator](given, place), size)
    if operator in LOOPS:
        return Node(LOOPS[operator](given), size)
    if operator in FLAGD:
        from router.routing import flagd  # noqa: PLC0415 - it loads libraries that most rules have no need of

        return Node(flagd.COMPILE[operator](given), size)
    if operator == "in" and given[-1].constant and _hashable(given[-1].value):
        return Node(_member(given[0], frozenset(given[-1].value)), size)
    eager = EAGER.get(operator) or more.get(operator)
    if eager is None:
        raise ValueError(f'there is no operator "{operator}"')
    return Node(_eager(eager, given), size)


def _plain(place: Place, _index: int) -> Place:
    return place.plain


def _tested(place: Place, _index: int) -> Place:
    return place.tested


def _alike(place: Place, _index: int) -> Place:
    return place


def _condition(place: Place, index: int) -> Place:
    """Return the place of an argument of ``if``: every other one is a condition, the last may be none."""
    return place if index % 2 else place.tested


def _body(place: Place, index: int) -> Place:
    return _ITEM if index == 1 else place.plain


def _judged(place: Place, index: int) -> Place:
    return _ITEM.tested if index == 1 else place.plain


# What an argument stands for in its operation, by its index; by default its value matters.
_PLACES: Final[Mapping[str, Callable[[Place, int], Place]]] = MappingProxyType(
    {
        "and": _alike,
        "or": _alike,
        "!": _tested,
        "!!": _tested,
        "if": _condition,
        "?:": _condition,
        "map": _body,
        "reduce": _body,
        "filter": _judged,
        "all": _judged,
        "some": _judged,
        "none": _judged,
    }
)


def _hashable(value: Any) -> bool:
    return isinstance(value, list) and not any(isinstance(item, list | dict) for item in value)


def _member(needle: Node, hay: frozenset[Any]) -> Evaluate:
    """Return ``in`` for a list that the rule says itself: a set has what is equal, as the list has."""
    find = needle.evaluate

    def evaluate(data: Any, meter: Meter) -> bool:
        value = find(data, meter)
        return not isinstance(value, list | dict) and value in hay

    return evaluate


def _eager(operator: Eager, given: list[Node]) -> Evaluate:
    values = values_of(given)
    return lambda data, meter: operator(values(data, meter), meter)


def _var(given: list[Node], place: Place) -> Evaluate:
    if not given:
        return lambda data, _meter: data
    if len(given) > 1:
        values = values_of(given)
        return lambda data, meter: look_up(data, *values(data, meter))
    name = given[0].evaluate
    if not (given[0].constant and isinstance(given[0].value, str)):
        if not place.unknown:
            return lambda data, meter: look_up(data, name(data, meter))
        return lambda data, meter: _present(look_up(data, path := name(data, meter)), path)
    path = given[0].value
    find = compile_path(path)
    if not place.unknown:
        return lambda data, _meter: find(data)
    return lambda data, _meter: _present(find(data), path)


def _present(found: Any, path: Any) -> Any:
    if found is None:
        raise AbsentError(f'"{text(path)}" is absent')
    return found


def _if(given: list[Node], _place: Place) -> Evaluate:
    parts = tuple(node.evaluate for node in given)
    pairs = tuple(zip(parts[::2], parts[1::2], strict=False))
    last = parts[-1] if len(parts) % 2 else None

    def evaluate(data: Any, meter: Meter) -> Any:
        for condition, then in pairs:
            if truthy(condition(data, meter)):
                return then(data, meter)
        return None if last is None else last(data, meter)

    return evaluate


def _first(given: list[Node], place: Place, *, wanted: bool) -> Evaluate:
    """Return the first value that is (not) true, or the last; what comes behind it is not evaluated."""
    parts = tuple(node.evaluate for node in given)

    def evaluate(data: Any, meter: Meter) -> Any:
        value = None
        for part in parts:
            value = part(data, meter)
            if truthy(value) is wanted:
                return value
        return value

    def judge(data: Any, meter: Meter) -> Any:
        value = None
        unknown = None
        for part in parts:
            try:
                value = part(data, meter)
            except AbsentError as error:
                unknown = error
                continue
            if truthy(value) is wanted:
                return value
        if unknown is not None:
            raise unknown
        return value

    return judge if place.unknown and place.test else evaluate


def _and(given: list[Node], place: Place) -> Evaluate:
    return _first(given, place, wanted=False)


def _or(given: list[Node], place: Place) -> Evaluate:
    return _first(given, place, wanted=True)


LAZY: Final[Mapping[str, Callable[[list[Node], Place], Evaluate]]] = MappingProxyType(
    {
        "var": _var,
        "if": _if,
        "?:": _if,
        "and": _and,
        "or": _or,
    }
)
FLAGD: Final = frozenset({"fractional", "sem_ver"})
