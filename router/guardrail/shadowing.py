"""What copies of requests say of a release that has no traffic yet: failures, agreement and latency.

Responsible for: the verdict on a shadow, from counts of copies beside the requests that were copied.
Does not know: how copies are made or counted (``router.proxy``), what follows.

Three questions, each valid at any time. Do copies fail more often than the requests themselves, beyond a margin: the
test of ``rate``. Is their 99th percentile beyond a multiple of the requests' own: that of ``pace``. Both take the two
for independent samples, though they are of the same requests, which makes them careful. Do too few answers agree: the
likelihood ratio of the share that differs against the one that is allowed, mixed over others,

    (r'/r)^x ((1 - r')/(1 - r))^(n - x)

whose mean is at most 1 where the share is at least r and r' below it, and the reverse, so its mixtures are e-processes
(Ville 1939; Ramdas, Ruf, Larsson and Koolen 2020). Copies of one unit are not independent: its logarithm is divided by
a design effect, as in ``compare``.

Rules: pure. It fails if any of them fails, passes if all pass and there are enough copies, and is inconclusive
otherwise. Nothing here is exposed to users, so a wrong failure costs a release and no request.
"""

from collections.abc import Sequence
from math import exp, inf, log, log1p
from typing import Final, Literal

import numpy as np
from msgspec import Struct

from router.config.rehearsal import Mirroring
from router.events.rollout import Found
from router.guardrail.compare import LEAST_CLUSTERS, arm_design
from router.guardrail.latency import quantiles
from router.guardrail.limit import Limit
from router.guardrail.pace import Arms, Pace, judge_pace
from router.guardrail.rate import Guard, Levels, Place, judge_rate
from router.guardrail.track import Counts, Sample, Track

NAME: Final = "shadow"
LEVELS: Final = Levels(fail=0.0025, passing=0.05)
"""A hundredth over all of a shadow's questions, and of passing what should not."""
_Q: Final = 0.99
_BELOW: Final = ((0.0, 0.3), (0.2, 0.25), (0.5, 0.25), (0.75, 0.2))
_ABOVE: Final = ((1.3, 0.2), (2.0, 0.3), (5.0, 0.3), (20.0, 0.2))
_LARGEST: Final = 700.0

Status = Literal["pass", "fail", "inconclusive", "error"]


class Copies(Struct, frozen=True):
    """Counts since the shadow began.

    Attributes:
        copies: Copies whose result is known, by bucket of units.
        failed: Those that failed.
        primary_failed: Requests themselves that failed.
        compared: Answers that were compared.
        agreed: Those that agree.
        seconds: Histograms of copies: clusters x buckets.
        primary_seconds: Of the requests themselves.
    """

    copies: Counts
    failed: Counts
    primary_failed: Counts
    compared: Counts
    agreed: Counts
    seconds: Counts
    primary_seconds: Counts


class Seen(Struct, frozen=True):
    """What is remembered between looks; nothing at first."""

    track: Track | None = None
    pace: Pace | None = None


def judge_shadow(asked: Mirroring, copies: Copies, seen: Seen, now: float) -> tuple[Found, Seen]:
    """Judge a shadow.

    Args:
        asked: What it has to be like.
        copies: Counts since it began.
        seen: What the look before returned.
        now: Unix seconds.

    Returns:
        The verdict, and what is remembered.

    Raises:
        ValueError: If counts fell, or contradict each other.
    """
    place = Place(1, now)
    failures = Limit(None, asked.failures, f"{asked.failures:.2%} more than of the requests themselves")
    sample = Sample.of((copies.copies, copies.copies), (copies.failed, copies.primary_failed))
    said, track = judge_rate(_guard("failures", failures, "failed"), seen.track, sample, place)
    parts = [said]
    arms = Arms(copies.seconds, copies.primary_seconds)
    said, pace = judge_pace(_guard("p99", _margin(asked, arms), "duration"), _Q, seen.pace, arms, place)
    parts.append(said)
    if asked.agree is not None:
        parts.append(judge_agreement(asked.agree, copies))
    return _together(parts, copies.copies, asked.comparisons), Seen(track, pace)


def _margin(asked: Mirroring, arms: Arms) -> Limit:
    """Return how much later copies may be: so many times, or by a difference that is none if that is more.

    Where requests take a millisecond, that copies are sent after them and share the machine is half of the ratio.
    """
    _, theirs = quantiles(arms.treatment, arms.control, _Q)
    if theirs is not None and theirs * (asked.p99 - 1) < asked.slack:
        return Limit(None, asked.slack, f"{asked.slack * 1000:g} ms more than of the requests themselves")
    return Limit(asked.p99, None, f"{asked.p99:g} times that of the requests themselves")


