"""Group commit: who is told what, and when."""

import asyncio
import threading
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

import pytest

from router.events import group_commit
from router.events.group_commit import Full, OutcomeWriter
from router.events.outcomes import STEP, Fate, Outcome

DEADLINE_S = 10.0


def batch(*idents: str) -> list[Outcome]:
    """Make outcomes."""
    return [Outcome(ident, "click", 1.0, 0.0, True, unit="u") for ident in idents]


class Slow:
    """A store in memory, whose disk can hang or fail."""

    def __init__(self) -> None:
        self.commits: list[list[str]] = []
        self.error: Exception | None = None
        self.turning = threading.Event()  # while it is cleared, the disk does not answer
        self.turning.set()
        self.began = threading.Semaphore(0)
        self.old = 0
        self.forgetful = False
        self.closed = False

    def append(self, outcomes: Sequence[Outcome], _received: float) -> list[Fate]:
        """Keep outcomes."""
        self.began.release()
        assert self.turning.wait(DEADLINE_S)
        if self.error is not None:
            raise self.error
        known = {ident for commit in self.commits for ident in commit}
        self.commits.append([outcome.id for outcome in outcomes])
        return ["duplicate" if outcome.id in known else "accepted" for outcome in outcomes]

    def expire(self, _before: float) -> int:
        """Forget a step."""
        if self.forgetful:
            raise OSError("the disk does not answer")
        some = min(self.old, STEP)
        self.old -= some
        return some

    def size(self) -> int:
        """Return a size."""
        return len(self.commits)

    def close(self) -> None:
        """Note it."""
        self.closed = True


class Shown:
    """Gauges that remember."""

    def __init__(self) -> None:
        self.failed: list[bool] = []

    def standing(self, *, failed: bool, size: int) -> None:
        """Keep what is shown."""
        assert size >= 0
        self.failed.append(failed)


def run(test: Callable[[OutcomeWriter, Slow, Shown], Coroutine[Any, Any, None]]) -> Slow:
    """Run a test with a writer; return its store."""
    store, shown = Slow(), Shown()

    async def all_of_it() -> None:
        writer = OutcomeWriter(asyncio.get_running_loop(), store, shown, lambda now: now)
        try:
            async with asyncio.timeout(DEADLINE_S):
                await test(writer, store, shown)
        finally:
            store.turning.set()
            assert await asyncio.to_thread(writer.close)

    asyncio.run(all_of_it())
    assert store.closed
    return store


async def hold(writer: OutcomeWriter, store: Slow) -> "asyncio.Task[list[Fate]]":
    """Have a commit begin that does not end."""
    store.turning.clear()
    task = asyncio.create_task(writer.submit(batch("held")))
    assert await asyncio.to_thread(store.began.acquire, True, DEADLINE_S)
    return task


def test_callers_that_come_during_a_commit_share_the_next() -> None:
    """One fsync serves all that waited, each caller hears of its own, in order."""

    async def test(writer: OutcomeWriter, store: Slow, _shown: Shown) -> None:
        held = await hold(writer, store)
        tasks = [asyncio.create_task(writer.submit(batch(*idents))) for idents in ("ab", "c", "ac")]
        await asyncio.sleep(0)
        assert writer.waiting == 6
        store.turning.set()
        assert await held == ["accepted"]
        assert [await task for task in tasks] == [["accepted"] * 2, ["accepted"], ["accepted"] * 2]
        assert writer.waiting == 0

    assert run(test).commits == [["held"], ["a", "b", "c", "a", "c"]]


def test_nobody_is_told_before_the_commit() -> None:
    """While the disk hangs, callers wait."""

    async def test(writer: OutcomeWriter, store: Slow, _shown: Shown) -> None:
        held = await hold(writer, store)
        assert not held.done()
        store.turning.set()
        assert await held == ["accepted"]

    run(test)


def test_when_too_many_wait_the_next_is_turned_away() -> None:
    """The queue is bounded by outcomes, and what was turned away was not taken."""

    async def test(writer: OutcomeWriter, store: Slow, _shown: Shown) -> None:
        held = await hold(writer, store)
        rest = asyncio.create_task(writer.submit(batch(*(str(number) for number in range(group_commit.QUEUE - 1)))))
        await asyncio.sleep(0)
        with pytest.raises(Full):
            await writer.submit(batch("more"))
        store.turning.set()
        await asyncio.gather(held, rest)
        assert await writer.submit(batch("more")) == ["accepted"]

    assert run(test).commits[-1] == ["more"]


