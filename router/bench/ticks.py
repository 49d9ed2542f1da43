"""A timer finer than the event loop's.

Responsible for: calling a function at a steady interval down to tens of microseconds.
Does not know: what the calls are for.

Rules: libuv's timers count whole milliseconds, so at 10,000 requests a second they would send ten at a time, each up to
a millisecond late. On Linux a timerfd is used instead, through ctypes, since Python has it from 3.13 on only; elsewhere
the loop's own timer.
"""

import asyncio
import ctypes
import os
import struct
import sys
from collections.abc import Callable
from math import ceil
from typing import Final

SHORTEST_S: Final = 50e-6  # below, waking up costs more than it gains; several requests are sent at a time
_CLOCK_MONOTONIC: Final = 1
_FLAGS: Final = os.O_NONBLOCK | getattr(os, "O_CLOEXEC", 0)


class Ticker:
    """Calls ``tick`` after ``first`` seconds and then every ``interval`` until stopped; missed ticks are skipped."""

    def __init__(
        self, loop: asyncio.AbstractEventLoop, first: float, interval: float, tick: Callable[[], None]
    ) -> None:
        self.loop = loop
        self.interval = max(interval, SHORTEST_S)
        self.tick = tick
        self.descriptor = timer(first, self.interval) if sys.platform == "linux" else -1
        self.handle: asyncio.TimerHandle | None = None
        if self.descriptor >= 0:
            loop.add_reader(self.descriptor, self.expired)
        else:
            self.handle = loop.call_later(first, self.again)

    def expired(self) -> None:
        """Take note that the kernel's timer expired, once or more often."""
        os.read(self.descriptor, 8)
        self.tick()

    def again(self) -> None:
        """Tick, and set the loop's timer once more."""
        self.handle = self.loop.call_later(self.interval, self.again)
        self.tick()

    def stop(self) -> None:
        """End the ticking; may be called more than once."""
        if self.handle is not None:
            self.handle.cancel()
        if self.descriptor >= 0:
            self.loop.remove_reader(self.descriptor)
            os.close(self.descriptor)
            self.descriptor = -1


def timer(first: float, interval: float) -> int:
    """Return the descriptor of a kernel timer, first after ``first`` seconds and then every ``interval``, or -1."""
    libc = ctypes.CDLL(None, use_errno=True)
    descriptor: int = libc.timerfd_create(_CLOCK_MONOTONIC, _FLAGS)
    if descriptor < 0:
        return -1
    # struct itimerspec: interval, first expiry. Rounded up, so that a tick never falls just before what it is for.
    specification = struct.pack("@4l", *divmod(ceil(interval * 1e9), 10**9), *divmod(ceil(first * 1e9), 10**9))
    if libc.timerfd_settime(descriptor, 0, specification, None) < 0:
        os.close(descriptor)
        return -1
    return descriptor
