"""Error budget of tests that may be read at any time, or at planned looks, over independent units.

Responsible for: level under peeking after every unit, coverage at the moment of stopping, power and width beside a
fixed horizon; the product's own functions decide, and are spared moments at which they could not reject.
Does not know: bandits, correlated requests.
"""

from collections.abc import Callable, Iterator
from math import inf, log, sqrt
from typing import Final

import numpy as np
import numpy.typing as npt
from scipy.special import xlogy
from scipy.stats import norm

from benchmarks.budget import Line
from router.analysis.aggregates import GAMMA, OFFSET, Aggregate, Moments, Sketch
from router.config.schema import Covariate, Metric
from router.inference import always_valid, e_process, mixture, sprt
from router.inference.boundaries import Level, evenly
from router.inference.confidence_sequence import BURN_IN_UNITS
from router.inference.effect import Asked, Effect
from router.inference.monitor import Look, Plan, bounds
from router.inference.spending import Spending

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Draw = Callable[[np.random.Generator, int], Floats]

ASKED: Final = Asked()
EVIDENCE: Final = -log(ASKED.alpha)
MEAN: Final = Metric(name="m", kind="mean", goal="up", outcome="v")
ADJUSTED: Final = Metric(name="m", kind="mean", goal="up", outcome="v", covariate=Covariate(outcome="v", before=1.0))


