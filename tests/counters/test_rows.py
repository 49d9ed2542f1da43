"""Rows: one for each thing that is counted, at a place that never changes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from router import counters, histogram
from router.config.schema import Arm, Config, Endpoint, Experiment, Route, Shadow, Target
from router.counters import (
    ARM_WORDS,
    BLOCK_WORDS,
    CODE_LABELS,
    CODE_SLOT,
    PAIR_WORDS,
    ROWS,
    CountersFull,
    allocate,
    arm_key,
    copies_key,
    endpoint_key,
    pair_key,
    route_key,
    row_keys,
    row_size,
    shadow_key,
    target_key,
)
from router.events.model import Run

keys = st.one_of(
    st.builds(pair_key, st.sampled_from("abc"), st.sampled_from("xyz")),
    st.builds(route_key, st.sampled_from("abc")),
    st.builds(target_key, st.sampled_from("xyz")),
    st.builds(shadow_key, st.sampled_from("abc"), st.sampled_from("xyz")),
    st.builds(arm_key, st.sampled_from("ef"), st.integers(1, 3), st.integers(1, 3), st.sampled_from("ct")),
)
needs = st.lists(keys, unique=True).map(lambda found: [(key, row_size(key)) for key in found])


def config(*experiments: Experiment) -> Config:
    """Make a configuration of two routes and three targets."""
    return Config(
        targets=tuple(Target(name=name, endpoints=(Endpoint(url="http://h"),)) for name in ("v1", "v2", "v3")),
        routes=(Route(name="ranker", target="v1"), Route(name="other", target="v3")),
        experiments=experiments,
    )


def test_a_pair_exists_for_the_default_target_and_every_arm() -> None:
    """Whatever the assignment says, there is a row to count in; a target named twice has one."""
    arms = (Arm(name="control", target="v1", weight=95), Arm(name="treatment", target="v2", weight=5))
    experiment = Experiment(name="e", route="ranker", arms=arms)
    expected = {
        target_key("v1"), target_key("v2"), target_key("v3"), endpoint_key("v1", "http://h"),
        endpoint_key("v2", "http://h"), endpoint_key("v3", "http://h"), route_key("ranker"), route_key("other"),
        pair_key("ranker", "v1"), pair_key("ranker", "v2"), pair_key("other", "v3"),
        arm_key("e", 2, 3, "control"), arm_key("e", 2, 3, "treatment"),
    }  # fmt: skip
    rows = list(row_keys(config(experiment), {"e": Run(number=2, phase=3, epoch=1)}))
    assert expected == {key for key, _ in rows}
    assert len(expected) == len(rows)
    assert all(size == row_size(key) for key, size in rows)


def test_each_shadow_of_a_route_has_a_row() -> None:
    """A row of its own, and another breaker for its endpoints; none among the pairs, since a copy is no exchange."""
    made = config()
    shadowed = replace(made.routes[0], shadow=(Shadow(target="v2", share=0.1), Shadow(target="v3", share=1)))
    rows = dict(row_keys(replace(made, routes=(shadowed, made.routes[1])), {}))
    extra = rows.keys() - dict(row_keys(made, {})).keys()
    assert extra == {
        shadow_key("ranker", "v2"), shadow_key("ranker", "v3"), copies_key("v2", "http://h"), copies_key("v3", "http://h"),
    }  # fmt: skip


@given(st.lists(needs, max_size=4))
def test_rows_never_move_and_never_overlap(generations: list[list[tuple[str, int]]]) -> None:
    """Over any series of configurations each key keeps its place, and each word belongs to one key."""
    slots: dict[str, int] = {}
    for needed in generations:
        after = allocate(slots, needed)
        assert {key: after[key] for key in slots} == slots
        assert {key for key, _ in needed} <= after.keys()
        slots = after
    words = sorted((base, row_size(key)) for key, base in slots.items())
    end = ROWS
    for base, size in words:
        assert base >= end
        end = base + size


def test_too_many_rows_are_refused() -> None:
    """A configuration that does not fit is refused as a whole, with the way out."""
    arms = BLOCK_WORDS // ARM_WORDS + 1
    with pytest.raises(CountersFull, match="restart"):
        allocate({}, ((arm_key("e", 1, 1, str(number)), ARM_WORDS) for number in range(arms)))


def test_a_thousand_routes_and_a_hundred_experiments_fit_many_times() -> None:
    """The largest configuration that is promised leaves room for hundreds of later runs."""
    needed = [(pair_key(str(number), "v"), PAIR_WORDS) for number in range(1000)]
    needed += [(arm_key(str(number), run, 1, "c"), ARM_WORDS) for number in range(100) for run in range(100)]
    assert max(allocate({}, needed).values()) < BLOCK_WORDS


def test_every_status_has_a_word() -> None:
    """A registered code is counted under its own label, all others under `other`."""
    assert len(CODE_SLOT) == 1000
    assert CODE_LABELS[CODE_SLOT[200]] == "200"
    assert CODE_LABELS[CODE_SLOT[0]] == "0"
    assert CODE_LABELS[CODE_SLOT[299]] == "other"
    assert CODE_LABELS[CODE_SLOT[999]] == "other"
    assert set(CODE_SLOT) == set(range(len(CODE_LABELS)))


def test_an_unknown_key_has_no_size() -> None:
    """A key that is not one of a row is a mistake, not a row of no words."""
    with pytest.raises(KeyError):
        row_size("nonsense\0a")


def ranges_of(*spans: tuple[int, int]) -> list[int]:
    """List the words of some spans, given as start and length."""
    return [word for start, length in spans for word in range(start, start + length)]


def test_the_words_of_the_status_and_of_a_row_do_not_overlap() -> None:
    """Each constant of the layout names words of its own."""
    status = ranges_of(
        (counters.HEARTBEAT, 1), (counters.ACKNOWLEDGED, 1), (counters.CONNECTIONS, 1), (counters.PID, 1),
        (counters.EVENTS_DROPPED, 1), (counters.CONNECTIONS_TOTAL, 1), (counters.NOT_ROUTED, 1),
        (counters.REFUSED, len(counters.REFUSALS)), (counters.GATHER, len(counters.GATHER_CAUSES)),
        (counters.OVERHEAD, histogram.HISTOGRAM_WORDS),
    )  # fmt: skip
    pair = ranges_of(
        (counters.PAIR_CODES, len(CODE_LABELS)), (counters.PAIR_SECONDS, histogram.HISTOGRAM_WORDS),
        (counters.PAIR_FIRST_BYTE, histogram.HISTOGRAM_WORDS), (counters.PAIR_REQUEST_BYTES, 1),
        (counters.PAIR_RESPONSE_BYTES, 1),
    )  # fmt: skip
    assert len(status) == len(set(status))
    assert max(status) < ROWS
    assert sorted(pair) == list(range(PAIR_WORDS))
