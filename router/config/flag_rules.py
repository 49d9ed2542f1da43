"""What flagd's schema cannot say about a targeting rule.

Responsible for: operators that do not exist, references to evaluators, weights that are too large together, and which
variants a rule can give, as far as it says so.
Does not know: lines, files, the shape of an operation's arguments (``flagd_schema``), evaluation (``router.flags``).

Rules: pure. What a rule computes (``var``, ``cat``, arithmetic) is left to the evaluation; what it names is checked.
A map in a rule is an operation. References are written out by flagd's core as text, so a chain of them is measured here
before any memory is taken.
"""

import difflib
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from typing import Any, Final

from router.config.flagd_schema import Place, operators
from router.config.mistake import show

MAX_WEIGHTS: Final = 2_147_483_647  # of one fractional, as flagd's evaluators have it
MAX_RULE_NODES: Final = 10_000  # operations, lists and values of a rule, references written out
MAX_RULE_DEPTH: Final = 100  # operations and lists within each other, references written out
_REF: Final = "$ref"
_TRUTH: Final = frozenset(
    {"==", "===", "!=", "!==", "!", "!!", "<", "<=", ">", ">=", "in", "all", "none", "some"}
    | {"starts_with", "ends_with", "sem_ver"}
)
_SUGGESTED_LENGTH: Final = 32  # difflib takes quadratic time

Fault = tuple[Place, str]


@dataclass(frozen=True, slots=True)
class Evaluators:
    """The rules that others may refer to, without cycles.

    Attributes:
        rules: Name to rule, each before those that it refers to: the order in which flagd's core writes them out.
        sizes: Name to nodes and depth, references written out.
    """

    rules: Mapping[str, Any]
    sizes: Mapping[str, tuple[int, int]]

    def used(self, rules: Any) -> dict[str, Any]:
        """Return those that some rules refer to, directly or not, in their order."""
        wanted = {name for _, name in references(rules)}
        found: dict[str, Any] = {}
        for name, rule in self.rules.items():
            if name in wanted:
                found[name] = rule
                wanted.update(below for _, below in references(rule))
        return found


def order(rules: Mapping[str, Any]) -> tuple[Evaluators, tuple[str, ...]]:
    """Put evaluators in order.

    Returns:
        Them, and the names of a cycle; with one, or with a reference that leads nowhere, what is on it is left out.
    """
    refers = {name: {below for _, below in references(rule)} & rules.keys() for name, rule in rules.items()}
    try:
        inner_first = tuple(TopologicalSorter(refers).static_order())
    except CycleError as error:
        return Evaluators({}, {}), tuple(error.args[1])
    sizes: dict[str, tuple[int, int]] = {}
    for name in inner_first:
        sizes[name] = _size(rules[name], sizes)
    return Evaluators({name: rules[name] for name in reversed(inner_first)}, sizes), ()


def references(rule: Any, at: Place = ()) -> Iterator[tuple[Place, str]]:
    """Yield the evaluators that a rule refers to, each with where it does."""
    if isinstance(rule, dict):
        if isinstance(rule.get(_REF), str) and len(rule) == 1:
            yield at, rule[_REF]
            return
        for key, value in rule.items():
            yield from references(value, (*at, key))
    elif isinstance(rule, list):
        for index, value in enumerate(rule):
            yield from references(value, (*at, index))


def check_rule(rule: Any, known: Evaluators, names: Collection[str]) -> Iterator[Fault]:
    """Yield what is wrong with a rule, each with its place in it.

    Args:
        rule: The rule as plain data.
        known: The evaluators, in order.
        names: The evaluators that there are, also those that could not be put in order.
    """
    for at, name in references(rule):
        if name not in names:
            yield at, f"there is no evaluator {show(name)}" + (f"; there are: {', '.join(names)}" if names else "")
    nodes, depth = _size(rule, known.sizes)
    if nodes > MAX_RULE_NODES or depth > MAX_RULE_DEPTH:
        yield (
            (),
            (
                f"the rule has {nodes} operations and values, {depth} deep, references written out; "
                f"the most is {MAX_RULE_NODES}, {MAX_RULE_DEPTH} deep"
            ),
        )
    yield from _operations(rule, ())