@pytest.mark.parametrize("error", [OSError("disk full"), RuntimeError("a mistake of ours")])
def test_a_failed_commit_fails_all_its_callers_and_the_next_is_tried(error: Exception) -> None:
    """Nothing is acknowledged, the gauge says so, and it heals by itself."""

    async def test(writer: OutcomeWriter, store: Slow, shown: Shown) -> None:
        held = await hold(writer, store)
        tasks = [asyncio.create_task(writer.submit(batch(ident))) for ident in "ab"]
        await asyncio.sleep(0)
        store.error = error
        store.turning.set()
        results = await asyncio.gather(held, *tasks, return_exceptions=True)
        assert [isinstance(result, OSError) for result in results] == [True] * 3
        assert shown.failed[-1]
        store.error = None
        assert await writer.submit(batch("a")) == ["accepted"]
        assert not shown.failed[-1]

    assert run(test).commits == [["a"]]


def test_a_caller_that_went_away_disturbs_no_other() -> None:
    """Its outcomes are written all the same: it may have been the answer that was lost."""

    async def test(writer: OutcomeWriter, store: Slow, _shown: Shown) -> None:
        held = await hold(writer, store)
        gone, stays = (asyncio.create_task(writer.submit(batch(ident))) for ident in "ab")
        await asyncio.sleep(0)
        gone.cancel()
        store.turning.set()
        assert await stays == ["accepted"]
        assert await held == ["accepted"]

    assert run(test).commits == [["held"], ["a", "b"]]


def test_a_commit_has_whole_batches_up_to_a_size(monkeypatch: pytest.MonkeyPatch) -> None:
    """A large batch is not split, and small ones do not grow a transaction without end."""
    monkeypatch.setattr(group_commit, "GROUP", 3)

    async def test(writer: OutcomeWriter, store: Slow, _shown: Shown) -> None:
        held = await hold(writer, store)
        tasks = [asyncio.create_task(writer.submit(batch(*idents))) for idents in ("ab", "cd", "efghi", "j")]
        await asyncio.sleep(0)
        store.turning.set()
        await asyncio.gather(held, *tasks)

    assert run(test).commits[1:] == [["a", "b"], ["c", "d"], ["e", "f", "g", "h", "i"], ["j"]]


def test_what_waits_is_written_before_the_end() -> None:
    """Closing takes what was submitted along, and nothing afterwards."""

    async def test(writer: OutcomeWriter, store: Slow, _shown: Shown) -> None:
        held = await hold(writer, store)
        last = asyncio.create_task(writer.submit(batch("last")))
        await asyncio.sleep(0)
        closing = asyncio.create_task(asyncio.to_thread(writer.close))
        store.turning.set()
        assert await closing
        assert [*await held, *await last] == ["accepted", "accepted"]
        with pytest.raises(Full):
            await writer.submit(batch("too late"))

    assert run(test).commits == [["held"], ["last"]]


def test_old_ids_are_forgotten_in_steps_between_commits() -> None:
    """However many there are, callers wait for one step at most."""
    store = Slow()
    store.old = 3 * STEP + 1

    async def forget() -> None:
        writer = OutcomeWriter(asyncio.get_running_loop(), store, Shown(), lambda now: now)
        for number in range(5):
            await writer.submit(batch(str(number)))
        assert await asyncio.to_thread(writer.close)

    asyncio.run(forget())
    assert store.old == 0


def test_ids_that_cannot_be_forgotten_disturb_nobody(caplog: pytest.LogCaptureFixture) -> None:
    """It is said, and tried again a minute later."""
    store = Slow()
    store.forgetful = True

    async def use() -> None:
        writer = OutcomeWriter(asyncio.get_running_loop(), store, Shown(), lambda now: now)
        assert await writer.submit(batch("a")) == ["accepted"]
        assert await asyncio.to_thread(writer.close)

    asyncio.run(use())
    assert "cannot be forgotten" in caplog.text
