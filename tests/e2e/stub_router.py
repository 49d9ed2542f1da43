"""``router serve`` with another worker or with less patience: the real supervisor, the real control process.

The environment says what differs:

- ``STUB_IMPORTTIME=FOLDER``  the real worker, which writes what it imports to ``FOLDER/worker-imports``
- ``STUB_PATIENCE=SECONDS``   how long any child may be silent
- ``STUB_ORPHAN=FILE``        the stub worker leaves an orphan, whose process id is written there; see it too for
  ``STUB_WORKER``
"""

import ctypes
import os
import sys
from pathlib import Path

from router.serve import log_to_stderr
from router.supervisor.children import Patience
from router.supervisor.limits import raise_descriptor_limit
from router.supervisor.restart import Policy
from router.supervisor.run import Supervisor
from router.supervisor.spec import Spec

_PR_SET_CHILD_SUBREAPER = 36  # <sys/prctl.h>: orphans come to this process, as they come to process 1


def _worker() -> tuple[str, ...]:
    folder = os.environ.get("STUB_IMPORTTIME")
    if folder is None:
        return (sys.executable, "-m", "tests.e2e.stub_worker")
    script = 'exec "$0" -X importtime -m router.serve worker "$@" 2>"$STUB_IMPORTTIME/worker-imports"'
    return ("/bin/sh", "-c", script, sys.executable)


def main() -> int:
    """Run the supervisor."""
    log_to_stderr("supervisor")
    raise_descriptor_limit()
    if "STUB_ORPHAN" in os.environ:
        ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    patience = Patience(start_s=30.0, silence_s=float(os.environ.get("STUB_PATIENCE", "5")))
    control = (sys.executable, "-m", "router.serve", "control", str(Path(sys.argv[1])))
    spec = Spec(
        control=control,
        worker=_worker(),
        workers=Policy(first_s=0.01, cap_s=0.05),
        worker_patience=patience,
        control_patience=patience,
    )
    return Supervisor(spec).run()


if __name__ == "__main__":
    sys.exit(main())