def judge_agreement(least: float, copies: Copies) -> Found:
    """Judge the share of compared answers that agree.

    Args:
        least: The least share that is enough, below 1.
        copies: Counts.
    """
    compared, agreed = float(copies.compared.sum()), float(copies.agreed.sum())
    differ, rate = compared - agreed, 1 - least
    by_bucket = (copies.compared - copies.agreed).astype(np.float64)
    design = arm_design(copies.compared.astype(np.float64), by_bucket) if compared else inf
    if not compared or not np.isfinite(design) or _buckets(copies.compared) < LEAST_CLUSTERS:
        return _agreement("inconclusive", least, (differ, compared), "too few answers of different units", None)
    few = _log_e(differ / design, compared / design, rate, [(rate * step, weight) for step, weight in _BELOW])
    more = [(min(rate * step, (1 + rate) / 2), weight) for step, weight in _ABOVE]
    many = _log_e(differ / design, compared / design, rate, more)
    if many >= -log(LEVELS.fail) and differ / compared > rate:
        return _agreement("fail", least, (differ, compared), "too few agree, at any look", many)
    if few >= -log(LEVELS.passing):
        return _agreement("pass", least, (differ, compared), "enough agree", few)
    return _agreement("inconclusive", least, (differ, compared), "not shown to be enough, nor too few", many)


def _log_e(events: float, n: float, rate: float, others: Sequence[tuple[float, float]]) -> float:
    """Return the logarithm of the mixture of likelihood ratios of other rates against one."""
    if rate >= 1:
        return 0.0
    found = [log(weight) + _ratio(events, n, rate, other) for other, weight in others]
    return float(np.logaddexp.reduce(found))


def _ratio(events: float, n: float, rate: float, other: float) -> float:
    if not other and events:
        return -inf
    gained = events * log(other / rate) if other else 0.0
    return gained + (n - events) * (log1p(-other) - log1p(-rate))


def _agreement(status: Status, least: float, counts: tuple[float, float], words: str, log_e: float | None) -> Found:
    differ, compared = counts
    share = (compared - differ) / compared if compared else None
    known = "none was compared" if share is None else f"{compared - differ:.0f} of {compared:.0f} answers agree"
    return Found(
        name="agreement",
        status=status,
        action="rollback",
        reason=f"{known}, {least:.2%} needed; {words}",
        estimate=share,
        margin=least,
        statistic=None if log_e is None else exp(min(_LARGEST, log_e)),
        threshold=1 / LEVELS.fail,
        alpha=LEVELS.fail,
        counts={"agreed": compared - differ, "compared": compared},
    )


def _guard(name: str, limit: Limit, event: str) -> Guard:
    return Guard(
        name=name,
        limit=limit,
        negligible=None,
        action="rollback",
        dry_run=False,
        levels=LEVELS,
        event=event,
        arms=("copies", "the requests themselves"),
    )


def _buckets(counts: Counts) -> float:
    """Return over how many buckets of units counts are spread: their number, if they were all alike."""
    whole = counts.astype(np.float64)
    return float(whole.sum() ** 2 / (whole**2).sum()) if whole.any() else 0.0


def _together(parts: Sequence[Found], counted: Counts, least: int) -> Found:
    """Return one verdict: that of the part which decides, with the numbers of all."""
    for status in ("fail", "error", "inconclusive"):
        deciding = [part for part in parts if part.status == status]
        if deciding:
            break
    else:
        deciding = list(parts)
    verdict: Status = deciding[0].status
    reason = "; ".join(f"{part.name}: {part.reason}" for part in deciding)
    copies = int(counted.sum())
    if verdict == "pass" and copies < least:
        verdict, reason = "inconclusive", f"it takes {least}; {reason}"
    elif verdict == "pass" and _buckets(counted) < LEAST_CLUSTERS:
        verdict, reason = "inconclusive", f"they are of too few units; {reason}"
    first = deciding[0]
    counts = {f"{part.name}_{key}": value for part in parts for key, value in part.counts.items()}
    return Found(
        name=NAME,
        status=verdict,
        action="rollback",
        reason=f"{copies} copies; {reason}",
        estimate=first.estimate,
        low=first.low,
        high=first.high,
        margin=first.margin,
        statistic=first.statistic,
        threshold=first.threshold,
        alpha=first.alpha,
        counts={**counts, "copies": float(copies)},
    )
