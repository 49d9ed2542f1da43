"""With what probability a test statistic crosses boundaries at looks, and which boundaries have a given probability.

Responsible for: the joint distribution of a statistic at successive looks, in which Z has mean drift x sqrt(t) at
information t and independent increments (Jennison and Turnbull 2000, section 3.1), and tails of it.
Does not know: error rates, spending functions, designs.

Rules: what is carried from look to look is the probability of not having stopped before, given the statistic: it does
not depend on the drift (Z is sufficient for it), lies between 0 and 1, and is smooth but near earlier boundaries. Given
Z at information t, Z at an earlier s is normal with mean Z sqrt(s/t) and variance 1 - s/t. It is kept as a piecewise
polynomial whose pieces are as fine as the increments of information ask for; integrals are Gauss-Legendre sums
(Armitage, McPherson and Rowe 1969; Jennison and Turnbull 2000, section 19.2). Tails are logarithms, so that
probabilities too small for a float still have a boundary.
"""

from dataclasses import dataclass, field
from math import inf, isfinite, log, pi, sqrt
from typing import Final, Self

import numpy as np
import numpy.typing as npt
from numpy.polynomial import legendre
from scipy.special import logsumexp, ndtri_exp

Floats = npt.NDArray[np.float64]

_ORDER: Final = 14
_NODES, _WEIGHTS = legendre.leggauss(_ORDER)
# Values at the nodes to coefficients: (2n + 1)/2 times the sum of weight, P_n and value.
_TO_COEFFICIENTS: Final = (legendre.legvander(_NODES, _ORDER - 1) * _WEIGHTS[:, None]).T * (
    np.arange(_ORDER)[:, None] + 0.5
)
# exp(-64/2) = 1e-14: what lies farther out cannot be seen in a sum of floats.
_NEGLIGIBLE: Final = 64.0
_FAR: Final = sqrt(_NEGLIGIBLE)
_LOWEST, _HIGHEST = -10.0, 39.0  # beyond, the probability of not having stopped is taken for constant
_WIDEST: Final = 2.0  # panel, in standard deviations of Z
_SHARED: Final = 400  # as many kernels may one grid have; above, each point gets a grid of its own
_LOG_ROOT: Final = log(2 * pi) / 2
_STEPS_MAX: Final = 100


@dataclass(frozen=True, slots=True)
class _Region:
    """Where a look does not stop, and the probability of having come there, given the statistic.

    Attributes:
        t: Information.
        low: Lower end; minus infinity for none.
        high: Upper end; infinity for none.
        edges: Ends of the pieces.
        coefficients: Legendre coefficients, (_ORDER, pieces).
    """

    t: float
    low: float
    high: float
    edges: Floats
    coefficients: Floats

    def survival(self, u: Floats) -> Floats:
        """Return the probability of not having stopped before this look, given values of its statistic."""
        inside = np.clip(u, self.edges[0], self.edges[-1])
        piece = np.clip(np.searchsorted(self.edges, inside, side="right") - 1, 0, len(self.edges) - 2)
        left, right = self.edges[piece], self.edges[piece + 1]
        local = (2 * inside - left - right) / (right - left)
        return np.asarray(legendre.legval(local, self.coefficients[:, piece], tensor=False), np.float64)


