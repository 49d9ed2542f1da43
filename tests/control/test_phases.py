"""What begins a phase, what is refused, what is neither: the table "Runs, phases, epochs" of docs/experiments.md."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from router.config.schema import Allocate, Config, Experiment, Route
from router.control import switch
from router.control.state import Refusal
from router.events.model import Run
from tests.control.build import NOW, applied, refused, started
from tests.flags.driven import FILE

PAGE = Path(__file__).parents[2] / "docs" / "experiments.md"
Change = dict[str, Any]


def config(experiment: Change | None = None, **more: Any) -> str:
    """Write a configuration with the experiment ``ramp`` in a layer, and ``page``, whose arms are values of a flag.

    Args:
        experiment: Further keys of ``ramp``.
        **more: Keys of the route (``route``), of ``page`` (``page``), of the target ``b`` (``target``); other keys are
            sections of the file.
    """
    arms = [{"name": "old", "target": "a", "weight": 95}, {"name": "new", "target": "b", "weight": 5}]
    route = {"name": "r", "target": "a", "unit": ["header:x-user-id"], "attributes": {"tier": "header:x-tier"}}
    ramp = {"name": "ramp", "route": "r", "layer": "l", "segment": ["0%", "50%"], "arms": arms, **(experiment or {})}
    page = {"name": "page", "route": "r", "flag": "page", "arms": values(), **more.pop("page", {})}
    return yaml.safe_dump(
        {
            "targets": [
                {"name": "a", "endpoints": ["http://127.0.0.1:8001"]},
                {"name": "b", "endpoints": ["http://127.0.0.1:8002"], **more.pop("target", {})},
            ],
            "routes": [
                {**route, **more.pop("route", {})},
                {"name": "q", "target": "a", "match": {"path": "/q"}, "unit": ["header:x-user-id"]},
            ],
            "layers": [{"name": "l"}, {"name": "m"}],
            "metrics": [{"name": "clicks", "kind": "count", "outcome": "click", "goal": "up"}],
            "experiments": [ramp, page],
            "flags": {"files": [FILE]},
            **more,
        },
        sort_keys=False,
    )


def arms(old: float = 95, new: float = 5, **more: Any) -> list[Change]:
    """Write the arms of ``ramp``; ``more`` are keys of the arm ``new``."""
    return [{"name": "old", "target": "a", "weight": old}, {"name": "new", "target": "b", "weight": new, **more}]


def values(small: float = 1, large: int = 2) -> list[Change]:
    """Write the arms of ``page``: the weight of the one, the value of the other."""
    return [{"name": "small", "value": 1, "weight": small}, {"name": "large", "value": large, "weight": 1}]


NEED = {"prerequisites": [{"experiment": "page", "arms": ["large"]}]}

PHASE = [
    ("weights", config({"arms": arms(50, 50)})),
    ("`segment`", config({"segment": ["0%", "60%"]})),
    ("`coverage`", config({"coverage": "50%"})),
    ("`eligible`", config({"eligible": {"==": [{"var": "tier"}, "gold"]}})),
    ("`exclude`", config({"exclude": ["bots"]})),
    ("`time_zone`", config({"eligible": {">": [{"var": "$time.hour"}, 8]}, "time_zone": "Europe/Berlin"})),
    ("`prerequisites`", config(NEED)),
    ("`active`", config({"active": {"from": "2026-11-01T00:00:00Z"}})),
    ("the layer", config({"layer": "m"})),
    ("the layer", config(layers=[{"name": "l", "salt": "other"}, {"name": "m"}])),
    ("a holdout", config(holdouts=[{"name": "h", "segment": ["0%", "1%"]}])),
    ("a holdout", config(holdouts=[{"name": "h", "segment": ["0%", "1%"], "layers": ["l"]}])),
    ("`match`", config(route={"match": {"path": "/v2/"}})),
    ("`unit`", config(route={"unit": ["cookie:uid"]})),
]
CLICKS = {"name": "clicks", "kind": "proportion", "outcome": "click", "window": "1h", "goal": "up"}
BANDIT = {"allocate": {"use": "thompson", "reward": "clicks", "period": "1d"}}
REFUSED = [
    ("values", "arm 'large'", config(page={"arms": values(large=9)})),
    ("arms", "arm 'newer'", config({"arms": [*arms(), {"name": "newer", "target": "b", "weight": 1}]})),
    ("targets", "arm 'new'", config({"arms": arms(target="a")})),
    ("versions", "version of target 'b'", config(target={"version": "2"})),
    ("`salt`", "salt", config({"salt": "other"})),
    ("`unit`", "unit", config({"unit": ["header:x-tenant"]})),
    ("`slot`", "slot", config({"allocate": {"use": "switchback", "slot": "1h"}})),
    ("`list`", "merging", config({"allocate": {"use": "interleave", "list": "/items"}})),
    ("`merge`", "merging", config({"allocate": {"use": "interleave", "list": "/items", "merge": "balanced"}})),
    ("`id`", "merging", config({"allocate": {"use": "interleave", "list": "/items", "id": "/id"}})),
    ("`at`", "merging", config({"allocate": {"use": "ensemble", "at": "/score"}})),
    ("`combine`", "merging", config({"allocate": {"use": "ensemble", "at": "/score", "combine": "vote"}})),
    ("`allocate`", "merging", config({"allocate": {"use": "ensemble", "at": "/score"}})),
    ("`period`", "period", config({**BANDIT, "metrics": {"primary": "clicks"}}, metrics=[CLICKS])),
    ("`flag`", "flag", config(page={"flag": "other"})),
    ("`route`", "route", config({"route": "q"})),
]
NOTHING = [
    ("`strata`", config({"strata": ["tier"]})),
    ("`slices`", config({"slices": ["tier"]})),
    ("`metrics`", config(metrics=[])),
    ("`decide`", config({"metrics": {"primary": "clicks"}, "decide": {"alpha": 0.01}})),
    ("`notes`", config({"notes": {"learned": "newer is better"}})),
    ("`owner`", config({"owner": "ann"})),
    ("`hypothesis`", config({"hypothesis": "newer is better"})),
    ("`control`", config({"control": "new"})),
]


@pytest.mark.parametrize(("what", "text"), PHASE)
def test_what_changes_who_takes_part_begins_a_phase(what: str, text: str) -> None:
    """Exposures from before and after are never pooled raw; the run, and so the assignment, goes on."""
    assert what
    _, revision = applied(started(config()), text)
    assert revision.runs["ramp"] == Run(number=1, phase=2, epoch=0)


@pytest.mark.parametrize(("what", "text"), PHASE)
def test_taking_a_change_back_is_another_phase(what: str, text: str) -> None:
    """Units of the first phase have lived through the second one since, so it is not continued."""
    assert what
    _, revision = applied(applied(started(config()), text)[0], config())
    assert revision.runs["ramp"] == Run(number=1, phase=3, epoch=0)


@pytest.mark.parametrize(("what", "said", "text"), REFUSED)
def test_what_makes_another_experiment_is_refused_with_the_way_out(what: str, said: str, text: str) -> None:
    """The refusal names the key and the two ways to get a new run, and nothing of the file is applied."""
    assert what
    found = refused(started(config()), text)
    matching = [line for line in found if f"its {said} may not change in place" in line]
    assert len(matching) == 1, found
    assert (
        "Give the changed experiment another name, or remove it, save, and add it again, which begins a new run"
        in (matching[0])
    )


@pytest.mark.parametrize(("what", "said", "text"), REFUSED)
def test_the_way_out_begins_a_run(what: str, said: str, text: str) -> None:
    """Removed, saved and added again, the changed experiment is run 2, phase 1."""
    assert what
    assert said
    without = yaml.safe_load(config())
    del without["experiments"]
    _, revision = applied(applied(started(config()), yaml.safe_dump(without))[0], text)
    assert set(revision.runs.values()) == {Run(number=2, phase=1, epoch=0)}


@pytest.mark.parametrize(("what", "text"), NOTHING)
def test_what_is_looked_at_changes_neither_run_nor_phase(what: str, text: str) -> None:
    """Strata, metrics and words may be edited at any time."""
    assert what
    _, revision = applied(started(config()), text)
    assert revision.runs["ramp"] == Run(number=1, phase=1, epoch=0)


def test_a_kill_and_its_end_begin_phases_of_that_experiment_alone() -> None:
    """An experiment of another layer goes on in its phase."""
    state, revision = switch.kill(started(config()), "ramp", NOW + 1, "ann", None)
    assert {name: run.phase for name, run in revision.runs.items()} == {"ramp": 2, "page": 1}
    outcome = switch.resume(state, "ramp", NOW + 2, "ann", None)
    assert not isinstance(outcome, Refusal)
    assert {name: run.phase for name, run in outcome[1].runs.items()} == {"ramp": 3, "page": 1}


@pytest.mark.parametrize("change", [{"coverage": "50%"}, {"arms": values(small=9)}])
def test_a_change_of_what_is_required_begins_a_phase_too(change: Change) -> None:
    """Who may be in an experiment depends on who is in the arms that it requires."""
    _, revision = applied(started(config(NEED)), config(NEED, page=change))
    assert {name: run.phase for name, run in revision.runs.items()} == {"ramp": 2, "page": 2}


def test_other_weights_of_an_experiment_that_is_required_in_any_arm_begin_no_phase() -> None:
    """Whoever is in it stays in it, so nobody comes or goes."""
    need = {"prerequisites": [{"experiment": "page"}]}
    _, revision = applied(started(config(need)), config(need, page={"arms": values(small=9)}))
    assert {name: run.phase for name, run in revision.runs.items()} == {"ramp": 1, "page": 2}


def test_how_much_of_a_body_is_read_begins_a_phase_where_it_says_who_takes_part() -> None:
    """Longer bodies have, or cease to have, what a rule asks for; elsewhere it changes nothing."""
    rule = {"eligible": {"==": [{"var": "device"}, "phone"]}}
    read = {"attributes": {"device": "json:/device"}, "inspect_bytes": "64KiB"}
    for experiment, phase in ((rule, 2), ({}, 1)):
        before, after = (config(experiment, route={**read, **more}) for more in ({}, {"inspect_bytes": "1KiB"}))
        assert applied(started(before), after)[1].runs["ramp"].phase == phase


def test_a_holdout_of_other_layers_begins_no_phase() -> None:
    """It keeps nobody out of this experiment."""
    text = config(holdouts=[{"name": "h", "segment": ["0%", "1%"], "layers": ["m"]}])
    assert applied(started(config()), text)[1].runs["ramp"].phase == 1


def test_every_key_that_the_page_names_is_tested_here() -> None:
    """The table in the documentation says neither more nor less than what happens."""
    table = PAGE.read_text(encoding="utf-8").partition("## Runs, phases, epochs")[2].partition("\n## ")[0]
    rows = dict(re.findall(r"^\| ([^|]+) \| (a phase|refused|nothing)\b", table, re.MULTILINE))
    known = {f"`{field}`" for kind in (Config, Experiment, Route, Allocate) for field in kind.__struct_fields__}
    found = {follows: {key for key in re.findall(r"`\w+`", what) if key in known} for what, follows in rows.items()}
    assert found == {
        "a phase": {what for what, _ in PHASE if what.startswith("`")},
        "refused": {what for what, _, _ in REFUSED if what.startswith("`")},
        "nothing": {what for what, _ in NOTHING},
    }
