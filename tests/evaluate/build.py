"""Sides and labels for the tests of offline checks, in few words."""

from collections.abc import Sequence
from typing import Any

from router.evaluate.sides import Labels, Line, Side, labels_of, side_of


def line(prediction: Any = None, **more: Any) -> Line:
    """Make what is kept of an answer."""
    return Line(more.get("seconds", 0.01), more.get("cause"), more.get("agree"), prediction, more.get("chances"))


def sides(
    truth: Sequence[Any],
    predictions: Sequence[Any],
    chances: Sequence[dict[str, float] | None] = (),
    kind: str = "auto",
) -> tuple[Side, Labels]:
    """Make the columns of answers that all came."""
    labels = labels_of(truth, kind)
    given = list(chances) or [None] * len(predictions)
    lines = [line(said, chances=chance) for said, chance in zip(predictions, given, strict=True)]
    return side_of(lines, labels, "1"), labels
