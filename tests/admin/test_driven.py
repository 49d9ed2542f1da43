"""Flags whose value an experiment gives: the same arm over OFREP and through the router."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.admin.driven import Driven
from router.admin.stream import flag_tag
from router.config.load import load_text
from router.config.mistake import ConfigError
from router.control.state import State, start
from router.events.model import Revision
from router.flags.evaluate import Resolved
from router.routing.table import compile_table
from tests.admin.ofrep_schema import check_response
from tests.admin.serving import served
from tests.control.build import NOW
from tests.control.desk import Desk
from tests.flags.sdk import sdk
from tests.proxy.memory import OK, Plane
from tests.routing import build
from tests.routing.build import request

FLAGS = """
metadata: {version: "3"}
flags:
  depth: {state: ENABLED, variants: {shallow: 1, deep: 9}, defaultVariant: shallow}
  rate: {state: ENABLED, variants: {low: 0.5, high: 2.5}, defaultVariant: low}
  free: {state: ENABLED, variants: {"on": true}, defaultVariant: "on"}
  gone: {state: DISABLED, variants: {"on": true}}
"""
CONFIG = """
flags: {files: [flags.yaml]}
targets: [{name: t, endpoints: ['http://127.0.0.1:8001']}]
layers: [{name: l}]
holdouts: [{name: h, segment: [0%, 10%]}]
routes:
  - name: r
    target: t
    unit: [header:x-user]
    attributes: {tier: header:x-tier, age: json:/age, tenant: header:x-tenant}
experiments:
  - name: depths
    route: r
    layer: l
    segment: [0%, 60%]
    coverage: 70%
    flag: depth
    eligible: {and: [{in: [{var: tier}, [gold, silver]]}, {">": [{var: age}, 17]}]}
    arms: [{name: one, value: 1, weight: 60}, {name: five, value: 5, weight: 40}]
  - name: depths-2
    route: r
    layer: l
    segment: [60%, 100%]
    flag: depth
    arms: [{name: two, value: 2, weight: 1}, {name: seven, value: 7, weight: 1}]
  - name: rates
    route: r
    unit: [header:x-tenant]
    flag: rate
    prerequisites: [{experiment: depths}]
    arms: [{name: half, value: 0.5, weight: 1}, {name: three, value: 3, weight: 1}]
  - name: random
    route: r
    unit: [request]
    flag: free
    arms: [{name: yes, value: true, weight: 1}, {name: no, value: false, weight: 1}]
overrides: [{unit: qa, experiment: depths, arm: five}]
"""


def revision(folder: Path, text: str = CONFIG) -> Revision:
    """Make the first revision of a configuration."""
    (folder / "flags.yaml").write_text(FLAGS)
    made = start(State(), load_text(text.encode(), "router.yaml", folder), NOW)[0].revision
    assert made is not None
    return made


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Revision:
    """Give the revision of the configuration above."""
    return revision(tmp_path_factory.mktemp("driven"))


UNITS = st.text(min_size=1, max_size=12) | st.sampled_from(["qa", "x" * 600]) | st.integers(0, 10_000).map("u{}".format)


@given(
    unit=UNITS,
    tier=st.sampled_from(["gold", "silver", "bronze", None]),
    age=st.sampled_from([17, 18, 40.5, "18", None]),
    tenant=st.sampled_from(["acme", "globex", None]),
)
def test_a_context_has_the_arm_that_its_request_has(
    made: Revision, unit: str, tier: str | None, age: Any, tenant: str | None
) -> None:
    """Same salt, holdouts, layers, coverage, eligibility, prerequisites, units and overrides."""
    context = {key: value for key, value in {"tier": tier, "age": age, "tenant": tenant}.items() if value is not None}
    headers = {"x-user": unit, "x-tier": tier, "x-tenant": tenant}
    asked = request(
        body=json.dumps({} if age is None else {"age": age}).encode(),
        headers={name: value for name, value in headers.items() if value is not None},
    )
    enrolled = compile_table(made).routes["r"].enrol(asked)
    expected = {
        said.experiment: arm.name
        for arm, _, _ in enrolled.entered
        for said in arm.enrolments
        if said.experiment != "random"
    }
    driven = Driven(made)
    found = [driven.evaluate(key, unit, context, NOW) for key in ("depth", "rate")]
    assert {each.metadata["experiment"]: each.variant for each in found if each is not None} == expected


def test_an_answer_says_which_experiment_it_is_of(made: Revision) -> None:
    """The value of the arm, its name as the variant, SPLIT, and where the experiment is."""
    driven = Driven(made)
    context = {"tier": "gold", "age": 30}
    found = [driven.evaluate("depth", f"u{number}", context, NOW) for number in range(300)]
    entered = [each for each in found if each is not None]
    assert {(each.metadata["experiment"], each.variant, each.value) for each in entered} == {
        ("depths", "one", 1),
        ("depths", "five", 5),
        ("depths-2", "two", 2),
        ("depths-2", "seven", 7),
    }
    assert {each.reason for each in entered} == {"SPLIT"}
    assert {(each.metadata["run"], each.metadata["phase"]) for each in entered} == {(1, 1)}
    assert None in found  # held out, or not covered
    forced = driven.evaluate("depth", "qa", {}, NOW)
    assert forced == Resolved(
        "depth", "SPLIT", "five", 5, {"experiment": "depths", "run": 1, "phase": 1, "arm": "five", "override": True}
    )


def test_a_whole_number_among_floats_is_one(made: Revision) -> None:
    """The arm's value has the flag's type, for clients and for targets."""
    arms = made.config.experiments[2].arms
    assert [(arm.value, type(arm.value)) for arm in arms] == [(0.5, float), (3.0, float)]


def test_what_only_a_request_has_enrols_nobody(made: Revision) -> None:
    """A random unit is drawn for each request; a context has none, and gets the file's value."""
    assert Driven(made).evaluate("free", "u1", {}, NOW) is None
    assert Driven(made).evaluate("depth", None, {"tier": "gold", "age": 30}, NOW) is None


