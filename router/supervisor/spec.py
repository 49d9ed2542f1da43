"""What the supervisor is to run.

Responsible for: the commands, policies and patience that make one router, and the phases of its life.
Does not know: when anything starts or stops (``run``).
"""

import enum
from dataclasses import dataclass, field
from pathlib import Path

from router.supervisor.children import Patience
from router.supervisor.restart import Policy


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
        control: Command of the control process, to which ``control_command`` adds what it inherits.
        worker: Command of a worker, to which ``worker_command`` adds what it inherits.
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

    def control_command(self, channel: int, segment: int, run_dir: Path, *, resume: bool) -> list[str]:
        """Give the command of a control process; ``resume`` is for one that replaces another."""
        inherited = ["--channel", str(channel), "--segment", str(segment), "--run", str(run_dir)]
        return [*self.control, *inherited, *(["--resume"] if resume else [])]

    def worker_command(self, seat: tuple[int, int], descriptors: tuple[int, int, int], run_dir: Path) -> list[str]:
        """Give the command of a worker.

        Args:
            seat: Its number, and that of the block of counters that it writes.
            descriptors: Of its listener, the segment and the lifeline.
            run_dir: Where the revision is.
        """
        options = zip(("--listener", "--segment", "--lifeline"), descriptors, strict=True)
        inherited = [word for option, descriptor in options for word in (option, str(descriptor))]
        return [*self.worker, "--index", str(seat[0]), "--block", str(seat[1]), "--run", str(run_dir), *inherited]
