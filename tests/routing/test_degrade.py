"""What gives way at which load."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import convert

from router.config.schema import Route
from router.counters import pair_key
from router.routing.degrade import Level, compile_levels, dropped, reached

SLOTS = {pair_key("r", "cheap"): 700, pair_key("r", "cheaper"): 900}


def levels(*steps: dict[str, Any], features: dict[str, float] | None = None) -> tuple[Level, ...]:
    """Compile steps; ``at`` stands for the load."""
    plain = [{"when": {"inflight": step.pop("at")}, **step} for step in steps]
    route = convert({"name": "r", "target": "t", "degrade": plain, "features": features or {}}, Route)
    return compile_levels(route, SLOTS)


def test_a_level_has_all_that_the_steps_up_to_it_say() -> None:
    """Headers add up, and the last target and share hold."""
    found = levels(
        {"at": 0.8, "header": {"x-degrade": "1"}},
        {"at": 0.9, "target": "cheap", "shed": 0.1},
        {"at": 0.95, "target": "cheaper", "header": {"x-more": "a b"}},
        {"at": 0.99, "shed": 0.5},
    )
    both = b"x-degrade: 1\r\nx-more: a b\r\n"
    assert found == (
        Level(0.99, both, 0.5, "cheaper", 900),
        Level(0.95, both, 0.1, "cheaper", 900),
        Level(0.9, b"x-degrade: 1\r\n", 0.1, "cheap", 700),
        Level(0.8, b"x-degrade: 1\r\n", 0.0, None, 0),
    )


def test_a_later_step_replaces_a_field() -> None:
    """A target never gets a field twice: the last step that sets it does, in whatever case it is written."""
    found = levels({"at": 0.5, "header": {"X-Degrade": "1", "a": "b"}}, {"at": 0.6, "header": {"x-degrade": "2"}})
    assert found[0].head == b"a: b\r\nx-degrade: 2\r\n"


def test_steps_may_stand_in_any_order() -> None:
    """The load orders the steps, and the file those of equal load."""
    found = levels({"at": 0.9, "shed": 0.2}, {"at": 0.5, "shed": 0.1}, {"at": 0.9, "shed": 0.3})
    assert [(level.at, level.shed) for level in found] == [(0.9, 0.3), (0.9, 0.2), (0.5, 0.1)]


@pytest.mark.parametrize(
    ("load", "at"), [(0.0, None), (0.799, None), (0.8, 0.8), (0.94, 0.8), (0.95, 0.95), (1.5, 0.95)]
)
def test_a_load_reaches_the_highest_level_at_or_below_it(load: float, at: float | None) -> None:
    """A threshold is reached by a load that equals it."""
    level = reached(levels({"at": 0.8, "shed": 0.1}, {"at": 0.95, "shed": 0.2}), load)
    assert (None if level is None else level.at) == at


FEATURES = {"history": 5.0, "images": 1.0, "reviews": 1.0, "core": 100.0}


@pytest.mark.parametrize(
    ("share", "names"),
    [
        (0.0, []),
        (0.01, ["images"]),
        (0.25, ["images"]),
        (0.5, ["images", "reviews"]),
        (0.51, ["images", "reviews", "history"]),
        (1.0, ["images", "reviews", "history", "core"]),
    ],
)
def test_the_least_important_features_go_first(share: float, names: list[str]) -> None:
    """A share is rounded up, the smallest importance goes first, and equal ones by name."""
    assert dropped(FEATURES, share) == names


def test_a_share_is_what_its_decimals_say() -> None:
    """7 % of 100 features are 7, although 0.07 x 100 is a little more in binary."""
    assert len(dropped({str(number): number for number in range(100)}, 0.07)) == 7


def test_features_to_drop_are_named_in_one_field() -> None:
    """The field is byte-exact: names with a comma and a space between, the first to go first."""
    (level,) = levels({"at": 0.8, "drop": 0.5}, features=FEATURES)
    assert level.head == b"x-router-drop: images, reviews\r\n"
    assert levels({"at": 0.8, "drop": 0.0}, features=FEATURES)[0].head == b""


@given(st.dictionaries(st.text("ab", min_size=1), st.floats(0, 10)), st.floats(0, 1), st.floats(0, 1))
def test_a_larger_share_drops_no_less(features: dict[str, float], one: float, other: float) -> None:
    """What a smaller share drops, a larger one drops too, and nothing more important goes before."""
    less, more = (dropped(features, share) for share in sorted((one, other)))
    assert more[: len(less)] == less
    kept = features.keys() - set(more)
    assert all(features[gone] <= features[name] for gone in more for name in kept)
