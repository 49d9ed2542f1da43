"""How often fixed-horizon intervals hold the truth, and tests are wrong: ``python -m benchmarks.coverage``.

Responsible for: simulated experiments whose truth is known, many of each kind, compared as the router compares them.
Does not know: sequential methods (``benchmarks.error_budget``).

Rules: seeded, so that the same command prints the same table. A share of N simulations is off by less than
2.6 sqrt(p (1 - p) / N) in 99 of 100; what is worse than nominal by more than that and by more than 1 point is marked.
"""

import argparse
from collections.abc import Callable
from math import sqrt
from typing import Any, Final, NamedTuple, get_args

import numpy as np
from msgspec.structs import replace
from scipy import stats

from router.analysis.aggregates import GAMMA, OFFSET, Aggregate, Moments, Sketch
from router.analysis.estimate import NotEnough
from router.config.metric import Covariate
from router.config.schema import Metric
from router.inference import corrections, fixed, strata
from router.inference.effect import Asked, Effect
from router.inference.margins import Judged, Margin, equivalent, non_inferior

MEAN: Final = Metric(name="m", kind="mean", outcome="o", goal="up")
ADJUSTED: Final = replace(MEAN, covariate=Covariate(outcome="o", before=86400.0))
PROPORTION: Final = Metric(name="p", kind="proportion", outcome="o", goal="up")
RATIO: Final = Metric(name="r", kind="ratio", exchange="failed", goal="up")
NOMINAL: Final = 0.95

Random = np.random.Generator
Floats = np.ndarray[Any, np.dtype[Any]]


class Case(NamedTuple):
    """A kind of experiment whose truth is known.

    Attributes:
        name: What it is.
        run: Makes one experiment and compares its arms.
        truth: The effect.
        relative: The same as a share of control's value.
    """

    name: str
    run: Callable[[Random], Effect | NotEnough]
    truth: float
    relative: float


def arm(y: Floats, x: Floats | None = None) -> Aggregate:
    """Return an arm of independent units."""
    return Aggregate(units=moments(y, x))


def moments(y: Floats, x: Floats | None = None) -> Moments:
    """Return the sums of values."""
    second = np.zeros_like(y) if x is None else x
    sums = (y.sum(), y @ y, second.sum(), second @ second, second @ y)
    return Moments(len(y), *(float(value) for value in sums))


def means(draw: Callable[[Random, int], Floats], sizes: tuple[int, int], shift: float) -> Callable[[Random], Any]:
    """Compare two samples of one distribution, the first shifted."""

    def run(random: Random) -> Any:
        one, two = (draw(random, size) for size in sizes)
        return fixed.compare(MEAN, arm(one + shift), arm(two), Asked())

    return run


def proportions(shares: tuple[float, float], sizes: tuple[int, int]) -> Callable[[Random], Any]:
    """Compare two proportions."""

    def run(random: Random) -> Any:
        counts = [int(random.binomial(size, share)) for size, share in zip(sizes, shares, strict=True)]
        one, two = (Aggregate(units=Moments(n, float(x), float(x))) for n, x in zip(sizes, counts, strict=True))
        return fixed.compare(PROPORTION, one, two, Asked())

    return run


def requests(random: Random, units: int, share: float) -> tuple[Floats, Floats]:
    """Return failures and exchanges of sticky users: some make many requests, and some fail much more than others."""
    exchanges = random.geometric(0.1, units)
    failing = random.beta(share * 2, (1 - share) * 2, units)
    return random.binomial(exchanges, failing).astype(float), exchanges.astype(float)


def ratios(units: int, shares: tuple[float, float]) -> Callable[[Random], Any]:
    """Compare failures over exchanges, units being clusters."""

    def run(random: Random) -> Any:
        one, two = (arm(*requests(random, units, share)) for share in shares)
        return fixed.compare(RATIO, one, two, Asked())

    return run


