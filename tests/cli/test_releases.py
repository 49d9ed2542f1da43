"""What people ask of releases and are told about them, on the command line; against an admin API in a thread."""

import asyncio
import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from aiohttp import web
from msgspec.structs import replace
from typer.testing import CliRunner, Result

from router.admin.api import application
from router.cli import app
from router.control.loop import Control
from router.events.rollout import Decided, Found
from tests.admin.releasing import look, progress, release_desk

FOUND = Found(
    name="errors ratio 2", status="fail", action="rollback", reason="8 of 100 failed, 2 of 100 in control",
    estimate=4.0, low=2.1, margin=2.0, statistic=130.0, threshold=100.0, alpha=0.005,
    counts={"treatment_failures": 8.0, "treatment_exchanges": 100.0},
)  # fmt: skip


@contextmanager
def serving(folder: Path) -> Iterator[tuple[str, Control]]:
    """Serve a desk whose release is in its first stage; workers have whatever is published."""
    desk = release_desk(folder)
    desk.control.seat.publisher.acknowledged = lambda: 2  # type: ignore[method-assign] # plays the workers
    loop = asyncio.new_event_loop()
    ready, place = threading.Event(), []

    async def begin() -> web.AppRunner:
        await desk.begin()
        runner = web.AppRunner(application(desk.control))
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        await look(desk.control, 3)
        place.append(runner.addresses[0][1])
        ready.set()
        return runner

    def work() -> None:
        asyncio.set_event_loop(loop)
        runner = loop.run_until_complete(begin())
        loop.run_forever()
        loop.run_until_complete(runner.cleanup())
        loop.run_until_complete(desk.control.decisions.close())
        loop.close()

    thread = threading.Thread(target=work)
    thread.start()
    try:
        assert ready.wait(20)
        yield f"http://127.0.0.1:{place[0]}", desk.control
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()


def router(*arguments: str) -> Result:
    """Run the command line."""
    result = CliRunner().invoke(app, list(arguments))
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result


def test_people_steer_a_release(tmp_path: Path) -> None:
    """Each command reads the tag, asks, waits for the workers and says where the release is."""
    with serving(tmp_path) as (url, control):
        for what, said in (
            ("pause", "stage 1, paused: paused by ada"),
            ("resume", "stage 1, running: resumed by ada"),
            ("approve", "stage 1, running: approved by ada"),
            ("promote", "stage 2, running: stage 1 is passed: promoted by ada"),
            ("rollback", "rolled back, over: in stage 2: rollback by ada"),
            ("resume", "stage 1, running: begun again by ada"),
            ("abort", "aborted, over: in stage 1: abort by ada"),
        ):
            found = router(what, "ramp", "--author", "ada", "--reason", "why not", "--admin", url)
            assert (found.exit_code, found.stderr) == (0, ""), what
            assert said in found.stdout
            assert "why not" in found.stdout
        assert progress(control).step == "aborted"
        found = router("promote", "ramp", "--admin", url)
        assert (found.exit_code, found.stdout) == (1, "")
        assert "refused with status 409: the release is over" in found.stderr


def test_a_change_since_somebody_looked_is_noticed(tmp_path: Path) -> None:
    """``--seen`` is the tag that status shows; ``*`` says that it does not matter."""
    with serving(tmp_path) as (url, _):
        shown = router("status", "ramp", "--admin", url).stdout
        tag = shown.splitlines()[0].rpartition("tag ")[2]
        assert re.fullmatch("[0-9a-f]{16}", tag)
        assert router("pause", "ramp", "--seen", tag, "--admin", url).exit_code == 0
        late = router("rollback", "ramp", "--seen", tag, "--admin", url)
        assert (late.exit_code, "412" in late.stderr) == (1, True)
        paused = router("status", "ramp", "--admin", url).stdout
        assert "it is paused" in paused
        assert "answer with: router resume ramp --seen" in paused
        assert "  release: stage 1, paused: paused by admin API from" in router("status", "--admin", url).stdout
        found = router("rollback", "ramp", "--seen", "*", "--json", "--admin", url)
        assert json.loads(found.stdout)["release"]["step"] == "rolled_back"


def test_status_says_why(tmp_path: Path) -> None:
    """The decisions in order with action, reason and alternative; what each guardrail said, with its numbers."""
    with serving(tmp_path) as (url, control):
        record(control)
        shown = router("status", "ramp", "--why", "--admin", url).stdout
        for said in (
            "rollout: stage 1 of 2, 5 % on the new arm, since",
            "it holds (time): stage holds for",
            "errors ratio 2  FAIL, rolls back         4  2.1 … ∞       2  130 of 100",
            "errors ratio 2: 8 of 100 failed, 2 of 100 in control (treatment_failures 8, treatment_exchanges 100",
            "alpha 0.005",
            "sample ratio: unknown",
            "begin → stage 1 by router [ramp-1-1]",
            "2026-11-22 13:41:10 rollback → rolled back by router [ramp-1-4]",
            "    otherwise: would hold",
        ):
            assert said in shown
        assert not any(line != line.rstrip() for line in shown.splitlines() if "errors ratio 2:" in line)
        found = json.loads(router("status", "ramp", "--why", "--json", "--last", "1", "--admin", url).stdout)
        assert [each["action"] for each in found["decisions"]] == ["rollback"]
        assert found["experiment"]["release"]["steps"][0]["share"] == 0.05


def record(control: Control) -> None:
    """Have a rollback in the log, from the loop's own thread."""
    line = Decided(
        id="", time=1795354870.0, experiment="ramp", run=1, phase=2, revision=0, step="rolled_back",
        action="rollback", reason="in stage 1: errors ratio 2", alternative="would hold", found=(FOUND,),
    )  # fmt: skip
    done = threading.Event()
    loop = control.decisions._writer.get_loop()  # type: ignore[union-attr] # something was written before

    def write() -> None:
        control.decisions.record(line, 7)
        control.driver.observed["ramp"] = replace(control.driver.observed["ramp"], found=(FOUND,))
        done.set()

    loop.call_soon_threadsafe(write)
    assert done.wait(10)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [(("status", "--why"), "--why needs the NAME"), (("status", "none"), "there is no experiment")],
    ids=["name", "unknown"],
)
def test_a_mistake_is_one_sentence(tmp_path: Path, arguments: tuple[str, ...], said: str) -> None:
    """On standard error, with a status of 1."""
    with serving(tmp_path) as (url, _):
        found = router(*arguments, "--admin", url)
        assert (found.exit_code, found.stdout, said in found.stderr) == (1, "", True)
