"""What a rule about a request can ask for, by name.

Responsible for: the names beside those of the route's attributes, and which attribute a name leads to.
Does not know: how a fact is read (``router.routing.facts``).

Rules: names of attributes begin with a letter or a digit, so none of them hides a fact that begins with ``$``. Those
of flagd (``$flagd.flagKey``, ``$flagd.timestamp``, ``targetingKey``) mean what they mean there: the experiment, the
time in seconds, the unit.
"""

from collections.abc import Container
from typing import Final

REQUEST: Final = ("method", "path", "host", "address", "user_agent")
TIME: Final = ("hour", "minute", "weekday", "day", "month", "date")
UNIT: Final = "targetingKey"
HEADER: Final = "$request.headers."
QUERY: Final = "$request.query."
FACTS: Final = (
    *(f"$request.{name}" for name in REQUEST),
    *(f"$time.{name}" for name in TIME),
    "$flagd.flagKey",
    "$flagd.timestamp",
    UNIT,
)


def is_fact(name: str) -> bool:
    """Tell whether a name is that of a fact which is no attribute."""
    return name in FACTS or any(name.startswith(kind) and len(name) > len(kind) for kind in (HEADER, QUERY))


def attribute_in(name: str, attributes: Container[str]) -> str | None:
    """Return the attribute that a name leads to: ``roles.0`` and ``roles.length`` lead to ``roles``."""
    while name not in attributes:
        name, dot, _ = name.rpartition(".")
        if not dot:
            return None
    return name
