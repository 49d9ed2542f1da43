"""A planned restart: one worker after another is replaced by a successor that serves already.

Responsible for: the order of the replacements, the spare block of counters, and when a worker is told to leave.
Does not know: signals to the supervisor, how a process is started (it is given a function), what a worker does.

For each worker in turn: start a successor on the same listener, with the spare block → it beats and serves the
revision published last → it has the worker's place, and the worker is told to leave (SIGUSR2) → that one has ended, and
its block is the spare one.

Rules: at most one worker has a successor at a time. A successor that does not come up ends the restart, and nobody
leaves for it. A block has one writer at any time.
"""

from collections import deque
from collections.abc import Callable
from logging import getLogger
from signal import SIGUSR2

from router.counters import ACKNOWLEDGED, PID, PUBLISHED, SEATS
from router.segment import Segment
from router.supervisor.children import Child, describe_end
from router.supervisor.posts import Post, Posts

log = getLogger("router.supervisor")

Start = Callable[[int, int], Child | None]
"""Starts a worker, given its number and its block; None when the system has no room for a process."""


class Rolling:
    """The planned restarts of one router."""

    def __init__(self, segment: Segment, posts: Posts, start: Start) -> None:
        # Per process
        self._segment = segment
        self._posts = posts
        self._start = start
        self._spare = segment.workers
        # Per restart
        self._waiting: deque[int] = deque()
        self._turn: int | None = None  # whose place is being handed over
        self._under_way = False

    def begin(self) -> None:
        """Replace all workers; those that were replaced already too, when a restart is under way."""
        self._waiting = deque(range(len(self._posts.workers)))
        self._under_way = True
        log.info("planned restart of %d workers, one at a time", len(self._waiting))

    def stop(self) -> None:
        """Begin no further replacement."""
        self._waiting.clear()

    def step(self, now: float, patience_s: float) -> None:
        """Do what can be done now.

        Args:
            now: Monotonic time in seconds.
            patience_s: How long a worker may take to leave before it is killed.
        """
        if self._turn is None:
            self._next()
            return
        post = self._posts.workers[self._turn]
        if post.successor is not None:
            block = self._segment.blocks[post.successor.block]
            if block[PID] == post.successor.pid and block[ACKNOWLEDGED] == self._segment.words[PUBLISHED]:
                self._hand_over(post, self._turn, now + patience_s)
        elif post.leaving is None:
            self._turn = None

    def ended(self, post: Post, child: Child, now: float) -> None:
        """Take note of the end of a successor, or of a worker that was told to leave."""
        how = describe_end(child.process.returncode)
        self._segment.blocks[child.block][PID] = 0
        if child is post.leaving:
            log.info("%s ended pid=%d: %s", post.name, child.pid, how)
            post.leaving = None
            self._spare = child.block
            return
        post.successor = None
        self._give_up(f"the successor of {post.name} pid={child.pid} did not come up: {how}")
        if post.child is None:
            post.due = now

    def _next(self) -> None:
        if not self._waiting:
            if self._under_way:
                log.info("planned restart done")
            self._under_way = False
            return
        post = self._posts.workers[self._waiting[0]]
        if post.child is None:  # it died, and is replaced as the dead are
            return
        self._turn = self._waiting.popleft()
        block = self._segment.blocks[self._spare]
        block[PID] = block[ACKNOWLEDGED] = 0  # what it says from now on is the successor's word
        post.successor = self._start(self._turn, self._spare)
        if post.successor is None:
            self._give_up(f"no successor of {post.name} can be started")

    def _hand_over(self, post: Post, worker: int, doomed: float) -> None:
        """Give the place to the successor."""
        before, post.child, post.successor = post.child, post.successor, None
        freed = int(self._segment.words[SEATS + worker])
        if post.child is not None:
            self._segment.words[SEATS + worker] = post.child.block
        if before is None:  # it died meanwhile
            self._spare = freed
            return
        post.leaving = before
        log.info("%s pid=%d leaves, its successor serves", post.name, before.pid)
        before.doomed = doomed
        before.send(SIGUSR2)

    def _give_up(self, why: str) -> None:
        log.error("%s; the planned restart ends here, and the workers that serve go on", why)
        self._waiting.clear()
        self._turn = None
        self._under_way = False
