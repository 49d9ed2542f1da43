"""The supervisor's end of its conversation with the control process.

Responsible for: one socket pair, and cutting what comes in into lines.
Does not know: what the messages mean (``router.control.terms``).

Rules: the control process says its ``Terms`` when it has read the configuration, and again when they change; the first
ones are answered with what became of them. The pair is a lifeline too: each side sees the end of the other.
"""

import socket

from router.control.terms import Agreed, Terms

# Terms are four short values; more without a line end is not a control process.
_LINE_MAX = 64 * 1024


class Channel:
    """The supervisor's end."""

    def __init__(self) -> None:
        self.socket, self.theirs = socket.socketpair()
        self.socket.setblocking(False)
        self.answered = False
        self._rest = b""

    def receive(self) -> list[Terms] | None:
        """Take what has arrived.

        Returns:
            The terms said since; None when the other side has closed.

        Raises:
            ValueError: If the other side says anything else.
        """
        try:
            data = self.socket.recv(_LINE_MAX)
        except BlockingIOError:
            return []
        except ConnectionResetError:
            return None
        if not data:
            return None
        *lines, self._rest = (self._rest + data).split(b"\n")
        if len(self._rest) > _LINE_MAX:
            raise ValueError(f"the control process said {len(self._rest)} bytes without a line end")
        return [Terms.read(line) for line in lines]

    def answer(self, agreed: Agreed) -> None:
        """Answer the first terms; a control process that has gone meanwhile is noticed by its end."""
        self.answered = True
        try:
            self.socket.sendall(agreed.line())
        except (BrokenPipeError, ConnectionResetError):
            return

    def close(self) -> None:
        """Close both ends."""
        self.socket.close()
        self.theirs.close()
