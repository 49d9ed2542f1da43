"""What rules ask for, and when: names that exist, time zones that do.

Responsible for: the rule of an experiment and its time zone.
Does not know: other rules (``route_references``); what rules give.

Rules: those of ``references``. A name that nothing has would be unknown for ever, and so would the rule.
"""

import difflib
from collections.abc import Mapping
from typing import Any, Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from router.config import logic, scalars
from router.config.evaluators import asked, check_rule
from router.config.facts import FACTS, HEADER, QUERY, attribute_in, is_fact
from router.config.mistake import show
from router.config.parts import Report
from router.config.resolve import BROKEN

_SUGGESTED_LENGTH: Final = 64  # difflib takes quadratic time


def check_eligible(
    rule: Any, path: str, attributes: Mapping[str, object], config: Mapping[str, Any], report: Report
) -> None:
    """Report what is wrong with the rule of an experiment.

    Args:
        rule: The rule as written.
        path: Where it stands.
        attributes: Attributes of its route.
        config: Resolved plain data, in which ``BROKEN`` may stand for any part.
        report: Takes the path and the message of each mistake.
    """
    check_rule(rule, path, config, report)
    said: set[tuple[str, str]] = set()
    for at, name in asked(rule, path, config):
        if (at, name) not in said:
            said.add((at, name))
            _name(at, name, attributes, report)


def check_time_zone(experiment: Mapping[str, Any], path: str, config: Mapping[str, Any], report: Report) -> None:
    """Report a time zone that does not exist, or that nothing depends on."""
    zone, rule = experiment["time_zone"], experiment.get("eligible")
    if zone is BROKEN or rule is BROKEN:
        return
    try:
        ZoneInfo(zone)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        report(f"{path}.time_zone", f"{show(zone)} is not a time zone such as Europe/Berlin")
        return
    if not logic.computes_names(rule) and not any(name.startswith("$time.") for _, name in asked(rule, "", config)):
        report(f"{path}.time_zone", "has no effect, because eligible does not ask for $time")


def _name(at: str, name: str, attributes: Mapping[str, object], report: Report) -> None:
    attribute = attribute_in(name, attributes)
    if attribute is None and not is_fact(name):
        known = [*sorted(attributes), *FACTS]
        near = difflib.get_close_matches(name, known, 1) if len(name) <= _SUGGESTED_LENGTH else []
        facts = ", ".join([*FACTS, f"{HEADER}NAME", f"{QUERY}NAME"])
        there = f"there are: {', '.join(sorted(attributes)) or 'none'}, and the facts {facts}"
        report(at, f"there is no attribute {show(name)}; {f'did you mean {show(near[0])}?' if near else there}")
    elif attribute is None and name.startswith((HEADER, QUERY)):
        kind = "header" if name.startswith(HEADER) else "query"
        _source(at, kind, name.removeprefix(HEADER).removeprefix(QUERY), report)
    elif attribute is not None and attribute != name:
        _below(at, name, attribute, attributes[attribute], report)


def _source(at: str, kind: str, name: str, report: Report) -> None:
    if "." in name:
        report(at, f"{show(name)} has a dot, which separates names here; make it an attribute of the route")
        return
    try:
        scalars.parse_source(f"{kind}:{name}")
    except ValueError as error:
        report(at, str(error))


def _below(at: str, name: str, attribute: str, source: object, report: Report) -> None:
    """Report a path into an attribute that is text and has nothing there."""
    rest = name[len(attribute) + 1 :]
    if isinstance(source, str) and not source.startswith(("json:", "jwt:")) and rest != "length" and not rest.isdigit():
        report(at, f"attribute {show(attribute)} is text, which has no {show(rest)}")
