"""What ``router demo`` calls.

Responsible for: the arguments, the extra that the demo needs, and the exit code.
Does not know: what a show consists of.
"""

import asyncio
import sys
from importlib.util import find_spec

import uvloop
from rich.console import Console

SECONDS_MIN = 6.0
USERS = 300
RATE = 400.0
INTERRUPTED = 130
NEEDED = ("sklearn", "scipy", "duckdb", "ibis")


def run(seconds: float = 30.0, users: int = USERS, rate: float = RATE) -> int:
    """Show models behind the router, with traffic, a canary that turns bad, and a change of the split half-way.

    Args:
        seconds: Length; 0 is until Ctrl-C.
        users: How many users send images.
        rate: Requests a second of all users together, at most.

    Returns:
        0 when every promise was kept, 1 when not, 130 when it was interrupted and none was seen to be broken.
    """
    if any(find_spec(name) is None for name in NEEDED):
        sys.stderr.write("the demo needs its models and the analysis: pip install 'router[demo,analysis]'\n")
        return 1
    if seconds and seconds < SECONDS_MIN:
        sys.stderr.write(
            f"--seconds {seconds:g} is too short to see two splits and a rollback; {SECONDS_MIN:g} or more, or 0\n"
        )
        return 1
    from router.demo.process import ChildFailed  # noqa: PLC0415 - the show imports the extra, which may be missing
    from router.demo.show import Programme, play  # noqa: PLC0415 - likewise
    from router.demo.traffic import Pace  # noqa: PLC0415 - likewise

    code = 1
    try:
        kept = uvloop.run(play(Programme(seconds, Pace(users, rate)), Console(highlight=False)))
        code = INTERRUPTED if kept is None else int(not kept)
    except* ChildFailed as failures:
        for failure in failures.exceptions:
            sys.stderr.write(f"{failure}\n")
    except* (asyncio.CancelledError, KeyboardInterrupt):
        code = INTERRUPTED
    return code
