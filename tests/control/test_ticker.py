"""When bandits tick, and what happens when a tick fails."""

import asyncio
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
import pytest

from router.control import allot as allotting
from router.control.allot import Answer, Asked, allot, allotment, boundary
from router.control.measure import NotInstalledError, Stop
from router.control.produce import Produced, Task
from router.control.state import State
from router.control.tick import Allotment
from router.control.ticker import LEAD_S, Ticker, due, lead
from router.events.model import Coming, Revision, Run
from router.events.ticks import Ticks
from tests.control.build import NOW, started
from tests.control.desk import Desk, at_work
from tests.control.test_tick import allot as share
from tests.control.test_tick import requests, text

HELD = {"old": 0.4, "new": 0.6}


def present(state: State) -> Revision:
    """Return the present revision."""
    assert state.revision is not None
    return state.revision


def look(ticker: Ticker, revision: Revision, refused: str | None = None) -> list[Mapping[str, Allotment]]:
    """Tick once; return what was published."""
    published: list[Mapping[str, Allotment]] = []

    async def publish(found: Mapping[str, Allotment]) -> str | None:
        published.append(found)
        return refused

    asyncio.run(_look(ticker, revision, publish))
    return published


async def _look(ticker: Ticker, revision: Revision, publish: Any) -> None:
    await ticker.look(revision, (), None, publish)


def answering(asked: Asked, memory: Mapping[str, Any], now: float, stop: Stop) -> Answer:
    """Say that every bandit has learned one thing more."""
    del now, stop
    produced = {name: Produced(HELD, memory.get(name, 0) + 1, {"arms": {}}) for name in asked.names}
    return Answer({name: Allotment("thompson", 1, 1, HELD) for name in asked.names}, produced)


def failing(asked: Asked, memory: Mapping[str, Any], now: float, stop: Stop) -> Answer:
    """Fail as a database does."""
    del asked, memory, now, stop
    raise OSError("the disk is gone")


def test_requests_tick_as_often_as_they_are_to() -> None:
    """At once after a start, then every ``update``."""
    (experiment,) = present(started(requests())).config.experiments
    assert due(experiment, None, NOW)
    assert not due(experiment, NOW, NOW + 9.9)
    assert due(experiment, NOW, NOW + 10)


def test_periods_tick_before_they_begin_and_now_and_then() -> None:
    """A minute before, once; otherwise at most 24 times a period, for people to see."""
    (experiment,) = present(started(text())).config.experiments
    begin = boundary(86400.0, NOW)
    assert begin - 86400 <= NOW < begin
    assert not due(experiment, begin - 300, begin - LEAD_S - 1)
    assert due(experiment, begin - 300, begin - LEAD_S)
    assert not due(experiment, begin - 50, begin - 1)
    assert due(experiment, begin - 50, begin - 50 + 3600)
    assert lead(4.0) == 2.0


def test_a_tick_is_published_and_remembered() -> None:
    """What a producer returned it is given again; what is shown is the last answer."""
    ticker = Ticker(answering)
    revision = present(started(requests()))
    assert look(ticker, revision) == [{"ramp": Allotment("thompson", 1, 1, HELD)}]
    assert look(ticker, revision) == []  # not due yet
    assert (ticker.ticks, ticker.problems, ticker.failures) == ({"ramp": 1}, {}, 0)
    ticker._last["ramp"] -= 10
    look(ticker, revision)
    assert ticker._memory == {"ramp": 2}


def test_a_tick_that_fails_keeps_the_last_weights_and_says_so(caplog: pytest.LogCaptureFixture) -> None:
    """Once, with the reason; it is counted, tried again, and its end is said too."""
    caplog.set_level("INFO")
    revision = present(started(requests()))
    ticker = Ticker(failing)
    for _ in range(2):
        assert look(ticker, revision) == [{}]
        ticker._last.clear()
    assert ticker.failures == 2
    assert "the disk is gone" in ticker.problems["ramp"]
    assert sum("the weights in force stay" in record.message for record in caplog.records) == 1
    ticker._compute = answering
    look(ticker, revision)
    assert ticker.problems == {}
    assert "weights are computed again" in caplog.text


