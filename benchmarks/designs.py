"""Error rates of clusters, switchbacks and pre/post, and the time of boundaries.

``python -m benchmarks.designs [RUNS]``; each line is the share of tests at 5 % without any effect that reject, in RUNS
simulated data sets (1000), with the seed 1. Times are of one core.
"""

import sys
import warnings
from collections.abc import Callable, Sequence
from functools import partial
from time import process_time

import numpy as np
import statsmodels.api as sm

from router.analysis.estimate import NotEnough
from router.inference.boundaries import Level, evenly, spending_boundaries
from router.inference.clusters import Cluster, compare
from router.inference.effect import Asked, Effect
from router.inference.futility import Futility, with_futility
from router.inference.pre_post import Series, pre_post
from router.inference.spending import Spending
from router.inference.switchback import Design, Slot, analyse

ASKED = Asked()


def noise(random: np.random.Generator, number: int, correlation: float) -> np.ndarray:
    """Return an autoregression of first order with innovations of variance 1."""
    shocks = random.standard_normal(number)
    shocks[0] /= np.sqrt(1 - correlation**2)
    for index in range(1, number):
        shocks[index] += correlation * shocks[index - 1]
    return shocks


def rejects(found: Effect | NotEnough) -> bool:
    """Say whether a comparison rejects at 5 %."""
    assert isinstance(found, Effect), found
    return found.p is not None and found.p < 0.05


def newey_west(series: Series) -> bool:
    """Say whether least squares with HAC errors would reject."""
    points = np.arange(len(series.values))
    columns = [np.ones(len(points)), (points >= series.change).astype(float), points / len(points)]
    columns += [(points % series.season == phase).astype(float) for phase in range(1, series.season)]
    lags = int(np.ceil(1.3 * np.sqrt(len(points))))
    fitted = sm.OLS(np.asarray(series.values), np.column_stack(columns)).fit()
    robust = fitted.get_robustcov_results("HAC", maxlags=lags, use_correction=True, use_t=True)
    return bool(robust.pvalues[1] < 0.05)


def share(found: Sequence[bool]) -> str:
    """Return the share of runs that reject, with its standard error."""
    mean = sum(found) / len(found)
    return f"{mean:.3f} ± {np.sqrt(mean * (1 - mean) / len(found)):.3f}"


def clusters(random: np.random.Generator, each: int, spread: float) -> bool:
    """Compare two arms of clusters of very different sizes."""
    made = []
    for index in range(2 * each):
        size = float(np.ceil(random.lognormal(4, spread)))
        value = size * (1 + 0.3 * random.standard_normal()) + np.sqrt(size) * random.standard_normal()
        made.append(Cluster(index < each, value, size))
    return rejects(compare(made, ASKED))


def switchback(random: np.random.Generator, hours: int) -> tuple[bool, bool]:
    """Compare hourly slots with a daily season and neighbours that resemble each other."""
    treated = random.random(hours) < 0.5
    level = 10 + 2 * np.sin(np.arange(hours) * np.pi / 12) + noise(random, hours, 0.7)
    slots = [Slot(3600.0 * hour, bool(treated[hour]), 100 * float(level[hour]), 100.0) for hour in range(hours)]
    found = analyse(slots, Design(3600.0, 600.0), ASKED)
    return rejects(found.effect), rejects(found.carry_over)


def main(runs: int) -> None:
    """Print the table."""
    warnings.simplefilter("ignore")
    random = np.random.default_rng(1)
    for before, after, season in ((28, 7, 7), (56, 14, 7), (168, 48, 24)):
        for correlation in (0.0, 0.4, 0.7, 0.9):
            values = [(10 + noise(random, before + after, correlation)).tolist() for _ in range(runs)]
            made = [Series(each, before, season) for each in values]
            ours, robust = [rejects(pre_post(each, ASKED)) for each in made], [newey_west(each) for each in made]
            print(
                f"pre/post {before:3}+{after:2} points, season {season:2}, correlation {correlation}: {share(ours)}, "
                f"HAC {share(robust)}",
                flush=True,
            )
    for each, spread in ((4, 0.0), (6, 0.5), (10, 1.0), (20, 1.0), (40, 1.0)):
        found = [clusters(random, each, spread) for _ in range(runs)]
        print(f"clusters 2 x {each:2}, log sizes spread {spread}: {share(found)}", flush=True)
    for hours in (48, 168, 336):
        both = [switchback(random, hours) for _ in range(runs)]
        effects, carried = ([pair[side] for pair in both] for side in (0, 1))
        print(f"switchback {hours} hours, correlation 0.7: {share(effects)}, carry-over {share(carried)}", flush=True)
    for looks in (5, 50):
        level, rule, times = Level(0.025, 1), Spending(), evenly(looks)
        efficacy = spending_boundaries(level, rule, times)
        plain = cpu_s(partial(spending_boundaries, level, rule, times))
        more = cpu_s(partial(with_futility, efficacy, Futility(0.8, rule), rule))
        print(f"boundaries, {looks} looks: {plain * 1e3:.0f} ms, futility {more:.2f} s more")


def cpu_s(work: Callable[[], object]) -> float:
    """Return the least CPU time of three runs, seconds."""
    spent = []
    for _ in range(3):
        began = process_time()
        work()
        spent.append(process_time() - began)
    return min(spent)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 1000)
