"""Group-sequential monitoring: what a test says at each of the looks that were taken.

Responsible for: which moments are looks, boundaries at the information that there really was, the verdict at each look,
intervals that hold at all looks, and p-value and interval after the test stopped.
Does not know: how an effect was estimated, where looks are kept, clocks.

A look counts once the next planned share of the data is there. What comes between two planned looks, after the test
stopped, or with no more data than the look before, is ignored, with the reason: choosing moments by what was seen there
would spend alpha that nobody counted. Boundaries come from the spending function at the shares really reached (Lan and
DeMets 1983), and correlations from the information really gathered; a boundary depends on nothing later.

At every look the repeated interval is value +- boundary x standard error (Jennison and Turnbull 1989): all of them hold
together with the level. Once the test has stopped, p-value, interval and median-unbiased estimate are by the stage-wise
ordering (Tsiatis, Rosner and Mehta 1984): the earlier a boundary was crossed, the more extreme.

Rules: pure; a history of looks in, a verdict for each out. A positive z is for the better, whatever the metric's goal.
Futility does not bind: the level holds also when it is overruled.
"""

from collections.abc import Sequence
from math import exp, inf, isfinite, log
from typing import Final, Literal

from msgspec import Struct
from scipy.special import logsumexp

from router.analysis.estimate import NotEnough
from router.inference import crossing
from router.inference.boundaries import Boundaries, Level, checked, spending_boundaries
from router.inference.effect import Effect, Interval
from router.inference.futility import Futility, with_futility
from router.inference.spending import Spending, log_difference
from router.inference.stagewise import Walked, stagewise

Decision = Literal["efficacy", "harm", "futility", "continue", "inconclusive", "ignored"]
"""Better; worse; stopped without either; not decided yet; not decided at the end; no look of the plan."""

_CLOSE: Final = 1e-9


class Plan(Struct, frozen=True, kw_only=True):
    """When a test is looked at, and what it may spend.

    Attributes:
        goal: Whether more or less of the metric is better.
        level: Alpha, and whether both directions are tested.
        spending: How alpha is spent over the shares of the data.
        information: Planned looks, as shares of all data; the last is 1.
        futility: When a one-sided test gives up; None for never. It does not bind.
    """

    goal: Literal["up", "down"]
    level: Level = Level()
    spending: Spending = Spending()
    information: tuple[float, ...]
    futility: Futility | None = None

    def __post_init__(self) -> None:
        """Refuse what is no plan.

        Raises:
            ValueError: If shares do not increase up to 1, or futility binds or is asked of a two-sided test.
        """
        if abs(checked(self.information)[-1] - 1) > _CLOSE:
            raise ValueError(f"the last look is at all data, not at a share of {self.information[-1]:g}")
        if self.futility is not None and (self.futility.binding or self.level.sides == 2):
            raise ValueError("monitoring has futility that does not bind, of one-sided tests")


class Look(Struct, frozen=True):
    """What a look found, and all that has to be kept of it.

    Attributes:
        share: Of the data planned for: units over the planned units, or time over the planned time; above 1 when there
            were more.
        value: The effect, in the metric's unit.
        standard_error: Of it, above 0.
        information: What correlates looks, in any unit but the same at all: mature units, say; None is ``share``.
    """

    share: float
    value: float
    standard_error: float
    information: float | None = None

    def __post_init__(self) -> None:
        """Refuse what is no look.

        Raises:
            ValueError: If a number is not finite, or standard error, share or information are not above 0.
        """
        amounts = (self.share, self.standard_error, self.amount)
        if not (isfinite(self.value) and all(0 < amount < inf for amount in amounts)):
            raise ValueError(
                f"no look has a value of {self.value} and {self.standard_error} at a share of {self.share}"
            )

    @property
    def amount(self) -> float:
        """Its information."""
        return self.share if self.information is None else self.information


class Adjusted(Struct, frozen=True):
    """What a test that stopped says, by the stage-wise ordering.

    Attributes:
        p: Of no effect: of the level's sides.
        estimate: Median-unbiased estimate of the effect.
        interval: At the level; one side of it has no bound in a one-sided test.
    """

    p: float
    estimate: float
    interval: Interval


