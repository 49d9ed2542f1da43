"""Who is eligible for an experiment.

Responsible for: ``compile_targeting``: an experiment's rule together with what it asks for.
Does not know: units, layers, arms; what operators mean (``router.routing.logic``), how facts are read
(``router.routing.facts``).

Rules: compiled with the table, evaluated for each request. What is absent is unknown (decision 0050), so a missing
attribute is not eligible, and neither is a rule that has no value. Nothing here raises.
"""

from collections.abc import Mapping
from typing import Any, Final

from msgspec import Struct

from router.config import logic
from router.config.facts import UNIT
from router.config.schema import Experiment
from router.routing.coerce import truthy
from router.routing.facts import Facts, compile_facts
from router.routing.logic import Rule, compile_rule
from router.routing.request import Request
from router.routing.source import Source

_HASHED: Final = ("$flagd.flagKey", UNIT)  # what ``fractional`` hashes by when it is not told


class Targeting(Struct, frozen=True):
    """The rule of an experiment, compiled.

    Attributes:
        rule: The rule.
        facts: What it asks for.
    """

    rule: Rule
    facts: Facts

    def obstacle(self, request: Request, unit: bytes) -> str | None:
        """Return why a request is not eligible; None when it is.

        Args:
            request: The request, its body as far as it was gathered, with its time if ``facts.reads_time``.
            unit: Whom its assignment would belong to, in UTF-8.
        """
        value, why = self.rule.answer(self.facts.of(request, unit))
        if why is not None:
            return f"not eligible: {why}"
        return None if truthy(value) else "not eligible"


def compile_targeting(experiment: Experiment, attributes: Mapping[str, Source]) -> Targeting | None:
    """Compile who is eligible for an experiment; None when everybody is.

    Args:
        experiment: The experiment.
        attributes: Attributes of its route, compiled.

    Raises:
        ValueError: If the rule has an operator that does not exist.
        zoneinfo.ZoneInfoNotFoundError: If the time zone does not.
    """
    rule: Any = experiment.eligible
    if rule is None:
        return None
    asked = None
    if not logic.computes_names(rule):
        implied = _HASHED if logic.uses(rule, "fractional") else ()
        asked = [*implied, *(name for _, name in logic.names(rule, ""))]
    facts = compile_facts(asked, attributes, experiment.name, experiment.time_zone)
    return Targeting(compile_rule(rule, unknown=True), facts)
