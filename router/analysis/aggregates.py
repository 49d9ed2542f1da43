"""What is known of an arm, as sums that merge.

Responsible for: counts, sums, squares and cross-products of values over units and over clusters, and their merging.
Does not know: events, how a sum was computed, what it is evidence of (``estimate``).

Rules: frozen. ``merge`` is associative and commutative (floating-point sums up to rounding), and what a class makes
without arguments is its identity, so that shards can be folded each by itself; they must not share units, for a unit is
counted once. What was capped at different values, or counted below different thresholds, does not merge.
"""

from collections.abc import Iterable, Mapping
from typing import Self

from msgspec import Struct, structs

from router.analysis.sketch import ACCURACY, GAMMA, OFFSET, Sketch, middle

__all__ = (
    "ACCURACY",
    "GAMMA",
    "OFFSET",
    "Aggregate",
    "Cell",
    "Fates",
    "Moments",
    "Place",
    "Product",
    "Sketch",
    "merge_cells",
    "middle",
)


class Moments(Struct, frozen=True):
    """Sums over units of a value y, and of a second value x: the denominator of a ratio, or a covariate.

    Attributes:
        n: Units that have a value.
        y: Sum of y.
        yy: Sum of squares.
        x: Sum of x; 0 where there is no second value.
        xx: Sum of its squares.
        xy: Sum of products.
    """

    n: int = 0
    y: float = 0.0
    yy: float = 0.0
    x: float = 0.0
    xx: float = 0.0
    xy: float = 0.0

    def merge(self, other: Self) -> Self:
        """Return the sums over the units of both."""
        return type(self)(
            self.n + other.n,
            self.y + other.y,
            self.yy + other.yy,
            self.x + other.x,
            self.xx + other.xx,
            self.xy + other.xy,
        )


class Aggregate(Struct, frozen=True):
    """All that is known of one metric in one cell.

    Attributes:
        units: Sums over observations: users, or whatever the unit is.
        clusters: Sums over clusters, where the unit holds several users: y of a cluster's sum, x of its size (of a
            ratio: of its denominator); None where each unit is one observation.
        immature: Observations whose window is not over.
        missing: Observations that are mature and have no value: none of their exchanges had it.
        cut: Observations whose window was cut off by the end of the phase.
        cap: Value above which values counted as it; None when there is no cap.
        sketch: Distribution, for quantiles: of exchanges, or of observations' values.
        steps: For a funnel: observations that came to each step.
        weighted: Sums over what is independent, clusters or else observations, each times w = 1/propensity of the first
            exposure: y of w times the value, x of w times the size. The size of an observation is 1, of a cluster its
            observations, of a ratio its denominator; so y/x is the estimate that weighs units by how unlikely their arm
            was. Whoever has no propensity is not in it. None for quantiles of exchanges.
        below: For a quantile of exchanges, sums over what is independent: y of how many exchanges are at most at
            ``threshold``, x of how many there are.
        threshold: The quantile of all arms of the phase together, read from their sketches.
        provisional: Whether values that are in the sums may still change; no sequential test may read them.
    """

    units: Moments = Moments()
    clusters: Moments | None = None
    immature: int = 0
    missing: int = 0
    cut: int = 0
    cap: float | None = None
    sketch: Sketch | None = None
    steps: tuple[int, ...] = ()
    weighted: Moments | None = None
    below: Moments | None = None
    threshold: float | None = None
    provisional: bool = False

    def merge(self, other: Self) -> Self:
        """Return what is known of the units of both.

        Raises:
            ValueError: If they were capped at different values, or counted below different thresholds.
        """
        if self.cap is not None and other.cap is not None and self.cap != other.cap:
            raise ValueError(f"sums capped at {self.cap} and at {other.cap} do not merge; fold both with one cap")
        if self.threshold is not None and other.threshold is not None and self.threshold != other.threshold:
            raise ValueError(f"counts below {self.threshold} and below {other.threshold} do not merge")
        longest = max(len(self.steps), len(other.steps))
        mine, others = (steps + (0,) * (longest - len(steps)) for steps in (self.steps, other.steps))
        return type(self)(
            units=self.units.merge(other.units),
            clusters=_either(self.clusters, other.clusters),
            immature=self.immature + other.immature,
            missing=self.missing + other.missing,
            cut=self.cut + other.cut,
            cap=self.cap if self.cap is not None else other.cap,
            sketch=_either_sketch(self.sketch, other.sketch),
            steps=tuple(a + b for a, b in zip(mine, others, strict=True)),
            weighted=_either(self.weighted, other.weighted),
            below=_either(self.below, other.below),
            threshold=self.threshold if self.threshold is not None else other.threshold,
            provisional=self.provisional or other.provisional,
        )


