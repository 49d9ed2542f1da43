"""What a change does: sentences, and the exact share of units that moves."""

import math
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from router.config.diff import differences, moved, moves, percent, shares
from router.config.schema import Config, Tls
from router.routing.bucket import choose
from tests.config.sample import SMALL, loaded

WEIGHTS = st.dictionaries(
    st.sampled_from("abcde"), st.one_of(st.just(0.0), st.floats(1e-9, 1e9)), min_size=2, max_size=5
).filter(lambda weights: any(weights.values()))


def config(text: str = SMALL) -> Config:
    """Load a text that has no mistakes."""
    return loaded(text).config


def changed(before: str, after: str) -> Config:
    """Load the sample with a part replaced."""
    assert before in SMALL
    return config(SMALL.replace(before, after))


@pytest.mark.parametrize(
    ("before", "after", "sentences"),
    [
        ("targets:", "server: {drain: 1m}\ntargets:", ["server: drain changes from 30s to 1m"]),
        (
            "targets:",
            "events: {keep: {size: 1GiB}, unenrolled: 2%}\ntargets:",
            ["events: keep.size changes from 10GiB to 1GiB", "events: unenrolled changes from 1% to 2%"],
        ),
        ("8001]}", "8001], version: v7}", ["target a: version is set to v7"]),
        (
            "[http://127.0.0.1:8001]",
            "[{url: http://h:1, weight: 2}]",
            ["target a: endpoints changes from [http://127.0.0.1:8001] to [http://h:1 (weight 2)]"],
        ),
        (
            "8001]}",
            "8001], retry: {attempts: 2}, hedge: {}}",
            [
                "target a: retry is set to attempts 2, budget 20%, backoff 25ms",
                "target a: hedge is set to after 100ms, max 5%",
            ],
        ),
        (
            "a, unit",
            "a, fallback: [{cached: {}}, {respond: {json: [1, no]}}], unit",
            ['route r: fallback changes from [] to [cached ttl 10m, size 64MiB, respond status 200, json [1, "no"]]'],
        ),
        ("routes:\n", "  - {name: c, endpoints: [http://h]}\nroutes:\n", ["target c is added"]),
        ("target: a, unit", "target: b, unit", ["route r: target changes from a to b"]),
        ("match: {path: /v2/}, ", "", ["route r: match.path is no longer set (was /v2/)"]),
        ("route: r\n", "route: r\n    owner: me\n", ["experiment e: owner is set to me"]),
        (
            "weight: 5}",
            "weight: 105}",
            [
                "experiment e: arm control gets 47.5% of units instead of 95%",
                "experiment e: arm treatment gets 52.5% of units instead of 5%",
            ],
        ),
        ("target: b, weight", "target: a, weight", ["experiment e: arm treatment is served by a instead of b"]),
        (
            "weight: 5}",
            "weight: 0}, {name: new, target: b, weight: 5}",
            [
                "experiment e: arm treatment gets 0% of units instead of 5%",
                "experiment e: arm new is added with 5% of units",
            ],
        ),
        (
            "name: e\n",
            "name: f\n",
            ["experiment e ends; its units go to the target of route r", "experiment f begins on route r"],
        ),
    ],
)
def test_each_difference_is_a_sentence(before: str, after: str, sentences: list[str]) -> None:
    """A person who approves a change reads what it does, in the words and units of the YAML."""
    assert list(differences(config(), changed(before, after))) == sentences


def test_removed_things_are_named() -> None:
    """What a change takes away is said as clearly as what it adds."""
    more = SMALL.replace("routes:\n", "  - {name: c, endpoints: [http://h], tls: {}}\nroutes:\n")
    more = more.replace("weight: 5}", "weight: 5}, {name: third, target: c, weight: 100}")
    found = differences(config(more), config())
    assert found[0] == "target c is removed"
    assert "experiment e: arm third is removed (had 50% of units)" in found
    exposed = config(f"{SMALL}server: {{expose: [arm, target]}}\n")
    assert differences(config(), exposed) == ("server: expose changes from [request-id, fallback] to [arm, target]",)


def test_a_certificate_that_is_set_is_named() -> None:
    """A section that begins to exist is shown with its values."""
    plain = config()
    server = structs.replace(plain.server, tls=Tls(cert="/c", key="/k"))
    assert differences(plain, structs.replace(plain, server=server)) == ("server: tls is set to cert /c, key /k",)


def test_overrides_are_compared_by_unit() -> None:
    """An override is added, changed or removed for a unit of an experiment."""
    one = config(f"{SMALL}overrides: [{{unit: u, experiment: e, arm: control}}]\n")
    two = config(f"{SMALL}overrides: [{{unit: u, experiment: e, arm: treatment}}]\n")
    who = 'override of unit "u" in experiment e'
    assert differences(config(), one) == (f"{who} is added: control",)
    assert differences(one, two) == (f"{who} changes from control to treatment",)
    assert differences(two, config()) == (f"{who} is removed",)


