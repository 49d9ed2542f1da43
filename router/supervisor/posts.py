"""The places in which children come and go: one of the control process, one for each worker.

Responsible for: who holds which place, and which place a process that has ended held.
Does not know: when anything starts or stops (``run``), or what a child does.
"""

import os
from collections.abc import Iterator
from dataclasses import dataclass

from router.supervisor.children import Child
from router.supervisor.restart import Restarts
from router.supervisor.spec import Spec


@dataclass(slots=True)
class Post:
    """A place that one child holds at a time.

    Attributes:
        name: What its children are called in messages.
        restarts: How often they died.
        child: Who holds it.
        due: When the next one is started, in monotonic seconds; None is not at all.
        successor: Who is to hold it next, while it starts.
        leaving: Who held it before, while it finishes.
    """

    name: str
    restarts: Restarts
    child: Child | None = None
    due: float | None = None
    successor: Child | None = None
    leaving: Child | None = None

    def children(self) -> list[Child]:
        """Return all processes that have to do with it."""
        return [child for child in (self.child, self.successor, self.leaving) if child is not None]


class Posts:
    """All places of one router."""

    def __init__(self, spec: Spec) -> None:
        # Per process
        self._spec = spec
        self.control = Post("control process", Restarts(spec.controls))
        self.workers: list[Post] = []

    def add_workers(self, count: int) -> None:
        """Make the places of the workers, once it is known how many there are."""
        self.workers = [Post(f"worker {index}", Restarts(self._spec.workers)) for index in range(count)]

    def __iter__(self) -> Iterator[Post]:
        yield self.control
        yield from self.workers

    def children(self) -> list[Child]:
        """Return all children that were not reaped yet."""
        return [child for post in self for child in post.children()]

    def working(self) -> list[Child]:
        """Return the workers among them."""
        return [child for post in self.workers for child in post.children()]

    def reap(self) -> Iterator[tuple[Post, Child]]:
        """Reap every process that has ended, also those that were never ours; yield the children among them."""
        while True:
            try:
                pid, wait_status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            for place in self:
                for child in place.children():
                    if child.pid == pid:
                        child.process.returncode = os.waitstatus_to_exitcode(wait_status)
                        yield place, child
