"""Who is told what: once, over restarts, and whatever a notifier does."""

import asyncio
import threading
from collections.abc import Awaitable, Callable, Iterable
from pathlib import Path
from typing import Any

import pytest
from msgspec import Struct

from router.control import notices as module
from router.control import outbox
from router.control.deliver import Came
from router.control.notices import Notices
from router.control.state import apply
from router.events.model import Revision
from router.events.told import Over, Told, ToldFile, read_told
from router.notify.notice import Delivery, Post
from router.rollout.effect import Say
from tests.control.build import NOW, loaded, present, started, yaml
from tests.control.desk import until

FIRST = "http://127.0.0.1:1/first"
BOTH = f"notify: [{{use: webhook, url: '{FIRST}'}}, {{use: webhook, url: 'http://h/2', events: [approval]}}]"
GOOD, LATER, NEVER = Came(good=True), Came(good=False, again=True), Came(good=False)


class Receiver:
    """Takes deliveries, or says what is scripted."""

    def __init__(self, *script: Came) -> None:
        self.script = list(script)
        self.got: list[tuple[str, str]] = []
        self.hangs = False

    async def deliver(self, what: Delivery) -> Came:
        """Take one."""
        assert isinstance(what, Post)
        if self.hangs:
            await asyncio.Event().wait()
        self.got.append((str(what.url), what.headers["x-router-delivery"]))
        return self.script.pop(0) if self.script else GOOD


def revision(top: str = BOTH) -> Revision:
    """Make a revision with notifiers."""
    return present(started(yaml(top=top)))


def say(key: str = "k", event: str = "rollback", **more: Any) -> Say:
    """Make something to tell."""
    return Say(**({"event": event, "severity": "critical", "text": "errors doubled", "key": key} | more))


def told(
    folder: Path, use: Callable[[Notices], Awaitable[None]], receiver: Receiver,
    clock: Callable[[], float] = lambda: NOW, current: Callable[[], Revision] = revision,
) -> Notices:  # fmt: skip
    """Run the notifiers of a revision while a test tells things."""
    notices = Notices(folder, clock)

    async def run() -> None:
        work = asyncio.create_task(notices.run(current, receiver))
        try:
            await use(notices)
        finally:
            work.cancel()
            await asyncio.gather(work, return_exceptions=True)

    asyncio.run(run())
    return notices


def test_each_notifier_gets_what_it_is_for(tmp_path: Path) -> None:
    """Also what was said before the notifiers were there."""
    receiver, current = Receiver(), revision()

    async def use(notices: Notices) -> None:
        notices.tell(say("a"), "ramp", current)
        notices.tell(say("b", event="approval"), "ramp", current)
        await until(lambda: len(receiver.got) == 3)

    notices = told(tmp_path, use, receiver)
    assert sorted(url for url, _ in receiver.got) == [FIRST, FIRST, "http://h/2"]
    assert {name: dict(counts) for name, counts in notices.results.items()} == {
        "webhook": {"sent": 2}, "webhook#2": {"sent": 1},
    }  # fmt: skip


def test_the_same_is_told_once_a_day_also_over_a_restart(tmp_path: Path) -> None:
    """The next day it is news again; of another experiment it is at once."""
    receiver, current = Receiver(), revision()
    time = NOW

    async def first(notices: Notices) -> None:
        notices.tell(say(), "ramp", current)
        await until(lambda: len(receiver.got) == 1)
        notices.tell(say(), "ramp", current)
        notices.tell(say(), "other", current)
        await until(lambda: len(receiver.got) == 2)

    assert told(tmp_path, first, receiver, lambda: time).results["webhook"] == {"sent": 2, "duplicate": 1}

    async def second(notices: Notices) -> None:
        nonlocal time
        await until(notices.waiting)
        notices.tell(say(), "ramp", current)
        time += 86400
        notices.tell(say(), "ramp", current)
        await until(lambda: len(receiver.got) == 3)

    assert told(tmp_path, second, receiver, lambda: time).results["webhook"] == {"sent": 1, "duplicate": 1}


def test_what_was_not_delivered_is_after_a_restart(tmp_path: Path) -> None:
    """With the same id, so that a receiver can tell; what was delivered is not repeated."""
    hanging, current = Receiver(), revision()

    async def first(notices: Notices) -> None:
        notices.tell(say("a"), "ramp", current)
        await until(lambda: len(hanging.got) == 1)
        hanging.hangs = True
        notices.tell(say("b"), "ramp", current)
        await until(lambda: (tmp_path / "notices.ndjson").read_bytes().count(b"\n") == 3)

    told(tmp_path, first, hanging)
    receiver = Receiver()

    async def second(_notices: Notices) -> None:
        await until(lambda: receiver.got)

    told(tmp_path, second, receiver)
    assert len(receiver.got) == 1
    assert receiver.got[0][1] != hanging.got[0][1]


