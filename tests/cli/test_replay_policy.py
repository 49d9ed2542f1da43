"""``router replay --policy``: what a person and a program read of policies that were not used."""

import json
from pathlib import Path
from typing import Any

import pytest

from benchmarks.synthetic import START, Shape, make
from router.config.load import load_text
from router.events.journal import Journal
from router.events.model import Revised, Run
from tests.cli.test_analyze import CONFIG, NOW, router

LIFT = 0.5


def journal(folder: Path, weights: dict[str, float]) -> None:
    """Write a journal that says which weights were in force."""
    config = load_text(CONFIG.replace("WINDOW", "3d").encode(), "router.yaml").config
    opened = Journal(folder / "journal")
    opened.append(
        Revised(
            number=1,
            time=START.timestamp(),
            cause="start",
            author="test",
            digest="",
            config=config,
            weights={"ranker-v2": weights},
            runs={"ranker-v2": Run(number=1, phase=1, epoch=1)},
        )
    )
    opened.close()


@pytest.fixture(scope="module")
def events(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give a folder of events in which treatment earns more."""
    folder = tmp_path_factory.mktemp("events")
    make(folder, Shape(exposures=6000, outcomes=1500, units=3000, crossed=0.0, lift=LIFT))
    journal(folder, {"control": 50, "treatment": 50})
    return folder


def asked(events: Path, *arguments: str | Path) -> dict[str, Any]:
    """Replay as of ``NOW``, and read the JSON."""
    result = router("replay", "--events", events, *arguments, "--now", str(NOW), "--json")
    assert result.exit_code == 0, result.output
    found: dict[str, Any] = json.loads(result.stdout)
    return found


def test_a_program_reads_every_estimator_and_which_to_believe(events: Path) -> None:
    """Always treatment, and Thompson: estimates with intervals, effective sizes, the replay, and advice."""
    found = asked(events, "--policy", "always:treatment", "--policy", "thompson")
    assert found["observations"] == found["units"] > 1000
    always, thompson = found["policies"]["always:treatment"], found["policies"]["thompson"]
    assert set(always["estimates"]["values"]) == {
        "ips", "clipped_ips", "snips", "direct", "doubly_robust", "switch",
    }  # fmt: skip
    assert always["advice"]["method"] == "doubly_robust"
    assert thompson["advice"]["method"] == "replay"
    assert set(thompson["estimates"]["values"]) - set(always["estimates"]["values"]) == {"replay"}
    robust, logged = always["estimates"]["values"]["doubly_robust"], always["logged"]
    assert robust["interval"]["low"] < robust["value"] < robust["interval"]["high"]
    assert robust["value"] > logged["value"]
    assert "NaN" not in json.dumps(found)


def test_the_same_log_says_the_same(events: Path) -> None:
    """What is drawn comes from one seed."""
    assert asked(events, "--policy", "linear_thompson") == asked(events, "--policy", "linear_thompson")


def test_a_rule_sees_the_attributes_that_were_logged(events: Path) -> None:
    """A policy by tier is evaluated on what the events say of tier."""
    rule = 'rule:{"if": [{"==": [{"var": "tier"}, "gold"]}, "treatment", "control"]}'
    found = asked(events, "--policy", rule, "--reward", "revenue")
    assert found["reward"] == {"metric": "revenue", "kind": "mean", "goal": "up"}
    assert found["policies"][rule]["estimates"]["overlap"]["effective"] > 500
    assert found["features"] == 3


def test_a_person_reads_a_table_and_a_sentence(events: Path) -> None:
    """Every method by name, the one to believe marked, and the effective sample size."""
    said = router("replay", "--events", events, "--policy", "weights:control=1,treatment=3", "--now", str(NOW)).stdout
    for words in ("as logged", "IPS", "SNIPS", "direct method", "believe this one", "effective sample size"):
        assert words in said
    assert "Believe doubly robust: it is right if either the propensities or the model of rewards are." in said


def test_a_log_whose_propensities_are_not_true_is_refused(events: Path, tmp_path: Path) -> None:
    """Propensities of 1/2 where the weights in force were 9 to 1: one sentence, and no number."""
    for part in events.iterdir():
        if part.name != "journal":
            (tmp_path / part.name).symlink_to(part)
    journal(tmp_path, {"control": 90, "treatment": 10})
    result = router("replay", "--events", tmp_path, "--policy", "thompson", "--now", str(NOW), "--json")
    assert result.exit_code == 1
    assert "have a propensity that the weights in force contradict" in result.stderr
    assert not result.stdout


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--policy", "tompson"), "there is no policy 'tompson'"),
        (("--policy", "always:other"), "there is no arm 'other'; there are: control, treatment"),
        (("--policy", "ucb", "--reward", "revenue"), "ucb is for rewards between 0 and 1"),
        (("--policy", "thompson", "--reward", "errors"), "metric 'errors' is a ratio"),
        (("--policy", "thompson", "--reward", "none"), "there is no metric 'none'"),
        (("--policy", "thompson", "--reward", "refunds"), "give it a window"),
        (("--policy", "thompson", "--experiment", "other"), "there is no experiment 'other'"),
        (("--policy", "thompson", "--clip", "0"), "weights are clipped at a number above 0"),
        (("--reward", "ctr"), "are about a --policy"),
    ],
)
def test_a_mistake_is_one_sentence(events: Path, arguments: tuple[str, ...], said: str) -> None:
    """What cannot be asked says why, and what there is."""
    result = router("replay", "--events", events, *arguments, "--now", str(NOW))
    assert result.exit_code == 1
    assert said in " ".join(result.stderr.split())


def test_before_any_window_is_over_there_is_nothing_to_say(events: Path) -> None:
    """As of the first hour there is no observation, and that is said."""
    early = str(START.timestamp() + 3600)
    result = router("replay", "--events", events, "--policy", "thompson", "--now", early)
    assert result.exit_code == 1
    assert "no observations whose reward is known yet" in " ".join(result.stderr.split())


def test_definitions_of_another_file_hold(events: Path, tmp_path: Path) -> None:
    """With a shorter window in another configuration, fewer clicks count, and propensities are checked all the same."""
    file = tmp_path / "router.yaml"
    file.write_text(CONFIG.replace("WINDOW", "1h"), encoding="utf-8")
    there = asked(events, "--policy", "uniform")["policies"]["uniform"]["logged"]["value"]
    here = asked(events, "--policy", "uniform", "--config", file)["policies"]["uniform"]["logged"]["value"]
    assert here < there
