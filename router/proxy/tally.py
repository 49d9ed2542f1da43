"""What the copies for a release count: failures, agreement and latency, each beside the request that was copied.

Responsible for: which copies say something of the new arm's target, and in which words of the release's row they count.
Does not know: when a release has copies, what follows from the counts (``router.guardrail``).

Rules: nothing here counts in an arm: copies are no exchanges. A copy counts together with its request or not at all, so
that the two are of the same requests, in the same buckets of units.
"""

from typing import TYPE_CHECKING, Final

from router import counters
from router.histogram import BUCKETS, bucket
from router.proxy.judge import SERVER_ERROR

if TYPE_CHECKING:
    from router.proxy.copy import Copy
    from router.proxy.shadow import Mirror
    from router.routing.decide import Decision
    from router.routing.sample import ShadowPlan

CALLERS_ERROR: Final = 400  # the first status that says that nothing was answered


def tally(words: memoryview, copy: "Copy", primary: "Mirror", result: str) -> None:
    """Count a copy for its release, where both targets were asked to the end.

    A status of 4xx is a failure of the side that alone answers with it.

    Args:
        words: The counters of this worker.
        copy: It has ended.
        primary: What is known of the exchange that was copied; it has ended too.
        result: What came of comparing the two, one of ``counters.SHADOW_RESULTS``.
    """
    decision = primary.decision
    if decision is None or decision.target == copy.plan.target:
        return
    if copy.fault == "local" or primary.fault == "degraded" or (primary.fault is not None and not primary.failed):
        return  # no fault of either target: too few descriptors, another target was asked, the caller left
    place = decision.key % counters.UNIT_BUCKETS
    cell = copy.plan.tally + place
    failed, primary_failed = _failures(copy, primary)
    words[cell + counters.MIRROR_COPIES] += 1
    words[cell + counters.MIRROR_FAILED] += failed
    words[cell + counters.MIRROR_PRIMARY_FAILED] += primary_failed
    if result in ("agree", "differ"):
        words[cell + counters.MIRROR_COMPARED] += 1
        words[cell + counters.MIRROR_AGREED] += result == "agree"
    if not (failed or primary_failed):
        cluster = copy.plan.tally + place % counters.LATENCY_CLUSTERS * BUCKETS
        words[cluster + counters.MIRROR_SECONDS + bucket(int(copy.seconds * 1e6))] += 1
        words[cluster + counters.MIRROR_PRIMARY_SECONDS + bucket(int(primary.seconds * 1e6))] += 1


def refused(words: memoryview, plan: "ShadowPlan", decision: "Decision") -> None:
    """Count a copy that no endpoint could take: a failure of the new arm's target, as it would be of an arm.

    Else a target whose breaker has opened would never have enough copies to be found bad.
    """
    if decision.target != plan.target:
        cell = plan.tally + decision.key % counters.UNIT_BUCKETS
        words[cell + counters.MIRROR_COPIES] += 1
        words[cell + counters.MIRROR_FAILED] += 1


def _failures(copy: "Copy", primary: "Mirror") -> tuple[bool, bool]:
    """Return whether the copy failed, and whether the request did."""
    if copy.fault is not None or primary.failed:
        return copy.fault is not None or copy.status >= SERVER_ERROR, primary.failed
    bad, primary_bad = copy.status >= CALLERS_ERROR, primary.status >= CALLERS_ERROR
    if bad and primary_bad:  # the request may be to blame
        return copy.status >= SERVER_ERROR, primary.status >= SERVER_ERROR
    return bad, primary_bad