def test_the_order_of_routes_matters_and_that_of_targets_does_not() -> None:
    """Of routes that match equally well the first wins; lists of other named things have no order."""
    first = "  - {name: a, endpoints: [http://127.0.0.1:8001]}\n"
    assert differences(config(), config(SMALL.replace(first, "").replace("routes:", f"{first}routes:"))) == ()
    two = SMALL.replace("experiments:", "  - {name: s, target: b, match: {path: /s}}\nexperiments:")
    swapped = SMALL.replace("routes:\n", "routes:\n  - {name: s, target: b, match: {path: /s}}\n")
    assert len(differences(config(two), config(swapped))) == 1


def test_nothing_differs_between_equal_configurations() -> None:
    """Comments and layout are no differences."""
    assert differences(config(), config(f"# comment\n{SMALL}")) == ()
    assert moves(config(), config()) == ()


def test_a_raised_weight_moves_units_only_into_that_arm() -> None:
    """The share that moves is the difference of the shares, and nobody moves back."""
    (move,) = moves(config(), changed("weight: 95", "weight: 45"))
    assert (move.experiment, move.before, move.after) == ("e", "control", "treatment")
    assert math.isclose(move.share, 0.1 - 0.05)


def test_another_salt_draws_everybody_again() -> None:
    """With another salt a unit's later arm is independent of its earlier one."""
    found = moves(config(), changed("route: r\n", "route: r\n    salt: other\n"))
    assert [(move.before, move.after) for move in found] == [("control", "treatment"), ("treatment", "control")]
    assert all(math.isclose(move.share, 0.95 * 0.05) for move in found)


def test_the_same_shares_in_other_numbers_move_nobody() -> None:
    """Weights are relative: 95 and 5 are 19 and 1."""
    text = SMALL.replace("weight: 95", "weight: 19").replace("weight: 5}", "weight: 1}")
    assert all(move.share < 1e-15 for move in moves(config(), config(text)))


@given(WEIGHTS, WEIGHTS)
def test_moves_account_for_every_share(before: dict[str, float], after: dict[str, float]) -> None:
    """What an arm gains minus what it loses is the difference of its shares, for any weights."""
    names = {**before, **after}
    for arm in names:
        gained = sum(moved(before, after, other, arm) for other in names if other != arm)
        lost = sum(moved(before, after, arm, other) for other in names if other != arm)
        difference = after.get(arm, 0) / sum(after.values()) - before.get(arm, 0) / sum(before.values())
        assert math.isclose(gained - lost, difference, rel_tol=1e-9, abs_tol=1e-9)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ({"a": 95, "b": 5}, {"a": 50, "b": 50}),
        ({"a": 1, "b": 2, "c": 3}, {"a": 3, "b": 2, "c": 1}),
        ({"a": 1, "b": 1, "c": 1, "d": 1}, {"a": 4, "b": 0, "c": 2, "d": 1}),
        ({"a": 5, "b": 1}, {"b": 1, "c": 2}),
        ({"a": 0, "b": 1, "c": 7}, {"a": 2, "b": 3, "c": 0.5}),
    ],
)
def test_the_formula_is_what_the_assignment_does(before: dict[str, float], after: dict[str, float]) -> None:
    """The exact shares agree with 20,000 assigned units within 4.5 standard errors.

    At most 16 pairs in each of 5 cases, 7e-6 each: a false alarm in one of about 1,800 draws of other units. The units
    are fixed, so it either never comes or always.
    """
    count = 20_000
    units = [f"unit-{i}" for i in range(count)]
    seen = Counter(
        (choose("salt", list(before.items()), unit), choose("salt", list(after.items()), unit)) for unit in units
    )
    for a in before:
        for b in after:
            if a != b:
                share = moved(before, after, a, b)
                allowed = 4.5 * math.sqrt(share * (1 - share) / count)
                assert abs(seen[a, b] / count - share) <= allowed


@given(st.lists(st.floats(1e-9, 1e9), min_size=2, max_size=6))
def test_shares_add_up_to_one(weights: list[float]) -> None:
    """Any weights make shares."""
    experiment = config().experiments[0]
    arms = ", ".join(f"{{name: a{i}, target: a, weight: {weight}}}" for i, weight in enumerate(weights))
    assert experiment.arms
    text = SMALL[: SMALL.index("    arms:")] + f"    arms: [{arms}]\n"
    assert math.isclose(sum(shares(config(text).experiments[0]).values()), 1.0)


@pytest.mark.parametrize(
    ("share", "text"), [(0.05, "5%"), (1 / 3, "33.3333%"), (1e-9, "1e-07%"), (0.0, "0%"), (1.0, "100%")]
)
def test_shares_are_written_as_people_read_them(share: float, text: str) -> None:
    """Four decimals are enough for people, and a share above zero is never shown as zero."""
    assert percent(share) == text
