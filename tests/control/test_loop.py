"""The control process's work on real files and counters, without other processes."""

import asyncio
import base64
import errno
import os
import shutil
import stat
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import pytest

from router.config.load import Loaded, Site, load
from router.config.mistake import ConfigError
from router.control import ledger, seat
from router.control import loop as control_loop
from router.control.kill import tag
from router.control.seat import Asked, Stale
from router.control.state import Refusal, replay
from router.counters import ACKNOWLEDGED, CONTROL_HEARTBEAT, JOURNAL_FAILED, PUBLISHED, RELOAD_OK
from router.events.model import Revision
from router.routing.table import Table
from tests.control.build import plain, yaml
from tests.control.desk import DEADLINE_S, Desk
from tests.control.desk import at_work as _at_work
from tests.control.desk import until as _until

if TYPE_CHECKING:
    from router.control.loop import Control


def test_the_first_revision_is_written_down_and_published(tmp_path: Path) -> None:
    """The journal has it, workers find the file, and the word says its number."""
    desk = Desk(tmp_path)
    asyncio.run(desk.begin())
    assert [entry.number for entry in desk.notes.entries] == [1]
    assert desk.segment.words[PUBLISHED] == 1
    assert desk.control.seat.publisher.read() == desk.control.revision
    assert desk.told == [1]


def test_a_saved_file_is_published(tmp_path: Path) -> None:
    """From the save to the word that workers look at, nobody has to ask."""
    desk = Desk(tmp_path)

    async def use() -> None:
        desk.config.write_text(yaml("50, 50"))
        await _until(lambda: desk.segment.words[PUBLISHED] == 2)

    _at_work(desk, use)
    assert desk.control.revision.weights["ramp"] == {"old": 50.0, "new": 50.0}
    assert desk.told == [1, 2]


def test_the_heart_beats(tmp_path: Path) -> None:
    """The supervisor sees that this process lives."""
    desk = Desk(tmp_path)

    async def use() -> None:
        before = desk.segment.words[CONTROL_HEARTBEAT]
        await _until(lambda: desk.segment.words[CONTROL_HEARTBEAT] > before)

    _at_work(desk, use)


def test_readiness_is_said_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """One line says where the router can be reached, when every worker serves; later revisions do not repeat it."""
    desk = Desk(tmp_path)
    caplog.set_level("INFO")

    async def use() -> None:
        desk.acknowledge(1)
        await _until(lambda: "ready listen=here" in caplog.text)
        desk.config.write_text(yaml("50, 50"))
        await _until(lambda: desk.segment.words[PUBLISHED] == 2)
        desk.acknowledge(2)
        await _until(lambda: "revision 2 acknowledged by 2 of 2 workers" in caplog.text)

    _at_work(desk, use)
    assert caplog.text.count("ready listen=") == 1


def test_a_full_disk_does_not_keep_a_decision_from_the_workers(tmp_path: Path) -> None:
    """The revision is published, with an alarm that ends with the next entry that can be written."""
    desk = Desk(tmp_path)

    async def use() -> None:
        desk.notes.full = True
        desk.config.write_text(yaml("50, 50"))
        await desk.control.reload()
        assert (desk.segment.words[PUBLISHED], desk.segment.words[JOURNAL_FAILED]) == (2, 1)
        desk.notes.full = False
        desk.config.write_text(yaml("60, 40"))
        await desk.control.reload()
        assert (desk.segment.words[PUBLISHED], desk.segment.words[JOURNAL_FAILED]) == (3, 0)

    _at_work(desk, use)


def test_what_cannot_be_compiled_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A revision that workers could not use never reaches them."""
    desk = Desk(tmp_path)

    def fail(_revision: Revision) -> Table:
        raise KeyError("row")

    async def use() -> None:
        monkeypatch.setattr(control_loop, "compile_table", fail)
        desk.config.write_text(yaml("50, 50"))
        await desk.control.reload()
        assert desk.control.rejected is not None
        assert "cannot be compiled" in desk.control.rejected.mistakes[0].message
        assert isinstance(await desk.control.restore(1, "ann", None), Refusal)
        assert desk.segment.words[PUBLISHED] == 1

    _at_work(desk, use)


def test_a_start_that_cannot_be_compiled_is_a_mistake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The router does not start, and says why."""

    def fail(_revision: Revision) -> Table:
        raise ValueError("no such source")

    monkeypatch.setattr(control_loop, "compile_table", fail)
    with pytest.raises(ConfigError, match="no such source"):
        asyncio.run(Desk(tmp_path).begin())


