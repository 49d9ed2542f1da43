"""``router analyze`` and ``router replay``: what a person and a program read of a folder of events."""

import json
import shutil
from pathlib import Path
from typing import Any

import msgspec
import pytest
from typer.testing import CliRunner, Result

from benchmarks.synthetic import START, Shape, make
from router.analysis.document import document
from router.analysis.engine import duckdb_engine
from router.analysis.fold import fold
from router.archive.reading import open_archive
from router.cli import app
from router.command.evidence import read_known
from router.config.load import load_text
from router.events.journal import Journal
from router.events.model import Invalid, Revised, Run

NOW = START.timestamp() + 30 * 86_400
CONFIG = """\
targets:
  - {name: a, endpoints: [http://127.0.0.1:8001]}
  - {name: b, endpoints: [http://127.0.0.1:8002]}
routes:
  - {name: ranker, match: {path: /v2/}, target: a, unit: [header:x-user-id]}
metrics:
  - {name: ctr, kind: proportion, outcome: click, window: WINDOW, goal: up}
  - {name: revenue, kind: mean, outcome: purchase, window: 7d, goal: up, cap: 99%}
  - {name: refunds, kind: count, outcome: refund, goal: down}
  - {name: errors, kind: ratio, exchange: failed, goal: down}
  - {name: p99, kind: quantile, exchange: duration, q: 0.99, goal: down}
experiments:
  - name: ranker-v2
    route: ranker
    arms: [{name: control, target: a, weight: 50}, {name: "treatment", target: b, weight: 50}]
    metrics: {primary: ctr, secondary: [revenue, refunds, errors, p99]}
    slices: [new_unit]
"""


def router(*arguments: str | Path) -> Result:
    """Run the command line in this process; an exception that would be a traceback fails the test."""
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


