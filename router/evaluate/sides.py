"""What is known of a target's answers, as columns: one value a request.

Responsible for: columns that statistics are computed from, for labels that are classes and for those that are numbers.
Does not know: where answers come from, intervals.

Rules: pure; a fixed number of bytes a request. A request without a usable answer is a wrong one where the question is
whether answers are right, and missing where it is how far off they are. Classes beyond ``MOST_CLASSES`` are refused:
such labels are numbers, or ids.
"""

from collections.abc import Sequence
from typing import Final

import numpy as np
from msgspec import Struct
from msgspec.structs import replace
from numpy.typing import NDArray

from router.evaluate.answers import MOST_CLASSES, Scalar, text_of

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
Ints = NDArray[np.int64]
LEAST_CHANCE: Final = 1e-15  # scikit-learn's log loss clips there too, for doubles


class Line(Struct, frozen=True):
    """What is kept of one answer.

    Attributes:
        seconds: Until its end.
        cause: Why it cannot be used.
        agree: Whether it agrees; None when not compared.
        prediction: A scalar.
        chances: Class to its chance.
    """

    seconds: float
    cause: str | None
    agree: bool | None
    prediction: Scalar | None
    chances: dict[str, float] | None


class Labels(Struct, frozen=True):
    """Labels of all requests.

    Attributes:
        known: Whether a request has one.
        numbers: The labels, where they are numbers; empty where they are classes.
        codes: Place of each in ``classes``, where they are classes; -1 without one.
        classes: Classes in order, as text.
    """

    known: Bools
    numbers: Floats
    codes: Ints
    classes: tuple[str, ...]

    @property
    def numeric(self) -> bool:
        """Whether labels are numbers."""
        return len(self.numbers) > 0


class Side(Struct, frozen=True):
    """Columns of one target.

    Attributes:
        seconds: Until the end of each answer.
        usable: Whether there is an answer.
        timed: Whether its time counts.
        compared: Whether it could be compared.
        agree: Whether it agrees.
        codes: Place of its prediction in the labels' classes; the number of these for any other, or none.
        numbers: Its prediction as a number; NaN without.
        log_loss: Of its chances; NaN without.
        brier: Likewise: squared distance to what is so; of two classes that of the positive one alone.
        confidence: Chance of the class that it finds likeliest; NaN without.
        likeliest: Whether that class is the label.
    """

    seconds: Floats
    usable: Bools
    timed: Bools
    compared: Bools
    agree: Bools
    codes: Ints
    numbers: Floats
    log_loss: Floats
    brier: Floats
    confidence: Floats
    likeliest: Bools


def labels_of(values: Sequence[Scalar | None], kind: str) -> Labels:
    """Make columns of labels.

    Args:
        values: A label for each request, or None.
        kind: ``class``, ``number``, or ``auto``: numbers if any of them has a fraction.

    Raises:
        ValueError: If numbers are asked for and a label is none, or there are too many classes.
    """
    known = np.array([value is not None for value in values], dtype=bool)
    given = [value for value in values if value is not None]
    fractions = any(isinstance(value, float) and not value.is_integer() for value in given)
    texts = any(isinstance(value, str | bool) for value in given)
    if kind == "number" or (kind == "auto" and fractions and not texts):
        if texts:
            raise ValueError("labels are to be numbers, and some are not")
        numbers = np.array([np.nan if value is None else float(value) for value in values])
        return Labels(known, numbers, np.full(len(values), -1), ())
    spelled = [None if value is None else text_of(value) for value in values]
    classes = tuple(sorted({text for text in spelled if text is not None}))
    if len(classes) > MOST_CLASSES:
        raise ValueError(f"{len(classes)} different labels are no classes; --kind number takes them for numbers")
    places = {text: place for place, text in enumerate(classes)}
    codes = np.array([-1 if text is None else places[text] for text in spelled], dtype=np.int64)
    return Labels(known, np.empty(0), codes, classes)


def side_of(lines: Sequence[Line], labels: Labels, positive: str) -> Side:
    """Make columns of answers."""
    places = {text: place for place, text in enumerate(labels.classes)}
    other = len(labels.classes)
    count = len(lines)
    log_loss, brier, confidence = (np.full(count, np.nan) for _ in range(3))
    likeliest = np.zeros(count, dtype=bool)
    for row, line in enumerate(lines):
        if line.chances is not None and not labels.numeric and labels.known[row]:
            truth = labels.classes[labels.codes[row]]
            chances = _whole(line.chances, labels.classes, positive)
            if chances is None:
                continue
            log_loss[row] = -np.log(min(1.0, max(LEAST_CHANCE, chances.get(truth, 0.0))))
            brier[row] = _brier(chances, truth, positive)
            best = max(chances, key=chances.__getitem__)
            confidence[row], likeliest[row] = chances[best], best == truth
    usable = np.array([line.cause is None for line in lines], dtype=bool)
    return Side(
        seconds=np.array([line.seconds for line in lines]),
        usable=usable,
        timed=usable,
        compared=np.array([line.agree is not None for line in lines], dtype=bool),
        agree=np.array([line.agree is True for line in lines], dtype=bool),
        codes=np.array(
            [other if line.prediction is None else places.get(text_of(line.prediction), other) for line in lines],
            dtype=np.int64,
        ),
        numbers=np.array([_number(line.prediction) for line in lines]),
        log_loss=log_loss,
        brier=brier,
        confidence=confidence,
        likeliest=likeliest,
    )


def paired(one: Side, other: Side) -> tuple[Side, Side]:
    """Return two sides in which means and times are of the requests alone that both answered."""
    timed = one.timed & other.timed
    lost = np.isnan(one.log_loss + other.log_loss) | ~timed
    missing = np.isnan(one.numbers + other.numbers) | ~timed

    def of(side: Side) -> Side:
        return replace(
            side,
            timed=timed,
            compared=one.compared & other.compared,
            numbers=np.where(missing, np.nan, side.numbers),
            log_loss=np.where(lost, np.nan, side.log_loss),
            brier=np.where(lost, np.nan, side.brier),
            confidence=np.where(lost, np.nan, side.confidence),
        )

    return of(one), of(other)


def _number(value: Scalar | None) -> float:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else float("nan")


def _whole(chances: dict[str, float], classes: tuple[str, ...], positive: str) -> dict[str, float] | None:
    """Return chances of all classes that add up to 1, of the positive class alone those of both; None when unclear."""
    if set(chances) == {positive} and len(chances) == 1:
        others = [name for name in classes if name != positive]
        if len(others) != 1:
            return None
        return {positive: chances[positive], others[0]: 1 - chances[positive]}
    total = sum(chances.values())
    return {name: chance / total for name, chance in chances.items()}


def _brier(chances: dict[str, float], truth: str, positive: str) -> float:
    if len(chances) == 2 and positive in chances:
        return (chances[positive] - (truth == positive)) ** 2
    missed = 1.0 if truth not in chances else 0.0
    return missed + sum((chance - (name == truth)) ** 2 for name, chance in chances.items())
