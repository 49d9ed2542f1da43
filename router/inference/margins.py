"""Questions about a margin: not worse by more than it, better by more than it, no further away than it.

Responsible for: verdicts of non-inferiority, superiority by a margin and equivalence, and their one-sided p-values.
Does not know: where margins come from (guardrails, designs), how an effect was computed.

A verdict reads the interval of the effect, so it is valid whenever that is, whatever its basis. An interval at level
1 - alpha answers each one-sided question with an error of alpha / 2; equivalence takes two of them (Schuirmann 1987),
so its p is the *larger* of both and its test at alpha / 2 is whether the interval lies within the margins.

Rules: pure. Up is better or worse as the metric's goal says. A relative margin is a share of the absolute value of
control, so that it means the same for a negative baseline; without a relative effect there is no answer.
"""

from collections.abc import Callable
from typing import Literal

from msgspec import Struct
from scipy.special import stdtr

from router.analysis.estimate import NotEnough
from router.inference.effect import Asked, Effect, Interval

Goal = Literal["up", "down"]
Question = Literal["non-inferior", "superior", "equivalent"]


class Margin(Struct, frozen=True):
    """How far is too far.

    Attributes:
        value: The margin, at least 0 and finite: in the metric's own unit, or as a share.
        relative: Whether it is a share of the absolute value of control.
    """

    value: float
    relative: bool = False

    def __post_init__(self) -> None:
        """Refuse what is no distance.

        Raises:
            ValueError: If it is below 0 or not finite.
        """
        if not 0 <= self.value < float("inf"):
            raise ValueError(f"a margin is at least 0 and finite, not {self.value}")


class Judged(Struct, frozen=True):
    """The answer to a question about a margin.

    Attributes:
        verdict: ``pass`` when the interval lies on the good side, ``fail`` when on the bad one, else ``inconclusive``.
        p: One-sided p-value against the opposite of ``pass``; None where it takes more than the effect.
        reason: Interval and margin, for a person.
    """

    verdict: Literal["pass", "fail", "inconclusive"]
    p: float | None
    reason: str


def non_inferior(effect: Effect, margin: Margin, goal: Goal) -> Judged | NotEnough:
    """Say whether the arm is not worse by the margin or more.

    Args:
        effect: What was found.
        margin: How much worse is too much.
        goal: Which direction is better.
    """
    return _judge(effect, margin, goal, "non-inferior")


def superior(effect: Effect, margin: Margin, goal: Goal) -> Judged | NotEnough:
    """Say whether the arm is better by more than the margin."""
    return _judge(effect, margin, goal, "superior")


def equivalent(effect: Effect, margin: Margin) -> Judged | NotEnough:
    """Say whether the arm differs by less than the margin, in either direction (TOST).

    Args:
        effect: What was found; an interval at 1 - 2 a makes the test at a.
        margin: How different is too different; above 0.
    """
    return _judge(effect, margin, "up", "equivalent")


def by_inversion(
    find: Callable[[Asked], Effect | NotEnough], margin: Margin, goal: Goal, question: Question, alpha: float = 0.05
) -> Judged | NotEnough:
    """Answer with a p-value whatever the method: the smallest level at which its interval gives the answer.

    So p agrees with the interval: for two proportions it is that of Farrington and Manning's score test (1990).

    Args:
        find: Returns the effect for what is asked, such as a method with its arms given.
        margin: The margin.
        goal: Which direction is better.
        question: What is asked.
        alpha: Of the interval that the verdict reads; a one-sided question errs at most half as often.
    """
    found = find(Asked(alpha))
    if isinstance(found, NotEnough):
        return found
    judged = _judge(found, margin, goal, question)
    if isinstance(judged, NotEnough):
        return judged
    sides = [_smallest(find, line, over=over) for line, over in _lines(margin, goal, question)]
    return Judged(judged.verdict, None if None in sides else max(side or 0.0 for side in sides), judged.reason)


Line = tuple[float, bool]
"""A value, and whether it is a relative one."""


def _lines(margin: Margin, goal: Goal, question: Question) -> list[tuple[Line, bool]]:
    """Return which values the effect has to be above (True) or below."""
    up = goal == "up"
    if question == "equivalent":
        return [((-margin.value, margin.relative), True), ((margin.value, margin.relative), False)]
    distance = -margin.value if question == "non-inferior" else margin.value
    return [((distance if up else -distance, margin.relative), up)]


def _judge(effect: Effect, margin: Margin, goal: Goal, question: Question) -> Judged | NotEnough:
    if question == "equivalent" and margin.value == 0:
        raise ValueError("nothing is equivalent within a margin of 0")
    if margin.relative and isinstance(effect.relative, NotEnough):
        return effect.relative
    interval, _ = _seen(effect, relative=margin.relative)
    lines = _lines(margin, goal, question)
    verdict: Literal["pass", "fail", "inconclusive"] = "inconclusive"
    if all(_clears(interval, value, over=over) for (value, _), over in lines):
        verdict = "pass"
    elif any(_clears(interval, value, over=not over) for (value, _), over in lines):
        verdict = "fail"
    ps = [_p(effect, line, over=over) for line, over in lines]
    ends = " to ".join("unbounded" if end is None else f"{end:.6g}" for end in (interval.low, interval.high))
    limits = " and ".join(f"{'above' if over else 'below'} {value:.6g}" for (value, _), over in lines)
    kind = "relative effect" if margin.relative else "effect"
    reason = f"{question}: the {kind} lies in {ends} at {effect.level:.6g}; asked is {limits}"
    return Judged(verdict, None if None in ps else max(p or 0.0 for p in ps), reason)


def _seen(effect: Effect, *, relative: bool) -> tuple[Interval, float]:
    if not relative or isinstance(effect.relative, NotEnough):
        return effect.interval, effect.value
    return effect.relative.interval, effect.relative.value


def _clears(interval: Interval, line: float, *, over: bool) -> bool:
    if over:
        return interval.low is not None and interval.low > line
    return interval.high is not None and interval.high < line


def _p(effect: Effect, line: Line, *, over: bool) -> float | None:
    """Return the one-sided p-value where the effect is t-distributed and the margin absolute."""
    if line[1] or effect.standard_error is None or effect.degrees_of_freedom is None:
        return None
    distance = (effect.value - line[0]) / effect.standard_error
    return float(stdtr(effect.degrees_of_freedom, -distance if over else distance))


def _smallest(find: Callable[[Asked], Effect | NotEnough], line: Line, *, over: bool) -> float | None:
    """Return half of the smallest alpha at which the interval clears a line; None where no interval can be had."""
    middle = _found(find, 1 - 1e-12, relative=line[1])
    if middle is None:
        return None
    value = middle[1]
    if value == line[0]:
        return 0.5
    passes = (value > line[0]) == over
    side = over if passes else not over
    low, high = -300.0, 0.0  # of log10(alpha)
    for _ in range(50):
        half = (low + high) / 2
        found = _found(find, min(10**half, 1 - 1e-12), relative=line[1])
        if found is not None and _clears(found[0], line[0], over=side):
            high = half
        else:
            low = half
    return 10**high / 2 if passes else 1 - 10**high / 2


def _found(
    find: Callable[[Asked], Effect | NotEnough], alpha: float, *, relative: bool
) -> tuple[Interval, float] | None:
    found = find(Asked(alpha))
    if isinstance(found, NotEnough) or (relative and isinstance(found.relative, NotEnough)):
        return None
    return _seen(found, relative=relative)
