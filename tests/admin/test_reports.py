"""The report of an experiment on the admin API: JSON for programs, a page for people, drawn once."""

import asyncio
from pathlib import Path
from typing import Any

import msgspec
import pytest

from router.admin import reports
from router.analysis.result import Folded
from router.config.schema import Measured
from router.control.measure import Snapshot
from router.report.compose import compose
from router.report.report import Report
from tests.admin.serving import served
from tests.control.desk import Desk
from tests.report.build import NOW, draw, evidence, experiment

PATH = "/v1/experiments/ramp/report"
HTML = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}


def _snapshot() -> Snapshot:
    made = msgspec.structs.replace(experiment(Measured(primary="ctr", secondary=("revenue", "errors"))), name="ramp")
    found = evidence(made, {"control": draw(1, 20_000, 0.10), "treatment": draw(2, 20_000, 0.13)})
    folded = Folded(NOW, {"ramp": found.result})
    report = compose(made, found, NOW)
    return Snapshot(NOW, 0.1, {"ramp": found.quality}, (), folded, reports={"ramp": report})


def test_programs_get_json_and_browsers_a_page(tmp_path: Path) -> None:
    """By ``Accept``; the page loads nothing, and the JSON has the decision beside everything else."""

    async def use() -> None:
        desk = Desk(tmp_path)
        async with served(desk) as client:
            desk.control.fold.snapshot = _snapshot()
            async with client.get(PATH) as answer:
                found: Any = await answer.json()
                assert answer.headers["Vary"] == "Accept"
            async with client.get(PATH, headers=HTML) as answer:
                page = await answer.text()
                assert answer.content_type == "text/html"
                assert answer.headers["Content-Security-Policy"].startswith("default-src 'none'")
        assert found["decision"]["verdict"] == "ship"
        assert found["report"]["phases"][0]["arms"][0]["measures"][0]["effect"]["type"] == "effect"
        assert "Ship: treatment" in page
        assert "http" not in page

    asyncio.run(use())


def test_a_page_is_drawn_once_for_each_look(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Asking again costs nothing; the next look is drawn anew."""
    drawn: list[str] = []

    def draw_one(report: Report, *_: object) -> str:
        drawn.append(report.experiment)
        return str(len(drawn))

    monkeypatch.setattr(reports, "_draw", draw_one)

    async def use() -> None:
        desk = Desk(tmp_path)
        async with served(desk) as client:
            desk.control.fold.snapshot = _snapshot()
            pages = [await (await client.get(PATH, headers=HTML)).text() for _ in range(3)]
            desk.control.fold.snapshot = _snapshot()
            pages.append(await (await client.get(PATH, headers=HTML)).text())
        assert pages == ["1", "1", "1", "2"]

    asyncio.run(use())


def test_before_the_first_look_the_page_says_so(tmp_path: Path) -> None:
    """Rather than an error, or an empty verdict."""

    async def use() -> None:
        async with served(Desk(tmp_path)) as client:
            async with client.get(PATH, headers=HTML) as answer:
                assert "There is no report yet: its events were not looked at yet." in await answer.text()
            async with client.get(PATH) as answer:
                found: Any = await answer.json()
        assert (found["decision"], found["report"]) == (None, None)

    asyncio.run(use())
