"""Numbers for people: signs, units, and no more digits than the data carry."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.analysis.estimate import NotEnough
from router.config.schema import Metric
from router.inference.effect import Interval
from router.report.digits import effect_in_words, percent_with, value_in_words, with_interval
from tests.report.build import CTR, ERRORS, REVENUE

P99 = Metric(name="p99", kind="quantile", exchange="duration", q=0.99, goal="down")


@pytest.mark.parametrize(
    ("value", "low", "high", "expected"),
    [
        (0.012, -0.003, 0.027, "+1.2 % [-0.3 %, +2.7 %]"),
        (0.0123456, 0.0120001, 0.0126, "+1.235 % [+1.200 %, +1.260 %]"),
        (0.5, -0.4, 1.4, "+50 % [-40 %, +140 %]"),
        (-0.0001, -0.09, 0.09, "0.0 % [-9.0 %, +9.0 %]"),
        (0.1, None, 0.2, "+10 % [-∞, +20 %]"),
        (12.0, -3.0, 27.0, "+1,200 % [-300 %, +2,700 %]"),
        (0.0, 0.0, 0.0, "0.00 % [0.00 %, 0.00 %]"),
    ],
)
def test_an_interval_has_two_digits_of_its_half_width(
    value: float, low: float | None, high: float | None, expected: str
) -> None:
    """The value has as many decimals as its interval, and 0 has no sign."""
    assert percent_with(value, Interval(low, high)) == expected.replace("-", "\N{MINUS SIGN}")


def test_values_have_their_unit() -> None:
    """Shares are per cent, durations seconds, others plain."""
    assert value_in_words(CTR, 0.10234, 0.0021) == "10.23 %"
    assert value_in_words(ERRORS, 0.01, 0.001) == "1.00 %"
    assert value_in_words(P99, 0.25123, 0.004) == "0.2512 s"
    assert value_in_words(REVENUE, 1234.567, 13.0) == "1,235"


def test_what_cannot_be_said_is_said() -> None:
    """Too little data, and what may not be read yet."""
    assert effect_in_words(CTR, NotEnough("no units", 0)) == "not enough data: no units"
    assert effect_in_words(CTR, None) == "may not be read yet"


FLOATS = st.floats(allow_nan=False, allow_infinity=False)


@given(FLOATS, FLOATS, FLOATS)
def test_any_numbers_have_words(value: float, one: float, other: float) -> None:
    """However large, small or alike."""
    assert "[" in with_interval(value, Interval(min(one, other), max(one, other)), "")