def test_a_loader_that_fails_is_a_mistake_in_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever a file does to the loader, the revision serves on and the file is shown as refused."""
    desk = Desk(tmp_path)

    def fail(_path: Path, _site: Site) -> Loaded:
        raise RecursionError("too deep")

    async def use() -> None:
        monkeypatch.setattr(seat, "load", fail)
        await desk.control.reload()
        assert desk.control.rejected is not None
        assert "too deep" in desk.control.rejected.mistakes[0].message
        monkeypatch.setattr(seat, "load", load)
        await desk.control.reload()
        assert desk.control.rejected is None
        assert desk.segment.words[RELOAD_OK] == 1

    _at_work(desk, use)


def test_an_error_that_is_undone_leaves_nothing_behind(tmp_path: Path) -> None:
    """A bad save followed by the old bytes makes no revision and clears the refusal."""
    desk = Desk(tmp_path)

    async def use() -> None:
        good = desk.config.read_text()
        desk.config.write_text("")
        await _until(lambda: desk.control.rejected is not None)
        assert desk.segment.words[RELOAD_OK] == 0
        desk.config.write_text(good)
        await _until(lambda: desk.control.rejected is None)
        assert (desk.segment.words[RELOAD_OK], desk.segment.words[PUBLISHED]) == (1, 1)

    _at_work(desk, use)


def test_a_restore_on_the_ground_of_an_old_view_is_stale(tmp_path: Path) -> None:
    """Two people who restore at once do not undo each other unseen."""
    desk = Desk(tmp_path)

    async def use() -> None:
        desk.config.write_text(yaml("50, 50"))
        await desk.control.reload()
        outcomes = await asyncio.gather(*(desk.control.restore(1, name, 2) for name in ("ann", "bob")))
        assert [isinstance(outcome, Stale) for outcome in outcomes] == [False, True]
        assert desk.control.revision.author == "ann"

    _at_work(desk, use)


def test_a_replacement_serves_the_same_revision_without_touching_workers(tmp_path: Path) -> None:
    """It publishes nothing, and the next change goes on counting from there."""
    desk = Desk(tmp_path)

    async def run() -> None:
        await desk.begin()
        desk.config.write_text(yaml("50, 50"))
        await desk.control.reload()
        before, told = desk.control.revision, list(desk.told)
        desk.control = desk.another()
        desk.control.state = replay(desk.notes.entries)
        await desk.control.begin(None)
        assert (desk.control.revision, desk.told) == (before, told)
        desk.config.write_text(yaml("60, 40"))
        await desk.control.reload()
        assert desk.control.revision.number == 3
        assert before.slots.items() <= desk.control.revision.slots.items()

    asyncio.run(run())


def test_a_replacement_carries_out_what_was_only_written_down(tmp_path: Path) -> None:
    """The predecessor died between the journal and the workers."""
    desk = Desk(tmp_path)

    async def run() -> None:
        await desk.begin()
        first = desk.control.revision
        desk.config.write_text(plain())
        await desk.control.reload()
        desk.control.seat.publisher.prepare(first)
        desk.control.seat.publisher.publish(first)
        desk.control = desk.another()
        desk.control.state = replay(desk.notes.entries)
        await desk.control.begin(None)
        assert desk.segment.words[PUBLISHED] == 2

    asyncio.run(run())


def test_acknowledgements_count_the_present_revision_only(tmp_path: Path) -> None:
    """A worker that stays behind is not counted."""
    desk = Desk(tmp_path)
    asyncio.run(desk.begin())
    desk.acknowledge(1)
    assert desk.control.seat.publisher.acknowledged() == 2
    desk.segment.block(1)[ACKNOWLEDGED] = 0
    assert desk.control.seat.publisher.acknowledged() == 1


def test_old_segments_of_the_event_log_are_deleted(tmp_path: Path) -> None:
    """Retention runs from the start, by the configuration's own limits."""
    events = tmp_path / "events"
    events.mkdir()
    old, fresh = (events / f"exchange-2026010{day}T000000Z-w0-99999999-000001.ndjson" for day in (1, 2))
    for segment in (old, fresh):
        segment.write_text("{}\n")
    os.utime(old, (time.time() - 7200, time.time() - 7200))
    desk = Desk(tmp_path, yaml(top=f"events: {{dir: {events}, keep: {{age: 1h}}}}"))

    async def use() -> None:
        await _until(lambda: not old.exists())

    _at_work(desk, use)
    assert fresh.exists()


