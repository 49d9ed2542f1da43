"""The operators of JSONLogic that look at several things: at the items of a list, or at what is missing.

Responsible for: ``map``, ``filter``, ``reduce``, ``all``, ``some``, ``none``, ``missing``, ``missing_some``.
Does not know: other operators, how a rule is compiled (``router.routing.logic``).

Rules: as the engine of flagd's Python packages has them. What is evaluated for each item sees the item, not the data
around it. Every item costs the steps of what is evaluated for it, before it is.
"""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, Final

from router.routing.coerce import Meter, number, truthy
from router.routing.lookup import look_up
from router.routing.node import Evaluate, Node, values_of


def _missing(given: list[Node]) -> Evaluate:
    values = values_of(given)

    def evaluate(data: Any, meter: Meter) -> list[Any]:
        names = values(data, meter)
        return _absent(data, names[0] if names and isinstance(names[0], list) else names, meter)

    return evaluate


def _missing_some(given: list[Node]) -> Evaluate:
    values = values_of(given)

    def evaluate(data: Any, meter: Meter) -> list[Any]:
        needed, names = values(data, meter)
        if not isinstance(names, list):
            return []
        absent = _absent(data, names, meter)
        return [] if len(names) - len(absent) >= number(needed) else absent

    return evaluate


def _absent(data: Any, names: list[Any], meter: Meter) -> list[Any]:
    meter.spend(len(names))
    found = ((name, look_up(data, name)) for name in names)
    return [name for name, value in found if value is None or (isinstance(value, str) and not value)]


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
        context = {"accumulator": result}  # one for all items, as flagd's engine has it
        for item in items:
            context["current"] = item
            context["accumulator"] = body.evaluate(context, meter)
        return context["accumulator"]

    return evaluate


LOOPS: Final[Mapping[str, Callable[[list[Node]], Evaluate]]] = MappingProxyType(
    {
        "map": _map,
        "filter": _filter,
        "reduce": _reduce,
        "all": _all,
        "none": _none,
        "some": _some,
        "missing": _missing,
        "missing_some": _missing_some,
    }
)
