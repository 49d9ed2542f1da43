"""A report is written after each release that was taken back, and no trouble with it is anybody else's."""

import asyncio
import importlib.util
import json
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from router.control import postmortems
from router.control.postmortems import KEPT, folder_of, listed, read_report
from router.control.seat import Asked
from tests.admin.releasing import look, release_desk
from tests.control.desk import Desk, until


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(postmortems, "_LOGGED_S", 0.0)
    monkeypatch.setattr(postmortems, "_LOOK_S", 0.001)


def release(folder: Path) -> Desk:
    """Make a desk whose workers have whatever is published, and whose events lie beside it."""
    top = f"events: {{dir: {folder / 'events'}, fsync: 10ms}}"
    desk = release_desk(folder, top=top)
    desk.control.seat.publisher.acknowledged = lambda: 2  # type: ignore[method-assign] # plays the workers
    return desk


def reporting(desk: Desk, use: Callable[[], Awaitable[None]]) -> None:
    """Begin, bring the release to its first stage, and write reports while the test acts."""

    async def run() -> None:
        await desk.begin()
        await look(desk.control, 2)
        work = asyncio.create_task(desk.control.postmortems.run(desk.control.aftermath_scene))
        try:
            await use()
        finally:
            work.cancel()
            await asyncio.gather(work, return_exceptions=True)
            await desk.control.decisions.close()

    asyncio.run(run())


def reports(desk: Desk) -> tuple[str, ...]:
    """Return the ids of the reports."""
    return listed(folder_of(desk.control.revision.config), "ramp")


def test_a_rollback_leaves_a_report(tmp_path: Path) -> None:
    """As JSON and as a page, both readable by the owner's group only."""
    desk = release(tmp_path)

    async def use() -> None:
        await desk.control.ask_release("ramp", "rollback", Asked("ada", "<script>alert(1)</script>"))
        await until(lambda: reports(desk))
        folder = folder_of(desk.control.revision.config)
        found = json.loads(read_report(folder, reports(desk)[0], "json") or b"")
        assert (found["outcome"], found["place"], found["share"]) == ("rollback", "stage 1", 0.05)
        assert (found["by"], found["owner"]) == ("ada", "ranking <team>")
        assert found["new"] == {"arm": "new", "target": "b", "version": "2"}
        assert found["reaction"]["acknowledged"] == 2
        assert found["reaction"]["acknowledged_s"] < 5
        assert [each["action"] for each in found["timeline"]] == ["begin", "advance", "rollback"]
        page = (read_report(folder, reports(desk)[0], "html") or b"").decode()
        assert "<script" not in page
        assert "ranking &lt;team&gt;" in page
        assert {path.stat().st_mode & 0o777 for path in folder.iterdir()} == {0o640}

    reporting(desk, use)


def test_a_report_needs_no_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the libraries of the analysis it says what is missing."""
    monkeypatch.setattr(postmortems, "find_spec", lambda name: None if name else importlib.util.find_spec(name))
    desk = release(tmp_path)

    async def use() -> None:
        await desk.control.ask_release("ramp", "abort", Asked("ada"))
        await until(lambda: reports(desk))
        found = json.loads(read_report(folder_of(desk.control.revision.config), reports(desk)[0], "json") or b"")
        assert found["outcome"] == "abort"
        assert any("no plots without matplotlib" in line for line in found["missing"])
        assert any("what metrics showed is not known" in line for line in found["missing"])

    reporting(desk, use)


def test_a_report_that_the_process_before_owed_is_written(tmp_path: Path) -> None:
    """It ended between the rollback and the report."""
    desk = release(tmp_path)

    async def before() -> None:
        await desk.begin()
        await look(desk.control, 2)
        await desk.control.ask_release("ramp", "rollback", Asked("ada"))
        await desk.control.decisions.close()

    asyncio.run(before())
    desk.control.aftermath.reports.clear()
    desk.control.aftermath.waiting.clear()
    assert reports(desk) == ()

    async def after() -> None:
        work = asyncio.create_task(desk.control.postmortems.run(desk.control.aftermath_scene))
        await until(lambda: reports(desk))
        work.cancel()
        await asyncio.gather(work, return_exceptions=True)

    asyncio.run(after())


def test_a_disk_that_fails_stops_nothing(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """The report is lost and said so in the log; the next one is written."""
    desk = release(tmp_path)
    folder = tmp_path / "events" / "postmortems"

    async def use() -> None:
        folder.parent.mkdir(exist_ok=True)
        folder.write_text("in the way")
        await desk.control.ask_release("ramp", "rollback", Asked("ada"))
        await until(lambda: "the post-mortem report cannot be written" in caplog.text)
        folder.unlink()
        await desk.control.ask_release("ramp", "resume", Asked("ada"))
        await look(desk.control, 2)
        await desk.control.ask_release("ramp", "abort", Asked("ada"))
        await until(lambda: reports(desk))

    reporting(desk, use)


def test_the_number_of_reports_is_bounded(tmp_path: Path) -> None:
    """The oldest go, page and document."""
    desk = release(tmp_path)
    folder = tmp_path / "events" / "postmortems"
    folder.mkdir(parents=True)
    for number in range(KEPT):
        for kind in ("json", "html"):
            (folder / f"ramp-1-{number}.{kind}").write_text("{}")

    async def use() -> None:
        await desk.control.ask_release("ramp", "rollback", Asked("ada"))
        await until(lambda: int(reports(desk)[0].rpartition("-")[2]) > time.time() - 100)
        await until(lambda: len(reports(desk)) == KEPT)
        assert reports(desk)[-1] == "ramp-1-1"
        assert len(list(folder.glob("*.html"))) == KEPT

    reporting(desk, use)


@pytest.mark.parametrize(
    "number", ["../../etc/passwd", "ramp-1-1/../x", "", "ramp", "ramp-1-1\n", ".hidden-1-1", "a" * 99]
)
def test_only_ids_of_reports_name_files(tmp_path: Path, number: str) -> None:
    """A path in place of an id reads nothing."""
    assert read_report(tmp_path, number, "json") is None
