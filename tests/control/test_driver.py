"""A release that is driven, without other processes and without waiting."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from router import counters
from router.control.clocks import Clocks
from router.control.loop import Control
from router.control.publish import Publisher
from router.control.seat import Asked, Seat, Stale
from router.control.state import replay
from router.events.model import Revision
from router.events.rollout import Progress
from router.events.ticks import Ticks
from router.rollout.turn import Refused
from tests.control.build import NOW, yaml
from tests.control.desk import Desk

STAGES = "[{share: 5%, hold: 60s, require: []}, {share: 50%, hold: 60s, require: []}]"
GUARDED = "metrics: {primary: errors, guardrails: [{metric: errors, ratio: 2.0}]}"
TOP = "metrics: [{name: errors, kind: ratio, exchange: failed, goal: down}]"


class Driven:
    """A control process whose releases are looked at when a test says so.

    Attributes:
        desk: Its files and counters.
        control: The process.
        now: Seconds since the test began, on both clocks.
    """

    def __init__(self, folder: Path, more: str = GUARDED, stages: str = STAGES, version: str = "1") -> None:
        self.desk = Desk(folder, self.text(more, stages, version))
        self.control = self.desk.control
        self.now = 0.0

    @staticmethod
    def text(more: str = GUARDED, stages: str = STAGES, version: str = "1") -> str:
        """Write the configuration."""
        keys = f"allocate: {{use: rollout, stages: {stages}, bake: 60s}}\n{more}"
        return yaml(experiment=keys, target=f"version: '{version}'", top=TOP)

    @property
    def progress(self) -> Progress:
        """Return where the release is."""
        found = self.control.driver.present("ramp", self.control.revision)
        assert found is not None
        return found

    async def look(self, times: int = 1, every_s: float = 1.0, exchanges: int = 1) -> None:
        """Let time pass and look, with exchanges of both arms between the looks."""
        for _ in range(times):
            self.now += every_s
            self.serve(exchanges)
            self.desk.acknowledge(self.control.revision.number)
            await self.control.driver.look(self.control.scene, self.control.drive, (NOW + self.now, self.now))

    def serve(self, exchanges: int, failures: int = 0, arm: str = "new") -> None:
        """Count exchanges of both arms; failures of one."""
        revision = self.control.revision
        run = revision.runs["ramp"]
        for name in ("old", "new"):
            row = revision.slots[counters.arm_key("ramp", run.number, run.phase, name)]
            for unit in range(exchanges):
                block, bucket = self.desk.segment.block(0), unit % counters.UNIT_BUCKETS
                block[row + counters.ARM_EXCHANGES + bucket] += 1
                if name == arm and unit < failures:
                    block[row + counters.ARM_FAILURES + bucket] += 1

    def restart(self) -> None:
        """Begin a control process in the place of one that was killed."""
        seat = Seat(self.desk.segment, Publisher(self.desk.run_dir, self.desk.segment), lambda _told: None)
        state = replay(self.desk.notes.entries)
        self.control = Control(self.desk.source, seat, self.desk.notes, state, Ticks(self.desk.run_dir))


def drive(driven: Driven, use: Callable[[], Awaitable[None]]) -> None:
    """Run a test with a control process that has begun."""

    async def run() -> None:
        await driven.desk.begin()
        try:
            await use()
        finally:
            await driven.control.decisions.close()
            await driven.control.ledger.close()
            if driven.control is not driven.desk.control:
                await driven.desk.control.decisions.close()
                await driven.desk.control.ledger.close()

    asyncio.run(run())


def test_a_rollout_goes_stage_by_stage_on_real_counters(tmp_path: Path) -> None:
    """Weights of the published revision follow, each step is in the journal with its cause."""
    driven = Driven(tmp_path)

    async def use() -> None:
        shares: list[float] = []
        for _ in range(200):
            await driven.look()
            weights = driven.control.revision.weights["ramp"]
            assert weights["new"] == pytest.approx(driven.progress.share)
            if not shares or shares[-1] != driven.progress.share:
                shares.append(driven.progress.share)
        assert shares == [0.0, 0.05, 0.5, 0.95, 1.0]

    drive(driven, use)
    assert [entry.cause for entry in driven.desk.notes.entries] == ["start", "begin", "stage", "stage", "stage", "done"]


def test_a_failing_version_loses_its_traffic_at_the_next_look(tmp_path: Path) -> None:
    """The counters say that it fails; one look later everybody is on control, and the log says why."""
    driven = Driven(tmp_path)

    async def use() -> None:
        await driven.look(2, exchanges=0)
        driven.serve(400, failures=200)
        await driven.look(exchanges=0)
        assert driven.control.revision.weights["ramp"] == {"old": 1.0, "new": 0.0}
        assert (driven.progress.step, driven.control.revision.cause) == ("rolled_back", "rollback")
        assert "errors ratio 2" in driven.progress.reason
        assert [due.experiment for due in driven.control.aftermath.reports] == ["ramp"]
        await driven.look(50, exchanges=100)
        assert driven.progress.step == "rolled_back"

    drive(driven, use)


def test_a_release_that_is_begun_again_is_judged_anew(tmp_path: Path) -> None:
    """What was counted before the rollback is of a version that may be mended since: it condemns nobody."""
    driven = Driven(tmp_path)

    async def use() -> None:
        await driven.look(2, exchanges=0)
        driven.serve(400, failures=200)
        await driven.look(exchanges=0)
        assert driven.progress.step == "rolled_back"
        assert isinstance(await driven.control.ask_release("ramp", "resume", Asked("ann", "mended")), Revision)
        await driven.look(30, exchanges=20)
        assert (driven.progress.step, driven.progress.share) == ("stage", 0.05)
        driven.serve(400, failures=200)
        await driven.look(exchanges=0)
        assert driven.progress.step == "rolled_back"

    drive(driven, use)


def test_nothing_leads_back_to_a_control_that_fails_more(tmp_path: Path) -> None:
    """Control breaks: nobody rolls back onto it, not even a person, who may still kill the release."""
    driven = Driven(tmp_path)

    async def use() -> None:
        await driven.look(2, exchanges=0)
        driven.serve(400, failures=200, arm="old")
        await driven.look(exchanges=0)
        observed = driven.control.driver.observed["ramp"]
        assert observed.control is not None
        assert observed.control.status == "fail"
        assert (driven.progress.share, driven.progress.step) == (0.05, "stage")
        refused = await driven.control.ask_release("ramp", "rollback", Asked("ann"))
        assert isinstance(refused, Refused)
        assert "control fails more" in refused.reason
        assert isinstance(await driven.control.kill("ramp", Asked("ann")), Revision)

    drive(driven, use)


@pytest.mark.parametrize("away_s", [0.0, 5.0, 1e6, -1e6])
def test_a_killed_control_process_is_replaced_by_one_that_goes_on(tmp_path: Path, away_s: float) -> None:
    """Stage and clock are those of before; time away counts for a moment at most, whatever the clock says."""
    driven = Driven(tmp_path)

    async def use() -> None:
        await driven.look(52)
        before = driven.progress
        counted = driven.control.driver.observed["ramp"].step_s
        driven.now += away_s
        driven.restart()
        await driven.control.begin(None)
        await driven.look(exchanges=0)
        after = driven.progress
        assert (after.step, after.stage, after.share, after.since) == (
            before.step, before.stage, before.share, before.since,
        )  # fmt: skip
        step_s = driven.control.driver.observed["ramp"].step_s
        assert counted - 6.0 <= step_s <= counted + 10.0
        await driven.look(20)
        assert driven.progress.stage == 1

    drive(driven, use)


def test_what_guardrails_know_survives_a_restart(tmp_path: Path) -> None:
    """Evidence of before a crash of the control process counts afterwards."""
    driven = Driven(tmp_path)

    async def use() -> None:
        await driven.look(15, exchanges=20)
        before = driven.control.driver.observed["ramp"].exchanges
        driven.restart()
        await driven.control.begin(None)
        await driven.look(exchanges=0)
        assert driven.control.driver.observed["ramp"].exchanges == before
        assert all(found.status != "error" for found in driven.control.driver.observed["ramp"].found)

    drive(driven, use)


def test_an_approval_is_waited_for_over_a_restart(tmp_path: Path) -> None:
    """A release that waits for a person waits for one still after a crash, and goes on with their approval."""
    driven = Driven(tmp_path, stages="[{share: 5%, hold: 10s, require: [], approve: true}, {share: 50%, hold: 60s}]")

    async def use() -> None:
        await driven.look(14)
        assert driven.progress.status == "waiting"
        driven.restart()
        await driven.control.begin(None)
        await driven.look(30)
        assert (driven.progress.status, driven.progress.share) == ("waiting", 0.05)
        approved = await driven.control.ask_release("ramp", "approve", Asked("ann", "fine", "of-another-time"))
        assert isinstance(approved, Stale)
        approved = await driven.control.ask_release("ramp", "approve", Asked("ann", "fine"))
        assert isinstance(approved, Revision)
        await driven.look()
        assert driven.progress.share == 0.5

    drive(driven, use)


def test_a_crash_between_publishing_and_writing_down_loses_no_rollback(tmp_path: Path) -> None:
    """The disk takes nothing: traffic moves all the same, and the successor goes on with what workers have."""
    driven = Driven(tmp_path)

    async def use() -> None:
        await driven.look(2, exchanges=0)
        driven.desk.notes.full = True
        driven.serve(400, failures=200)
        await driven.look(exchanges=0)
        assert driven.control.revision.weights["ramp"] == {"old": 1.0, "new": 0.0}
        driven.desk.notes.full = False
        driven.restart()
        await driven.control.begin(None)
        await driven.look(exchanges=0)
        assert driven.progress.step == "rolled_back"
        assert driven.control.revision.weights["ramp"] == {"old": 1.0, "new": 0.0}

    drive(driven, use)


def test_a_new_version_in_mid_rollout_begins_at_the_first_stage(tmp_path: Path) -> None:
    """The edit of a version takes everybody back to control, then the run begins anew."""
    driven = Driven(tmp_path)

    async def use() -> None:
        await driven.look(80)
        assert driven.progress.stage == 1
        driven.desk.config.write_text(Driven.text(version="2"))
        await driven.control.reload()
        assert driven.control.rejected is None
        assert driven.control.revision.weights["ramp"] == {"old": 1.0, "new": 0.0}
        await driven.look(2)
        assert (driven.progress.run, driven.progress.stage, driven.progress.share) == (2, 0, 0.05)

    drive(driven, use)


def test_without_traffic_no_hold_passes(tmp_path: Path) -> None:
    """Empty windows are no evidence: the clock stops after a while of silence, and goes on with traffic."""
    driven = Driven(tmp_path, stages="[{share: 5%, hold: 350s, require: []}, {share: 50%, hold: 1h}]")

    async def use() -> None:
        await driven.look(30)
        await driven.look(100, every_s=10.0, exchanges=0)
        assert (driven.progress.stage, driven.progress.holding) == (0, "silence")
        assert driven.control.driver.observed["ramp"].step_s < 400
        await driven.look(40)
        assert driven.progress.stage == 1

    drive(driven, use)


def test_a_pause_stops_the_clock_and_guards_go_on(tmp_path: Path) -> None:
    """However long it is paused, the hold is not over; a failure leads back all the same."""
    driven = Driven(tmp_path)

    async def use() -> None:
        await driven.look(10)
        assert isinstance(await driven.control.ask_release("ramp", "pause", Asked("ann")), Revision)
        await driven.look(100)
        assert isinstance(await driven.control.ask_release("ramp", "resume", Asked("ann")), Revision)
        await driven.look(10)
        assert driven.progress.stage == 0
        await driven.control.ask_release("ramp", "pause", Asked("ann"))
        driven.serve(400, failures=200)
        await driven.look(exchanges=0)
        assert driven.progress.step == "rolled_back"

    drive(driven, use)


def test_who_asks_what_cannot_be_is_told_why(tmp_path: Path) -> None:
    """Nothing waits for an approval, an experiment is unknown, or is no release."""
    driven = Driven(tmp_path)

    async def use() -> None:
        early = await driven.control.ask_release("ramp", "pause", Asked("ann"))
        assert isinstance(early, Refused)
        await driven.look(2)
        refused = await driven.control.ask_release("ramp", "approve", Asked("ann"))
        assert refused == Refused("stage 1 waits for no approval")
        with pytest.raises(LookupError):
            await driven.control.ask_release("nope", "pause", Asked("ann"))
        promoted = await driven.control.ask_release("ramp", "promote", Asked("ann"))
        assert isinstance(promoted, Revision)
        assert (promoted.cause, promoted.author, promoted.weights["ramp"]["new"]) == ("promote", "ann", 0.5)

    drive(driven, use)


def test_a_clock_file_that_is_damaged_costs_only_the_time_of_the_step(tmp_path: Path) -> None:
    """What cannot be read is said, and the step begins anew."""
    (tmp_path / "clocks.json").write_text("{")
    clocks = Clocks(tmp_path)
    assert clocks.due((NOW, 0.0)) is None
