"""Which rules in JSONLogic are well formed.

Responsible for: the operators with the number of arguments that each takes, the limits on a rule, and finding every
mistake in one.
Does not know: what an operator means (``router.routing.logic``), where the rule is used.

Rules: an operator is added here and in ``router.routing.logic``, and a test compares the two. A map of one key is an
operation; any other map is refused, because a misspelt operation would otherwise be a value that is always true.
"""

import difflib
from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType
from typing import Any, Final, NamedTuple

from router.config.mistake import child, show
from router.config.operands import check_operands

MAX_DEPTH: Final = 32  # operations and lists within each other
MAX_NODES: Final = 1000  # operations, lists and values of one rule
REF: Final = "$ref"  # in the place of an operation: one that has a name
_MANY: Final = 1_000_000  # any number
_SUGGESTED_LENGTH: Final = 32  # difflib takes quadratic time


class Arity(NamedTuple):
    """How many arguments an operator takes."""

    least: int
    most: int


OPERATORS: Final[Mapping[str, Arity]] = MappingProxyType(
    {
        "var": Arity(0, 2),
        "missing": Arity(0, _MANY),
        "missing_some": Arity(2, 2),
        "if": Arity(1, _MANY),
        "?:": Arity(3, 3),
        "==": Arity(2, 2),
        "===": Arity(2, 2),
        "!=": Arity(2, 2),
        "!==": Arity(2, 2),
        "!": Arity(1, 1),
        "!!": Arity(1, 1),
        "and": Arity(1, _MANY),
        "or": Arity(1, _MANY),
        "<": Arity(2, 3),
        "<=": Arity(2, 3),
        ">": Arity(2, 3),
        ">=": Arity(2, 3),
        "min": Arity(1, _MANY),
        "max": Arity(1, _MANY),
        "+": Arity(1, _MANY),
        "-": Arity(1, 2),
        "*": Arity(1, _MANY),
        "/": Arity(2, 2),
        "%": Arity(2, 2),
        "cat": Arity(0, _MANY),
        "substr": Arity(2, 3),
        "in": Arity(2, 2),
        "merge": Arity(0, _MANY),
        "map": Arity(2, 2),
        "filter": Arity(2, 2),
        "reduce": Arity(2, 3),
        "all": Arity(2, 2),
        "none": Arity(2, 2),
        "some": Arity(2, 2),
        "starts_with": Arity(2, 2),
        "ends_with": Arity(2, 2),
        "sem_ver": Arity(3, 3),
        "fractional": Arity(1, _MANY),
    }
)


def arguments(value: Any) -> list[Any]:
    """Return the arguments of an operation; one that is not in a list is the only one."""
    return value if isinstance(value, list) else [value]


# Operators whose second argument is evaluated for each item of the first: what it names is the item's.
_SCOPED: Final = frozenset({"map", "filter", "reduce", "all", "none", "some"})


def names(rule: Any, path: str) -> Iterator[tuple[str, str]]:
    """Yield the paths of data that a well-formed rule asks for, as far as it says them, each with where it does.

    Args:
        rule: The rule as plain data.
        path: Where it stands.
    """
    if isinstance(rule, list):
        for index, item in enumerate(rule):
            yield from names(item, child(path, index))
    if not isinstance(rule, dict) or len(rule) != 1:
        return
    ((operator, value),) = rule.items()
    at = child(path, operator)
    given = arguments(value)
    yield from ((at, name) for name in _asked(operator, given) if isinstance(name, str) and name)
    for index, item in enumerate(given):
        if not (index == 1 and operator in _SCOPED):
            yield from names(item, child(at, index) if isinstance(value, list) else at)


def computes_names(rule: Any) -> bool:
    """Return whether a rule may ask for more than ``names`` yields: for all data, or what it computes the path of."""
    if isinstance(rule, list):
        return any(map(computes_names, rule))
    if not isinstance(rule, dict) or len(rule) != 1:
        return False
    ((operator, value),) = rule.items()
    given = arguments(value)
    asked = _asked(operator, given)
    if operator == "var" and not given:
        return True
    inner = given[:1] + given[2:] if operator in _SCOPED else given
    return any(not isinstance(name, str) or not name for name in asked) or any(map(computes_names, inner))


