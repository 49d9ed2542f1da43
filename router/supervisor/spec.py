"""What the supervisor is to run, and the places in which children come and go.

Responsible for: the commands, policies and patience that make one router, the phases of its life, and its posts.
Does not know: when anything starts or stops (``run``).
"""

import enum
from dataclasses import dataclass, field

from router.supervisor.children import Child, Patience
from router.supervisor.restart import Policy, Restarts


class Phase(enum.Enum):
    """Where the router is between start and end."""

    BOOT = "boot"
    SERVING = "serving"
    DELAY = "delay"
    DRAIN = "drain"
    CLOSING = "closing"
    ABORT = "abort"
    DONE = "done"


@dataclass(frozen=True, slots=True)
class Spec:
    """What to run.

    Attributes:
        control: Command of the control process; ``--channel FD --segment FD --run DIR`` and, for a replacement,
            ``--resume`` are added.
        worker: Command of a worker; ``--index N --listener FD --segment FD --lifeline FD --run DIR`` are added.
        workers: When a worker that dies again and again is given up.
        controls: The same for the control process, without which workers serve on.
        worker_patience: How long a worker may be silent.
        control_patience: How long the control process may be silent; it shares its interpreter with threads that
            compute.
    """

    control: tuple[str, ...]
    worker: tuple[str, ...]
    workers: Policy = field(default_factory=Policy)
    controls: Policy = field(default_factory=lambda: Policy(free=1, first_s=0.5, cap_s=30.0, limit=None))
    worker_patience: Patience = field(default_factory=Patience)
    control_patience: Patience = field(default_factory=lambda: Patience(start_s=60.0, silence_s=15.0))


@dataclass(slots=True)
class Post:
    """A place that one child holds at a time."""

    name: str
    restarts: Restarts
    child: Child | None = None
    due: float | None = None
