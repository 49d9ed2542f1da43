"""A condition that must not hold, such as ``error_rate > 5% for 5m``: what it says now.

Responsible for: joining comparisons by and and or, in three values; the verdict on a guardrail with ``when``,
``at_most`` or ``at_least``.
Does not know: how one comparison is judged (``comparison``), how a text is read (``router.config.condition_parser``).

A condition that holds is a *fail*, one that does not hold a *pass*; what is not shown either way, and what could not be
known, is *inconclusive*: with ``and`` as soon as nothing is false and something is not shown, with ``or`` as soon as
nothing holds and something is not shown (Kleene 1938). Each of several alternatives of ``or`` has its part of alpha;
those of ``and`` need none, since one that is false is shown to hold with a probability of at most alpha.

Rules: pure.
"""

from collections.abc import Sequence
from math import exp
from typing import Final, Literal

from router.config.condition import Comparison, Condition, Limit, Quantity, Some
from router.config.condition_parser import parse
from router.config.counted import with_counted
from router.config.guardrail import Guardrail
from router.events.rollout import Found
from router.guardrail.comparison import compare
from router.guardrail.seen import Said, Seen

_LARGEST: Final = 700.0  # of a logarithm whose exponential is a finite number


def condition_of(guardrail: Guardrail) -> Condition | None:
    """Return what must not hold; None where a guardrail is of another form."""
    if guardrail.when is not None:
        return parse(guardrail.when)
    limit = guardrail.bound
    if limit is None or guardrail.metric is None:
        return None
    operator: Literal[">", "<"] = "<" if guardrail.at_most is None else ">"
    return Comparison(Quantity("metric", guardrail.metric), operator, Limit(limit.value, limit.unit))


def judge_condition(guardrail: Guardrail, condition: Condition, seen: Seen, alpha: float) -> Found:
    """Judge a guardrail by its condition.

    Args:
        guardrail: The guardrail.
        condition: What must not hold.
        seen: What is known.
        alpha: Chance of a wrong failure, over all of the run.
    """
    said, parts = evaluate(condition, seen, alpha)
    status: Literal["pass", "fail", "inconclusive"] = "inconclusive" if said is None else "fail" if said else "pass"
    leading = _leading(parts, verdict=said)
    tested = leading.log_e is not None and leading.alpha is not None
    return Found(
        name=guardrail.title,
        status=status,
        action=guardrail.action,
        reason="; ".join(part.reason for part in parts),
        dry_run=guardrail.dry_run,
        estimate=leading.estimate,
        low=leading.low,
        high=leading.high,
        margin=leading.margin,
        statistic=exp(min(_LARGEST, leading.log_e)) if leading.log_e is not None else None,
        threshold=1 / leading.alpha if tested and leading.alpha else None,
        alpha=leading.alpha,
        counts=_counts(parts),
    )


def evaluate(condition: Condition, seen: Seen, alpha: float) -> tuple[bool | None, tuple[Said, ...]]:
    """Say whether a condition holds, and what each of its comparisons says, from left to right.

    Args:
        condition: The condition.
        seen: What is known.
        alpha: Chance that it is wrongly said to hold, over all of the run.
    """
    if isinstance(condition, Comparison):
        counted = with_counted(condition, seen.metrics)
        said = compare(counted, seen, alpha) if isinstance(counted, Comparison) else None
        return (None, ()) if said is None else (said.holds, (said,))
    each = alpha / len(condition.terms) if isinstance(condition, Some) else alpha
    found = [evaluate(term, seen, each) for term in condition.terms]
    values = [value for value, _ in found]
    decisive = isinstance(condition, Some)
    joined = decisive if decisive in values else None if None in values else not decisive
    return joined, tuple(part for _, parts in found for part in parts)


def _leading(parts: Sequence[Said], *, verdict: bool | None) -> Said:
    """Return the comparison that a verdict is shown by: the first that agrees and was tested."""
    agreeing = [part for part in parts if part.holds is verdict]
    tested = [part for part in agreeing if part.alpha is not None]
    return (tested or agreeing or list(parts))[0]


def _counts(parts: Sequence[Said]) -> dict[str, float]:
    """Return what everything was computed from; the same number once, others with their place."""
    counts: dict[str, float] = {}
    for place, part in enumerate(parts, 1):
        for key, value in part.counts.items():
            counts[key if counts.get(key, value) == value else f"{key}_{place}"] = value
    return counts