def _asked(operator: str, given: list[Any]) -> list[Any]:
    """Return the arguments of an operation that are paths of data."""
    if operator == "var":
        return given[:1]
    if operator == "missing_some":
        return arguments(given[1]) if len(given) > 1 else []
    return given if operator == "missing" else []


def uses(rule: Any, operator: str) -> bool:
    """Tell whether an operator stands anywhere in a rule."""
    if isinstance(rule, list):
        return any(uses(item, operator) for item in rule)
    return isinstance(rule, dict) and (operator in rule or any(uses(item, operator) for item in rule.values()))


def check(
    rule: Any,
    path: str,
    report: Callable[[str, str], None],
    evaluators: Mapping[str, Any] = MappingProxyType({}),
) -> None:
    """Report every mistake in a rule.

    Args:
        rule: The rule as plain data: maps, lists and scalars.
        path: Where it stands.
        report: Takes the path and the message of each mistake.
        evaluators: What ``$ref`` may refer to.
    """
    nodes = _Check(report, evaluators).nodes(rule, path, 1)
    if nodes > MAX_NODES:
        report(path, f"the rule has {nodes} operations and values; the most is {MAX_NODES}")


class _Check(NamedTuple):
    """How a rule is checked: who is told, and what may be referred to."""

    report: Callable[[str, str], None]
    evaluators: Mapping[str, Any]

    def nodes(self, rule: Any, path: str, depth: int) -> int:
        """Report mistakes, and return the number of nodes."""
        if depth > MAX_DEPTH:
            self.report(path, f"the rule is nested more than {MAX_DEPTH} deep")
            return 1
        if isinstance(rule, list):
            return 1 + sum(self.nodes(item, child(path, index), depth + 1) for index, item in enumerate(rule))
        if not isinstance(rule, dict):
            return 1
        if len(rule) != 1:
            shown = ", ".join(show(key) for key in list(rule)[:5]) or "none"
            self.report(path, f"an operation is a map of one key, its operator; here are {shown}")
            return 1
        ((operator, value),) = rule.items()
        at = child(path, operator)
        if operator == REF:
            self._refer(value, at)
            return 1
        given = arguments(value)
        self._operation(operator, given, at)
        items = ((child(at, index), item) for index, item in enumerate(given))
        if not isinstance(value, list):
            items = ((at, item) for item in given)
        return 1 + sum(self.nodes(item, where, depth + 1) for where, item in items)

    def _refer(self, name: Any, at: str) -> None:
        if not isinstance(name, str):
            self.report(at, f"{show(name)} is not the name of an evaluator")
        elif name not in self.evaluators:
            shown = ", ".join(sorted(self.evaluators)[:10]) + (", …" if len(self.evaluators) > 10 else "")
            self.report(at, f"there is no evaluator {show(name)}" + (f"; there are: {shown}" if shown else ""))

    def _operation(self, operator: str, given: list[Any], at: str) -> None:
        arity = OPERATORS.get(operator)
        if arity is None:
            near = difflib.get_close_matches(operator, OPERATORS, 1) if len(operator) <= _SUGGESTED_LENGTH else []
            hint = f"did you mean {show(near[0])}?" if near else f"there are: {' '.join(OPERATORS)}"
            self.report(at, f"there is no operator {show(operator)}; {hint}")
        elif not arity.least <= len(given) <= arity.most:
            self.report(at, f"{show(operator)} takes {_number(arity)}, not {len(given)}")
        else:
            check_operands(operator, given, at, self.report)


def _number(arity: Arity) -> str:
    if arity.most == _MANY:
        return f"at least {arity.least} argument{'s'[: arity.least != 1]}"
    if arity.least == arity.most:
        return f"{arity.least} argument{'s'[: arity.least != 1]}"
    return f"{arity.least} to {arity.most} arguments"
