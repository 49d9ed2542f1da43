"""``router serve`` with the stub worker: the real supervisor, the real control process."""

import sys

from router.serve import log_to_stderr
from router.supervisor.run import Spec, Supervisor, raise_descriptor_limit

if __name__ == "__main__":
    log_to_stderr("supervisor")
    raise_descriptor_limit()
    spec = Spec(
        control=(sys.executable, "-m", "router.serve", "control", *sys.argv[1:]),
        worker=(sys.executable, "-m", "tests.e2e.stub_worker"),
    )
    sys.exit(Supervisor(spec).run())
