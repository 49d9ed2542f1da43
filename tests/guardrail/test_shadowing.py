"""A shadow passes, fails or is inconclusive by failures, agreement and latency; units and looks are allowed for."""

from typing import Any

import numpy as np
import pytest
from msgspec.structs import replace

from router.config.rehearsal import Mirroring
from router.events.rollout import Found
from router.guardrail.shadowing import Copies, Seen, judge_agreement, judge_shadow
from router.histogram import BUCKETS, bucket

NOW = 1_800_000_000.0


def spread(total: int, cells: int = 256) -> Any:
    """Return a count that is the same in every bucket, as far as that goes."""
    return np.full(cells, total // cells) + (np.arange(cells) < total % cells)


def times(total: int, ms: float, slow_ms: float = 0.0, slow: float = 0.0) -> Any:
    """Return histograms by cluster: most exchanges took so long, some longer."""
    found = np.zeros((32, BUCKETS), dtype=np.int64)
    late = spread(int(total * slow), 32)
    found[:, bucket(int(ms * 1000))] = spread(total, 32) - late
    if slow:
        found[:, bucket(int(slow_ms * 1000))] += late
    return found


def copies(total: int, *, failed: int = 0, primary_failed: int = 0, differ: int = 0, ms: float = 10.0) -> Copies:
    """Return counts of copies that are like the requests themselves but for what is given."""
    return Copies(
        spread(total), spread(failed), spread(primary_failed), spread(total), spread(total - differ),
        times(total, ms, ms * 2, 0.005), times(total, 10.0, 20.0, 0.005),
    )  # fmt: skip


def judged(counts: Copies, **asked: Any) -> Found:
    """Judge at one look."""
    return judge_shadow(Mirroring(hold=60, **asked), counts, Seen(), NOW)[0]


def test_a_shadow_that_is_like_the_primary_passes() -> None:
    """With enough copies, all of which answer, agree and are as fast; the numbers are told."""
    found = judged(copies(20_000), agree=0.99)
    assert found.status == "pass", found.reason
    assert found.counts["copies"] == 20_000
    assert found.action == "rollback"


@pytest.mark.parametrize(
    ("counts", "asked", "said"),
    [
        (copies(5000, failed=500), {}, "failures"),
        (copies(5000, differ=1000), {"agree": 0.95}, "agreement"),
        (copies(5000, ms=80.0), {}, "p99"),
    ],
)
def test_what_is_worse_fails_by_name(counts: Copies, asked: dict[str, Any], said: str) -> None:
    """Failures beyond the margin, too few answers that agree, a 99th percentile that is too late."""
    found, seen = judge_shadow(Mirroring(hold=60, **asked), copies(0), Seen(), NOW)
    for part in (0.2, 0.4, 0.6, 0.8, 1.0):  # as it comes in, look by look
        scaled = Copies(*((np.asarray(getattr(counts, name)) * part).astype(np.int64) for name in FIELDS))
        found, seen = judge_shadow(Mirroring(hold=60, **asked), scaled, seen, NOW + 600 * part)
    assert found.status == "fail", found.reason
    assert found.reason.split("; ")[1].startswith(said)


FIELDS = ("copies", "failed", "primary_failed", "compared", "agreed", "seconds", "primary_seconds")


def test_a_few_milliseconds_are_no_difference() -> None:
    """Copies share the machine with the requests; at 2 ms three times as long is nothing, unless it is said to be."""
    fast = copies(20_000)
    later = replace(fast, seconds=times(20_000, 6.0, 9.0, 0.005), primary_seconds=times(20_000, 2.0, 4.0, 0.005))
    assert judged(later).status == "pass"
    assert judged(later, slack=0.0).status != "pass"


def test_failures_of_both_sides_are_nobodys_fault() -> None:
    """Requests that fail at the primary as well say nothing against the copy."""
    assert judged(copies(20_000, failed=400, primary_failed=400)).status == "pass"


def test_answers_may_differ_unless_agreement_is_asked_for() -> None:
    """Another model gives other answers."""
    assert judged(copies(20_000, differ=20_000)).status == "pass"


@pytest.mark.parametrize("total", [0, 1, 50])
def test_too_few_copies_are_inconclusive(total: int) -> None:
    """None at all included; however good they are."""
    assert judged(copies(total), agree=0.9).status == "inconclusive"


def test_copies_of_few_units_say_little() -> None:
    """A thousand answers to one user that agree are about one user."""
    none = np.zeros(256, dtype=np.int64)
    one = none.copy()
    one[7] = 1000
    counts = Copies(one, none, none, one, one, times(0, 1), times(0, 1))
    assert judge_agreement(0.9, counts).status == "inconclusive"


def test_agreement_is_seldom_failed_wrongly_at_any_look() -> None:
    """Of 300 shadows that agree in exactly the least share, watched after each 20 answers, at most 1 % ever fails.

    The level is 0.25 %: more than 3 of 300 have a chance below one in a hundred.
    """
    generator, failed = np.random.default_rng(8), 0
    for _ in range(300):
        compared, agreed = np.zeros(256, dtype=np.int64), np.zeros(256, dtype=np.int64)
        for _ in range(25):
            places = generator.integers(0, 256, 20)
            np.add.at(compared, places, 1)
            np.add.at(agreed, places[generator.random(20) < 0.9], 1)
            counts = Copies(compared, compared, compared, compared, agreed, times(0, 1), times(0, 1))
            if judge_agreement(0.9, counts).status == "fail":
                failed += 1
                break
    assert failed <= 3


def test_too_little_agreement_seldom_passes_and_enough_does() -> None:
    """At 95 % needed: 93 % passes in at most a tenth of 100 shadows, 99 % within 2,000 answers in nine of ten."""
    generator = np.random.default_rng(9)

    def passed(rate: float) -> int:
        found = 0
        for _ in range(100):
            places = generator.integers(0, 256, 2000)
            compared = np.bincount(places, minlength=256)
            agreed = np.bincount(places[generator.random(2000) < rate], minlength=256)
            counts = Copies(compared, compared, compared, compared, agreed, times(0, 1), times(0, 1))
            found += judge_agreement(0.95, counts).status == "pass"
        return found

    assert passed(0.93) <= 10
    assert passed(0.99) >= 90


def test_counts_that_fall_are_refused() -> None:
    """They are not of one shadow."""
    _, seen = judge_shadow(Mirroring(hold=60), copies(5000), Seen(), NOW)
    with pytest.raises(ValueError, match=r"fell|fewer"):
        judge_shadow(Mirroring(hold=60), copies(10), seen, NOW + 60)
