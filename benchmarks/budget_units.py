"""Error budget where observations are not independent: requests of sticky users, users of tenants.

Responsible for: what a test of requests does with sticky users, and what the product's tests do with the same log.
Does not know: independent units (``budget_sequential``), bandits.
"""

from collections.abc import Iterator
from math import sqrt
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.stats import norm

from benchmarks.budget import Line
from benchmarks.budget_sequential import sketch
from router.analysis.aggregates import Aggregate, Moments
from router.analysis.estimate import NotEnough
from router.config.schema import Metric
from router.inference import always_valid, fixed
from router.inference.effect import Asked, Effect

Floats = npt.NDArray[np.float64]

ASKED: Final = Asked()
ERRORS: Final = Metric(name="errors", kind="ratio", goal="down", exchange="failed")
SLOW: Final = Metric(name="p90", kind="quantile", goal="down", exchange="duration", q=0.9)
SPENT: Final = Metric(name="spent", kind="mean", goal="up", outcome="v")
THRESHOLD: Final = 4.0


class Log(NamedTuple):
    """A log of one arm: a row for each user.

    Attributes:
        requests: Of each user.
        failed: Of them, those that failed.
        below: Of them, those at most as long as the threshold.
        durations: Of all requests, user by user.
    """

    requests: Floats
    failed: Floats
    below: Floats
    durations: Floats


def lines(scale: float, random: np.random.Generator) -> Iterator[Line]:
    """Run the simulations."""
    runs = round(500 * scale)
    wrong = dict.fromkeys(("requests", "fixed", "always", "quantile"), 0)
    for _ in range(runs):
        arms = [_log(random, 1000) for _ in range(2)]
        wrong["requests"] += _by_request(arms)
        wrong["fixed"] += _holds_0(fixed.compare(ERRORS, *_ratios(arms, 1000), ASKED)) is False
        looks = range(100, 1001, 50)
        wrong["always"] += any(_holds_0(always_valid.compare(ERRORS, *_ratios(arms, n), ASKED)) is False for n in looks)
        looks = range(200, 1001, 200)
        wrong["quantile"] += any(
            _holds_0(always_valid.compare(SLOW, *_durations(arms, n), ASKED)) is False for n in looks
        )
    setting = "no effect, sticky users with 20 requests each on average and rates of their own"
    yield Line("z-test of requests, misused", setting, runs, wrong["requests"], 1, 0, "shown")
    yield Line("delta method over users, fixed horizon", "the same log, read once", runs, wrong["fixed"], 0.05, 0.01)
    yield Line("asymptotic confidence sequence", "the same log, 19 looks", runs, wrong["always"], 0.05, 0.01)
    yield Line(
        "clustered CDF band", "the same log, 90 % quantile of durations, 5 looks", runs, wrong["quantile"], 0.05, 0.01
    )
    for tenants, tolerance in ((30, 0.02), (100, 0.01)):
        missed = sum(_tenants_miss(random, tenants) for _ in range(runs))
        setting = f"no effect, {tenants} to {3 * tenants} tenants an arm (ICC 0.3, sizes vary), a look at each 10"
        yield Line("asymptotic confidence sequence over clusters", setting, runs, missed, 0.05, tolerance)


def _log(random: np.random.Generator, users: int) -> Log:
    requests: Floats = 1.0 + random.geometric(1 / 19, users).astype(np.float64)
    failed = random.binomial(requests.astype(int), random.beta(0.5, 4.5, users)).astype(float)
    slow = np.repeat(random.lognormal(0, 0.8, users), requests.astype(int))
    durations = slow * random.exponential(1, len(slow))
    ends = requests.cumsum().astype(int)
    below = np.diff(np.concatenate([[0], (durations <= THRESHOLD).cumsum()[ends - 1]])).astype(float)
    return Log(requests, failed, below, durations)


def _by_request(arms: list[Log]) -> bool:
    """Say whether a z-test that takes requests for independent rejects."""
    sizes, hits = [arm.requests.sum() for arm in arms], [arm.failed.sum() for arm in arms]
    pooled = sum(hits) / sum(sizes)
    error = sqrt(pooled * (1 - pooled) * (1 / sizes[0] + 1 / sizes[1]))
    return bool(abs(hits[0] / sizes[0] - hits[1] / sizes[1]) / error > norm.isf(0.025))


def _moments(y: Floats, x: Floats) -> Moments:
    return Moments(len(y), *map(float, (y.sum(), (y * y).sum(), x.sum(), (x * x).sum(), (x * y).sum())))


def _ratios(arms: list[Log], users: int) -> tuple[Aggregate, Aggregate]:
    one, two = (Aggregate(units=_moments(arm.failed[:users], arm.requests[:users])) for arm in arms)
    return one, two


def _durations(arms: list[Log], users: int) -> tuple[Aggregate, Aggregate]:
    found: list[Aggregate] = []
    for arm in arms:
        values = arm.durations[: int(arm.requests[:users].sum())]
        below = _moments(arm.below[:users], arm.requests[:users])
        found.append(Aggregate(sketch=sketch(values), below=below, threshold=THRESHOLD))
    return found[0], found[1]


def _tenants_miss(random: np.random.Generator, tenants: int) -> bool:
    """Say whether a sequence over tenants ever leaves 0 out."""
    last = 3 * tenants
    sizes = random.geometric(1 / 20, (2, last)).astype(float)
    means = random.normal(5, sqrt(0.3), (2, last))
    sums = means * sizes + random.normal(0, 1, (2, last)) * np.sqrt(0.7 * sizes)
    for n in range(tenants, last + 1, 10):
        one, two = (
            Aggregate(
                units=Moments(int(x[:n].sum()), float(y[:n].sum()), float((y[:n] ** 2).sum())),
                clusters=_moments(y[:n], x[:n]),
            )
            for y, x in zip(sums, sizes, strict=True)
        )
        if _holds_0(always_valid.compare(SPENT, one, two, ASKED)) is False:
            return True
    return False


def _holds_0(found: Effect | NotEnough) -> bool | None:
    return found.interval.holds(0) if isinstance(found, Effect) else None