class Product(Struct, frozen=True):
    """Sums of products of two metrics, over the observations that have a value for both.

    Attributes:
        units: Sums of y, the first metric's value, and x, the second's.
        denominator_value: Sum of the first's denominator times the second's value; 0 unless the first is a ratio.
        value_denominator: Sum of the first's value times the second's denominator; 0 unless the second is a ratio.
        denominators: Sum of the product of both denominators; 0 unless both are ratios.
    """

    units: Moments = Moments()
    denominator_value: float = 0.0
    value_denominator: float = 0.0
    denominators: float = 0.0

    def merge(self, other: Self) -> Self:
        """Return the sums over the observations of both."""
        return type(self)(
            self.units.merge(other.units),
            self.denominator_value + other.denominator_value,
            self.value_denominator + other.value_denominator,
            self.denominators + other.denominators,
        )


class Place(Struct, frozen=True, order=True):
    """Where a cell is.

    Attributes:
        run: Number of the run.
        phase: Phase of the run.
        arm: The arm.
        slicing: Attributes by which units are told apart; empty for everybody.
        values: Their values at the first exposure.
    """

    run: int
    phase: int
    arm: str
    slicing: tuple[str, ...] = ()
    values: tuple[str, ...] = ()


class Cell(Struct, frozen=True):
    """What is known of one arm in one phase, of all units or of a slice of them. Crossed units are in none.

    Attributes:
        units: Observations.
        clusters: Clusters, where the unit holds several users.
        exchanges: Their exchanges.
        failures: Exchanges whose first attempt at the arm's target failed, or that never finished.
        unfinished: Exchanges that never finished.
        without_propensity: Observations whose first exposure says no propensity.
        metrics: Metric to what is known of it.
        products: First metric to second to their products; only in the cell of all units, where the first stands before
            the second in the experiment.
    """

    units: int = 0
    clusters: int | None = None
    exchanges: int = 0
    failures: int = 0
    unfinished: int = 0
    without_propensity: int = 0
    metrics: Mapping[str, Aggregate] = {}
    products: Mapping[str, Mapping[str, Product]] = {}

    def merge(self, other: Self) -> Self:
        """Return what is known of the units of both."""
        metrics = {
            name: self.metrics.get(name, Aggregate()).merge(other.metrics.get(name, Aggregate()))
            for name in _both(self.metrics, other.metrics)
        }
        products = {
            one: {
                two: self.products.get(one, {})
                .get(two, Product())
                .merge(other.products.get(one, {}).get(two, Product()))
                for two in _both(self.products.get(one, {}), other.products.get(one, {}))
            }
            for one in _both(self.products, other.products)
        }
        clusters = None
        if self.clusters is not None or other.clusters is not None:
            clusters = (self.clusters or 0) + (other.clusters or 0)
        return type(self)(
            units=self.units + other.units,
            clusters=clusters,
            exchanges=self.exchanges + other.exchanges,
            failures=self.failures + other.failures,
            unfinished=self.unfinished + other.unfinished,
            without_propensity=self.without_propensity + other.without_propensity,
            metrics=metrics,
            products=products,
        )


class Fates(Struct, frozen=True):
    """What became of the outcomes of a metric that belong to units of a phase; each has one fate.

    Attributes:
        attributed: In the window of a unit that counts.
        early: Before the first exposure (of a retention: before its day); covariates are made of these.
        late: After the window, or after the end of the phase.
        immature: In a window that is not over; attributed once it is.
        excluded: Of a unit that was seen in two arms of the phase.
        overdue: In the window, but received when the unit's value was final already.
    """

    attributed: int = 0
    early: int = 0
    late: int = 0
    immature: int = 0
    excluded: int = 0
    overdue: int = 0

    def merge(self, other: Self) -> Self:
        """Return the fates of the outcomes of both."""
        mine, others = structs.astuple(self), structs.astuple(other)
        return type(self)(*(a + b for a, b in zip(mine, others, strict=True)))


def merge_cells(left: Mapping[Place, Cell], right: Mapping[Place, Cell]) -> dict[Place, Cell]:
    """Return what is known of the units of both, place by place."""
    places = sorted({*left, *right})
    return {place: left.get(place, Cell()).merge(right.get(place, Cell())) for place in places}


def _both(left: Iterable[str], right: Iterable[str]) -> Iterable[str]:
    return sorted({*left, *right})


def _either(left: Moments | None, right: Moments | None) -> Moments | None:
    return left.merge(right) if left is not None and right is not None else left if right is None else right


def _either_sketch(left: Sketch | None, right: Sketch | None) -> Sketch | None:
    return left.merge(right) if left is not None and right is not None else left if right is None else right
