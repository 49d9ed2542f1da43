"""Mistakes between experiments, layers and holdouts are said, each at its place."""

from typing import Any

import msgspec
import pytest
import yaml

from router.config.load import ConfigError, load_text
from router.config.schema import Config
from tests.flags.driven import FILE

ARMS = [{"name": "a", "target": "t", "weight": 1}, {"name": "b", "target": "t", "weight": 1}]
VALUES = [{"name": "a", "value": 1, "weight": 1}, {"name": "b", "value": 2, "weight": 1}]


def one(name: str = "e", **more: Any) -> dict[str, Any]:
    """Return an experiment whose arms name targets."""
    return {"name": name, "route": "r", "arms": ARMS, **more}


def two(name: str = "f", **more: Any) -> dict[str, Any]:
    """Return an experiment whose arms are values of a flag."""
    return {"name": name, "route": "r", "arms": VALUES, "flag": f"k-{name}", **more}


def config(*experiments: dict[str, Any], **more: Any) -> Config:
    """Load a configuration of one route."""
    plain = {
        "targets": [{"name": "t", "endpoints": ["http://127.0.0.1:1"]}],
        "routes": [{"name": "r", "target": "t", "unit": ["header:x"], "attributes": {"tier": "header:x-tier"}}],
        "layers": [{"name": "l"}, {"name": "m"}],
        "experiments": list(experiments),
        "flags": {"files": [FILE]},
        **more,
    }
    return load_text(yaml.safe_dump(plain).encode(), "c.yaml").config


def mistakes(*experiments: dict[str, Any], **more: Any) -> list[tuple[str, str]]:
    """Return path and message of each mistake."""
    with pytest.raises(ConfigError) as caught:
        config(*experiments, **more)
    return [(mistake.path, mistake.message) for mistake in caught.value.mistakes]


def test_a_whole_structure() -> None:
    """Everything that experiments may say together is read, with units resolved."""
    january = {"from": "2026-12-01T00:00:00Z", "until": "2027-01-01T01:00:00+01:00"}
    made = config(
        one("e", layer="l", segment=["0%", "20%"], coverage="50%", strata=["tier"], slices=["tier"]),
        one("g", layer="l", segment=[0.2, 1], active=january),
        two("f", unit=["header:x-tenant"], prerequisites=[{"experiment": "e", "arms": ["a"]}]),
        holdouts=[{"name": "h", "segment": ["0%", "1%"], "layers": ["l"]}],
    )  # fmt: skip
    assert (made.experiments[0].segment, made.experiments[0].coverage) == ((0.0, 0.2), 0.5)
    active = made.experiments[1].active
    assert active is not None
    assert (active.start, active.until) == (1796083200.0, 1798761600.0)
    assert msgspec.json.decode(msgspec.json.encode(made), type=Config) == made


@pytest.mark.parametrize(
    ("experiments", "path", "message"),
    [
        ([one(layer="x")], "layer", 'there is no layer "x"'),
        ([one(segment=["0%", "5%"])], "segment", "is a part of a layer"),
        ([one(layer="l", segment=["5%", "5%"])], "segment", "not after its beginning"),
        ([one(layer="l", segment=["5%"])], "segment", "has 1 shares"),
        ([two(arms=ARMS)], "arms[0].target", "is not for arms of a flag"),
        ([one(arms=VALUES)], "arms[0].value", "is the value of no flag"),
        ([two(arms=[{"name": "a", "weight": 1}, VALUES[1]])], "arms[0]", "has no value"),
        ([one(arms=[{"name": "a", "weight": 1}, ARMS[1]])], "arms[0]", 'key "target" is missing'),
        ([two(arms=[{**VALUES[0], "target": "t"}, VALUES[1]])], "arms[0]", "has both target and value"),
        ([one(strata=["age"])], "strata[0]", 'there is no attribute of route "r" named "age"'),
        ([one(eligible={"==": [{"var": "age"}, 1]})], 'eligible["=="][0].var', 'there is no attribute "age"'),
        ([one(allocate={"use": "switchback"})], "allocate", 'key "slot" is missing'),
        ([one(allocate={"slot": "1h"})], "allocate.slot", "has no effect"),
        (
            [one(active={"from": "2027-01-01T00:00:00Z", "until": "2026-01-01T00:00:00Z"})],
            "active.until",
            "is not after",
        ),
        ([one(active={"from": "2027-01-01"})], "active.from", "is not a moment"),
        ([one(unit=["json:/id", "request"])], "unit[1]", None),
        ([one(prerequisites=[{"experiment": "z"}])], "prerequisites[0].experiment", "there is no other experiment"),
    ],
)
def test_mistakes_of_one_experiment(experiments: list[dict[str, Any]], path: str, message: str | None) -> None:
    """Each is said once, where it is."""
    if message is None:
        config(*experiments)
        return
    found = mistakes(*experiments)
    assert [(where, message in text) for where, text in found if where == f"$.experiments[0].{path}"] == [
        (f"$.experiments[0].{path}", True)
    ], found