def lines(scale: float, random: np.random.Generator) -> Iterator[Line]:
    """Run the simulations."""
    runs = round(1000 * scale)
    yield from _proportions(runs, random)
    yield from _means(runs, random)
    yield from _quantiles(runs // 4, random)
    yield from _other_tests(runs, random)
    yield from _beside_a_fixed_horizon(runs, random)


# --- Proportions ------------------------------------------------------------------------------------------------------


def _proportions(runs: int, random: np.random.Generator) -> Iterator[Line]:
    settings = (
        ("1 %, equal arms", 0.01, 0.01, 0.5, 4000),
        ("10 %, equal arms", 0.1, 0.1, 0.5, 4000),
        ("50 %, equal arms", 0.5, 0.5, 0.5, 4000),
        ("10 %, a tenth treated", 0.1, 0.1, 0.1, 6000),
        ("99 %, a tenth treated", 0.99, 0.99, 0.1, 6000),
    )
    for name, one, two, share, units in settings:
        wrong = sum(_stops(*_arrivals(random, (one, two), share, units))[0] for _ in range(runs))
        yield Line(
            "beta-binomial e-process", f"no effect, {name}, read after each of {units:,} units", runs, wrong, 0.05
        )
    wave = 0.1 + 0.05 * np.sin(np.arange(4000) / 4000 * 14 * np.pi)
    wrong = sum(_stops(*_arrivals(random, (wave, wave), 0.5, 4000))[0] for _ in range(runs))
    yield Line("beta-binomial e-process", "no effect, 5 % to 15 % by time of day", runs, wrong, 0.05)
    for one, two in ((0.12, 0.1), (0.02, 0.01)):
        held = stopped = 0
        for _ in range(runs):
            crossed, counts = _stops(*_arrivals(random, (one, two), 0.5, 4000))
            found = e_process.compare(counts[0], counts[1], ASKED)
            stopped += crossed
            held += found.difference.holds(one - two) and found.ratio.holds(one / two - 1)
        setting = f"{one:.0%} against {two:.0%}, at the moment of stopping ({stopped / runs:.0%} stopped within 4,000)"
        yield Line("its intervals, absolute and relative", setting, runs, held, 0.95, kind="least")


def _arrivals(
    random: np.random.Generator, chances: tuple[float | Floats, float | Floats], share: float, units: int
) -> tuple[Ints, Ints]:
    """Return successes and units of both arms after each unit: (2, units) each."""
    treated = random.random(units) < share
    hits = random.random(units) < np.where(treated, chances[0], chances[1])
    arms = np.stack([treated, ~treated])
    return (arms & hits).cumsum(axis=1), arms.cumsum(axis=1)


def _stops(successes: Ints, units: Ints) -> tuple[bool, tuple[tuple[int, int], tuple[int, int]]]:
    """Return whether the e-process ever rejects, and the counts when it does, or at the end.

    Evidence is about that of the likelihood-ratio test less what both mixtures cost; moments at which even one of the
    costs makes it too little are passed over.
    """
    chances = successes / np.maximum(units, 1)
    pooled = successes.sum(axis=0) / units.sum(axis=0)
    failures = units - successes
    most = xlogy(successes, chances) + xlogy(failures, 1 - chances)
    most = most - xlogy(successes, pooled) - xlogy(failures, 1 - pooled)
    kappa = units / (e_process.TUNED / 2 / e_process.best_pair(ASKED.alpha))
    evidence = most.sum(axis=0) - 0.5 * np.log1p(kappa.min(axis=0))
    possible = np.nonzero((evidence >= EVIDENCE) & (units.min(axis=0) > 0))[0]
    for at in possible.tolist():
        counts = _counts(successes, units, at)
        if e_process.log_e_value(counts[0], counts[1], ASKED) >= EVIDENCE:
            return True, counts
    return False, _counts(successes, units, -1)


def _counts(successes: Ints, units: Ints, at: int) -> tuple[tuple[int, int], tuple[int, int]]:
    return (int(successes[0, at]), int(units[0, at])), (int(successes[1, at]), int(units[1, at]))


# --- Means ------------------------------------------------------------------------------------------------------------


def _sparse(random: np.random.Generator, units: int) -> Floats:
    """Return revenue: one in twenty buys, for a lognormal sum."""
    return np.where(random.random(units) < 0.05, random.lognormal(3, 1, units), 0.0)


def _heavy(random: np.random.Generator, units: int) -> Floats:
    return random.lognormal(0, 1.5, units)


def _normal(random: np.random.Generator, units: int) -> Floats:
    return random.normal(1, 1, units)


def _means(runs: int, random: np.random.Generator) -> Iterator[Line]:
    cases: tuple[tuple[str, Draw, float, float], ...] = (
        ("normal, equal arms", _normal, 0.5, 0.005),
        ("exponential, a tenth treated", lambda r, n: r.exponential(1, n), 0.1, 0.01),
        ("revenue (5 % buy), equal arms", _sparse, 0.5, 0.01),
        ("revenue (5 % buy), a tenth treated", _sparse, 0.1, 0.01),
        ("lognormal (sigma 1.5), a tenth treated", _heavy, 0.1, 0.01),
    )
    for name, draw, share, tolerance in cases:
        wrong = sum(_ever_wrong(random, draw, share, 6000) for _ in range(runs))
        setting = f"no effect, {name}, after each of 6,000 units"
        yield Line("asymptotic confidence sequence", setting, runs, wrong, 0.05, tolerance)
    few = runs // 2
    wrong, missed = 0, 0
    for _ in range(few):
        one, two = _adjusted_misses(random)
        wrong, missed = wrong + one, missed + two
    setting = "correlation 0.8, effect 10 %, at each of 40 looks"
    yield Line("confidence sequence with CUPED", setting, few, few - wrong, 0.95, 0.01, "least")
    yield Line("its relative interval", setting, few, few - missed, 0.95, 0.01, "least")


def _ever_wrong(random: np.random.Generator, draw: Draw, share: float, units: int) -> bool:
    """Say whether a sequence ever leaves out an effect of 0, from the burn-in on."""
    y, treated = draw(random, units), random.random(units) < share
    arms = [np.where(side, y, 0.0) for side in (treated, ~treated)]
    counts = np.stack([treated, ~treated]).cumsum(axis=1)
    sums, squares = (np.stack([(each**power).cumsum() for each in arms]) for power in (1, 2))
    with np.errstate(divide="ignore", invalid="ignore"):
        variance = ((squares - sums * sums / counts) / (counts - 1) / counts).sum(axis=0)
        score2 = (sums[0] / counts[0] - sums[1] / counts[1]) ** 2 / variance
    kappa = mixture.best_kappa(ASKED.alpha) / 5000 * np.arange(1, units + 1)
    # Student's t makes the product's own verdict stricter than this one.
    crossed = score2 * kappa / (1 + kappa) - np.log1p(kappa) >= 2 * EVIDENCE
    for at in np.nonzero(crossed & (counts.min(axis=0) >= BURN_IN_UNITS))[0].tolist():
        known = [
            Aggregate(units=Moments(int(counts[side, at]), float(sums[side, at]), float(squares[side, at])))
            for side in (0, 1)
        ]
        found = always_valid.compare(MEAN, known[0], known[1], ASKED)
        if isinstance(found, Effect) and not found.interval.holds(0):
            return True
    return False


def _adjusted_misses(random: np.random.Generator) -> tuple[bool, bool]:
    """Say whether absolute and relative intervals with a covariate ever miss."""
    x = random.normal(10, 2, (2, 4000))
    y = 10 + 1.6 * (x - 10) / 2 + random.normal(0, 1.2, (2, 4000))
    y[0] += 1.0
    powers = (y, y * y, x, x * x, x * y)
    sums = np.stack([each.cumsum(axis=1) for each in powers])
    absolute = relative = False
    for n in range(100, 4001, 100):
        known = [Aggregate(units=Moments(n, *map(float, sums[:, side, n - 1]))) for side in (0, 1)]
        found = always_valid.compare(ADJUSTED, known[0], known[1], ASKED)
        if isinstance(found, Effect) and found.unadjusted is not None:
            absolute |= not found.interval.holds(1.0)
            interval = getattr(found.relative, "interval", None)
            relative |= interval is None or not interval.holds(0.1)
    return absolute, relative


# --- Quantiles --------------------------------------------------------------------------------------------------------


def _quantiles(runs: int, random: np.random.Generator) -> Iterator[Line]:
    for q in (0.5, 0.95):
        metric, wrong = Metric(name="m", kind="quantile", goal="down", outcome="v", q=q), 0
        for _ in range(runs):
            values = random.lognormal(0, 1, (2, 3000))
            looks = np.unique(np.geomspace(20, 3000, 25).astype(int))
            wrong += any(_rejects(metric, values[:, :n]) for n in looks.tolist())
        yield Line("CDF band", f"no effect, quantile {q:g} of lognormal values, 25 looks", runs, wrong, 0.05)


def _rejects(metric: Metric, values: Floats) -> bool:
    arms = [Aggregate(units=Moments(len(each), 1.0, 1.0), sketch=sketch(each)) for each in values]
    found = always_valid.compare(metric, arms[0], arms[1], ASKED)
    return isinstance(found, Effect) and not found.interval.holds(0)


def sketch(values: Floats) -> Sketch:
    """Return the distribution of values above 0."""
    buckets, numbers = np.unique(np.ceil(np.log(values) / log(GAMMA)).astype(int) + OFFSET, return_counts=True)
    return Sketch(dict(zip(buckets.tolist(), numbers.tolist(), strict=True)))


# --- SPRT, group-sequential, and what they are better than ------------------------------------------------------------


def _other_tests(runs: int, random: np.random.Generator) -> Iterator[Line]:
    errors = sprt.Errors(0.05, 0.2)
    for truth, promised in ((0.0, errors.alpha / (1 - errors.beta)), (0.1, errors.beta / (1 - errors.alpha))):
        wrong = _sprt(random, truth, errors, runs)
        setting = f"effect {truth:g}, of 0.1 against none, normal with sigma estimated, after each pair"
        yield Line("SPRT (Wald's bound on its error)", setting, runs, wrong, promised, 0.01)
    for family in ("obrien_fleming", "pocock"):
        wrong = _group(random, 20 * runs, family)
        setting = f"no effect, {family}, five looks at shares that vary by chance"
        yield Line("group-sequential test", setting, 20 * runs, wrong, 0.05, kind="about")
    scores = random.normal(size=(runs, 4000)).cumsum(axis=1) / np.sqrt(np.arange(1, 4001))
    peeked = int((np.abs(scores[:, 99:]) > norm.isf(0.025)).any(axis=1).sum())
    yield Line(
        "z-test for a fixed horizon, misused", "no effect, read after each of 4,000 units", runs, peeked, 1, 0, "shown"
    )


def _sprt(random: np.random.Generator, truth: float, errors: sprt.Errors, runs: int) -> int:
    """Return how many tests decide wrongly, from 100 units of an arm on."""
    n = np.arange(1, 12_001)
    wrong = 0
    for _ in range(runs):
        y = random.normal(0, 1, (2, len(n)))
        y[0] += truth
        sums, squares = y.cumsum(axis=1), (y * y).cumsum(axis=1)
        with np.errstate(divide="ignore", invalid="ignore"):
            variance = ((squares - sums * sums / n) / (n - 1) / n).sum(axis=0)
            evidence = 0.1 / variance * ((sums[0] - sums[1]) / n - 0.05)
        ended = np.nonzero(((evidence >= errors.upper) | (evidence <= errors.lower)) & (n >= BURN_IN_UNITS))[0]
        if len(ended):
            rejected = sprt.decide(float(evidence[ended[0]]), errors) == "reject"
            wrong += rejected is (truth == 0)
    return wrong


def _group(random: np.random.Generator, runs: int, family: str) -> int:
    """Return how many tests reject, in ten plans whose looks come late by up to 10 % of the data."""
    wrong = 0
    for _ in range(10):
        shares = np.array(evenly(5)) + random.uniform(0, 0.1, 5)
        plan = Plan(goal="up", level=Level(), spending=_spending(family), information=evenly(5))
        found = bounds(plan, [Look(float(share), 0.0, 1.0) for share in shares])
        upper = np.array([inf if bound is None else bound for bound in found.upper])
        steps = random.normal(size=(runs // 10, 5)) * np.sqrt(np.diff(shares, prepend=0))
        wrong += int((np.abs(steps.cumsum(axis=1) / np.sqrt(shares)) >= upper).any(axis=1).sum())
    return wrong


def _spending(family: str) -> Spending:
    return Spending("pocock") if family == "pocock" else Spending()


def _beside_a_fixed_horizon(runs: int, random: np.random.Generator) -> Iterator[Line]:
    """Power and width where a fixed-horizon test of 10 % against 12 % has a power of 80 %: at 3,841 units an arm."""
    n, one, two = 3841, 0.12, 0.1
    tuned = Asked(mde=0.02)
    early = found = 0
    sizes: list[int] = []
    for _ in range(max(20, runs // 5)):
        successes, units = _arrivals(random, (one, two), 0.5, 8 * n)
        stop = next((at for at in range(199, 8 * n, 100) if _rejected(successes, units, at, tuned)), None)
        early += stop is not None and stop < 2 * n
        found += stop is not None and stop < 4 * n
        sizes.append(8 * n if stop is None else stop)
    total = len(sizes)
    size = float(np.mean(sizes)) / (2 * n)
    text = (
        f"power {early / total:.0%}; with twice the units {found / total:.0%}; stops at {size:.2f} of them on average"
    )
    yield Line(
        "beta-binomial e-process",
        "12 % against 10 % with the units for 80 % at a fixed horizon",
        total,
        0,
        1,
        0,
        "shown",
        text,
    )
    exact = e_process.compare((round(0.11 * n), n), (round(0.11 * n), n), tuned).difference.high or 0.0
    fixed = norm.isf(0.025) * sqrt(2 * 0.11 * 0.89 / n)
    asymptotic = mixture.critical(mixture.tau2_for(0.02, 0.05) / (2 * 0.11 * 0.89 / n), 0.05) / norm.isf(0.025)
    text = f"exact {exact / fixed:.2f}, asymptotic {asymptotic:.2f}"
    yield Line("always-valid intervals", "width there, over that of a fixed horizon", 1, 0, 1, 0, "shown", text)


def _rejected(successes: Ints, units: Ints, at: int, asked: Asked) -> bool:
    counts = _counts(successes, units, at)
    return e_process.log_e_value(counts[0], counts[1], asked) >= EVIDENCE
