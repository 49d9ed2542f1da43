"""What answers when the chosen target cannot, compiled: the steps of a route's fallback.

Responsible for: the kinds of step, and the answers that somebody wrote, rules on attributes included.
Does not know: which step comes when (``recover``), how a target or the last good answers answer.

Rules: a step that yields an answer without a target may have none for a request; then it is the next one's turn.
"""

import json
from collections.abc import Iterable, Mapping
from http import HTTPStatus
from typing import Final, NamedTuple

from msgspec import Struct

from router.config import logic, schema
from router.counters import fallback_key, fallback_name, pair_key
from router.routing.facts import Facts, compile_facts
from router.routing.logic import Rule, compile_rule
from router.routing.request import Request
from router.routing.source import Source

NO_TARGET: Final = ""  # the target's name in counters of answers that none gave
_ALWAYS: Final = compile_rule(True)


class TargetStep(Struct, frozen=True):
    """Another target.

    Attributes:
        name: Name of the target.
        causes: What it is for.
        row: First word of its counters (``counters.CAUSES``).
        pair: First word of the counter row of route and target.
    """

    name: str
    causes: frozenset[str]
    row: int
    pair: int


class CachedStep(Struct, frozen=True):
    """The last good answer to the same question.

    Attributes:
        name: ``cached``.
        causes: What it is for.
        row: First word of its counters (``counters.CAUSES``).
        pair: First word of the counter row of the route and ``NO_TARGET``.
    """

    name: str
    causes: frozenset[str]
    row: int
    pair: int


class Written(NamedTuple):
    """An answer that somebody wrote: status code, status line and fields with their CRLFs but no date, content."""

    status: int
    head: bytes
    content: bytes


class WrittenStep(Struct, frozen=True):
    """The answer of the first rule that is true; that of a fixed answer is always true.

    Attributes:
        name: ``rules`` or ``respond``.
        causes: What it is for.
        row: First word of its counters (``counters.CAUSES``).
        pair: First word of the counter row of the route and ``NO_TARGET``.
        rules: The rules, over the route's attributes, in order.
        facts: Those that the rules ask for.
    """

    name: str
    causes: frozenset[str]
    row: int
    pair: int
    rules: tuple[tuple[Rule, Written], ...]
    facts: Facts

    @property
    def reads_body(self) -> bool:
        """Whether an attribute that the rules ask for is read from the body."""
        return self.facts.reads_body

    def answer(self, request: Request) -> Written | None:
        """Return the answer to a request; None when no rule is true."""
        data = self.facts.of(request, b"")
        return next((written for rule, written in self.rules if rule.holds(data)), None)


Step = TargetStep | CachedStep | WrittenStep


def compile_steps(route: schema.Route, attributes: Mapping[str, Source], slots: Mapping[str, int]) -> tuple[Step, ...]:
    """Compile a route's fallbacks.

    Args:
        route: The route.
        attributes: Its attributes, compiled.
        slots: Key of a counter row to its first word.

    Raises:
        KeyError: If a counter row is missing.
        ValueError: If one has no way to answer, or a rule is none.
    """
    steps: list[Step] = []
    for item in route.fallback:
        if item.target is None and item.cached is None and not item.rules and item.respond is None:
            raise ValueError(f'route "{route.name}" has a fallback that has no way to answer')
        causes = frozenset(item.causes or route.fallback_on)
        name = fallback_name(item)
        row, pair = slots[fallback_key(route.name, name)], slots[pair_key(route.name, item.target or NO_TARGET)]
        if item.target is not None:
            steps.append(TargetStep(name, causes, row, pair))
        elif item.cached is not None:
            steps.append(CachedStep(name, causes, row, pair))
        elif item.rules:
            rules = tuple((compile_rule(rule.condition), write(rule.respond)) for rule in item.rules)
            steps.append(WrittenStep(name, causes, row, pair, rules, _asked(item.rules, attributes)))
        elif item.respond is not None:
            rules = ((_ALWAYS, write(item.respond)),)
            steps.append(WrittenStep(name, causes, row, pair, rules, _asked((), {})))
    return tuple(steps)


def _asked(rules: Iterable[schema.Rule], attributes: Mapping[str, Source]) -> Facts:
    """Return the attributes that rules may ask for: all of them, when one of the rules computes what it asks for."""
    conditions = [rule.condition for rule in rules]
    if any(logic.computes_names(condition) for condition in conditions):
        return compile_facts(attributes, attributes, "")
    return compile_facts((name for condition in conditions for _, name in logic.names(condition, "")), attributes, "")


def write(respond: schema.Respond) -> Written:
    """Write an answer that somebody wrote as bytes."""
    try:
        phrase = HTTPStatus(respond.status).phrase
    except ValueError:
        phrase = ""
    line = b"HTTP/1.1 %d %b\r\n" % (respond.status, phrase.encode())
    if respond.status in {204, 304}:  # RFC 9110 6.4.1: no content
        return Written(respond.status, line, b"")
    if respond.json is None:
        return Written(respond.status, line + b"content-length: 0\r\n", b"")
    content = json.dumps(respond.json, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"
    fields = b"content-type: application/json\r\ncontent-length: %d\r\n" % len(content)
    return Written(respond.status, line + fields, content)
