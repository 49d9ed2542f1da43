"""``router analyze`` for designs other than one unit, one arm."""

import json
from pathlib import Path
from typing import Any

import pytest

from router.config.load import load_text
from router.events.journal import Journal
from router.events.model import Enrolment, Revised, Run
from tests.archive.events import NOON, exchange, lines, write
from tests.cli.test_analyze import router

CONFIG = """\
targets:
  - {name: a, endpoints: [http://127.0.0.1:8001]}
  - {name: b, endpoints: [http://127.0.0.1:8002]}
routes:
  - {name: ranker, match: {path: /v2/}, target: a, unit: [header:x-user-id]}
  - {name: other, match: {path: /v3/}, target: a, unit: [header:x-user-id]}
  - {name: third, match: {path: /v4/}, target: a, unit: [header:x-user-id]}
metrics:
  - {name: errors, kind: ratio, exchange: failed, goal: down}
experiments:
"""
BEFORE, AFTER, EACH = 60, 30, 8
EXPERIMENT = """\
  - name: NAME
    route: ROUTE
    arms: [{name: control, target: a, weight: 50}, {name: treatment, target: b, weight: 50}]
    metrics: {primary: errors}
    MORE
"""
ROUTES = {"users": "ranker", "tenants": "other", "slots": "third"}
MORE = {"users": "", "tenants": "unit: [header:x-tenant]", "slots": "allocate: {use: switchback, slot: 1h}"}
NAMES = ("users", "tenants", "slots")


@pytest.fixture(scope="module")
def events(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give a folder of events: hours before three experiments began, and hours of them."""
    folder = tmp_path_factory.mktemp("designs")
    made = []
    for number in range((BEFORE + AFTER) * EACH):
        hour = number // EACH - BEFORE
        begin = int(NOON) + 3600 * hour
        arm = ("control", "treatment")[(number * 7 + hour * hour) % 11 % 2]
        slot = ("control", "treatment")[hour * hour % 7 % 2]
        tenant = number % 20
        of = (
            Enrolment("users", 1, 1, 1, arm, 0.5, "a"),
            Enrolment("tenants", 1, 1, 1, ("control", "treatment")[tenant % 2], 0.5, "a", unit=f"tenant-{tenant}"),
            Enrolment("slots", 1, 1, 1, slot, 0.5, "a", unit=str(begin)),
        )
        fields: dict[str, Any] = {"failed": number * 31 % 17 < 3, "duration": 0.1 + number * 13 % 7 / 100}
        known = of if hour >= 0 else ()
        made.append(exchange(number, begin + 60.0 * (number % EACH), experiments=known, **fields))
    write(folder, 1, lines(*made))
    text = CONFIG
    for name in NAMES:
        text += EXPERIMENT.replace("NAME", name).replace("ROUTE", ROUTES[name]).replace("MORE", MORE[name])
    loaded = load_text(text.encode(), "r.yaml")
    journal = Journal(folder / "journal")
    runs = {name: Run(number=1, phase=1, epoch=1) for name in NAMES}
    weights = {name: {"control": 50.0, "treatment": 50.0} for name in NAMES}
    journal.append(
        Revised(
            number=1, time=NOON, cause="start", author="test", digest="", config=loaded.config, weights=weights,
            runs=runs,
        )
    )  # fmt: skip
    journal.close()
    return folder


def found(events: Path, name: str, *options: str) -> dict[str, Any]:
    """Return what programs read of an experiment."""
    result = router("analyze", name, "--events", events, "--json", *options)
    assert result.exit_code == 0, result.output
    document: dict[str, Any] = json.loads(result.stdout)["experiments"][name]
    return document


def test_a_switchback_is_analysed_over_its_slots(events: Path) -> None:
    """From events to a person's and a program's answer."""
    known = found(events, "slots")["report"]["phases"][0]["switchbacks"]["treatment"]
    assert known["slots"] == AFTER
    assert known["effect"]["method"] == "switchback, CR2 over slots"
    assert "treatment over slots: " in router("analyze", "slots", "--events", events).stdout


def test_units_and_clusters_are_checked_for_interference(events: Path) -> None:
    """Both effects and their difference, for a person and a program."""
    known = found(events, "users", "--against", "tenants")["interference"]
    assert (known["by_units"], known["by_clusters"], known["metric"]) == ("users", "tenants", "errors")
    arm = known["arms"]["treatment"]
    assert arm["difference"]["value"] == pytest.approx(arm["cluster"]["value"] - arm["unit"]["value"])
    said = router("analyze", "users", "--events", events, "--against", "slots").stdout
    assert "Interference: errors by clusters (slots) against by units (users)" in said


def test_before_and_after_are_compared_and_labelled(events: Path) -> None:
    """Whole hours of the route around the moment at which the phase began; the oldest may not be whole."""
    known = found(events, "users", "--pre-post")["pre_post"]
    assert (known["label"], known["change"], known["before"], known["after"]) == ("pre/post", NOON, BEFORE - 1, AFTER)
    assert known["effects"]["failed"]["method"] == known["effects"]["duration"]["method"] == "pre/post"
    assert "pre/post: route ranker, 59 hours before" in router("analyze", "users", "--events", events,
                                                               "--pre-post").stdout  # fmt: skip


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (("users", "--against", "nobody"), "has no experiment 'nobody'"),
        (("tenants", "--against", "slots"), "both assign clusters"),
        (("slots", "--pre-post"), "weights are those of the file"),
    ],
)
def test_what_cannot_be_asked_is_one_sentence(events: Path, options: tuple[str, ...], sentence: str) -> None:
    """Without a traceback, and with the exit status of a failure."""
    result = router("analyze", options[0], "--events", events, *options[1:])
    assert result.exit_code == 1
    assert sentence in result.stderr
