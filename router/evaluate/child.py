"""An offline check in a process of its own: ``python -m router.evaluate.child FILE``.

Responsible for: the job that lies beside FILE, its result in FILE, and that it ends when whoever asked does.
Does not know: who asks, what follows.

Rules: it runs at the lowest priority, so that it takes no time from traffic. FILE is there only when it is whole.
Standard input stays open as long as somebody wants the result.
"""

import asyncio
import os
import sys
import threading
from pathlib import Path

import msgspec

from router.evaluate.run import EvaluateError, evaluate
from router.events.evaluated import Checked
from router.events.evaluation import Job

LOWEST = 19


def main(file: Path) -> None:
    """Make a check.

    Args:
        file: Where the result goes; the job is beside it, with the suffix ``.job``.
    """
    os.nice(LOWEST)
    job = msgspec.json.decode(file.with_suffix(".job").read_bytes(), type=Job)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    try:
        checked = Checked(evaluated=asyncio.run(evaluate(job, lambda _done, _total: None)))
    except EvaluateError as error:
        checked = Checked(problem=str(error))
    unfinished = file.with_suffix(".part")
    unfinished.write_bytes(msgspec.json.encode(checked))
    unfinished.replace(file)


def _end_with_parent() -> None:
    """End once nobody holds the other end of standard input."""
    os.read(sys.stdin.fileno(), 1)
    os._exit(1)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