def results(rule: Any, known: Evaluators, at: Place = ()) -> Iterator[tuple[Place, Any]]:
    """Yield what a rule can give, as far as it says so, each with where it does.

    Args:
        rule: A rule that ``check_rule`` finds nothing wrong with.
        known: The evaluators, in order.
        at: Where the rule stands.
    """
    if not isinstance(rule, dict):
        yield at, rule
        return
    for operator, value in rule.items():
        here = (*at, operator)
        if operator == _REF and isinstance(value, str):
            yield from ((at, result) for _, result in results(known.rules.get(value), known))
        elif operator in _TRUTH:
            yield from ((here, True), (here, False))
        elif isinstance(value, list):
            for place, item, only in _outcomes(operator, [((*here, index), item) for index, item in enumerate(value)]):
                yield from (found for found in results(item, known, place) if only in (None, bool(found[1])))


def _outcomes(operator: str, given: list[tuple[Place, Any]]) -> Iterator[tuple[Place, Any, bool | None]]:
    """Yield the arguments that an operation can give, each with the truth that it has to have for that."""
    if operator == "if":
        yield from ((*branch, None) for branch in given[1::2] + (given[-1:] if len(given) % 2 else []))
    elif operator in ("and", "or"):
        yield from ((*argument, operator == "or") for argument in given[:-1])
        yield from ((*argument, None) for argument in given[-1:])
    elif operator == "fractional":
        shares = ((place, item) for place, item in given if isinstance(item, list) and item)
        yield from (((*place, 0), item[0], None) for place, item in shares)
    elif operator == "var":
        yield from ((*argument, None) for argument in given[1:2])


def _operations(rule: Any, at: Place) -> Iterator[Fault]:
    if isinstance(rule, list):
        for index, item in enumerate(rule):
            yield from _operations(item, (*at, index))
    if not isinstance(rule, dict) or _REF in rule:
        return
    if len(rule) > 1:
        yield at, f"an operation is a map of one key, its operator; here are {', '.join(map(show, list(rule)[:5]))}"
        return
    for operator, value in rule.items():
        here = (*at, operator)
        if operator not in operators():
            near = difflib.get_close_matches(operator, operators(), 1) if len(operator) <= _SUGGESTED_LENGTH else []
            hint = f"did you mean {show(near[0])}?" if near else f"there are: {' '.join(sorted(operators()))}"
            yield here, f"there is no operator {show(operator)}; {hint}"
            return
        if operator == "fractional":
            yield from _weights(value, here)
        yield from _operations(value, here)


def _weights(value: Any, at: Place) -> Iterator[Fault]:
    shares = [item for item in value if isinstance(item, list)] if isinstance(value, list) else []
    weights = [share[1] if len(share) > 1 else 1 for share in shares]
    if all(isinstance(weight, int) for weight in weights) and sum(weights) > MAX_WEIGHTS:
        yield at, f"the weights add up to {sum(weights)}; the most is {MAX_WEIGHTS}"


def _size(rule: Any, sizes: Mapping[str, tuple[int, int]]) -> tuple[int, int]:
    """Return the nodes and the depth of a rule, references written out."""
    if isinstance(rule, dict):
        if isinstance(name := rule.get(_REF), str) and len(rule) == 1:
            return sizes.get(name, (1, 1))
        below = [_size(value, sizes) for value in rule.values()]
    elif isinstance(rule, list):
        below = [_size(value, sizes) for value in rule]
    else:
        return 1, 1
    return 1 + sum(nodes for nodes, _ in below), 1 + max((depth for _, depth in below), default=0)
