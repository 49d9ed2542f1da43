"""The live fold: when it looks, what it keeps, what it survives, and what it marks."""

import asyncio
import errno
import threading
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.analysis.quality import Observed, judge
from router.analysis.sample_ratio import Block
from router.archive.layout import part_path
from router.control import fold as live
from router.control.counted import Counted, count
from router.control.fold import IDLE_S, LEAST_S, SHARE, Fold, Pace, pause_s
from router.control.measure import NotInstalledError, Question, Snapshot, Stop, StoppedError, measure
from router.events.model import Enrolment, Revision
from tests.control.build import plain, yaml
from tests.control.desk import Desk
from tests.events.examples import exchange

DEADLINE_S = 10.0
NOTHING = Counted({}, 0, 0, (), 1)
SOME = Counted({}, 5, 0, (), 1)


def _snapshot(time: float = 1.0, units: int = 5000) -> Snapshot:
    block = Block(0, {"old": 95.0, "new": 5.0}, {"old": 4750, "new": units})
    observed = Observed(experiment="ramp", run=1, phase=1, control="old", units=4750 + units, blocks=(block,))
    return Snapshot(time, 0.1, {"ramp": (judge(observed),)}, ())


def _question(desk: Desk) -> Question:
    revision: Revision = desk.control.revision
    return Question(revision.config, revision.runs, desk.control.state.history, count(revision, desk.segment))


async def _ignore(_snapshot: Snapshot) -> None:
    return


def _with(desk: Desk, use: Callable[[], Awaitable[None]]) -> None:
    async def run() -> None:
        await desk.begin()
        await use()

    asyncio.run(run())


# --- When ------------------------------------------------------------------------------------------------------------


@given(st.lists(st.floats(0, 1e4), min_size=1, max_size=50))
def test_folds_take_at_most_their_share_of_a_core(spent: list[float]) -> None:
    """Whatever each of them costs: the time at work is at most a tenth of the time at work and at rest."""
    resting = sum(pause_s(each) for each in spent)
    assert sum(spent) <= SHARE * (sum(spent) + resting) * (1 + 1e-9)
    assert all(pause_s(each) >= LEAST_S for each in spent)


def test_nothing_is_folded_while_nothing_happens() -> None:
    """Counters run ahead of the log: the first look after they stand still folds again, later ones do not."""
    pace = Pace()
    assert [pace.due(NOTHING, at) for at in (0.0, 30.0, 60.0, 90.0)] == [True, True, False, False]
    assert [pace.due(SOME, at) for at in (120.0, 150.0, 180.0)] == [True, True, False]
    assert pace.due(SOME, 150.0 + IDLE_S)


def test_without_an_experiment_there_is_nothing_to_fold(tmp_path: Path) -> None:
    """Neither work nor an old answer."""
    fold = Fold(lambda _question, _stop: _snapshot())
    fold.snapshot = _snapshot()
    assert asyncio.run(fold.look(None, _ignore)) == 0.0
    assert fold.snapshot is None
    assert fold.problem is None
    desk = Desk(tmp_path, plain())
    _with(desk, lambda: _asked_nothing(desk))


async def _asked_nothing(desk: Desk) -> None:
    assert desk.control._question() is None


