"""The numbers of an offline check are those of scikit-learn, weighted or not."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics

from router.evaluate.sides import Labels, Side, labels_of, side_of
from router.evaluate.statistics import statistics
from tests.evaluate.build import line, sides

CLASSES = st.sampled_from(["a", "b", "c"])
PAIRS = st.lists(st.tuples(CLASSES, CLASSES, st.integers(0, 3)), min_size=1, max_size=40)


def value(side: Side, labels: Labels, name: str, weights: list[int] | None = None) -> float:
    """Return a number of a side."""
    given = np.ones(len(side.usable)) if weights is None else np.array(weights, dtype=float)
    return next(found.of(given) for found in statistics(side, labels) if found.name == name)


@given(PAIRS)
def test_classes_are_counted_as_by_scikit_learn(pairs: list[tuple[str, str, int]]) -> None:
    """Accuracy, and precision, recall and F1 of each class and over those that labels have, for any labels."""
    truth, said = [pair[0] for pair in pairs], [pair[1] for pair in pairs]
    side, labels = sides(truth, said)
    assert value(side, labels, "accuracy") == pytest.approx(metrics.accuracy_score(truth, said))
    given = {"labels": labels.classes, "zero_division": 0}
    precision, recall, f1, _ = metrics.precision_recall_fscore_support(truth, said, **given)
    for place, name in enumerate(labels.classes):
        assert value(side, labels, f"recall({name})") == pytest.approx(recall[place])
        assert value(side, labels, f"f1({name})") == pytest.approx(f1[place])
        if name in said:
            assert value(side, labels, f"precision({name})") == pytest.approx(precision[place])
    macro = metrics.precision_recall_fscore_support(truth, said, average="macro", **given)
    for place, name in enumerate(("precision", "recall", "f1")):
        assert value(side, labels, name) == pytest.approx(macro[place])


@given(PAIRS)
@settings(max_examples=50)
def test_a_weight_is_so_many_requests(pairs: list[tuple[str, str, int]]) -> None:
    """A resample is the same whether rows are repeated or counted."""
    weights = [pair[2] for pair in pairs]
    repeated = [pair for pair in pairs for _ in range(pair[2])]
    if not repeated or {pair[0] for pair in repeated} != {pair[0] for pair in pairs}:
        return
    side, labels = sides([pair[0] for pair in pairs], [pair[1] for pair in pairs])
    other, same = sides([pair[0] for pair in repeated], [pair[1] for pair in repeated])
    for name in ("accuracy", "precision", "f1", "recall(a)", "f1(a)"):
        if name.endswith("(a)") and "a" not in labels.classes:
            continue
        assert value(side, labels, name, weights) == pytest.approx(value(other, same, name), nan_ok=True)


@pytest.mark.parametrize("classes", [("0", "1"), ("a", "b", "c")])
def test_losses_of_chances_are_those_of_scikit_learn(classes: tuple[str, ...]) -> None:
    """Log loss and Brier score, of one chance of two classes and of chances of several."""
    generator = np.random.default_rng(5)
    truth = [classes[place] for place in generator.integers(0, len(classes), 300)]
    chances = generator.dirichlet(np.ones(len(classes)), 300)
    if len(classes) == 2:
        given: list[dict[str, float] | None] = [{"1": float(row[1])} for row in chances]
        brier = metrics.brier_score_loss([int(text) for text in truth], chances[:, 1])
    else:
        given = [dict(zip(classes, row.tolist(), strict=True)) for row in chances]
        right = np.array([[text == name for name in classes] for text in truth], dtype=float)
        brier = float(((chances - right) ** 2).sum(axis=1).mean())
    side, labels = sides(truth, [None] * 300, given)
    assert value(side, labels, "log_loss") == pytest.approx(metrics.log_loss(truth, chances, labels=list(classes)))
    assert value(side, labels, "brier") == pytest.approx(brier)


def test_a_calibrated_side_has_a_small_calibration_error() -> None:
    """What is right as often as it says has an error near 0, what says 90 % and is right in half one of 0.4."""
    generator = np.random.default_rng(7)
    sure = generator.uniform(0.5, 1, 20_000)
    truth = np.where(generator.random(20_000) < sure, "1", "0")
    side, labels = sides(truth.tolist(), [None] * 20_000, [{"1": float(chance)} for chance in sure])
    assert value(side, labels, "ece") < 0.02
    half = ["1", "0"] * 500
    side, labels = sides(half, [None] * 1000, [{"1": 0.9}] * 1000)
    assert value(side, labels, "ece") == pytest.approx(0.4)


def test_errors_of_numbers_are_those_of_scikit_learn() -> None:
    """MAE and RMSE, over the requests that have a number for an answer."""
    truth, said = [1.5, 2.0, -3.25, 8.0], [1.0, 2.0, None, 11.0]
    side, labels = sides(truth, said)
    known, theirs = [1.5, 2.0, 8.0], [1.0, 2.0, 11.0]
    assert labels.numeric
    assert value(side, labels, "mae") == pytest.approx(metrics.mean_absolute_error(known, theirs))
    assert value(side, labels, "rmse") == pytest.approx(metrics.root_mean_squared_error(known, theirs))


def test_no_answer_is_a_wrong_one() -> None:
    """A target that answers only what it is sure of is not more accurate for it; nothing is timed of it either."""
    labels = labels_of(["a", "a", "b", "b"], "auto")
    lines = [line("a", seconds=0.5), line(None, cause="timeout", seconds=10), line("b", seconds=0.7), line("zebra")]
    side = side_of(lines, labels, "1")
    assert value(side, labels, "failures") == 0.25
    assert value(side, labels, "accuracy") == 0.5
    assert value(side, labels, "recall(a)") == 0.5
    assert value(side, labels, "p99.9") == 0.7


@pytest.mark.parametrize("name", ["p50", "p90", "p99"])
def test_quantiles_are_order_statistics(name: str) -> None:
    """The value with the rank, as numpy's inverted distribution function, and of weighted rows likewise."""
    generator = np.random.default_rng(3)
    seconds, weights = generator.exponential(1, 101), generator.integers(0, 4, 101)
    labels = labels_of([None] * 101, "auto")
    side = side_of([line(seconds=float(each)) for each in seconds], labels, "1")
    q = float(name[1:]) / 100
    expected = np.quantile(np.repeat(seconds, weights), q, method="inverted_cdf")
    assert value(side, labels, name, weights.tolist()) == expected


def test_one_and_true_and_one_point_nought_are_the_same_class() -> None:
    """JSON writers differ in how they spell a label."""
    side, labels = sides([1, 0, True, "1"], [1.0, False, "1", True])
    assert labels.classes == ("0", "1")
    assert value(side, labels, "accuracy") == 1.0


def test_ids_are_no_classes() -> None:
    """Labels of which nearly each is another are refused, with the way out."""
    with pytest.raises(ValueError, match="--kind number takes them for numbers"):
        labels_of(list(range(5000)), "auto")
    assert labels_of(list(range(5000)), "number").numeric
