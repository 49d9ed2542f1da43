"""How good predictions were: accuracy, precision, recall, F1 and calibration from predictions and labels.

Responsible for: one point of a stream from pairs of a prediction and its label.
Does not know: which label belongs to which prediction, detectors.

Rules: a label is yes when it is at least 0.5. A prediction is yes when its text is ``positive``, or, without one, when
it is a number of at least 0.5; where ``positive`` is not said and labels are other than 0 and 1, accuracy is the share
of predictions that equal their label. Calibration is the expected calibration error in ten bins (Naeini et al. 2015) of
predictions that are probabilities; its bias of small samples is part of what is usual. F1 and calibration wait for
``LEAST`` pairs, as shares know how sure they are.
"""

from collections.abc import Iterable, Sequence
from math import isfinite
from typing import Final, Literal

from router.detect.stream import Point

LEAST: Final = 50
_BINS: Final = 10
_YES: Final = 0.5

Kind = Literal["accuracy", "precision", "recall", "f1", "calibration"]
Pair = tuple[str, float]
"""Text of the prediction, and label."""


def score(kind: Kind, pairs: Iterable[Pair], positive: str | None = None) -> Point | None:
    """Return one point.

    Args:
        kind: What of.
        pairs: Predictions with their labels.
        positive: Prediction that means yes.

    Returns:
        None when there are too few pairs for one.
    """
    known = [(text, label) for text, label in pairs if isfinite(label)]
    if kind == "calibration":
        found = [(number, label >= _YES) for text, label in known if (number := _number(text)) is not None]
        return _calibration([(number, yes) for number, yes in found if 0 <= number <= 1])
    if kind == "accuracy" and positive is None and any(label not in (0.0, 1.0) for _, label in known):
        return _share(sum(_number(text) == label for text, label in known), len(known))
    judged = [(_means_yes(text, positive), label >= _YES) for text, label in known]
    hits = sum(said and true for said, true in judged)
    if kind == "accuracy":
        return _share(sum(said == true for said, true in judged), len(judged))
    if kind == "precision":
        return _share(hits, sum(said for said, _ in judged))
    if kind == "recall":
        return _share(hits, sum(true for _, true in judged))
    whole = sum(said for said, _ in judged) + sum(true for _, true in judged)
    return Point(2 * hits / whole) if len(judged) >= LEAST and whole else None


def _share(right: int, whole: int) -> Point | None:
    return Point.of_share(right, whole) if whole else None


def _calibration(pairs: Sequence[tuple[float, bool]]) -> Point | None:
    if len(pairs) < LEAST:
        return None
    bins: dict[int, list[tuple[float, bool]]] = {}
    for number, yes in pairs:
        bins.setdefault(min(int(number * _BINS), _BINS - 1), []).append((number, yes))
    off = sum(abs(sum(number for number, _ in each) - sum(yes for _, yes in each)) for each in bins.values())
    return Point(off / len(pairs))


def _means_yes(text: str, positive: str | None) -> bool:
    if positive is not None:
        return text == positive
    number = _number(text)
    return number is not None and number >= _YES


def _number(text: str) -> float | None:
    try:
        found = float(text)
    except ValueError:
        return {"true": 1.0, "false": 0.0}.get(text)
    return found if isfinite(found) else None
