"""The fast path: that nothing answers, without a least number of exchanges.

Responsible for: whether a new arm that never answered in a phase, or answers no more, is to be taken back at once.
Does not know: guardrails of the configuration, which are judged beside it.

A bucket of units of an arm is *down* when each of its exchanges failed. When all of treatment's buckets are down, the
chance of that under no difference, given how many of both arms' are, is hypergeometric: C(D, k)/C(K, k) for k buckets
of treatment, K and D of both arms with exchanges and down. Units of different buckets are independent, so one caller
who sends what breaks every model counts once however often it is sent, and a control that is down as well makes the
chance 1. It is asked of the phase as a whole, and of its last minute or two, where it takes ``LATE`` exchanges and a
level a ten-thousandth as large: as many minutes as a week has share one level. The chance over all looks of a phase is
measured by ``benchmarks/guardrails.py`` for every rate of failures.

Rules: pure; exact.
"""

from math import exp, lgamma
from typing import Final, Literal

import numpy as np
import numpy.typing as npt
from msgspec import Struct

from router.events.rollout import Found
from router.guardrail.evidence import ArmEvidence

NAME: Final = "nothing answers"
LEAST: Final = 5
"""Exchanges of the new arm, all failed."""
LATE: Final = 20
"""Those of the last minute or two, where it has answered before."""
BUCKETS_DOWN: Final = 3
"""Buckets of units that they come from."""
ANSWERED: Final = 0.5
"""Share of control's exchanges that have to be answered."""

_WINDOW_S: Final = 60.0
_WINDOWS: Final = 10_000

Counts = npt.NDArray[np.int64]


class Late(Struct, frozen=True):
    """Counts of a minute or two ago.

    Attributes:
        phase: The phase that they are of.
        since: When ``newer`` was taken, in unix seconds.
        older: Exchanges and failures of treatment and control by bucket, a window before ``newer``.
        newer: Likewise.
    """

    phase: int
    since: float
    older: bytes
    newer: bytes


def judge_obvious(
    arms: tuple[ArmEvidence, ArmEvidence], level: float, late: Late | None, place: tuple[int, float]
) -> tuple[Found, Late]:
    """Say whether nothing answers at all.

    Args:
        arms: What is known of the new arm, and of control, since the phase began.
        level: Chance of a wrong failure.
        late: What was returned at the look before.
        place: The phase, and unix seconds.
    """
    counted = np.array([[arm.exchanges, arm.failures] for arm in arms], dtype=np.int64)
    late = _moved(late, counted, place)
    whole = _judge(counted, LEAST, level, "in this phase")
    if whole.status == "fail":
        return whole, late
    lately = counted - np.frombuffer(late.older, np.int64).reshape(counted.shape)
    again = _judge(lately, LATE, level / _WINDOWS, "of late")
    return (again if again.status == "fail" else whole), late


def _moved(late: Late | None, counted: Counts, place: tuple[int, float]) -> Late:
    """Return the counts that the window begins with: those of one window ago, or two."""
    phase, now = place
    if (
        late is None
        or late.phase != phase
        or (counted < np.frombuffer(late.newer, np.int64).reshape(counted.shape)).any()
    ):
        nothing = np.zeros_like(counted).tobytes()
        return Late(phase, now, nothing, nothing)
    if 0 <= now - late.since < _WINDOW_S:
        return late
    return Late(phase, now, late.newer, counted.tobytes())


def _judge(counted: Counts, least: int, level: float, when: str) -> Found:
    """Judge a stretch by its exchanges and failures of both arms."""
    exchanges, failed = (int(each) for each in counted[0].sum(axis=1))
    base, base_failed = (int(each) for each in counted[1].sum(axis=1))
    chance = chance_of(counted)
    said = f"{failed} of {exchanges} exchanges failed in the new arm {when}, {base_failed} of {base} in control"
    status: Literal["pass", "fail", "inconclusive"] = "inconclusive"
    if not exchanges:
        reason = "no exchanges"
    elif failed < exchanges:
        status, reason = "pass", f"it answers: {said}"
    elif exchanges < least or base - base_failed < ANSWERED * base or chance > level:
        reason = f"{said}; chance of that without a difference {chance:.2g}, level {level:.2g}"
    else:
        status, reason = "fail", f"nothing answers: {said}; chance of that without a difference {chance:.2g}"
    return Found(
        name=NAME,
        status=status,
        action="rollback",
        reason=reason,
        fast=status == "fail",
        estimate=failed / exchanges if exchanges else None,
        margin=1.0,
        statistic=chance,
        threshold=level,
        alpha=level,
        counts={
            "treatment_failures": failed,
            "treatment_exchanges": exchanges,
            "control_failures": base_failed,
            "control_exchanges": base,
        },
    )


def chance_of(counted: Counts) -> float:
    """Return the chance that all buckets of treatment are down, given how many of both arms' are.

    Args:
        counted: Exchanges and failures (second axis) of treatment and control (first) by bucket.

    Returns:
        1 when some are not, or when they are fewer than ``BUCKETS_DOWN``.
    """
    seen = counted[:, 0] > 0
    down = seen & (counted[:, 0] == counted[:, 1])
    (active, others), (active_down, others_down) = seen.sum(axis=1).tolist(), down.sum(axis=1).tolist()
    if active < BUCKETS_DOWN or active_down < active:
        return 1.0
    return exp(_log_choose(active + others_down, active) - _log_choose(active + others, active))


def _log_choose(n: int, k: int) -> float:
    return lgamma(n + 1) - lgamma(k + 1) - lgamma(n - k + 1)