def test_a_run_directory_that_is_full_leaves_the_revision_as_it_is(tmp_path: Path) -> None:
    """What cannot be handed to the workers is refused; nothing is half published."""
    desk = Desk(tmp_path)

    async def use() -> None:
        (desk.run_dir / "revision.next").mkdir()
        desk.config.write_text(yaml("50, 50"))
        await desk.control.reload()
        assert desk.control.revision.number == desk.segment.words[PUBLISHED] == len(desk.notes.entries) == 1
        assert desk.control.rejected is not None
        assert os.strerror(errno.EISDIR) in desk.control.rejected.mistakes[0].message

    _at_work(desk, use)


def test_a_revision_that_was_cleaned_away_is_written_again(tmp_path: Path) -> None:
    """What cleans temporary folders must not leave the next worker without a revision."""
    desk = Desk(tmp_path)

    async def run() -> None:
        await desk.begin()
        publisher, revision = desk.control.seat.publisher, desk.control.revision
        assert not publisher.refresh(revision)
        (desk.run_dir / "revision.msgpack").unlink()
        desk.run_dir.rmdir()
        assert publisher.refresh(revision)
        assert publisher.read() == revision

    asyncio.run(run())


def test_control_is_not_usable_before_it_began(tmp_path: Path) -> None:
    """There is no revision and no table to show."""
    control: Control = Desk(tmp_path).control
    with pytest.raises(RuntimeError, match="no revision yet"):
        _ = control.revision
    with pytest.raises(RuntimeError, match="no revision yet"):
        control.table()


ON_CONTROL = {"ramp": {"old": 1.0, "new": 0.0}}