@pytest.mark.parametrize(
    ("experiments", "path", "message"),
    [
        ([one(layer="l", segment=[0, 0.5]), one("g", layer="l", segment=[0.4, 1])], "segment", "overlaps with"),
        ([one(), one("g")], "route", "whose arms name targets"),
        ([one(layer="l"), one("g", layer="m")], "route", "whose arms name targets"),
        (
            [one(layer="l", segment=[0, 0.5]), one("g", layer="l", segment=[0.5, 1], unit=["query:q"])],
            "unit",
            "another unit",
        ),
        (
            [one(), two(prerequisites=[{"experiment": "e", "arms": ["z"]}])],
            "prerequisites[0].arms[0]",
            "there is no arm",
        ),
        (
            [one(layer="l", segment=[0, 0.5]), two(layer="l", segment=[0.5, 1], prerequisites=[{"experiment": "e"}])],
            "prerequisites[0].experiment",
            "is in the same layer",
        ),
        (
            [one(prerequisites=[{"experiment": "f"}]), two(prerequisites=[{"experiment": "e"}])],
            "prerequisites[0].experiment",
            "wait for each other",
        ),
        ([one(layer="l", salt="l", coverage=0.5), two(layer="l", segment=[0.5, 1])], "segment", "overlaps"),
    ],
)
def test_mistakes_of_two_experiments(experiments: list[dict[str, Any]], path: str, message: str) -> None:
    """Each is said once, at the later of the two."""
    found = [text for where, text in mistakes(*experiments) if where == f"$.experiments[1].{path}"]
    assert len(found) == 1
    assert message in found[0]


def test_segments_may_meet_at_other_times() -> None:
    """Two experiments may have the same units one after the other."""
    first = {"until": "2026-12-01T00:00:00Z"}
    then = {"from": "2026-12-01T00:00:00Z"}
    config(one(layer="l", active=first), one("g", layer="l", active=then))


@pytest.mark.parametrize(
    ("more", "path"),
    [
        ({"holdouts": [{"name": "h", "segment": [0, 0.1], "salt": "l"}]}, "$.holdouts[0]"),
        ({"layers": [{"name": "l"}, {"name": "m", "salt": "l"}]}, "$.layers[1]"),
        ({"layers": [{"name": "l", "salt": "e"}]}, "$.experiments[0]"),
    ],
)
def test_what_cuts_units_has_its_own_salt(more: dict[str, Any], path: str) -> None:
    """Two cuts by one salt would be of the same units: a segment, a holdout and a coverage are to be independent."""
    found = mistakes(one(layer="l", coverage=0.5), **more)
    assert [(where, "the same units" in text) for where, text in found] == [(f"{path}.salt", True)]


def test_overrides_of_one_layer() -> None:
    """A unit cannot be given arms of two experiments that exclude each other."""
    both = [one(layer="l", segment=[0, 0.5]), one("g", layer="l", segment=[0.5, 1])]
    found = mistakes(*both, overrides=[{"unit": "u", "experiment": name, "arm": "a"} for name in "eg"])
    assert [path for path, _ in found] == ["$.overrides[1]"]


def test_experiments_of_two_layers_have_salts_of_their_own() -> None:
    """By one salt whoever is in an arm of one is in the same arm of the other, and neither can be told from it."""
    (mistake,) = mistakes(one(), two(salt="e"))
    assert mistake[0] == "$.experiments[1].salt"
    assert "would have the same units in both" in mistake[1]
    config(one(layer="l", salt="s", segment=[0, 0.5]), one("g", layer="l", salt="s", segment=[0.5, 1]))
