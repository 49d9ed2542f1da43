"""Whatever the sums: an effect of finite numbers, or that there is not enough data, and no other exception."""

from math import inf, isfinite, nan
from typing import Any

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from router.analysis.aggregates import Aggregate, Moments, Sketch
from router.analysis.estimate import NotEnough
from router.config.metric import Covariate
from router.inference import adaptive, always_valid, sprt
from router.inference.effect import Asked, Effect, Relative
from tests.inference.sums import metric

NUMBERS = st.one_of(
    st.sampled_from([0.0, 1.0, -1.0, 100.0, 500.0, inf, -inf, nan, 1e308, -1e308, 1e-308, 5e-324, 1e155]),
    st.floats(-1e6, 1e6),
)
MOMENTS = st.builds(Moments, st.sampled_from([0, 1, 2, 29, 30, 100, 500, 10**9]), *[NUMBERS] * 5)
MAYBE = st.one_of(st.none(), MOMENTS)
SKETCHES = st.one_of(
    st.none(),
    st.dictionaries(
        st.one_of(st.just(0), st.integers(5_000, 75_000), st.integers(-75_000, -5_000)),
        st.integers(1, 10**9),
        max_size=5,
    ).map(Sketch),
)
KNOWN = st.builds(
    Aggregate, units=MOMENTS, clusters=MAYBE, weighted=MAYBE, below=MAYBE, sketch=SKETCHES, immature=st.integers(0, 2)
)
METRICS = [
    metric(kind, **rest)
    for kind, rest in (
        ("proportion", {}),
        ("mean", {"goal": "down"}),
        ("mean", {"covariate": Covariate(outcome="value", before=1.0)}),
        ("ratio", {}),
        ("count", {}),
        ("quantile", {"q": 0.9}),
        ("quantile", {"q": 0.5, "exchange": "duration"}),
    )
]


def _sound(found: Any) -> None:
    """Check that an answer is one: numbers finite, the value within its interval."""
    assert b"NaN" not in msgspec.json.encode(found)
    assert b"Infinity" not in msgspec.json.encode(found)
    if isinstance(found, NotEnough):
        assert found.reason
        return
    effect = found.effect if isinstance(found, sprt.Verdict) else found
    assert isinstance(effect, Effect)
    for number in (effect.value, effect.interval.low, effect.interval.high, effect.p, effect.standard_error):
        assert number is None or isfinite(number)
    assert effect.interval.holds(effect.value)
    if isinstance(effect.relative, Relative):
        assert isfinite(effect.relative.value)
        assert effect.relative.interval.holds(effect.relative.value)


@settings(max_examples=300)
@given(st.sampled_from(METRICS), KNOWN, KNOWN, st.sampled_from([None, 1e-300, 0.01, 1e300]))
def test_any_sums_have_an_answer(asked_of: Any, treatment: Aggregate, control: Aggregate, mde: float | None) -> None:
    """Of all sequential comparisons; arms of which one alone has clusters are refused."""
    try:
        _sound(always_valid.compare(asked_of, treatment, control, Asked(0.05, mde)))
        if asked_of.kind != "quantile":
            _sound(sprt.compare(asked_of, treatment, control, sprt.Errors(), mde or 0.1))
    except ValueError as error:
        assert "clusters" in str(error)  # noqa: PT017 - any other message is a failure
    _sound(adaptive.compare(asked_of, treatment, control, Asked(0.05, mde)))