def test_without_the_libraries_the_way_out_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    """The router serves on with the weights of the file."""

    def missing(*_: object) -> Answer:
        raise NotInstalledError("pip install 'router[analysis]'")

    ticker = Ticker(missing)
    look(ticker, present(started(requests())))
    assert ticker.problems == {"ramp": "pip install 'router[analysis]'"}
    monkeypatch.setitem(sys.modules, "duckdb", None)
    with pytest.raises(NotInstalledError, match="router\\[analysis\\]"):
        allot(Asked(present(started(requests())), (), (), None), {}, NOW, Stop())


def test_weights_that_cannot_be_written_down_are_not_in_force() -> None:
    """Nobody could say later what a unit's chances were; the reason is shown."""
    ticker = Ticker(answering)
    look(ticker, present(started(requests())), refused="a tick cannot be written down")
    assert ticker.problems == {"ramp": "a tick cannot be written down"}


def test_what_is_known_of_a_bandit_that_is_gone_is_let_go() -> None:
    """A name that returns begins anew."""
    ticker = Ticker(answering)
    revision = present(started(requests()))
    look(ticker, revision)
    plain = requests().replace("thompson", "fixed").replace(", reward: ctr", "")
    look(ticker, present(started(plain)))
    assert (ticker.standings, ticker.ticks, ticker._memory) == ({}, {}, {})


def test_weights_wait_for_the_next_period_but_a_stop_does_not() -> None:
    """Units that stay lose a stopped arm at once, and nobody else moves."""
    (experiment,) = present(started(text())).config.experiments
    plain = (experiment, None, Run(number=1, phase=1, epoch=0), {"old": 3.0, "new": 1.0}, None, NOW)
    waiting = allotment(Task(*plain), HELD)  # type: ignore[arg-type]
    assert (waiting.weights, waiting.start) == (HELD, boundary(86400.0, NOW))
    stopped = allotment(Task(*plain, frozenset({"new"})), {"old": 1.0, "new": 0.0})  # type: ignore[arg-type]
    assert (stopped.weights, stopped.start) == ({"old": 3.0, "new": 0.0}, None)


def test_one_bandit_that_cannot_learn_does_not_keep_others_from_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its problem has its name; the log that is not there yet is one without observations."""

    def broken(*_: object) -> Produced:
        raise ValueError("shares of nobody")

    state = started(requests().replace("targets:", f"events: {{dir: '{tmp_path}'}}\ntargets:", 1))
    monkeypatch.setattr(allotting, "producer", lambda _use: broken)
    found = allot(Asked(present(state), state.history, ("ramp",), None), {}, NOW, Stop())
    assert "shares of nobody" in found.problems["ramp"]
    monkeypatch.undo()
    found = allot(Asked(present(state), state.history, ("ramp",), None), {}, NOW, Stop())
    assert found.produced["ramp"].standing["observations"] == 0
    assert found.allotments == {}


def test_a_control_process_publishes_ticks(tmp_path: Path) -> None:
    """Number, weights and table are new, history and journal are not; one that cannot be written is not published."""
    desk = Desk(tmp_path, requests())

    async def use() -> None:
        control = desk.control
        before = control.changed
        assert await control._allot(share(0.9)) is None
        assert control.revision.weights["ramp"]["new"] == 0.9
        assert control.revision.number == before + 1
        assert control.changed == before
        assert control.table().number == control.revision.number
        assert len(desk.notes.entries) == 1
        control._ticks = Ticks(tmp_path / "gone")
        assert "cannot be written down" in str(await control._allot(share(0.2)))
        assert control.revision.weights["ramp"]["new"] == 0.9

    at_work(desk, use)


def test_coming_weights_are_settled_when_their_time_has_come() -> None:
    """The ticker looks, also when no bandit is due."""
    state = started(text())
    revision = present(state)
    past = {"ramp": Coming(start=time.time() - 60, epoch=1, weights=HELD)}
    ticker = Ticker(answering)
    ticker._last["ramp"] = time.time()
    coming = msgspec.structs.replace(revision, coming=past)
    assert look(ticker, coming) == [{}]