class Verdict(Struct, frozen=True, kw_only=True, tag="group_sequential"):
    """What is said at a look.

    Attributes:
        decision: What became of the test.
        number: Which look it is, from 1; of an ignored one, the one that was awaited.
        share: Of the data planned for.
        z: The statistic, positive for the better.
        upper: At or above it the arm is better; None where the look may spend nothing.
        lower: At or below it the arm is worse, or the test gives up; None where there is no such boundary.
        alpha_spent: By this look, over both sides.
        repeated: Where the effect lies: holds together with those of all other looks.
        adjusted: Once the test has stopped, or ended.
        reason: Why, for a person.
    """

    decision: Decision
    number: int
    share: float
    z: float
    upper: float | None
    lower: float | None
    alpha_spent: float
    repeated: Interval
    adjusted: Adjusted | None
    reason: str


def look_at(effect: Effect | NotEnough, share: float, information: float | None = None) -> Look | NotEnough:
    """Return the look that finds an effect; why there is none where it has no standard error.

    Args:
        effect: What a fixed-horizon comparison says now.
        share: Of the data planned for, above 0.
        information: See ``Look``.
    """
    if isinstance(effect, NotEnough):
        return effect
    if effect.standard_error is None or not effect.standard_error > 0:
        return NotEnough("its method has no standard error", effect.treatment.n + effect.control.n)
    return Look(share, effect.value, effect.standard_error, information)


def not_due(plan: Plan, taken: Sequence[Look], look: Look, *, ended: bool = False) -> str | None:
    """Return why a moment is no look of the plan; None when it is one.

    Args:
        plan: The plan.
        taken: The looks that counted so far.
        look: The moment.
        ended: Whether no data follow, so that what there is has to do.
    """
    reached = taken[-1].share if taken else 0.0
    if reached >= 1 - _CLOSE:
        return "all planned looks were taken"
    awaited = next(share for share in plan.information if share > reached + _CLOSE)
    if look.share < awaited - _CLOSE and not ended:
        return f"the next look is at {awaited:.1%} of the data, and there are {look.share:.1%}"
    if taken and not look.amount > taken[-1].amount * (1 + _CLOSE):
        return "no information was added since the look before"
    return None


def judge(plan: Plan, looks: Sequence[Look], *, ended: bool = False) -> tuple[Verdict, ...]:
    """Return what is said at each look.

    Args:
        plan: The plan.
        looks: All moments that were looked at, in order.
        ended: Whether nothing follows, so that the last look may spend what is left although data are fewer than
            planned. The level holds only if the end did not depend on what looks had shown.
    """
    taken: list[Look] = []
    verdicts: list[Verdict] = []
    stopped: str | None = None
    for position, look in enumerate(looks):
        final = ended and position == len(looks) - 1
        why = stopped if stopped is not None else not_due(plan, taken, look, ended=final)
        if why is not None:
            verdicts.append(_ignored(plan, look, len(taken) + 1, why))
            continue
        taken.append(look)
        verdict = _verdict(plan, taken, final=final)
        verdicts.append(verdict)
        if verdict.decision != "continue":
            stopped = f"the test ended at look {verdict.number}"
    return tuple(verdicts)


def bounds(plan: Plan, taken: Sequence[Look], *, final: bool = False) -> Boundaries:
    """Return the boundaries of the looks that counted, at the shares and the information that they had.

    Args:
        plan: The plan.
        taken: The looks, with increasing information.
        final: Whether the last of them may spend what is left.
    """
    level = plan.level
    spent: list[float] = []
    upper: list[float] = []
    at = crossing.Look(taken[0].amount)
    for index, look in enumerate(taken):
        last = index == len(taken) - 1
        due = log(level.rate) if final and last else plan.spending.log_spent(look.share, level.rate)
        spent.append(log_difference(due, float(logsumexp(spent)) if spent else -inf))
        upper.append(at.bound(spent[-1], 0.0))
        if not last:
            at = at.next(-upper[-1] if level.sides == 2 else -inf, upper[-1], taken[index + 1].amount)
    tops = tuple(None if bound == inf else bound for bound in upper)
    two = level.sides == 2
    lower = tuple(None if top is None else -top for top in tops) if two else _gives_up(plan, taken)
    total = tuple(level.sides * exp(float(logsumexp(spent[: index + 1]))) for index in range(len(spent)))
    return Boundaries(
        level=level, information=tuple(look.share for look in taken), upper=tops, lower=lower, alpha_spent=total
    )