@pytest.fixture(scope="module")
def events(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give a folder of events with an experiment of two weeks."""
    folder = tmp_path_factory.mktemp("events")
    make(folder, Shape(exposures=600, outcomes=1200, units=150, crossed=0.05))
    config = load_text(CONFIG.replace("WINDOW", "3d").encode(), "router.yaml").config
    journal = Journal(folder / "journal")
    journal.append(
        Revised(
            number=1,
            time=START.timestamp(),
            cause="start",
            author="test",
            digest="",
            config=config,
            weights={"ranker-v2": {"control": 50, "treatment": 50}},
            runs={"ranker-v2": Run(number=1, phase=1, epoch=0)},
        )
    )
    journal.close()
    return folder


def replayed(*arguments: str | Path) -> dict[str, Any]:
    """Replay as of ``NOW``, and read the JSON."""
    result = router("replay", *arguments, "--now", str(NOW), "--json")
    assert result.exit_code == 0, result.output
    found: dict[str, Any] = json.loads(result.stdout)
    return found


def test_a_person_reads_estimates_and_no_verdict(events: Path) -> None:
    """Units, exclusions, estimates with standard errors, fates of outcomes, and that nothing of it is a verdict."""
    said = router("analyze", "ranker-v2", "--events", events).stdout
    assert "units excluded (seen in two arms)" in said
    assert "control (control)" in said
    assert "±" in said
    assert "attributed" in said
    assert "Plain estimates with standard errors" in said
    assert "winner" not in said


def test_a_program_reads_sums_and_estimates(events: Path) -> None:
    """The sums are there as they are, so that whoever reads them can merge and test."""
    found = json.loads(router("analyze", "ranker-v2", "--events", events, "--json").stdout)
    (phase,) = found["experiments"]["ranker-v2"]["phases"]
    cells = [cell for cell in phase["cells"] if not cell["slice"]]
    assert [cell["arm"] for cell in cells] == ["control", "treatment"]
    assert sum(cell["units"] for cell in cells) + phase["excluded"] == phase["units"] == 150
    known = cells[0]["metrics"]["ctr"]
    assert known["estimate"]["value"] == pytest.approx(known["units"]["y"] / known["units"]["n"])
    assert cells[0]["products"]["ctr"]["revenue"]["units"]["n"] == known["units"]["n"]


def test_a_page_needs_nothing_else(events: Path, tmp_path: Path) -> None:
    """One file of HTML, without scripts and without requests to anywhere."""
    page = tmp_path / "report.html"
    assert router("analyze", "ranker-v2", "--events", events, "--html", page).exit_code == 0
    text = page.read_text(encoding="utf-8")
    assert "<td>treatment</td>" in text
    assert "<script" not in text
    assert "http" not in text


def test_whether_the_data_can_be_trusted_comes_first(events: Path, tmp_path: Path) -> None:
    """A mark of the router, and what the checks say, before any result, for people, programs and on the page."""
    marked = tmp_path / "events"
    shutil.copytree(events, marked)
    journal = Journal(marked / "journal")
    reason = "the arms do not have their units"
    mark = Invalid(run=1, phase=1, time=NOW, check="sample_ratio", value=1e-9, reason=reason)
    runs = {"ranker-v2": Run(number=1, phase=1, epoch=1)}  # that of the events
    journal.append(msgspec.structs.replace(journal.entries[-1], number=2, runs=runs, invalid={"ranker-v2": mark}))
    journal.close()
    said = router("analyze", "ranker-v2", "--events", marked).stdout.splitlines()
    assert said[0] == f"INVALID until fixed, run 1, phase 1: {reason}"
    assert any(line.startswith("insufficient data, run 1, phase 1, sample_ratio: 150 units") for line in said)
    found = json.loads(router("analyze", "ranker-v2", "--events", marked, "--json").stdout)["experiments"]["ranker-v2"]
    assert found["invalid"]["reason"] == reason
    assert found["quality"][0]["sample_ratio"]["units"] == 150
    page = tmp_path / "report.html"
    router("analyze", "ranker-v2", "--events", marked, "--html", page)
    assert f"INVALID until fixed, run 1, phase 1: {reason}" in page.read_text(encoding="utf-8")


@pytest.mark.parametrize("command", [("analyze", "other"), ("replay", "--experiment", "other")])
def test_what_is_not_there_is_one_sentence(events: Path, tmp_path: Path, command: tuple[str, ...]) -> None:
    """An experiment or a folder that does not exist is said, with what there is."""
    missing = router(*command, "--events", events)
    assert (missing.exit_code, missing.stderr.count("\n")) == (1, 1)
    assert "ranker-v2" in missing.stderr
    nothing = router(*command, "--events", tmp_path)
    assert nothing.exit_code == 1
    assert "journal.ndjson cannot be read: No such file or directory" in nothing.stderr


def test_a_replay_that_changes_nothing_gives_the_live_numbers(events: Path) -> None:
    """Live and offline are one function of the same events: the numbers agree but for rounding."""
    known = read_known(events)
    with open_archive(events) as archive:
        experiments = tuple(known.experiments.values())
        engine = duckdb_engine(archive.connection)
        live = fold(engine, experiments, known.metrics["ranker-v2"], known.history, NOW)
    assert _rounded(replayed("--events", events)) == _rounded(json.loads(json.dumps(document(live))))


def _rounded(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _rounded(below) for key, below in value.items()}
    if isinstance(value, list):
        return [_rounded(below) for below in value]
    return float(f"{value:.9g}") if isinstance(value, float) else value


def test_late_outcomes_count_and_the_log_stays(events: Path, tmp_path: Path) -> None:
    """Refunds that come in a file are attributed like any outcome, each once; and the log is as it was."""
    file = tmp_path / "refunds.csv"
    at = START.timestamp() + 20 * 86_400
    rows = [f"refund-{number},refund,{at},user-{number % 20}" for number in (*range(40), *range(40))]
    file.write_text("id,outcome,time,unit\n" + "\n".join(rows) + "\n")
    found = replayed("--events", events, "--outcomes", file)
    assert (found["late"]["rows"], found["late"]["accepted"], found["late"]["repeated"]) == (80, 40, 40)

    def refunds(document: dict[str, Any]) -> float:
        cells = document["ranker-v2"]["phases"][0]["cells"]
        return float(sum(cell["metrics"]["refunds"]["units"]["y"] for cell in cells if not cell["slice"]))

    excluded = found["experiments"]["ranker-v2"]["phases"][0]["outcomes"]["refunds"]["excluded"]
    unmatched = found["experiments"]["ranker-v2"]["outcomes"]["refunds"]["unmatched"]
    assert refunds(found["experiments"]) == 40 - excluded - unmatched > 0
    assert refunds(found["before"]) == 0
    assert "before" not in replayed("--events", events)


def test_changed_definitions_change_numbers(events: Path, tmp_path: Path) -> None:
    """Another window is another metric, computed over the same events; a person sees what that changes."""
    file = tmp_path / "router.yaml"
    file.write_text(CONFIG.replace("WINDOW", "1m"))
    said = router("replay", "--events", events, "--config", file, "--now", str(NOW)).stdout
    assert "What that changes" in said
    assert "ctr" in said.partition("What that changes")[2]
    assert "p99" not in said.partition("What that changes")[2]
    file.write_text(CONFIG.replace("WINDOW", "soon"))
    broken = router("replay", "--events", events, "--config", file)
    assert broken.exit_code == 1
    assert '"soon" is not a duration' in broken.stderr
