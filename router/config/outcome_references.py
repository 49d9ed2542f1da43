"""What the keys about outcomes say about the rest of the configuration.

Responsible for: that no outcome is taken so late that its repeat would not be known any more.
Does not know: what one value says alone; that was resolved before.

Rules: those of ``references``.
"""

from collections.abc import Mapping
from typing import Any

from router.config import scalars
from router.config.parts import Report, given, part
from router.config.resolve import BROKEN
from router.config.schema import Keep


def check_outcomes(config: Mapping[str, Any], report: Report) -> None:
    """Report what is said about outcomes that cannot be."""
    outcomes = part(config, "outcomes")
    age = part(part(config, "events"), "keep").get("age", Keep().age)
    if given(outcomes, "max_late") and age is not BROKEN and outcomes["max_late"] is not None:
        late = outcomes["max_late"]
        if late > age:
            report(
                "$.outcomes.max_late",
                f"{scalars.format_duration(late)} is longer than events.keep.age {scalars.format_duration(age)}, after "
                "which ids are forgotten and a repeat would count twice; raise that as well",
            )
