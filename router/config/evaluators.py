"""Named parts of rules: ``$evaluators``, and ``{$ref: NAME}`` where one of them stands, as in flagd's files.

Responsible for: references that lead somewhere and not in a circle, and putting in place what they lead to.
Does not know: what rules are for, or what operators mean.

Rules: put in place once, when a configuration is loaded, so that whatever reads it sees whole rules; what a rule
becomes is measured before it is made. Beyond flagd, an evaluator may refer to one that stands before it.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Final, NamedTuple

from router.config.logic import MAX_DEPTH, MAX_NODES, REF, arguments, check, names
from router.config.mistake import ROOT, child, show
from router.config.parts import Report, items, part
from router.config.resolve import BROKEN

KEY: Final = "$evaluators"
_PATH: Final = child(ROOT, KEY)


class _Size(NamedTuple):
    """How large a rule is with its evaluators in place."""

    nodes: int
    depth: int


class Evaluators:
    """The evaluators of a configuration, those that can be put in place.

    Per configuration: their rules, the sizes known so far.
    """

    def __init__(self, rules: Mapping[str, Any]) -> None:
        self.rules = rules
        self._sizes: dict[str, _Size] = {}

    def expand(self, rule: Any) -> Any:
        """Return a rule with evaluators in the place of references."""
        if isinstance(rule, list):
            return [self.expand(item) for item in rule]
        if not isinstance(rule, dict):
            return rule
        if REF in rule:
            return self.expand(self.rules[rule[REF]])
        return {key: self.expand(value) for key, value in rule.items()}

    def size(self, rule: Any) -> _Size:
        """Return how large a rule would be, at no cost that grows with that."""
        if isinstance(rule, dict) and REF in rule:
            name = rule[REF]
            if name not in self._sizes:
                self._sizes[name] = self.size(self.rules[name])
            return self._sizes[name]
        sizes = [self.size(item) for item in _parts(rule)]
        return _Size(1 + sum(size.nodes for size in sizes), 1 + max((size.depth for size in sizes), default=0))


def check_evaluators(config: Mapping[str, Any], report: Report) -> None:
    """Report what is wrong with evaluators."""
    rules = _sound(config)
    for name, rule in rules.items():
        check(rule, child(_PATH, name), report, part(config, KEY))
        for at, used in references(rule, child(_PATH, name)):
            if name in {used, *_reached(rules, used)}:
                report(at, f"evaluator {show(used)} leads back to {show(name)}")


def usable(config: Mapping[str, Any]) -> Evaluators:
    """Return the evaluators of a configuration that can be put in place."""
    found: dict[str, Any] = {}
    waiting = _sound(config)
    while ready := [name for name, rule in waiting.items() if all(used in found for _, used in references(rule, ""))]:
        found |= {name: waiting.pop(name) for name in ready}
    return Evaluators(found)


def _sound(config: Mapping[str, Any]) -> dict[str, Any]:
    return {name: rule for name, rule in part(config, KEY).items() if rule is not BROKEN}


def check_rule(rule: Any, path: str, config: Mapping[str, Any], report: Report) -> None:
    """Report what is wrong with a rule that may refer to evaluators.

    Args:
        rule: The rule as written.
        path: Where it stands.
        config: Resolved plain data, in which ``BROKEN`` may stand for any part.
        report: Takes the path and the message of each mistake.
    """
    check(rule, path, report, part(config, KEY))
    used = [name for _, name in references(rule, path)]
    evaluators = usable(config)
    if not used or not all(name in evaluators.rules for name in used):
        return
    size = evaluators.size(rule)
    if size.nodes > MAX_NODES:
        report(path, f"the rule has {size.nodes} operations and values with its evaluators; the most is {MAX_NODES}")
    if size.depth > MAX_DEPTH:
        report(path, f"the rule is nested more than {MAX_DEPTH} deep with its evaluators")


def asked(rule: Any, path: str, config: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield what ``names`` does, and for a reference what its evaluator asks for, at the reference's place."""
    yield from names(rule, path)
    evaluators = usable(config)
    for at, name in references(rule, path):
        if name in evaluators.rules and evaluators.size({REF: name}).nodes <= MAX_NODES:
            for _, found in names(evaluators.expand({REF: name}), ""):
                yield at, found


def references(rule: Any, path: str) -> Iterator[tuple[str, str]]:
    """Yield the evaluators that a rule refers to itself, each with its place."""
    if isinstance(rule, list):
        for index, item in enumerate(rule):
            yield from references(item, child(path, index))
    elif isinstance(rule, dict):
        for key, value in rule.items():
            if key == REF and isinstance(value, str):
                yield child(path, key), value
            else:
                yield from references(value, child(path, key))


def expand(config: dict[str, Any]) -> None:
    """Put the evaluators of a configuration without mistakes in place: in the rules of experiments and of fallbacks."""
    evaluators = Evaluators(part(config, KEY))
    for _, experiment in items(config, "experiments"):
        if "eligible" in experiment:
            experiment["eligible"] = evaluators.expand(experiment["eligible"])
    for _, route in items(config, "routes"):
        for _, step in items(route, "fallback"):
            for _, rule in items(step, "rules"):
                rule["if"] = evaluators.expand(rule["if"])


def _parts(rule: Any) -> list[Any]:
    """Return what a rule consists of, as ``logic.check`` counts it: of an operation its arguments."""
    if isinstance(rule, dict):
        return [item for value in rule.values() for item in arguments(value)]
    return rule if isinstance(rule, list) else []


def _reached(rules: Mapping[str, Any], start: str) -> set[str]:
    """Return the evaluators that one refers to, directly or not."""
    found: set[str] = set()
    new = {start}
    while new:
        new = {used for name in new for _, used in references(rules.get(name), "")} - found
        found |= new
    return found
