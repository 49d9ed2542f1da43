"""Counts over any recent span: exact, bounded, and unknown where nothing was looked at."""

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.guardrail.evidence import BUCKETS, CLUSTERS, ArmEvidence, Evidence
from router.guardrail.windows import LEVELS, MOST_MARKS, Windows
from router.histogram import BUCKETS as TIMES

START = 1_000_000.0


def seen(time: float, exchanges: int, failures: int = 0, phase: int = 1, run: int = 1, *, slow: int = 0) -> Evidence:
    """Give what had been counted at a moment, for both arms alike."""
    buckets = (exchanges, *(0,) * (BUCKETS - 1))
    failed = (failures, *(0,) * (BUCKETS - 1))
    row = (0,) * 100 + (exchanges - slow,) + (0,) * 50 + (slow,) + (0,) * (TIMES - 152)
    latency = (row, *((0,) * TIMES for _ in range(CLUSTERS - 1)))
    arm = ArmEvidence(exchanges=buckets, failures=failed, latency=latency)
    return Evidence(time=time, run=run, phase=phase, arms={"a": arm, "b": arm})


def looked(times: list[float], rate: float = 1.0) -> Windows:
    """Give the marks of looks at some seconds after the start, at so many exchanges a second."""
    windows = Windows()
    for time in times:
        windows = windows.add(seen(START + time, round(time * rate)), latency=True)
    return windows