def naive(units: int, share: float) -> Callable[[Random], Any]:
    """Compare failures over exchanges as if every exchange were a unit: what must not be done."""

    def run(random: Random) -> Any:
        sums = [requests(random, units, share) for _ in range(2)]
        one, two = (Aggregate(units=Moments(int(x.sum()), float(y.sum()), float(y.sum()))) for y, x in sums)
        return fixed.compare(PROPORTION, one, two, Asked())

    return run


def tenants(clusters: int, shift: float) -> Callable[[Random], Any]:
    """Compare means of users in tenants of unequal size, who have something in common."""

    def run(random: Random) -> Any:
        arms = []
        for side in (shift, 0.0):
            size = random.poisson(20, clusters) + 1.0
            total = size * (10 + side + random.normal(size=clusters)) + np.sqrt(size) * random.normal(size=clusters) * 3
            users = Moments(int(size.sum()), float(total.sum()), float((total * total / size).sum()))
            arms.append(Aggregate(units=users, clusters=moments(total, size)))
        return fixed.compare(MEAN, arms[0], arms[1], Asked())

    return run


def cuped(sizes: tuple[int, int], lift: float) -> Callable[[Random], Any]:
    """Compare skewed values with a covariate that explains half of them, of unequal arms."""

    def run(random: Random) -> Any:
        arms = []
        for size, side in zip(sizes, (1 + lift, 1.0), strict=True):
            before = random.gamma(2, 5, size)
            arms.append(arm((before + random.gamma(2, 5, size)) * side, before))
        return fixed.compare(ADJUSTED, arms[0], arms[1], Asked())

    return run


def stratified(sizes: tuple[int, int]) -> Callable[[Random], Any]:
    """Compare means whose strata differ by much, so that their mix by chance matters."""

    def run(random: Random) -> Any:
        arms: list[dict[tuple[str, ...], Aggregate]] = []
        for size, side in zip(sizes, (0.5, 0.0), strict=True):
            of = random.choice(3, size, p=[0.6, 0.3, 0.1])
            values = random.normal(size=size) * (1 + of) + 5 * of + 4 + side
            arms.append({(str(level),): arm(values[of == level]) for level in range(3)})
        return strata.compare(MEAN, arms[0], arms[1], Asked())

    return run


def sketch(values: Floats) -> Sketch:
    """Return the distribution of values above 0."""
    buckets, counts = np.unique(np.ceil(np.log(values) / np.log(GAMMA)).astype(int) + OFFSET, return_counts=True)
    return Sketch(dict(zip(buckets.tolist(), counts.tolist(), strict=True)))


def quantiles(q: float, size: int, scale: float) -> Callable[[Random], Any]:
    """Compare a quantile of independent values of units."""
    metric = Metric(name="q", kind="quantile", outcome="o", q=q, goal="down")

    def run(random: Random) -> Any:
        one, two = (Aggregate(sketch=sketch(random.lognormal(0, 1, size) * side)) for side in (scale, 1.0))
        return fixed.compare(metric, one, two, Asked())

    return run


def latencies(q: float, units: int, scale: float) -> Callable[[Random], Any]:
    """Compare a quantile of exchanges whose users are slow or fast."""
    metric = Metric(name="q", kind="quantile", exchange="duration", q=q, goal="down")

    def run(random: Random) -> Any:
        drawn = []
        for side in (scale, 1.0):
            number = random.geometric(0.1, units)
            user = np.repeat(np.arange(units), number)
            values = np.exp(random.normal(size=units)[user] * 0.7 + random.normal(size=len(user)) * 0.7) * side
            drawn.append((values, user, number.astype(float)))
        threshold = float(np.quantile(np.concatenate([values for values, _, _ in drawn]), q))
        one, two = (
            Aggregate(
                sketch=sketch(values),
                below=moments(np.bincount(user, (values <= threshold).astype(float), units), number),
                threshold=threshold,
            )
            for values, user, number in drawn
        )
        return fixed.compare(metric, one, two, Asked())

    return run


