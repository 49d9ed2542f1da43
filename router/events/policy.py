"""A linear policy, as the control process publishes it and workers score it.

Responsible for: the features, how their columns are laid out, and the numbers.
Does not know: how the numbers were found (``router.bandit``), how they are scored (``router.routing.linear``).

Columns: the first is 1. A category has one for each of its values, one for any other value, and one for its absence; a
number one for (number - mean) / scale and one for its absence. Numbers are 32-bit floating point, little-endian, rows
one after the other; nothing else of a model grows with traffic, so a revision stays small.
"""

from typing import Final, Literal

from msgspec import Struct

HUGE: Final = 1e9
"""Numbers beyond are absent: one request must not decide the scale of all."""
MOST_COLUMNS: Final = 128


class Feature(Struct, frozen=True):
    """One attribute, as a policy sees it.

    Attributes:
        name: Name of the attribute.
        values: Values that are told apart; of a category.
        number: Whether it is a number.
        mean: What is taken off a number.
        scale: What the rest is divided by; above 0.
    """

    name: str
    values: tuple[str, ...] = ()
    number: bool = False
    mean: float = 0.0
    scale: float = 1.0

    @property
    def width(self) -> int:
        """Number of its columns."""
        return 2 if self.number else len(self.values) + 2


class LinearModel(Struct, frozen=True, kw_only=True):
    """A policy of one experiment.

    Attributes:
        use: ``linear_thompson``: draws of each arm's coefficients; ``lin_ucb``: each arm's coefficients, followed by
            the rows of L transposed with L Lᵀ = a² A⁻¹.
        run: Run of the experiment that it is of.
        features: In the order of their columns.
        arms: Names of the arms that it chooses from, in order.
        floor: Least probability of each.
        numbers: For ``linear_thompson`` shape (draws, arms, width); for ``lin_ucb`` (arms, 1 + width, width).
        seen: Observations that it learned from.
    """

    use: Literal["linear_thompson", "lin_ucb"]
    run: int
    features: tuple[Feature, ...]
    arms: tuple[str, ...]
    floor: float
    numbers: bytes
    seen: int = 0

    @property
    def width(self) -> int:
        """Number of columns."""
        return width_of(self.features)


def width_of(features: tuple[Feature, ...]) -> int:
    """Return the number of columns of features, with the 1."""
    return 1 + sum(feature.width for feature in features)


def number(text: str | None) -> float | None:
    """Return an attribute as a number; None when it is none, or beyond ``HUGE``."""
    if text is None:
        return None
    try:
        value = float(text)
    except ValueError:
        return None
    return value if -HUGE <= value <= HUGE else None