def test_a_span_is_what_was_counted_in_it() -> None:
    """By subtraction: exact counts and durations, whatever came before."""
    windows = Windows()
    for second in range(0, 601, 10):
        windows = windows.add(seen(START + second, 10 * second, second // 10, slow=second), latency=True)
    span = windows.over(300)
    assert span is not None
    assert (span.seconds, span.exchanges("a"), span.failures("b")) == (300.0, 3000, 30)
    assert span.latency("a").sum() == 3000
    assert (span.latency("a")[100], span.latency("a")[151]) == (2700, 300)


def test_pieces_are_of_equal_length() -> None:
    """The oldest first, and together the span."""
    pieces = looked([float(second) for second in range(601)]).pieces(300, 5)
    assert pieces is not None
    assert [(piece.seconds, piece.exchanges("a")) for piece in pieces] == [(60.0, 60)] * 5


def test_three_days_take_a_bounded_number_of_marks() -> None:
    """Fine marks of late, coarse ones of long ago, and still the right counts over each span."""
    windows, most = looked([0.0]), 0
    for second in range(60, 4 * 86400, 60):
        windows = windows.add(seen(START + second, second), latency=False)
        most = max(most, len(windows.marks))
    assert most <= MOST_MARKS
    for seconds in (60, 300, 1800, 3600, 6 * 3600, 3 * 86400):
        span = windows.over(seconds)
        step = next(step for step, age in LEVELS if seconds <= age) if seconds > 900 else 60
        assert span is not None
        assert seconds <= span.seconds <= seconds + 2 * step
        assert span.exchanges("a") == span.seconds


def test_size_in_bytes_is_bounded() -> None:
    """With a histogram in every bucket of every mark it stays below what the module says, in JSON too."""
    generator, windows = np.random.default_rng(1), Windows()
    rows = np.ones((CLUSTERS, TIMES), int)
    for second in range(0, 3 * 86400, 600):
        rows = rows + generator.integers(0, 1000, (CLUSTERS, TIMES))
        arm = ArmEvidence(latency=tuple(map(tuple, rows.tolist())))
        evidence = Evidence(time=START + second, run=1, phase=1, arms={"a": arm, "b": arm})
        windows = windows.add(evidence, latency=True)
    sizes = [sum(len(arm.latency) for arm in mark.arms) for mark in windows.marks]
    assert max(sizes) * MOST_MARKS < 1_500_000
    assert msgspec.json.decode(msgspec.json.encode(windows), type=Windows) == windows


def test_a_younger_run_knows_less() -> None:
    """A span that reaches back beyond the first look is not known."""
    windows = looked([0.0, 10.0, 20.0])
    assert windows.age == 20
    assert windows.over(30) is None
    assert windows.over(20) is not None
    assert windows.pieces(100, 5) is None


def test_nothing_is_known_without_a_look() -> None:
    """Neither a span nor pieces."""
    assert (Windows().over(10), Windows().pieces(10, 2), Windows().age) == (None, None, 0.0)


def test_a_failed_look_leaves_a_gap() -> None:
    """A failed measurement adds nothing, and a span that begins within a gap is not known."""
    windows = looked([0.0, 10.0, 20.0])
    assert windows.add(Evidence(time=START + 30, run=1, phase=1, arms={}, problem="no row"), latency=True) is windows
    later = windows.add(seen(START + 500, 500), latency=True)
    assert later.over(60) is None
    assert later.pieces(300, 5) is None
    assert later.over(480) is not None


def test_counts_go_on_over_phases_and_not_over_runs() -> None:
    """A phase counts from 0; a span over two adds both; another run knows nothing of it."""
    windows = looked([0.0, 50.0, 100.0]).add(seen(START + 110, 5, phase=2), latency=True)
    span = windows.over(60)
    assert span is not None
    assert span.exchanges("a") == 55
    assert span.latency("a").sum() == 55
    assert windows.entered is not None
    assert windows.since(windows.entered).exchanges("a") == 5
    other = windows.add(seen(START + 120, 7, run=2), latency=True)
    assert (other.age, other.run) == (0.0, 2)


def test_counts_that_fell_go_on_from_what_was_known() -> None:
    """A segment that was lost begins at 0; nothing is counted twice, and nothing below 0."""
    windows = looked([0.0, 50.0, 100.0]).add(seen(START + 110, 4), latency=True)
    span = windows.over(60)
    assert span is not None
    assert span.exchanges("a") == 54


def test_a_clock_that_is_put_back_takes_no_time() -> None:
    """Marks move with it, so that later looks see spans of their true length."""
    windows = looked([0.0, 50.0, 100.0]).add(seen(START - 3500, 110), latency=True)
    later = windows.add(seen(START - 3440, 170), latency=True)
    span = later.over(60)
    assert span is not None
    assert (span.seconds, span.exchanges("a")) == (60.0, 70)  # ten of them when the clock jumped
    assert later.age == 160


def test_a_clock_that_is_put_forward_is_a_gap() -> None:
    """What was counted across it belongs to no span that begins in it."""
    windows = looked([0.0, 50.0, 100.0]).add(seen(START + 90_000, 110), latency=True)
    assert windows.over(3600) is None


def test_durations_are_kept_only_where_asked() -> None:
    """Most guardrails need none, and they are most of the size."""
    windows = Windows().add(seen(START, 5), latency=False)
    assert windows.marks[-1].arms[0].latency == b""


def test_durations_that_are_asked_for_later_begin_then() -> None:
    """A condition on p99 that is added in mid-run knows nothing of the time before."""
    windows = Windows().add(seen(START, 50), latency=False).add(seen(START + 100, 150), latency=False)
    windows = windows.add(seen(START + 110, 160), latency=True).add(seen(START + 200, 250), latency=True)
    assert windows.age == 90
    span = windows.over(90)
    assert span is not None
    assert (span.exchanges("a"), span.latency("a").sum()) == (90, 90)


def test_what_came_before_the_first_look_is_of_no_time() -> None:
    """A checkpoint that was lost does not make a minute of a week."""
    windows = Windows().add(seen(START, 1_000_000), latency=True).add(seen(START + 60, 1_000_060), latency=True)
    span = windows.over(60)
    assert span is not None
    assert (span.exchanges("a"), span.latency("a").sum()) == (60, 60)


@given(st.lists(st.tuples(st.floats(-5000, 100_000), st.integers(0, 50), st.integers(1, 3)), min_size=1, max_size=60))
def test_any_looks_give_spans_that_add_up(looks: list[tuple[float, int, int]]) -> None:
    """Under any clock, gaps, phases and lost counts: marks in order, counts that never fall, pieces within spans."""
    windows, total = Windows(), 0
    for time, more, phase in looks:
        total += more
        windows = windows.add(seen(START + time, total, phase=phase), latency=False)
    times = [mark.time for mark in windows.marks]
    counts = [mark.arms[0].exchanges for mark in windows.marks]
    assert times == sorted(times)
    assert counts == sorted(counts)
    for seconds in (10, 60, 3600):
        pieces, span = windows.pieces(seconds, 2), windows.over(seconds)
        if pieces is not None and span is not None:
            assert sum(piece.exchanges("a") for piece in pieces) == span.exchanges("a")
    assert msgspec.json.decode(msgspec.json.encode(windows), type=Windows) == windows


@pytest.mark.parametrize("seconds", [0.0, 1.0])
def test_looks_within_a_step_are_one_mark_and_the_latest(seconds: float) -> None:
    """Looking every second, or twice at once, takes no more room."""
    windows = looked([seconds * index for index in range(9)])
    assert len(windows.marks) <= 2
    assert windows.marks[-1].time == START + 8 * seconds