def test_it_looks_again_and_again_until_it_is_cancelled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each answer is kept and handed on; the loop goes on meanwhile."""
    desk = Desk(tmp_path)
    monkeypatch.setattr(live, "FIRST_S", 0.0)
    monkeypatch.setattr(live, "LEAST_S", 0.0)
    numbers = iter(range(100))
    fold = Fold(lambda _question, _stop: _snapshot(float(next(numbers))))
    seen: list[float] = []
    enough = asyncio.Event()

    async def take(snapshot: Snapshot) -> None:
        seen.append(snapshot.time)
        if len(seen) == 2:
            enough.set()

    async def use() -> None:
        work = asyncio.create_task(fold.run(lambda: _question(desk), take))
        async with asyncio.timeout(DEADLINE_S):
            await enough.wait()
        work.cancel()
        await asyncio.gather(work, return_exceptions=True)

    _with(desk, use)
    assert seen == [0.0, 1.0]
    assert fold.snapshot is not None
    assert fold.snapshot.time == 1.0


def test_the_loop_goes_on_while_a_query_runs(tmp_path: Path) -> None:
    """A fold that takes for ever holds up nothing: the loop acts, and ends it when it is cancelled."""
    desk = Desk(tmp_path)
    interrupted = threading.Event()

    def work(_question: Question, stop: Stop) -> Snapshot:
        with stop.using(interrupted.set):
            interrupted.wait(DEADLINE_S)
            stop.check()
        raise AssertionError("it was not stopped")

    async def use() -> None:
        work_on = asyncio.create_task(Fold(work).look(_question(desk), _ignore))
        for _ in range(10):
            await asyncio.sleep(0)
        assert not work_on.done()
        work_on.cancel()
        await asyncio.gather(work_on, return_exceptions=True)
        assert work_on.cancelled()

    _with(desk, use)
    assert interrupted.is_set()


def test_a_fold_whose_database_has_just_been_closed_is_cancelled_all_the_same(tmp_path: Path) -> None:
    """A closed database refuses to be interrupted; at a shutdown that must not keep the process from ending."""
    desk = Desk(tmp_path)
    closed, asked = threading.Event(), threading.Event()

    def interrupt() -> None:
        if closed.is_set():
            raise OSError("already closed")

    class Asked(Stop):
        def now(self) -> None:
            try:
                super().now()
            finally:
                asked.set()

    def work(_question: Question, stop: Stop) -> Snapshot:
        with stop.using(interrupt):
            pass
        closed.set()
        asked.wait(DEADLINE_S)
        stop.check()
        raise AssertionError("it was not stopped")

    async def use() -> None:
        work_on = asyncio.create_task(Fold(work).look(_question(desk), _ignore))
        await asyncio.to_thread(closed.wait, DEADLINE_S)
        work_on.cancel()
        await asyncio.gather(work_on, return_exceptions=True)
        assert work_on.cancelled()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(live, "Stop", Asked)
        _with(desk, use)


def test_what_was_stopped_before_it_began_does_not_begin() -> None:
    """The interrupt may come before there is a query to interrupt."""
    stop = Stop()
    stop.check()
    stop.now()
    with pytest.raises(StoppedError):
        stop.check()


# --- What it survives ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "error",
    [OSError(errno.ENOSPC, "No space left on device"), ValueError("bad file"), NotInstalledError("pip install it")],
)
def test_whatever_goes_wrong_is_said_once_and_tried_again(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, error: Exception
) -> None:
    """The last answer stays, with the problem beside it, until there is a new one."""
    desk = Desk(tmp_path)
    caplog.set_level("INFO")
    outcomes: list[Snapshot | Exception] = [_snapshot(1.0), error, error, _snapshot(2.0)]

    def work(_question: Question, _stop: Stop) -> Snapshot:
        outcome = outcomes.pop(0)
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    fold = Fold(work)
    seen: list[tuple[float, bool]] = []

    async def use() -> None:
        for _ in range(4):
            await fold.look(_question(desk), _ignore)
            assert fold.snapshot is not None
            seen.append((fold.snapshot.time, fold.problem is None))

    _with(desk, use)
    assert seen == [(1.0, True), (1.0, False), (1.0, False), (2.0, True)]
    assert caplog.text.count(str(error.args[-1])) == 1
    assert "can be folded again" in caplog.text


def test_without_the_libraries_it_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The extra is not installed; everything else goes on."""
    desk = Desk(tmp_path)
    monkeypatch.setitem(__import__("sys").modules, "ibis", None)

    async def use() -> None:
        await desk.control.fold.look(_question(desk), _ignore)

    _with(desk, use)
    assert desk.control.fold.snapshot is None
    assert "pip install 'router[analysis]'" in (desk.control.fold.problem or "")


# --- What it marks ---------------------------------------------------------------------------------------------------


