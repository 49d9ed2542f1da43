"""What a sink is: the seam for events that go elsewhere.

Responsible for: the two protocols, and the bound of what may wait for a sink.
Does not know: sinks, threads, files.

A sink is a frozen ``msgspec.Struct`` whose fields are its options in the YAML, with one method, ``open``. It may have a
field ``backlog``, bytes of events that may wait for it (default ``BACKLOG_BYTES``), and a class variable ``needs``: the
module that it needs, and the extra that has it. ``router.testing.check_sink`` proves the contract.
"""

from collections.abc import Sequence
from typing import Final, Protocol

from router.config.terms import Size

BACKLOG_BYTES: Final = 256 * 1024 * 1024
LINES: Final = 2000  # given to a sink at once, at most
LINES_BYTES: Final = 1024 * 1024  # likewise


class Outlet(Protocol):
    """A sink that is open. Used by one thread of its own, which may wait as long as it takes."""

    def send(self, lines: Sequence[bytes]) -> None:
        """Hand events over; return once nothing that this process does can lose them.

        Args:
            lines: Events as JSON, each ended by a newline, oldest first within a worker; ``LINES`` at most.

        Raises:
            OSError: If some were not taken. All of them come again, after a pause, to an outlet that is opened anew;
                so what is sent arrives at least once, and ``id`` (of shadows with ``shadow``) tells repeats.
        """

    def close(self) -> None:
        """Let go of everything; may be called twice."""


class Sink(Protocol):
    """Where events go."""

    def open(self) -> Outlet:
        """Connect.

        Raises:
            OSError: If that cannot be done now; it is tried again.
        """


def backlog_bytes(sink: Sink) -> Size:
    """Return how many bytes of events may wait for a sink."""
    return int(getattr(sink, "backlog", BACKLOG_BYTES))
