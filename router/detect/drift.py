"""Drift: whether values are distributed as they were in a reference window.

Responsible for: gathering a reference and then one window after the other, comparing each with the reference by the
population stability index (PSI) or the two-sample Kolmogorov-Smirnov test, and the episode that begins then.
Does not know: what the values are, where they come from.

PSI is the sum of (p - q) ln(p / q) over bins: quantiles of the reference for numbers, categories for texts, and one bin
for values that are absent. Of equal distributions it is not 0 but (1/n + 1/m) times chi-square with one degree of
freedom less than bins (Yurdakul 2018), so the rule of thumb "0.1 is a change" alone is wrong nearly always on windows
of 100 values. Here a window has drifted when both hold: the change is at least ``at_least``, and one as large has the
probability of a false alarm at most. KS likewise, with the largest distance of the distribution functions.

Rules: one value of a unit in each window, else a unit that asks often would be many. What is remembered is bounded:
``reference`` and ``window`` values, ``CATEGORIES`` categories, the rest of which are one. Needs scipy, which is
imported when a window is full.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from math import log
from typing import Annotated, Final, Literal

import numpy as np
from msgspec import Meta, Struct
from msgspec.structs import replace

from router.detect.stream import ENDS, Said

MISSING: Final = "drift needs SciPy: pip install router[watch]"
BINS: Final = 10
CATEGORIES: Final = 50
EXPECTED: Final = 5.0  # values that a window has of a category at least, so that chi-square holds (Cochran 1954)
ABSENT: Final = ""
OTHER: Final = "\0other"
_LEAST: Final = 1e-300
_CALM: Final = 2
_ADOPT: Final = 50

Value = float | str | None


class DriftPlan(Struct, frozen=True, kw_only=True):
    """How values are watched.

    Attributes:
        test: By what; texts are always compared by ``psi``: they have no order.
        reference: Values that are remembered to compare with.
        window: Values that are compared with them at a time.
        at_least: Change that matters: of PSI, or of the distance.
        every: Mean time between false alarms, in seconds.
    """

    test: Literal["psi", "ks"]
    reference: Annotated[int, Meta(ge=50, le=10_000)] = 2000
    window: Annotated[int, Meta(ge=50, le=10_000)] = 500
    at_least: Annotated[float, Meta(gt=0, le=100)] = 0.1
    every: Annotated[float, Meta(gt=0)] = 2_592_000.0


class DriftState(Struct, frozen=True, omit_defaults=True):
    """What is remembered.

    Attributes:
        reference: Values to compare with.
        window: Values since the last comparison.
        units: Whose they are: those of the reference until it is whole, then of the window.
        began: When the window began, in unix seconds.
        since: Windows since the episode began; None outside of one.
        calm: Windows in a row that were calm.
        last: The last comparison.
    """

    reference: tuple[Value, ...] = ()
    window: tuple[Value, ...] = ()
    units: frozenset[int] = frozenset()
    began: float | None = None
    since: int | None = None
    calm: int = 0
    last: Said = Said(status="learning")


class Compared(Struct, frozen=True):
    """What a comparison gives.

    Attributes:
        statistic: PSI, or the largest distance.
        probability: That one as large comes by chance.
    """

    statistic: float
    probability: float


def take_values(
    plan: DriftPlan, state: DriftState, values: Iterable[tuple[int, Value]], now: float
) -> tuple[DriftState, Said]:
    """Take some values.

    Args:
        plan: How they are watched.
        state: What is remembered; ``DriftState()`` begins.
        values: Hash of the unit, and value; None where it was absent.
        now: Unix seconds.

    Returns:
        What is said of the last window that became whole; without a change when none did.

    Raises:
        ImportError: If scipy is not installed.
    """
    state = replace(state, last=replace(state.last, change=None))
    change = None
    for unit, value in values:
        state = _added(plan, state, unit, value, now)
        if len(state.window) >= plan.window:
            state = _judged(plan, state, now)
            change = state.last.change or change
    state = replace(state, last=replace(state.last, change=change))
    return state, state.last


def psi(reference: Iterable[Value], window: Iterable[Value]) -> Compared:
    """Compare two samples by the population stability index.

    Raises:
        ImportError: If scipy is not installed.
        ValueError: If one of them is empty.
    """
    from scipy import stats  # noqa: PLC0415 - see the module's rules

    old, new = _binned(tuple(reference), tuple(window))
    before, after = sum(old), sum(new)
    if not before or not after:
        raise ValueError("of an empty sample nothing can be said")
    bins = len(old)
    if bins < 2:
        return Compared(0.0, 1.0)
    p = (np.asarray(new) + 0.5) / (after + 0.5 * bins)
    q = (np.asarray(old) + 0.5) / (before + 0.5 * bins)
    found = float(np.sum((p - q) * np.log(p / q)))
    return Compared(found, float(stats.chi2.sf(found / (1 / before + 1 / after), bins - 1)))


def ks(reference: Iterable[Value], window: Iterable[Value]) -> Compared:
    """Compare two samples of numbers by the Kolmogorov-Smirnov test; texts and absent values are left out.

    Raises:
        ImportError: If scipy is not installed.
        ValueError: If one of them has no numbers.
    """
    from scipy import stats  # noqa: PLC0415 - see the module's rules

    old = [value for value in reference if isinstance(value, float | int)]
    new = [value for value in window if isinstance(value, float | int)]
    if not old or not new:
        raise ValueError("of an empty sample nothing can be said")
    found = stats.ks_2samp(old, new, method="asymp")
    return Compared(float(found.statistic), float(found.pvalue))


def _added(plan: DriftPlan, state: DriftState, unit: int, value: Value, now: float) -> DriftState:
    if unit in state.units:
        return state
    began = now if state.began is None else state.began
    units = state.units | {unit}
    if len(state.reference) < plan.reference:
        reference = (*state.reference, value)
        whole = len(reference) == plan.reference
        return replace(
            state,
            reference=reference,
            units=frozenset() if whole else units,
            began=None if whole else began,
            last=Said(status="quiet" if whole else "learning"),
        )
    return replace(state, window=(*state.window, value), units=units, began=began)


def _judged(plan: DriftPlan, state: DriftState, now: float) -> DriftState:
    """Compare a window that is whole, and begin the next."""
    test = ks if plan.test == "ks" and not _has_texts(state.reference, state.window) else psi
    fresh = replace(state, window=(), units=frozenset(), began=None)
    try:
        found = test(state.reference, state.window)
    except ValueError:  # numbers in none of both: there is nothing to compare
        return replace(fresh, last=Said(status="missing"))
    elapsed = max(now - (state.began if state.began is not None else now), 0.0)
    share = min(max(elapsed / plan.every, 1e-9), 0.05)
    level = min(found.statistic / plan.at_least, log(max(found.probability, _LEAST)) / log(share))
    said = Said(
        status="quiet", value=found.statistic, expected=plan.at_least, score=found.probability, level=level, side="up"
    )
    if state.since is None:
        if level <= 1:
            return replace(fresh, last=said)
        return replace(fresh, since=0, calm=0, last=replace(said, status="alarm", change="begun"))
    calm = state.calm + 1 if level < ENDS else 0
    if calm >= _CALM:
        return replace(fresh, since=None, calm=0, last=replace(said, change="ended"))
    if state.since + 1 >= _ADOPT:
        return DriftState(last=replace(said, status="learning", change="adopted"))
    return replace(fresh, since=state.since + 1, calm=calm, last=replace(said, status="alarm"))


def _has_texts(*samples: tuple[Value, ...]) -> bool:
    return any(isinstance(value, str) for sample in samples for value in sample)


def _binned(old: tuple[Value, ...], new: tuple[Value, ...]) -> tuple[list[int], list[int]]:
    """Return how many values of each sample are in each bin."""
    if _has_texts(old, new):
        return _by_category([_text(value) for value in old], [_text(value) for value in new])
    numbers = np.sort([value for value in old if isinstance(value, float | int)])
    bins = max(2, min(BINS, int(len(new) / (1.5 * EXPECTED))))
    edges = np.unique(np.quantile(numbers, np.arange(1, bins) / bins)) if len(numbers) else np.empty(0)
    names = [_bin(value, edges) for value in old], [_bin(value, edges) for value in new]
    return _by_category(*names)


def _bin(value: Value, edges: "np.ndarray[tuple[int, ...], np.dtype[np.float64]]") -> str:
    if not isinstance(value, float | int):
        return ABSENT
    # A value that is an edge itself, as of counts, is in a bin with what is just below it.
    return str(int(np.searchsorted(edges, value, side="left")))


def _text(value: Value) -> str:
    return ABSENT if value is None else value if isinstance(value, str) else f"{value:g}"


def _by_category(old: list[str], new: list[str]) -> tuple[list[int], list[int]]:
    """Count by category; those of which a window has too few are one."""
    before, after = Counter(old), Counter(new)
    largest = [name for name, _ in (before + after).most_common(CATEGORIES)]
    whole, share = len(old) + len(new), len(new)
    kept = {name for name in largest if (before[name] + after[name]) * share / whole >= EXPECTED}
    names = sorted(kept)
    first, second = _counted(before, names, kept), _counted(after, names, kept)
    # The rest is a bin only where there is one: of a bin that must be empty chi-square has no degree of freedom.
    return (first, second) if first[-1] + second[-1] else (first[:-1], second[:-1])


def _counted(counts: Mapping[str, int], names: list[str], kept: set[str]) -> list[int]:
    found = [counts.get(name, 0) for name in names]
    rest = sum(count for name, count in counts.items() if name not in kept)
    return [*found, rest]