def test_invalid_data_mark_the_experiment(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """The mark is published, written to the journal and said in the log, once."""
    desk = Desk(tmp_path)

    async def use() -> None:
        for _ in range(2):
            await desk.control._judge(_snapshot())

    _with(desk, use)
    assert desk.control.revision.number == 2
    assert desk.control.revision.invalid["ramp"].check == "sample_ratio"
    assert desk.notes.entries[-1].invalid == desk.control.revision.invalid
    assert desk.control.seat.publisher.read() == desk.control.revision
    assert caplog.text.count("is invalid in run 1, phase 1, until fixed") == 1


def test_sound_data_mark_nothing(tmp_path: Path) -> None:
    """No revision is made for a finding that is fine, or for too little data."""
    desk = Desk(tmp_path)

    async def use() -> None:
        await desk.control._judge(_snapshot(units=250))
        await desk.control._judge(Snapshot(1.0, 0.1, {}, ()))

    _with(desk, use)
    assert desk.control.revision.number == 1


def test_a_finding_of_an_experiment_that_is_gone_marks_nothing(tmp_path: Path) -> None:
    """The file was saved while the log was read."""
    desk = Desk(tmp_path, plain())
    _with(desk, lambda: desk.control._judge(_snapshot()))
    assert desk.control.revision.invalid == {}


def test_a_mark_that_cannot_be_published_is_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """It alters nothing until the next look finds it again."""
    desk = Desk(tmp_path)

    def full(_revision: Revision) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    async def use() -> None:
        with monkeypatch.context() as patch:
            patch.setattr(desk.control.seat.publisher, "prepare", full)
            await desk.control._judge(_snapshot())
        assert desk.control.revision.invalid == {}
        assert "is tried again" in caplog.text
        await desk.control._judge(_snapshot())

    _with(desk, use)
    assert "ramp" in desk.control.revision.invalid


# --- What it measures ------------------------------------------------------------------------------------------------


def test_counters_say_what_the_log_does_not(tmp_path: Path) -> None:
    """Exchanges and those without a unit, by route with an experiment, are counted and not logged."""
    desk = Desk(tmp_path, yaml())
    _with(desk, _do_nothing)
    found = count(desk.control.revision, desk.segment)
    assert found.routes == {"r": (0, 0)}
    assert (found.exchanges, found.dropped, found.revision) == (0, 0, 1)


async def _do_nothing() -> None:
    return


def test_an_empty_folder_is_measured(tmp_path: Path) -> None:
    """Before the first event everything is insufficient data, and nothing fails."""
    desk = Desk(tmp_path, yaml(top=f"events: {{dir: '{tmp_path / 'events'}'}}"))
    _with(desk, _do_nothing)
    snapshot: Any = measure(_question(desk), Stop())
    assert snapshot.quality == {"ramp": ()}
    assert {found.status for found in snapshot.log} == {"insufficient data"}
    assert snapshot.present("ramp", desk.control.revision.runs["ramp"]) is None
    assert snapshot.worst("ramp", desk.control.revision.runs["ramp"]) is None


def test_what_cannot_be_read_is_named_and_the_rest_is_measured(tmp_path: Path) -> None:
    """Garbage in a segment and a damaged part cost their own rows and nothing else."""
    folder = tmp_path / "events"
    desk = Desk(tmp_path, yaml(top=f"events: {{dir: '{folder}'}}"))
    _with(desk, _do_nothing)
    sound = msgspec.structs.replace(exchange(), route="r", experiments=(Enrolment("ramp", 1, 1, 0, "old", 0.95, "a"),))
    segment = folder / "exchange-20260921T000000Z-w0-999999-000001.ndjson"
    folder.mkdir()
    segment.write_bytes(msgspec.json.encode(sound) + b"\n{garbage\n")
    part = part_path(folder, "exposures", "2026-09-21", (1, 1))
    part.parent.mkdir(parents=True)
    part.write_bytes(b"PAR1 and no more")
    snapshot = measure(_question(desk), Stop())
    (quality,) = snapshot.quality["ramp"]
    assert quality.sample_ratio.units == 1
    assert any(str(part) in said for said in snapshot.unread)
    assert any(str(segment) in said for said in snapshot.unread)


def test_metrics_that_cannot_be_computed_do_not_cost_the_findings(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A query that is too large for the memory is told; whether the data can be trusted is known all the same."""
    desk = Desk(tmp_path, yaml(top=f"events: {{dir: '{tmp_path / 'events'}'}}"))
    _with(desk, _do_nothing)

    def fail(*_: object) -> None:
        raise MemoryError("out of memory")

    monkeypatch.setattr("router.analysis.fold.fold", fail)
    snapshot = measure(_question(desk), Stop())
    assert snapshot.folded is None
    assert "out of memory" in (snapshot.unfolded or "")
    assert snapshot.log