def normal(random: Random, size: int) -> Floats:
    """Draw values near 10."""
    return random.normal(10, 2, size)


def skewed(random: Random, size: int) -> Floats:
    """Draw revenue: nothing of most, much of few."""
    return random.lognormal(1, 1.2, size) * (random.random(size) < 0.2)


SKEWED_MEAN: Final = 0.2 * float(np.exp(1 + 0.72))


def cases() -> list[Case]:
    """Return the experiments."""
    median = 1.0
    p95 = float(np.exp(stats.norm.ppf(0.95)))
    p99 = float(np.exp(stats.norm.ppf(0.99)))
    slow = float(np.exp(stats.norm.ppf(0.95) * 0.7 * sqrt(2)))
    return [
        Case("Welch, normal, 8 and 20 units", means(normal, (8, 20), 1.0), 1.0, 0.1),
        Case("Welch, revenue of few, 2,000 and 2,000", means(skewed, (2000, 2000), 0.0), 0.0, 0.0),
        Case("Welch, revenue of few, 300 and 6,000", means(skewed, (300, 6000), 0.0), 0.0, 0.0),
        Case("proportions 12 % and 10 %, 1,000 each", proportions((0.12, 0.1), (1000, 1000)), 0.02, 0.2),
        Case("proportions 2 % and 1 %, 300 each (Fisher)", proportions((0.02, 0.01), (300, 300)), 0.01, 1.0),
        Case("proportions 5 % both, 200 and 3,800", proportions((0.05, 0.05), (200, 3800)), 0.0, 0.0),
        Case("ratio, 500 sticky users each, 10 % both", ratios(500, (0.1, 0.1)), 0.0, 0.0),
        Case("ratio, 500 sticky users each, 12 % and 10 %", ratios(500, (0.12, 0.1)), 0.02, 0.2),
        Case("ratio, 30 sticky users each, 30 % both", ratios(30, (0.3, 0.3)), 0.0, 0.0),
        Case("exchanges of sticky users taken as units", naive(500, 0.1), 0.0, 0.0),
        Case("cluster-robust, 10 tenants each", tenants(10, 1.0), 1.0, 0.1),
        Case("cluster-robust, 40 tenants each", tenants(40, 1.0), 1.0, 0.1),
        Case("CUPED, +10 %, 500 each", cuped((500, 500), 0.1), 2.0, 0.1),
        Case("CUPED, +10 %, 100 and 1,900", cuped((100, 1900), 0.1), 2.0, 0.1),
        Case("CUPED, +100 %, 300 each", cuped((300, 300), 1.0), 20.0, 1.0),
        Case("post-stratified, 3 strata, 100 and 300", stratified((100, 300)), 0.5, 0.5 / 6.5),
        Case("median of 500 values each, both equal", quantiles(0.5, 500, 1.0), 0.0, 0.0),
        Case("median of 500 values each, +30 %", quantiles(0.5, 500, 1.3), 0.3 * median, 0.3),
        Case("p95 of 2,000 values each, +20 %", quantiles(0.95, 2000, 1.2), 0.2 * p95, 0.2),
        Case("p99 of 5,000 values each, both equal", quantiles(0.99, 5000, 1.0), 0.0, 0.0),
        Case("p99 of 5,000 values each, +50 %", quantiles(0.99, 5000, 1.5), 0.5 * p99, 0.5),
        Case("p95 of exchanges of 500 users, both equal", latencies(0.95, 500, 1.0), 0.0, 0.0),
        Case("p95 of exchanges of 500 users, +30 %", latencies(0.95, 500, 1.3), 0.3 * slow, 0.3),
    ]


class Tally(NamedTuple):
    """Of simulated experiments of one kind: shares, and p-values.

    Attributes:
        absolute: Share of absolute intervals that hold the truth.
        relative: Share of relative ones, where there are.
        rejected: Share of p-values of at most 0.05.
        found: Share of experiments with an effect.
        ps: The p-values.
    """

    absolute: float
    relative: float
    rejected: float
    found: float
    ps: tuple[float, ...]