@dataclass(frozen=True, slots=True)
class Look:
    """A look, before it is decided at what values it stops.

    Attributes:
        t: Information, in any unit.
        before: The region in which the look before it continued; None for the first.
        features: Where the survival changes within less than a standard deviation of Z: places and widths.
    """

    t: float
    before: _Region | None = None
    features: Floats = field(default_factory=lambda: np.empty((0, 2)))

    def next(self, low: float, high: float, t: float) -> Self:
        """Return the look that follows if this one continues between two values.

        Args:
            low: Lower one; minus infinity for none.
            high: Upper one, above low; infinity for none.
            t: Information of the next look, above that of this one.
        """
        if not low < high or not self.t < t:
            raise ValueError("a look continues between a lower and a higher value, and the next has more information")
        bottom, top = max(low, _LOWEST), min(high, _HIGHEST)
        if not bottom < top:
            bottom, top = (bottom, bottom + 1) if isfinite(low) else (top - 1, top)
        edges = _mesh(bottom, top, self.features, _WIDEST)
        nodes, _ = _grid(edges[:-1], edges[1:])
        values = self.survival(nodes.ravel()).reshape(-1, _ORDER)
        region = _Region(self.t, low, high, edges, _TO_COEFFICIENTS @ values.T)
        back = sqrt(self.t / t)
        width = sqrt((t - self.t) / t)
        ends = np.array([[end, 0.0] for end in (low, high) if isfinite(end)]).reshape(-1, 2)
        features = np.vstack([self.features, ends])
        features = np.column_stack([features[:, 0] / back, np.hypot(features[:, 1], width) / back])
        return type(self)(t, region, features[features[:, 1] < _WIDEST])

    def survival(self, z: Floats) -> Floats:
        """Return the probability of not having stopped before, given values of the statistic at this look."""
        region = self.before
        if region is None:
            return np.ones_like(z)
        centre = z * sqrt(region.t / self.t)
        width = sqrt((self.t - region.t) / self.t)
        low, high = _range(centre, width, region)
        if (high.max() - low.min()) / width <= _SHARED:
            edges = _shared(float(low.min()), float(high.max()), width, region.edges)
            nodes, weights = _grid(edges[:-1], edges[1:])
            values = (region.survival(nodes) * weights).ravel()
            kernel = np.exp(-0.5 * ((nodes.ravel() - centre[:, None]) / width) ** 2)
            found: Floats = kernel @ values
        else:
            found = _apart(centre, (low, high), width, region)
        return np.minimum(found / (width * sqrt(2 * pi)), 1.0)

    def log_tail(self, bound: float, mean: float, side: int = 1) -> float:
        """Return the logarithm of the probability of coming here and lying beyond a bound.

        Args:
            bound: The bound.
            mean: Mean of the statistic: drift x sqrt(t).
            side: 1 for at or above the bound, -1 for at or below it.
        """
        if bound == side * inf:
            return -inf
        start, middle = side * bound, side * mean
        above = max(start - middle, 0.0)
        end = max(start, middle) + sqrt(above * above + _NEGLIGIBLE) - above
        start = max(start, middle - _FAR)
        features = self.features * np.array([side, 1.0])
        edges = _mesh(start, end, features, min(1.0, (end - start) / 4))
        nodes, weights = (each.ravel() for each in _grid(edges[:-1], edges[1:]))
        with np.errstate(divide="ignore"):
            logs = np.log(self.survival(side * nodes) * weights)
        return float(logsumexp(logs - 0.5 * (nodes - middle) ** 2)) - _LOG_ROOT

    def bound(self, log_probability: float, mean: float, side: int = 1) -> float:
        """Return the bound beyond which the tail has a given probability.

        Args:
            log_probability: Its logarithm.
            mean: As in ``log_tail``.
            side: Likewise.

        Returns:
            Infinity, or minus infinity for the lower side, when the probability is 0.

        Raises:
            ValueError: If so much probability is not left.
        """
        if log_probability == -inf:
            return side * inf
        # The tail is log-concave (Prekopa), so that Newton's steps in its logarithm come from the right without ever
        # passing the root; it cannot lie farther right than that of the tail without any earlier look.
        farthest = side * mean - float(ndtri_exp(min(log_probability, -1e-300)))
        if self.before is None:
            return side * farthest
        if self.log_tail(-side * inf, mean, side) <= log_probability:
            raise ValueError("no value of the statistic has as much probability beyond it")
        at = self._start(log_probability, farthest, mean, side)
        for _ in range(_STEPS_MAX):
            tail = self.log_tail(side * at, mean, side)
            with np.errstate(divide="ignore"):
                here = float(np.log(self.survival(np.array([side * at]))[0]))
            density = here - 0.5 * (at - side * mean) ** 2 - _LOG_ROOT
            step = (tail - log_probability) * np.exp(min(tail - density, 700.0))
            following = min(at + float(step), farthest)
            if abs(following - at) <= 1e-13 * max(1.0, abs(at)):
                return side * following
            at = following
        return side * at

    def _start(self, log_probability: float, farthest: float, mean: float, side: int) -> float:
        """Return a value near the root: the first at which the tail may be small enough."""
        features = self.features * np.array([side, 1.0])
        low = side * mean - _FAR
        candidates = _mesh(min(low, farthest - 1), farthest, features, 1.0)
        with np.errstate(divide="ignore"):
            logs = np.log(self.survival(side * candidates)) - 0.5 * (candidates - side * mean) ** 2 - _LOG_ROOT
        small = np.nonzero(logs - np.log(np.maximum(candidates - side * mean, 0.5)) <= log_probability)[0]
        after_peak = small[small >= int(np.argmax(logs))]
        return float(candidates[after_peak[0]]) if len(after_peak) else farthest