def test_over_ofrep_units_have_their_arm_and_others_the_file(tmp_path: Path) -> None:
    """One flag and all flags say the same, to the official SDK too; a changed experiment changes the tags."""
    (tmp_path / "flags.yaml").write_text(FLAGS)
    desk = Desk(tmp_path, CONFIG)

    def ask(url: str) -> list[Any]:
        with sdk(url) as client:
            context = {"tier": "gold", "age": 30}
            return [client.ask("Integer", "depth", 0, f"u{number}", context) for number in range(40)]

    async def run() -> None:
        async with served(desk) as client:
            answers = await asyncio.to_thread(ask, str(client.make_url("/")))
            assert {str(answer.reason) for answer in answers} == {"SPLIT", "STATIC"}
            assert {answer.value for answer in answers} >= {1, 2, 5, 7}
            assert {answer.flag_metadata["version"] for answer in answers} == {"3"}  # of the file, in both cases
            for number, answer in enumerate(answers):
                body = {"context": {"targetingKey": f"u{number}", "tier": "gold", "age": 30}}
                async with client.post("/ofrep/v1/evaluate/flags", json=body) as response:
                    whole = await response.json()
                check_response("/ofrep/v1/evaluate/flags", 200, whole)
                (one,) = (each for each in whole["flags"] if each["key"] == "depth")
                assert (one["value"], one["variant"], one["metadata"]) == (
                    answer.value,
                    answer.variant,
                    answer.flag_metadata,
                )
            before = flag_tag(desk.control.revision)
            desk.config.write_text(CONFIG.replace("weight: 60", "weight: 50"))
            await desk.control.reload()
            assert flag_tag(desk.control.revision) != before

    asyncio.run(run())


def test_the_target_is_told_the_value_of_the_arm(tmp_path: Path) -> None:
    """Through the router the value is a member of x-router-flags, and what a caller says of it is removed."""
    (tmp_path / "flags.yaml").write_text(FLAGS)
    text = CONFIG.replace("[flags.yaml]", f"['{tmp_path}/flags.yaml']")
    with Plane(text) as plane:
        ask = b"GET / HTTP/1.1\r\nHost: h\r\nX-User: qa\r\nX-Router-Flags: depth=99\r\n\r\n"
        target = plane.ask(plane.caller()[1], ask)
        assert b"\r\nx-router-flags: depth=5" in target.sent
        assert b"depth=99" not in target.sent
        target.feed(OK)


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        ("flag: depth\n    arms", "flag: nothing\n    arms", '$.experiments[1].flag: there is no flag "nothing"'),
        ("value: 2,", "value: two,", '$.experiments[1].arms[0].value: "two" does not have the type of flag "depth"'),
        ("value: 2,", "value: 2.5,", "2.5 does not have the type of flag"),
        ("value: 2,", "value: true,", "true does not have the type of flag"),
        ("value: 2,", "value: [2],", "[2] does not have the type of flag"),
        ("flag: free", "flag: gone", '$.experiments[3].flag: flag "gone" is DISABLED'),
        ("flag: free", "flag: depth", 'flag "depth" already has its value from $.experiments[0]; put both into one'),
        ("flags: {files: [flags.yaml]}", "", '$.experiments[0].flag: there is no flag "depth"'),
    ],
)
def test_an_experiment_that_does_not_fit_its_flag_is_refused(
    tmp_path: Path, before: str, after: str, expected: str
) -> None:
    """A flag that no file has, a value of another type, a flag that could have two values or that is off."""
    assert before in CONFIG
    with pytest.raises(ConfigError) as caught:
        revision(tmp_path, CONFIG.replace(before, after))
    assert any(expected in str(mistake) for mistake in caught.value.mistakes), str(caught.value)


def test_a_flag_whose_key_no_header_can_have_is_refused(tmp_path: Path) -> None:
    """The target could not be told; flags that no experiment drives may be called anything."""
    (tmp_path / "flags.yaml").write_text('flags: {Depth: {state: ENABLED, variants: {a: "x"}}}')
    text = CONFIG.partition("experiments:")[0] + (
        "experiments: [{name: e, route: r, flag: Depth, "
        "arms: [{name: a, value: x, weight: 1}, {name: b, value: y, weight: 1}]}]"
    )
    with pytest.raises(ConfigError, match="is no key of a structured field"):
        load_text(text.encode(), "router.yaml", tmp_path)


def test_a_context_has_the_arm_of_its_own_region() -> None:
    """Where regions have weights of their own, the context's attributes pick them as a request's do."""
    route = {"name": "r", "unit": ["header:x-user"], "attributes": {"group": "header:x-group"}}
    arms = [{"name": "one", "value": 1, "weight": 1}, {"name": "five", "value": 5, "weight": 0}]
    experiment = {"name": "e", "route": "r", "flag": "depth", "arms": arms}
    flipped = {**experiment, "arms": [{**arms[0], "weight": 0}, {**arms[1], "weight": 1}]}
    variants = [{"region": "eu", "experiments": [flipped]}]
    driven = Driven(build.revision([route], [experiment], variants=variants, layered_by={"region": "group"}))
    found = [driven.evaluate("depth", "u", context, NOW) for context in ({}, {"group": "eu"}, {"group": "us"})]
    assert [each.value for each in found if each is not None] == [1, 5, 1]
