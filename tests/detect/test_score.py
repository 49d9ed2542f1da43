"""How good predictions were, against scikit-learn."""

import numpy as np
import pytest
from sklearn import metrics

from router.detect.score import LEAST, Pair, score


def drawn(seed: int, count: int) -> tuple[list[Pair], np.ndarray[tuple[int, ...], np.dtype[np.float64]], list[bool]]:
    """Return pairs of a probability and a label, and both apart."""
    generator = np.random.default_rng(seed)
    said = generator.beta(2, 3, count)
    true = (generator.random(count) < said).tolist()
    return [(f"{each:.6f}", float(yes)) for each, yes in zip(said, true, strict=True)], said, true


@pytest.mark.parametrize("kind", ["accuracy", "precision", "recall", "f1"])
def test_scores_are_those_of_scikit_learn(kind: str) -> None:
    """On a thousand drawn predictions, with the usual threshold."""
    pairs, said, true = drawn(1, 1000)
    expected = {
        "accuracy": metrics.accuracy_score,
        "precision": metrics.precision_score,
        "recall": metrics.recall_score,
        "f1": metrics.f1_score,
    }[kind](true, said >= 0.5)
    point = score(kind, pairs)  # type: ignore[arg-type]
    assert point is not None
    assert point.value == pytest.approx(expected, abs=1e-6)


def test_calibration_is_the_mean_gap_of_ten_bins() -> None:
    """Weighted by how many are in each; nearly 0 for honest probabilities, large for boasts."""
    pairs, said, true = drawn(2, 5000)
    place = np.minimum((said * 10).astype(int), 9)
    gaps = [abs(np.sum(said[place == each]) - np.sum(np.array(true)[place == each])) for each in range(10)]
    point = score("calibration", pairs)
    assert point is not None
    assert point.value == pytest.approx(sum(gaps) / 5000, abs=1e-4)
    boast = score("calibration", [("0.99", label) for _, label in pairs])
    assert boast is not None
    assert (boast.value or 0) > 0.4


def test_texts_are_compared_with_what_means_yes_and_numbers_with_their_label() -> None:
    """A class that is named, and a class that is a number of many."""
    named: list[Pair] = [("spam", 1.0), ("ham", 1.0), ("ham", 0.0), ("spam", 0.0)]
    point = score("precision", named, positive="spam")
    assert point is not None
    assert (point.failures, point.exchanges) == (1, 2)
    many = score("accuracy", [("3", 3.0), ("2", 3.0), ("7", 7.0)])
    assert many is not None
    assert (many.failures, many.exchanges) == (2, 3)


def test_without_enough_pairs_there_is_no_score() -> None:
    """Neither 0 nor 1 is said of nothing."""
    assert score("recall", [("0.9", 0.0)]) is None
    assert score("precision", [("0.1", 1.0)]) is None
    assert score("accuracy", []) is None
    assert score("f1", [("0.9", 1.0)] * (LEAST - 1)) is None
    assert score("calibration", [("high", 1.0)] * 100) is None
    assert score("accuracy", [("1", float("nan"))]) is None
