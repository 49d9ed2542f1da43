"""What a change does: sentences, and the exact share of units that moves."""

import math
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from router.config.diff import differences
from router.config.moves import moved, moves, percent, shares
from router.config.schema import Config, Tls
from router.routing.bucket import choose
from tests.config.sample import SMALL, loaded
from tests.flags.driven import SECTION

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


LAYERED = f"""\
{SECTION}targets:
  - {{name: a, endpoints: [http://127.0.0.1:8001]}}
  - {{name: b, endpoints: [http://127.0.0.1:8002]}}
routes:
  - {{name: r, target: a, unit: [header:x-user-id], attributes: {{c: header:x-country}}}}
layers:
  - {{name: models, salt: m1}}
  - {{name: pages}}
holdouts:
  - {{name: h, segment: [0%, 1%]}}
metrics:
  - {{name: clicks, kind: proportion, outcome: click, goal: up}}
experiments:
  - name: e
    route: r
    layer: models
    segment: [0%, 20%]
    coverage: 50%
    eligible: {{in: [{{var: c}}, [DE]]}}
    active: {{from: 2026-11-01T00:00:00Z}}
    arms: [{{name: control, target: a, weight: 1}}, {{name: treatment, target: b, weight: 1}}]
  - name: p
    route: r
    layer: pages
    flag: page
    arms: [{{name: small, value: 10, weight: 1}}, {{name: large, value: 20, weight: 1}}]
"""


@pytest.mark.parametrize(
    ("before", "after", "sentences"),
    [
        ("segment: [0%, 20%]", "segment: [0%, 12.5%]", ["experiment e: segment changes from [0%, 20%] to [0%, 12.5%]"]),
        ("    segment: [0%, 20%]\n", "", ["experiment e: segment changes from [0%, 20%] to [0%, 100%]"]),
        ("    coverage: 50%\n", "", ["experiment e: coverage changes from 50% to 100%"]),
        (
            "[DE]]}",
            "[FR]]}",
            ['experiment e: eligible changes from {"in": [{"var": "c"}, ["DE"]]} to {"in": [{"var": "c"}, ["FR"]]}'],
        ),
        (
            "    eligible: {in: [{var: c}, [DE]]}\n",
            "",
            ['experiment e: eligible is no longer set (was {"in": [{"var": "c"}, ["DE"]]})'],
        ),
        (
            "2026-11-01T00:00:00Z}",
            "2026-11-02T12:00:00Z, until: 2026-12-01T00:00:00Z}",
            [
                "experiment e: active.from changes from 2026-11-01T00:00:00Z to 2026-11-02T12:00:00Z",
                "experiment e: active.until is set to 2026-12-01T00:00:00Z",
            ],
        ),
        (
            "    flag: page\n",
            "    flag: page\n    prerequisites: [{experiment: e, arms: [treatment]}]\n",
            ["experiment p: prerequisites changes from [] to [experiment e, arms [treatment]]"],
        ),
        ("salt: m1", "salt: m2", ["layer models: salt changes from m1 to m2"]),
        ("  - {name: pages}\n", "  - {name: pages}\n  - {name: more}\n", ["layer more is added"]),
        (
            "[0%, 1%]}\n",
            "[0%, 1%]}\n  - {name: g, segment: [5%, 7%], layers: [pages]}\n",
            ["holdout g is added: it keeps 2% of units out of layers pages"],
        ),
        (
            "holdouts:\n  - {name: h, segment: [0%, 1%]}\n",
            "",
            ["holdout h is removed (kept 1% of units out of every experiment)"],
        ),
        (
            "{name: h, segment: [0%, 1%]}",
            "{name: h, segment: [0%, 2%], salt: s, layers: [models, pages]}",
            [
                "holdout h: segment changes from [0%, 1%] to [0%, 2%]",
                "holdout h: salt is set to s",
                "holdout h: it keeps 2% of units out of layers models, pages instead of every experiment",
            ],
        ),
        (
            "weight: 1}, {name: treatment",
            "weight: 3}, {name: treatment",
            [
                "experiment e: arm control gets 75% of its units instead of 50%",
                "experiment e: arm treatment gets 25% of its units instead of 50%",
            ],
        ),
        ("value: 10", "value: 15", ["experiment p: arm small has the value 15 instead of 10"]),
        ("kind: proportion", "kind: count", ["metric clicks: kind changes from proportion to count"]),
        ("layers:\n", "locked: [server]\nlayers:\n", ["locked changes from [] to [server]"]),
        ("layers:\n", "outcomes: {max_future: 1m}\nlayers:\n", ["outcomes: max_future changes from 5m to 1m"]),
    ],
)
def test_who_takes_part_is_told_as_the_yaml_says_it(before: str, after: str, sentences: list[str]) -> None:
    """Every change of layers, holdouts, segments, coverage and conditions is a sentence, with units and moments."""
    assert before in LAYERED
    assert list(differences(config(LAYERED), config(LAYERED.replace(before, after)))) == sentences


def test_an_experiment_that_comes_or_goes_says_for_how_many() -> None:
    """Who approves a new experiment reads how much of the route it takes; an ended flag is told as one."""
    until_e, until_p = LAYERED.index("  - name: e\n"), LAYERED.index("  - name: p\n")
    without_e = LAYERED[:until_e] + LAYERED[until_p:]
    without_p = LAYERED.partition("  - name: p\n")[0].replace("  - {name: pages}\n", "")
    # A fifth of the layer, half of that, less the holdout's hundredth.
    assert differences(config(without_e), config(LAYERED)) == (
        "experiment e begins on route r, with 9.9% of its units",
    )
    assert differences(config(LAYERED), config(without_p)) == (
        "layer pages is removed",
        "experiment p ends; requests on route r no longer say flag page",
    )


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


def test_no_sentence_holds_a_credential() -> None:
    """They go into the log, the journal and the admin API."""
    before = config()
    sink = {"use": "kafka", "topic": "t", "properties": {"sasl.username": "router", "sasl.password": "hunter2"}}
    match = structs.replace(before.routes[0].match, headers={"authorization": "hunter3", "x-team": "ranking"})
    after = structs.replace(
        before,
        events=structs.replace(before.events, sinks=(sink,)),
        routes=(structs.replace(before.routes[0], match=match), *before.routes[1:]),
    )
    for one, other in ((before, after), (after, before)):
        said = " ".join(differences(one, other))
        assert "hunter" not in said
        assert "sasl.username" in said
        assert "ranking" in said
