"""A planned restart, with processes that only exist on paper."""

from collections.abc import Iterator
from signal import SIGUSR2, Signals
from typing import TYPE_CHECKING, cast

import pytest

from router.counters import ACKNOWLEDGED, CONNECTIONS, PID, PUBLISHED, SEATS
from router.segment import Segment, reset_left_gauges
from router.supervisor.children import Child, Patience, Pulse
from router.supervisor.posts import Posts
from router.supervisor.rolling import Rolling
from router.supervisor.spec import Spec

if TYPE_CHECKING:
    import subprocess

WORKERS = 2


class _Process:
    """A process on paper."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.returncode: int | None = None


class Stage:
    """Two workers that serve revision 5, and a planned restart of them."""

    def __init__(self) -> None:
        self.segment = Segment.create(WORKERS)
        self.segment.words[PUBLISHED] = 5
        self.posts = Posts(Spec((), ()))
        self.posts.add_workers(WORKERS)
        self.signals: list[tuple[int, Signals]] = []
        self.started: list[tuple[int, int]] = []
        self.room = True
        self.next_pid = 100
        for index, post in enumerate(self.posts.workers):
            post.child = self._child(index)
            self.serve(post.child)
        self.rolling = Rolling(self.segment, self.posts, self._start)

    def _child(self, block: int) -> Child:
        self.next_pid += 1
        process = cast("subprocess.Popen[bytes]", _Process(self.next_pid))
        return Child("worker", process, 0.0, Pulse(0, 0.0, Patience()), block)

    def _start(self, worker: int, block: int) -> Child | None:
        self.started.append((worker, block))
        return self._child(block) if self.room else None

    def serve(self, child: Child | None) -> Child:
        """Play a worker that serves the last revision."""
        assert child is not None
        block = self.segment.blocks[child.block]
        block[PID], block[ACKNOWLEDGED] = child.pid, self.segment.words[PUBLISHED]
        return child

    def end(self, child: Child | None, code: int = 0) -> None:
        """Play the end of a process."""
        assert child is not None
        child.process.returncode = code
        post = next(post for post in self.posts.workers if child in post.children())
        if child is post.child:
            post.child = None
        else:
            self.rolling.ended(post, child, 7.0)

    def step(self) -> None:
        """Let time pass."""
        self.rolling.step(3.0, 10.0)

    def seats(self) -> list[int]:
        """Return which block each worker writes."""
        return self.segment.words[SEATS : SEATS + WORKERS].tolist()


@pytest.fixture
def stage(monkeypatch: pytest.MonkeyPatch) -> Iterator[Stage]:
    """A stage on which signals are only noted."""
    made = Stage()
    monkeypatch.setattr(Child, "send", lambda child, number: made.signals.append((child.pid, number)))
    yield made
    made.segment.close()


def test_a_worker_leaves_only_when_its_successor_serves(stage: Stage) -> None:
    """One at a time: beats and acknowledges first, then the place changes hands, then the next one."""
    first = stage.posts.workers[0]
    old = first.child
    stage.rolling.begin()
    stage.step()
    assert (stage.started, stage.signals, first.child) == ([(0, 2)], [], old)
    stage.step()
    successor = stage.serve(first.successor)
    stage.segment.words[PUBLISHED] = 6  # published meanwhile: it has to serve that
    stage.step()
    assert stage.signals == []
    stage.serve(successor)
    stage.step()
    assert old is not None
    assert (stage.signals, first.child, first.leaving) == ([(old.pid, SIGUSR2)], successor, old)
    assert (old.doomed, stage.seats()) == (13.0, [2, 1])
    stage.step()
    assert len(stage.started) == 1
    stage.end(old)
    stage.step()
    stage.step()
    assert stage.started[1:] == [(1, 0)]
    stage.serve(stage.posts.workers[1].successor)
    stage.step()
    assert stage.seats() == [2, 0]
    stage.end(stage.posts.workers[1].leaving)
    for _ in range(3):
        stage.step()
    assert (len(stage.started), stage.posts.workers[1].leaving) == (2, None)


@pytest.mark.parametrize("how", ["dies", "no room"])
def test_a_successor_that_does_not_come_up_ends_the_restart(stage: Stage, how: str) -> None:
    """Nobody leaves for it, whatever is wrong with what would be started now."""
    stage.room = how == "dies"
    stage.rolling.begin()
    stage.step()
    if how == "dies":
        stage.end(stage.posts.workers[0].successor, 1)
    for _ in range(3):
        stage.step()
    assert (len(stage.started), stage.signals, stage.seats()) == (1, [], [0, 1])
    stage.room = True
    stage.rolling.begin()
    stage.step()
    assert stage.started[1:] == [(0, 2)]


def test_the_successor_takes_the_place_of_a_worker_that_died_meanwhile(stage: Stage) -> None:
    """There is nobody to tell, and the block of the dead is the spare one."""
    post = stage.posts.workers[0]
    stage.rolling.begin()
    stage.step()
    stage.end(post.child, -9)
    stage.serve(post.successor)
    stage.step()
    assert (stage.signals, stage.seats(), post.leaving) == ([], [2, 1], None)
    stage.step()
    stage.step()
    assert stage.started == [(0, 2), (1, 0)]


def test_a_place_that_lost_both_is_filled_as_after_a_crash(stage: Stage) -> None:
    """The worker died, and its successor too."""
    post = stage.posts.workers[0]
    stage.rolling.begin()
    stage.step()
    stage.end(post.child, -9)
    stage.end(post.successor, 1)
    assert (post.due, stage.seats()) == (7.0, [0, 1])


def test_a_dead_worker_is_replaced_before_its_turn(stage: Stage) -> None:
    """While its place is empty, no successor is started."""
    post = stage.posts.workers[0]
    stage.end(post.child, -9)
    stage.rolling.begin()
    stage.step()
    assert stage.started == []


def test_a_shutdown_begins_no_further_replacement(stage: Stage) -> None:
    """What is under way is the shutdown's to end."""
    stage.rolling.begin()
    stage.rolling.stop()
    stage.step()
    assert stage.started == []


def test_gauges_that_a_killed_worker_left_are_not_counted(stage: Stage) -> None:
    """Its block has no writer; those that have one are left alone."""
    for block in stage.segment.blocks:
        block[CONNECTIONS] = 3
    reset_left_gauges(stage.segment, {})
    assert [block[CONNECTIONS] for block in stage.segment.blocks] == [3, 3, 0]
