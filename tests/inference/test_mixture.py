"""The mixture SPRT: its closed form against quadrature and published values, its laws, how often it is wrong.

The simulation is seeded. Its false-alarm budget: the count of wrong verdicts is held to the number that a binomial
variable of the promised probability exceeds once in a million times.
"""

import json
from math import exp, inf, log, pi, sqrt
from pathlib import Path
from sys import float_info

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.integrate import quad
from scipy.optimize import minimize_scalar
from scipy.stats import binom

from router.inference.effect import Interval
from router.inference.mixture import best_kappa, critical, interval, log_ratio, p_value, running, tau2_for

PUBLISHED = json.loads((Path(__file__).parent / "data" / "sequential.json").read_text(encoding="utf-8"))


def test_log_ratio_is_that_of_the_reference_implementation() -> None:
    """Of confseq's normal mixture, whose rho is the variance at which kappa is 1."""
    known = PUBLISHED["normal_mixture"]
    mean, variance = known["sum"] / known["variance"], 1 / known["variance"]
    found = log_ratio(mean, variance, variance * known["variance"] / known["rho"])
    assert found == pytest.approx(known["log_ratio"], abs=1e-6)


def test_width_is_that_of_the_reference_implementation() -> None:
    """The bound of a sum of variance v is k sqrt(v)."""
    known = PUBLISHED["normal_mixture"]
    k = critical(known["variance"] / known["rho"], known["alpha"])
    assert k * sqrt(known["variance"]) == pytest.approx(known["bound"], abs=1e-4)


@pytest.mark.parametrize(("difference", "variance", "tau2"), [(0.3, 0.04, 0.01), (-1.2, 0.5, 3.0), (0.0, 1e-4, 1.0)])
def test_log_ratio_is_the_integral_over_the_mixture(difference: float, variance: float, tau2: float) -> None:
    """Of the likelihood ratio of an effect over none, effects being normal: by quadrature."""

    def integrand(effect: float) -> float:
        ratio = exp((effect * difference - effect * effect / 2) / variance)
        return ratio * exp(-effect * effect / (2 * tau2)) / sqrt(2 * pi * tau2)

    reach = 12 * sqrt(min(tau2, variance) + abs(difference))
    whole = quad(integrand, difference - reach, difference + reach, points=[difference, 0.0], limit=500)[0]
    assert log_ratio(difference, variance, tau2) == pytest.approx(log(whole), abs=1e-6)


def test_best_kappa_makes_the_width_least() -> None:
    """As a search finds it; the published approximation is near."""
    found = minimize_scalar(lambda kappa: critical(kappa, 0.05), bounds=(0.1, 100), method="bounded")
    assert best_kappa(0.05) == pytest.approx(found.x, rel=1e-3)
    known = PUBLISHED["rho2"]
    assert known["approximate"] == pytest.approx(-2 * log(0.05) + log(1 - 2 * log(0.05)), abs=1e-6)
    assert best_kappa(0.05) == pytest.approx(known["approximate"], rel=0.04)


def test_tau_is_near_the_effect_that_matters() -> None:
    """At the usual level and power."""
    assert sqrt(tau2_for(0.02, 0.05)) == pytest.approx(0.02 * sqrt(1.0462599), rel=1e-6)


@given(st.floats(-1e3, 1e3), st.floats(1e-6, 1e6), st.floats(1e-6, 1e6), st.sampled_from([0.001, 0.05, 0.2]))
def test_interval_holds_what_is_not_rejected(difference: float, variance: float, tau2: float, alpha: float) -> None:
    """Just within an end the effect is not rejected, just beyond it is."""
    found = interval(difference, variance, tau2, alpha)
    assert found.high is not None
    assert found.low == pytest.approx(2 * difference - found.high, abs=1e-6 * max(1.0, abs(difference)))
    within, beyond = ((found.high - difference) * share for share in (0.999, 1.001))
    assert p_value(log_ratio(beyond, variance, tau2)) < alpha < p_value(log_ratio(within, variance, tau2))


def test_p_is_neither_0_nor_above_1() -> None:
    """However much evidence there is."""
    assert p_value(1e9) == float_info.min
    assert p_value(-3.0) == 1.0


def test_running_p_is_the_smallest_so_far() -> None:
    """Looks without enough data change nothing."""
    assert running([None, 0.5, 0.2, None, 0.9]) == 0.2
    assert running([]) == 1.0


def test_a_mixture_of_no_use_has_no_ends() -> None:
    """A tau that is nothing beside the error makes an interval without ends, not an error."""
    assert interval(0.0, 1e200, 1e-120, 0.05) == Interval(None, None)
    assert critical(5e-324, 0.05) == inf


@pytest.mark.parametrize("bad", [0.0, -1.0, inf, float("nan")])
def test_what_is_no_variance_is_refused(bad: float) -> None:
    """By name of the value."""
    with pytest.raises(ValueError, match="a variance is above 0"):
        log_ratio(0.1, bad, 1.0)
    with pytest.raises(ValueError, match="a variance is above 0"):
        interval(0.1, 1.0, bad, 0.05)


@pytest.mark.parametrize("bad", [0.0, 1.0, float("nan")])
def test_what_is_no_level_is_refused(bad: float) -> None:
    """By name of the value."""
    with pytest.raises(ValueError, match="alpha lies between 0 and 1"):
        critical(1.0, bad)
    with pytest.raises(ValueError, match="alpha lies between 0 and 1"):
        best_kappa(bad)


def test_it_is_wrong_no_more_often_than_promised_when_looked_at_after_each_unit() -> None:
    """Of 2000 pairs of normal arms without a difference, looked at 2000 times each: at most 5 %."""
    random = np.random.default_rng(20)
    steps = np.arange(1, 2001)
    differences = random.normal(0, sqrt(2), (2000, 2000)).cumsum(axis=1) / steps
    kappa = best_kappa(0.05) * steps / 500
    reach = np.array([critical(each, 0.05) for each in kappa]) * np.sqrt(2 / steps)
    wrong = int((np.abs(differences) > reach).any(axis=1).sum())
    assert 20 < wrong <= binom.ppf(1 - 1e-6, 2000, 0.05)