def _gives_up(plan: Plan, taken: Sequence[Look]) -> tuple[float | None, ...]:
    """Return the boundaries for futility: those of the looks as they were, and after them as they are planned."""
    nothing = (None,) * len(taken)
    if plan.futility is None:
        return nothing
    shares = [look.share for look in taken]
    rest = [share for share in plan.information if share > shares[-1] + _CLOSE]
    try:
        efficacy = spending_boundaries(plan.level, plan.spending, [*shares, *rest])
        found = with_futility(efficacy, plan.futility, plan.spending).lower
    except ValueError:  # shares for which no such design exists; nothing obliges anybody to give up
        return nothing
    return found[: len(taken)] if rest else (*found[: len(taken) - 1], None)


def _verdict(plan: Plan, taken: Sequence[Look], *, final: bool) -> Verdict:
    """Return what is said at the last of the looks that counted, none of which stopped before."""
    found = bounds(plan, taken, final=final)
    look, upper, lower = taken[-1], found.upper[-1], found.lower[-1]
    z = _z(plan, look)
    last = final or look.share >= 1 - _CLOSE
    decision: Decision = "inconclusive" if last else "continue"
    if upper is not None and z >= upper:
        decision = "efficacy"
    elif lower is not None and z <= lower:
        decision = "harm" if plan.level.sides == 2 else "futility"
    return Verdict(
        decision=decision,
        number=len(taken),
        share=look.share,
        z=z,
        upper=upper,
        lower=lower,
        alpha_spent=found.alpha_spent[-1],
        repeated=_around(plan, look, upper),
        adjusted=None if decision == "continue" else _adjusted(plan, taken, found),
        reason=_reason(decision, z, upper, lower),
    )


def _z(plan: Plan, look: Look) -> float:
    z = look.value / look.standard_error
    return z if plan.goal == "up" else -z


def _around(plan: Plan, look: Look, bound: float | None) -> Interval:
    """Return the repeated interval."""
    if bound is None:
        return Interval(None, None)
    low, high = look.value - bound * look.standard_error, look.value + bound * look.standard_error
    if plan.level.sides == 2:
        return Interval(low, high)
    return Interval(low, None) if plan.goal == "up" else Interval(None, high)


def _ignored(plan: Plan, look: Look, number: int, why: str) -> Verdict:
    return Verdict(
        decision="ignored",
        number=number,
        share=look.share,
        z=_z(plan, look),
        upper=None,
        lower=None,
        alpha_spent=0.0,
        repeated=Interval(None, None),
        adjusted=None,
        reason=why,
    )


def _adjusted(plan: Plan, taken: Sequence[Look], found: Boundaries) -> Adjusted | None:
    """Return what the stage-wise ordering says, in the metric's unit and direction."""
    walked = Walked(tuple(look.amount for look in taken), found.upper, _z(plan, taken[-1]), plan.level.sides)
    means = stagewise(walked, plan.level.rate)
    if means is None:
        return None
    error = taken[-1].standard_error if plan.goal == "up" else -taken[-1].standard_error
    low, high = sorted((means.low * error, means.high * error))
    interval = Interval(low, high)
    if plan.level.sides == 1:
        interval = Interval(low, None) if plan.goal == "up" else Interval(None, high)
    return Adjusted(means.p, means.middle * error, interval)


def _reason(decision: Decision, z: float, upper: float | None, lower: float | None) -> str:
    top = "no boundary" if upper is None else f"the boundary {upper:.4f}"
    bottom = "no boundary" if lower is None else f"the boundary {lower:.4f}"
    said: dict[Decision, str] = {
        "efficacy": f"z = {z:.4f} for the better is at or above {top}",
        "harm": f"z = {z:.4f} is at or below {bottom}: the arm is worse",
        "futility": f"z = {z:.4f} is at or below {bottom} for futility",
        "continue": f"z = {z:.4f} lies between {bottom} below and {top} above",
        "inconclusive": f"z = {z:.4f} at the last look lies between {bottom} below and {top} above",
    }
    return said[decision]
