"""How estimates of several metrics of one arm vary together.

Responsible for: covariances of means and ratios of one arm from their sums and products, and correlations between
units.
Does not know: other arms; what a covariance is used for.

An estimate is linearised: a mean is that of y, a ratio varies as the mean of (y - R x)/x_mean (delta method; Deng,
Knoblich and Lu, KDD 2018). Two metrics need not have the same units (windows end at different times), so with n1 and n2
units, n12 of them with both, and s12 the covariance over these

    cov(estimate 1, estimate 2) = n12 s12 / (n1 n2)

Rules: pure. Products are of observations: where units hold several users, the covariance of the clusters is not known,
and None is returned.
"""

from collections.abc import Mapping, Sequence
from math import sqrt

from router.analysis.aggregates import Aggregate, Cell, Moments, Product
from router.config.schema import Metric


def covariance(one: tuple[Metric, Aggregate], other: tuple[Metric, Aggregate], product: Product) -> float | None:
    """Return the covariance of the estimates of two metrics in one arm.

    Args:
        one: The first metric and what is known of it.
        other: The second.
        product: Their products.

    Returns:
        None where it is not known: of quantiles, of clusters, of fewer than two units with both values.
    """
    (first, left), (second, right) = one, other
    if "quantile" in (first.kind, second.kind) or left.clusters is not None or right.clusters is not None:
        return None
    pairs = product.units
    one_centre, other_centre = _centre(first, left.units), _centre(second, right.units)
    if pairs.n < 2 or one_centre is None or other_centre is None:
        return None
    (mean_1, ratio_1, scale_1), (mean_2, ratio_2, scale_2) = one_centre, other_centre
    # Sum of (y1 - R1 x1 - m1)(y2 - R2 x2 - m2); over all units of a metric its residuals add up to 0, so of those
    # with both values they do so up to noise, and what would need sums that are not kept is left out.
    total = pairs.xy - ratio_1 * product.denominator_value - ratio_2 * product.value_denominator
    total += ratio_1 * ratio_2 * product.denominators
    if "ratio" not in (first.kind, second.kind):
        total -= mean_1 * pairs.x + mean_2 * pairs.y - pairs.n * mean_1 * mean_2
    shared = total / (pairs.n - 1)
    return pairs.n * shared / (left.units.n * right.units.n) / (scale_1 * scale_2)


def variance(metric: Metric, known: Aggregate) -> float | None:
    """Return the variance of a metric's estimate in one arm; None where it is not known."""
    sums = known.units
    if metric.kind == "quantile" or known.clusters is not None or sums.n < 2:
        return None
    centre = _centre(metric, sums)
    if centre is None:
        return None
    mean, ratio, scale = centre
    squares = sums.yy - 2 * ratio * sums.xy + ratio * ratio * sums.xx
    return max(0.0, squares - sums.n * mean * mean) / (sums.n - 1) / sums.n / (scale * scale)


def correlations(metrics: Sequence[Metric], cells: Sequence[Cell]) -> dict[str, dict[str, float]]:
    """Return the correlations of metrics between units, within arms, so that an effect makes none.

    Args:
        metrics: The metrics.
        cells: What is known of each arm.

    Returns:
        First metric to second, in the order of ``metrics``; without those that are not known.
    """
    found: dict[str, dict[str, float]] = {}
    for place, first in enumerate(metrics):
        for second in metrics[place + 1 :]:
            value = _correlation(first, second, cells)
            if value is not None:
                found.setdefault(first.name, {})[second.name] = value
    return found


def product_of(cell: Cell, one: str, other: str) -> Product | None:
    """Return the products of two metrics, in the order in which they are asked for; None where none were kept."""
    if other in cell.products.get(one, {}):
        return cell.products[one][other]
    turned = cell.products.get(other, {}).get(one)
    if turned is None:
        return None
    sums = turned.units
    units = Moments(sums.n, sums.x, sums.xx, sums.y, sums.yy, sums.xy)
    return Product(units, turned.value_denominator, turned.denominator_value, turned.denominators)


def _correlation(first: Metric, second: Metric, cells: Sequence[Cell]) -> float | None:
    """Return sum of covariances over root of the product of sums of variances, each over the arms' units."""
    shared, left, right = 0.0, 0.0, 0.0
    for cell in cells:
        one, other = cell.metrics.get(first.name), cell.metrics.get(second.name)
        product = product_of(cell, first.name, second.name)
        if one is None or other is None or product is None:
            continue
        both = covariance((first, one), (second, other), product)
        spreads = variance(first, one), variance(second, other)
        if both is None or spreads[0] is None or spreads[1] is None or not product.units.n:
            continue
        weight = product.units.n
        shared += weight * both * one.units.n * other.units.n / product.units.n
        left += weight * spreads[0] * one.units.n
        right += weight * spreads[1] * other.units.n
    return max(-1.0, min(1.0, shared / sqrt(left * right))) if left > 0 and right > 0 else None


def _centre(metric: Metric, sums: Moments) -> tuple[float, float, float] | None:
    """Return what is taken from y, what multiplies x, and what the result is divided by."""
    if sums.n == 0:
        return None
    if metric.kind == "ratio":
        return (0.0, sums.y / sums.x, sums.x / sums.n) if sums.x else None
    return sums.y / sums.n, 0.0, 1.0


def matrix(names: Sequence[str], metrics: Mapping[str, Metric], cell: Cell) -> list[list[float]] | None:
    """Return the covariance matrix of estimates in one arm; None where a part of it is not known."""
    rows = [[0.0] * len(names) for _ in names]
    for i, one in enumerate(names):
        left = cell.metrics.get(one)
        alone = None if left is None else variance(metrics[one], left)
        if left is None or alone is None:
            return None
        rows[i][i] = alone
        for j, other in enumerate(names[:i]):
            product, right = product_of(cell, one, other), cell.metrics.get(other)
            both = None
            if product is not None and right is not None:
                both = covariance((metrics[one], left), (metrics[other], right), product)
            if both is None:
                return None
            rows[i][j] = rows[j][i] = both
    return rows