def _range(centre: Floats, width: float, region: _Region) -> tuple[Floats, Floats]:
    """Return from where to where a normal density has to be summed: never beyond the region, and where it is seen."""
    outside = np.maximum(np.maximum(centre - region.high, region.low - centre), 0.0)
    seen = np.sqrt(outside**2 + _NEGLIGIBLE * width**2) - outside
    nearest = np.clip(centre, region.low, region.high)
    return np.maximum(nearest - seen, region.low), np.minimum(nearest + seen, region.high)


def _shared(low: float, high: float, width: float, edges: Floats) -> Floats:
    """Return pieces for all points: those of the region, none wider than the kernel allows, finer towards the ends."""
    fine = width * 0.05 * 2.0 ** np.arange(5)
    within = np.concatenate([edges, low + fine, high - fine])
    ends = np.unique(np.concatenate([[low, high], within[(within > low) & (within < high)]]))
    upto = np.concatenate([[0.0], np.cumsum(np.ceil(np.diff(ends) / (4 * width)))])
    found: Floats = np.interp(np.arange(upto[-1] + 1), upto, ends)
    return found


def _apart(centre: Floats, ends: tuple[Floats, Floats], width: float, region: _Region) -> Floats:
    """Sum for each point on pieces of its own: kernels are so narrow that common ones would be too many."""
    low, high = ends
    even = low[:, None] + (high - low)[:, None] * np.linspace(0, 1, 15)
    pieces = np.clip(region.edges, low[:, None], high[:, None])
    edges = np.sort(np.hstack([even, pieces]), axis=1)
    point, piece = np.nonzero(edges[:, 1:] > edges[:, :-1])
    nodes, weights = _grid(edges[point, piece], edges[point, piece + 1])
    kernel = np.exp(-0.5 * ((nodes - centre[point, None]) / width) ** 2)
    sums = (region.survival(nodes) * weights * kernel).sum(axis=1)
    return np.asarray(np.bincount(point, sums, len(centre)), np.float64)


def _grid(left: Floats, right: Floats) -> tuple[Floats, Floats]:
    """Return nodes and weights on pieces, (pieces, _ORDER)."""
    half, middle = (right - left)[:, None] / 2, (left + right)[:, None] / 2
    return middle + half * _NODES, half * _WEIGHTS


def _mesh(low: float, high: float, features: Floats, widest: float) -> Floats:
    """Return ends of pieces that are as fine as the features near them, and grow with the distance to these."""
    edges = [low]
    while edges[-1] < high:
        at = edges[-1]
        size = _size(at, features, widest)
        size = min(size, _size(at + size, features, widest))
        edges.append(at + size if at + 1.5 * size < high else high)
    return np.array(edges)


def _size(at: float, features: Floats, widest: float) -> float:
    if not len(features):
        return widest
    place, width = features[:, 0], features[:, 1]
    return min(widest, float(np.maximum(2.5 * width, 0.5 * (np.abs(at - place) - 10 * width)).min()))