def test_a_kill_is_published_although_the_journal_cannot_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Workers have it, the alarm is on, and it is written as soon as the disk takes it."""
    monkeypatch.setattr(ledger, "_AGAIN_S", 0.01)
    desk = Desk(tmp_path)

    async def use() -> None:
        desk.notes.full = True
        await desk.control.kill("ramp", Asked("ann", "p99 doubled"))
        assert (desk.segment.words[PUBLISHED], desk.segment.words[JOURNAL_FAILED]) == (2, 1)
        published = desk.control.seat.publisher.read()
        assert published is not None
        assert published.weights == ON_CONTROL
        desk.notes.full = False
        await _until(lambda: not desk.segment.words[JOURNAL_FAILED])
        assert [entry.cause for entry in desk.notes.entries] == ["start", "kill"]

    _at_work(desk, use)


def test_a_kill_waits_neither_for_a_disk_nor_for_a_reload(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """While a file is read for long and the disk does not answer, it is published all the same."""
    desk = Desk(tmp_path)
    reading, done = threading.Event(), threading.Event()

    def slow(path: Path, site: Site) -> Loaded:
        reading.set()
        done.wait(DEADLINE_S)
        return load(path, site)

    async def use() -> None:
        monkeypatch.setattr(seat, "load", slow)
        desk.notes.slow.clear()
        reload = asyncio.create_task(desk.control.reload())
        await asyncio.to_thread(reading.wait, DEADLINE_S)
        killing = asyncio.create_task(desk.control.kill("ramp", Asked("ann")))
        await _until(lambda: desk.segment.words[PUBLISHED] == 2)
        await _until(lambda: desk.segment.words[JOURNAL_FAILED])
        await killing
        done.set()
        desk.notes.slow.set()
        await reload
        await _until(lambda: not desk.segment.words[JOURNAL_FAILED])
        assert desk.control.revision.weights == ON_CONTROL

    _at_work(desk, use)


def test_a_kill_that_only_the_workers_know_is_written_down_by_the_replacement(tmp_path: Path) -> None:
    """The predecessor died after it was published; a restart of the whole router must know of it too."""
    desk = Desk(tmp_path)

    async def run() -> None:
        await desk.begin()
        await desk.control.kill("ramp", Asked("ann"))
        del desk.notes.entries[1:]
        desk.control = desk.another()
        desk.control.state = replay(desk.notes.entries)
        await desk.control.begin(None)
        assert [entry.cause for entry in desk.notes.entries] == ["start", "kill"]
        assert desk.control.revision.weights == ON_CONTROL

    asyncio.run(run())


def test_what_waits_for_a_disk_is_bounded(tmp_path: Path) -> None:
    """The newest stay: each entry holds a whole state."""
    desk = Desk(tmp_path)

    async def run() -> None:
        await desk.begin()
        desk.notes.slow.clear()
        entry = desk.notes.entries[0]
        writes = [desk.control.ledger.write(msgspec.structs.replace(entry, number=n), 0.0) for n in range(2, 205)]
        assert not any(await asyncio.gather(*writes))
        desk.notes.slow.set()
        await _until(lambda: not desk.segment.words[JOURNAL_FAILED])
        numbers = [entry.number for entry in desk.notes.entries]
        assert numbers[-1] == 204
        assert len(numbers) <= 102

    asyncio.run(run())


def test_a_run_directory_that_went_is_made_again_for_a_kill(tmp_path: Path) -> None:
    """What cleans temporary folders does not keep anybody from killing."""
    desk = Desk(tmp_path)

    async def run() -> None:
        await desk.begin()
        shutil.rmtree(desk.run_dir)
        await desk.control.kill("ramp", Asked("ann"))
        assert desk.segment.words[PUBLISHED] == 2
        assert stat.S_IMODE(desk.run_dir.stat().st_mode) == 0o700

    asyncio.run(run())


def test_a_kill_on_the_ground_of_an_old_view_is_stale(tmp_path: Path) -> None:
    """Whoever looked before somebody else changed it looks again, but what is killed already is confirmed."""
    desk = Desk(tmp_path)

    async def run() -> None:
        await desk.begin()
        seen = tag(desk.control.revision, "ramp")
        desk.config.write_text(yaml("50, 50"))
        await desk.control.reload()
        assert isinstance(await desk.control.kill("ramp", Asked("ann", tag=seen)), Stale)
        seen = tag(desk.control.revision, "ramp")
        for _ in range(2):
            assert await desk.control.kill("ramp", Asked("ann", tag=seen)) == desk.control.revision
        assert desk.control.revision.number == 3

    asyncio.run(run())


def _swap(path: Path, content: bytes) -> None:
    """Replace a file in one step: one that is written in place is seen empty, too, which is a change of its own."""
    fresh = path.with_suffix(".fresh")
    fresh.write_bytes(content)
    fresh.chmod(0o600)
    fresh.replace(path)


def test_other_signing_keys_are_handed_to_the_workers(tmp_path: Path) -> None:
    """Workers read the file again with the revision that says so; what is no key file is refused, by its line."""
    keys = tmp_path / "keys"
    keys.write_bytes(base64.b64encode(b"a" * 32))
    keys.chmod(0o600)
    desk = Desk(tmp_path, yaml(top=f"server: {{signing: {{keys_file: {keys}}}}}"))

    async def use() -> None:
        await desk.control.reload()  # the files are followed by then
        _swap(keys, base64.b64encode(b"b" * 32))
        await _until(lambda: desk.segment.words[PUBLISHED] == 2)
        assert desk.control.revision.cause == "certificate"
        _swap(keys, b"short")
        await _until(lambda: desk.control.rejected is not None)
        assert desk.segment.words[PUBLISHED] == 2

    _at_work(desk, use)


@pytest.mark.parametrize(("mode", "warned"), [(0o600, False), (0o640, True), (0o604, True)])
def test_keys_that_others_can_read_are_warned_of(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, mode: int, *, warned: bool
) -> None:
    """A line of the log names the file, and nothing of what it holds."""
    keys = tmp_path / "keys"
    keys.write_bytes(base64.b64encode(b"a" * 32))
    keys.chmod(mode)
    desk = Desk(tmp_path, yaml(top=f"server: {{signing: {{keys_file: {keys}}}}}"))
    asyncio.run(desk.begin())
    assert ("can be read by other users" in caplog.text) == warned
    assert base64.b64encode(b"a" * 32).decode() not in caplog.text
    published = (desk.run_dir / "revision.msgpack").read_bytes()
    assert base64.b64encode(b"a" * 32) not in published
    assert b"a" * 32 not in published
