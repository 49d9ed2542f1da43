"""The parts that a compiled rule consists of.

Responsible for: what a part is and where it stands, so that operators may be in several modules.
Does not know: operators, how a rule is compiled (``router.routing.logic``).
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from router.routing.coerce import Meter, RuleError

Evaluate = Callable[[Any, Meter], Any]
"""From the data of a rule, and what it may still use, to a value."""


class AbsentError(RuleError):
    """A rule asks for what is absent."""


class Node(NamedTuple):
    """A part of a rule: how to evaluate it, of how many parts it consists, and whether it is the same for all data."""

    evaluate: Evaluate
    size: int
    constant: bool = False

    @property
    def value(self) -> Any:
        """What it gives, of one that is the same for all data."""
        return self.evaluate(None, Meter())


class Place(NamedTuple):
    """Where a part of a rule stands.

    Attributes:
        unknown: Whether what is absent there is unknown. It never is where the data are an item of a list.
        test: Whether all that matters of its value is whether it counts as true.
    """

    unknown: bool
    test: bool = False

    @property
    def tested(self) -> "Place":
        """The place of a part of which only truth matters."""
        return Place(self.unknown, test=True)

    @property
    def plain(self) -> "Place":
        """The place of a part whose value matters."""
        return Place(self.unknown)


def values_of(nodes: Sequence[Node]) -> Callable[[Any, Meter], list[Any]]:
    """Return how to evaluate several parts."""
    parts = tuple(node.evaluate for node in nodes)
    if len(parts) == 2:  # nearly always
        first, second = parts
        return lambda data, meter: [first(data, meter), second(data, meter)]
    return lambda data, meter: [part(data, meter) for part in parts]