def tally(case: Case, number: int, seed: int) -> Tally:
    """Run a kind of experiment many times."""
    random = np.random.default_rng(seed)
    held = shares = rejected = 0
    ps: list[float] = []
    relatives = 0
    for _ in range(number):
        found = case.run(random)
        if isinstance(found, NotEnough):
            continue
        ps.append(1.0 if found.p is None else found.p)
        held += found.interval.holds(case.truth)
        rejected += ps[-1] <= 0.05
        if not isinstance(found.relative, NotEnough):
            relatives += 1
            shares += found.relative.interval.holds(case.relative)
    known = max(1, len(ps))
    return Tally(held / known, shares / max(1, relatives), rejected / known, len(ps) / number, tuple(ps))


def families(number: int, seed: int) -> dict[str, float]:
    """Return wrong rejections of ten tests, three of which have an effect: of any (FWER), or of those found (FDR)."""
    random = np.random.default_rng(seed)
    shift = np.array([3.5, 3.0, 2.5] + [0.0] * 7)
    out: dict[corrections.Method, float] = dict.fromkeys(get_args(corrections.Method), 0.0)
    for _ in range(number):
        ps = 2 * stats.norm.sf(np.abs(random.normal(size=10) + shift))
        for name in out:
            rejected = corrections.correct(ps.tolist(), name, 0.05).rejected
            wrong = sum(rejected[3:])
            out[name] += wrong / max(1, sum(rejected)) if name == "benjamini_hochberg" else float(wrong > 0)
    return {str(name): total / number for name, total in out.items()}


def margins(number: int, seed: int) -> dict[str, float]:
    """Return how often an arm that is worse by exactly the margin passes, at one-sided 0.025 and 0.05."""
    random = np.random.default_rng(seed)
    passed = {"non-inferiority at its margin": 0, "equivalence at its margin": 0}
    for _ in range(number):
        one, two = random.normal(9.5, 2, 400), random.normal(10, 2, 400)
        found = [fixed.compare(MEAN, arm(one), arm(two), Asked(alpha)) for alpha in (0.05, 0.1)]
        if isinstance(found[0], NotEnough) or isinstance(found[1], NotEnough):
            continue
        verdicts = non_inferior(found[0], Margin(0.5), "up"), equivalent(found[1], Margin(0.5))
        for name, verdict in zip(passed, verdicts, strict=True):
            passed[name] += isinstance(verdict, Judged) and verdict.verdict == "pass"
    return {name: count / number for name, count in passed.items()}


def marked(share: float, number: int) -> str:
    """Return a coverage in percent, marked where it is below nominal by more than chance and a point."""
    short = NOMINAL - share
    bad = short > max(0.01, 2.6 * sqrt(NOMINAL * (1 - NOMINAL) / number))
    return f"{share:.1%}{' (!)' if bad else ''}"


def main(arguments: list[str] | None = None) -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--simulations", type=int, default=4000)
    parser.add_argument("--seed", type=int, default=20261122)
    parser.add_argument("--only", default="", help="a part of a case's name")
    asked = parser.parse_args(arguments)
    print("| experiment | absolute 95 % | relative 95 % | p ≤ 0.05 | p uniform (KS) |")
    print("|---|---|---|---|---|")
    for case in (case for case in cases() if asked.only in case.name):
        found = tally(case, asked.simulations, asked.seed)
        absolute, relative = (marked(share, asked.simulations) for share in (found.absolute, found.relative))
        uniform = f"{stats.kstest(found.ps, 'uniform').pvalue:.3f}" if case.truth == 0 else "-"
        print(f"| {case.name} | {absolute} | {relative} | {found.rejected:.1%} | {uniform} |")
    if not asked.only:
        print()
        for name, share in {
            **margins(asked.simulations, asked.seed),
            **families(asked.simulations, asked.seed),
        }.items():
            print(f"- {name}: {share:.2%}")


if __name__ == "__main__":
    main()
