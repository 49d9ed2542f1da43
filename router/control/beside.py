"""Work beside the loop: in a thread of low priority that ends when nobody waits for it any more.

Responsible for: the thread, its priority, what it returns or raises, and stopping it.
Does not know: what is done in it, when.

Rules: the loop never waits for the work but where somebody awaits it. Neither the end of the loop nor of the process
waits for a query.
"""

import asyncio
import os
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Final, TypeVar

from router.control.measure import Stop

ENDING_S: Final = 2.0  # what a query may take to end when the process does
NICE: Final = 10

Found = TypeVar("Found")


async def in_thread(name: str, work: Callable[[Stop], Found]) -> Found:
    """Do work in a thread of low priority, which ends when this is cancelled.

    Args:
        name: Of the thread.
        work: Is given what ends it.

    Returns:
        What the work returns; what it raises is raised here.
    """
    loop = asyncio.get_running_loop()
    answer: asyncio.Future[Found] = loop.create_future()
    stop = Stop()

    def succeed(found: Found) -> None:
        if not answer.done():
            answer.set_result(found)

    def fail(error: Exception) -> None:
        if not answer.done():
            answer.set_exception(error)

    def run() -> None:
        with suppress(OSError):  # of this thread alone, as Linux has it
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICE)
        with suppress(RuntimeError):  # the loop has closed meanwhile
            try:
                found = work(stop)
            except Exception as error:  # noqa: BLE001 - it is raised where the answer is awaited
                loop.call_soon_threadsafe(fail, error)
            else:
                loop.call_soon_threadsafe(succeed, found)

    # A daemon, and not of a pool: neither the end of the loop nor of the process waits for a query.
    thread = threading.Thread(target=run, name=name, daemon=True)
    thread.start()
    try:
        return await answer
    except asyncio.CancelledError:
        await asyncio.to_thread(_end, thread, stop)
        raise


def _end(thread: threading.Thread, stop: Stop) -> None:
    """Interrupt one query after another until the thread gives up."""
    until = time.monotonic() + ENDING_S
    while thread.is_alive() and time.monotonic() < until:
        stop.now()
        thread.join(ENDING_S / 40)
