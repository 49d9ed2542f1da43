"""Sums that no values have, and values that floating point hardly has: an answer or a reason, never nan or an error."""

import math
from typing import Any

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from router.analysis.aggregates import Aggregate, Moments, Sketch
from router.analysis.estimate import NotEnough, estimate
from router.config.metric import Covariate
from router.config.schema import Metric
from router.inference import bayes, fixed, funnels, ranks, strata
from router.inference.effect import Asked, Effect

NUMBERS = st.sampled_from(
    [0.0, 1.0, -1.0, 3.0, 5.0, 40.0, 1600.0, 1e-320, -1e-160, 1e16, 1e150, -1e155, 1e308, math.inf, -math.inf, math.nan]
)
MOMENTS = st.builds(Moments, st.sampled_from([0, 1, 2, 4, 10, 40, 10**9]), NUMBERS, NUMBERS, NUMBERS, NUMBERS, NUMBERS)
BUCKETS = st.sampled_from([0, 3000, 40_000, 40_001, 40_100, -40_000, 74_000, -74_000])
SKETCHES = st.builds(Sketch, st.dictionaries(BUCKETS, st.sampled_from([1, 50, 10**7])))
ARMS = st.builds(
    Aggregate,
    units=MOMENTS,
    sketch=st.none() | SKETCHES,
    below=st.none() | MOMENTS,
    steps=st.tuples(st.sampled_from([0, 1, 5, 40]), st.sampled_from([0, 1, 5])),
)
CLUSTERED = st.builds(Aggregate, units=MOMENTS, clusters=MOMENTS)
METRICS = st.sampled_from(
    [
        *(Metric(name="m", kind=kind, outcome="o", goal="up") for kind in ("proportion", "mean", "count", "retention")),
        Metric(name="m", kind="mean", outcome="o", goal="down", covariate=Covariate(outcome="o", before=60)),
        Metric(name="m", kind="ratio", numerator="a", denominator="b", goal="up"),
        Metric(name="m", kind="funnel", steps=("a", "b"), goal="up"),
        Metric(name="m", kind="quantile", outcome="o", q=0.5, goal="up"),
        Metric(name="m", kind="quantile", exchange="duration", q=0.99, goal="up"),
    ]
)


def sound(found: Any) -> bool:
    """Say whether nothing in a result is infinite or missing."""
    if isinstance(found, msgspec.Struct):
        return all(sound(getattr(found, name)) for name in found.__struct_fields__)
    return not isinstance(found, float) or math.isfinite(found)


@settings(max_examples=300)
@given(METRICS, st.tuples(ARMS, ARMS) | st.tuples(CLUSTERED, CLUSTERED), st.sampled_from([0.05, 0.999, 1e-12]))
def test_hostile_sums_have_an_answer_or_a_reason(
    metric: Metric, arms: tuple[Aggregate, Aggregate], alpha: float
) -> None:
    """Every comparison of every kind is finite or ``NotEnough``; relabelled, an effect is negated."""
    asked = Asked(alpha)
    one, two = arms
    levels: list[dict[tuple[str, ...], Aggregate]] = [{("a",): a, ("b",): b} for a, b in ((one, two), (two, one))]
    found, back = fixed.compare(metric, one, two, asked), fixed.compare(metric, two, one, asked)
    answers: list[Any] = [found, estimate(metric, one), strata.compare(metric, levels[0], levels[1], asked)]
    answers += [ranks.of_sketches(metric, one, two), bayes.beside(metric, one, two, asked)]
    if metric.kind == "funnel":
        answers += [step.of_previous for step in funnels.steps(metric, one, two, asked)]
    assert all(sound(answer) for answer in answers)
    assert isinstance(found, NotEnough) == isinstance(back, NotEnough)
    if isinstance(found, Effect) and isinstance(back, Effect):
        assert (found.value, found.p) == (-back.value, back.p)
        assert found.interval.holds(found.value)
        assert found.p is None or 0 < found.p <= 1