def test_what_failed_is_tried_again_and_lets_others_pass(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And what will never be taken is given up at once."""
    monkeypatch.setattr(outbox, "pause_s", lambda *_: 0.001)
    receiver, current = Receiver(LATER, LATER, GOOD, NEVER), revision()

    async def use(notices: Notices) -> None:
        notices.tell(say("a"), "ramp", current)
        await until(lambda: len(receiver.got) == 3)
        notices.tell(say("b"), "ramp", current)
        await until(lambda: len(receiver.got) == 4)

    assert told(tmp_path, use, receiver).results["webhook"] == {"sent": 1, "retried": 2, "failed": 1}
    assert len({number for _, number in receiver.got[:3]}) == 1


def test_a_notification_is_not_tried_for_ever(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """After an hour it is given up, and that is counted."""
    monkeypatch.setattr(outbox, "pause_s", lambda *_: 3601.0)
    receiver, current = Receiver(LATER), revision()

    async def use(notices: Notices) -> None:
        notices.tell(say(), "ramp", current)
        await until(lambda: notices.results["webhook"]["failed"] if notices.waiting() else False)

    told(tmp_path, use, receiver)


def test_a_queue_is_bounded_and_keeps_what_is_critical(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A notifier that hangs costs a bounded amount of memory, and a counter says what was lost."""
    monkeypatch.setattr(outbox, "WAITING", 5)
    receiver, current = Receiver(), revision()
    receiver.hangs = True

    async def use(notices: Notices) -> None:
        await until(notices.waiting)
        notices.tell(say("bad"), "ramp", current)
        for number in range(20):
            notices.tell(say(str(number), severity="info"), "ramp", current)
        assert (notices.waiting()["webhook"], notices.results["webhook"]["dropped"]) == (5, 16)
        receiver.hangs = False

    told(tmp_path, use, receiver)


class Wrong(Struct, frozen=True):
    """A notifier that fails."""

    def message(self, _notice: object) -> Post:
        """Fail."""
        raise RuntimeError("a bug")


def test_a_notifier_of_somebody_that_fails_stops_nothing(tmp_path: Path) -> None:
    """It is said in the log and counted; the others go on."""
    receiver = Receiver()
    current = revision(f"notify: [{{use: 'tests.control.test_notices:Wrong'}}, {{use: webhook, url: '{FIRST}'}}]")

    async def use(notices: Notices) -> None:
        notices.tell(say(), "ramp", current)
        await until(lambda: receiver.got)

    notices = told(tmp_path, use, receiver, current=lambda: current)
    assert notices.results["tests.control.test_notices:Wrong"] == {"failed": 1}


def test_an_edit_of_the_file_changes_who_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """At once, without a restart; those that stay keep what waits for them."""
    monkeypatch.setattr(module, "_LOOK_S", 0.01)
    receiver, state = Receiver(), started(yaml(top=BOTH))
    now = present(state)

    async def use(notices: Notices) -> None:
        nonlocal now
        await until(lambda: len(notices.waiting()) == 2)
        changed = apply(state, loaded(yaml(top=f"notify: [{{use: webhook, url: '{FIRST}'}}]")), NOW + 1, "file")
        assert isinstance(changed, tuple)
        now = changed[1]
        await until(lambda: len(notices.waiting()) == 1)
        notices.tell(say("x", event="approval"), "ramp", now)
        await until(lambda: receiver.got)

    told(tmp_path, use, receiver, current=lambda: now)
    assert [url for url, _ in receiver.got] == [FIRST]


def test_a_disk_that_fails_stops_nothing(tmp_path: Path) -> None:
    """What was told cannot be remembered over a restart then, and is told all the same."""
    (tmp_path / "notices.ndjson").mkdir()
    receiver, current = Receiver(), revision()

    async def use(notices: Notices) -> None:
        notices.tell(say(), "ramp", current)
        await until(lambda: receiver.got)

    told(tmp_path, use, receiver)


def test_what_is_being_written_at_the_end_is_not_lost(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that ends while the disk is slow waits for it: else people would be told again after the restart."""
    receiver, current, begun, answers = Receiver(), revision(), threading.Event(), threading.Event()
    append = ToldFile.append

    def slow(file: ToldFile, entries: Iterable[Told | Over]) -> None:
        begun.set()
        answers.wait(10)
        append(file, entries)

    monkeypatch.setattr(ToldFile, "append", slow)

    async def use(notices: Notices) -> None:
        notices.tell(say(), "ramp", current)
        await until(lambda: receiver.got and begun.is_set())
        asyncio.get_running_loop().call_later(0.01, answers.set)

    told(tmp_path, use, receiver)
    ((_, left),) = read_told(tmp_path)
    assert left == frozenset()
