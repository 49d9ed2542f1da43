"""Signals as bytes on a socket, so that one blocking wait sees them beside everything else.

Responsible for: taking signals over and giving them back.
Does not know: what any of them means.
"""

import signal
import socket
from collections.abc import Iterable
from types import FrameType


class Inbox:
    """Catches signals from its creation to ``close``."""

    def __init__(self, numbers: Iterable[signal.Signals]) -> None:
        self.socket, self._write = socket.socketpair()
        self.socket.setblocking(False)
        self._write.setblocking(False)
        self._old_fd = signal.set_wakeup_fd(self._write.fileno(), warn_on_full_buffer=False)
        self._old = {number: signal.signal(number, _ignore) for number in numbers}

    def take(self) -> list[signal.Signals]:
        """Return the signals that have come in since, oldest first."""
        try:
            return [signal.Signals(number) for number in self.socket.recv(4096)]
        except BlockingIOError:
            return []

    def close(self) -> None:
        """Put everything back as it was."""
        for number, handler in self._old.items():
            signal.signal(number, handler)
        signal.set_wakeup_fd(self._old_fd)
        self.socket.close()
        self._write.close()


def _ignore(_number: int, _frame: FrameType | None) -> None:
    """Do nothing: the interpreter has written the number to the wake-up socket already."""
