"""The composition root: what ``router serve`` starts, and what each of its child processes is made of.

Responsible for: the command lines of the children, which process imports what, and how all of them log.
Does not know: how any of the parts works.

Rules: this module is imported by all three kinds of process, so at its top it imports nothing that one of them must
not load; each process imports its own parts in its own function. ``python -m router.serve control|worker`` are for the
supervisor, not for people.
"""

import logging
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path

# EX_SOFTWARE of sysexits.h. Not 1, which says that a sentence for people was printed.
_UNFORESEEN = 70
# Characters that a terminal or a log shipper would obey: a name in a configuration must not end a line.
_ESCAPES = {code: f"\\x{code:02x}" for code in (*range(0x20), *range(0x7F, 0xA0))} | {
    0x0A: "\\n",
    0x2028: "\\u2028",
    0x2029: "\\u2029",
}


def serve(path: Path, workers: int | None = None, region: str | None = None, cluster: str | None = None) -> int:
    """Run a router until it is told to stop.

    Args:
        path: The configuration: a file, or a folder.
        workers: Number of worker processes, instead of ``$.server.workers``.
        region: Whose configuration of a folder.
        cluster: Likewise.

    Returns:
        The exit code: 0 after an orderly shutdown.
    """
    from router.supervisor.limits import raise_descriptor_limit  # noqa: PLC0415 - see the module's rules
    from router.supervisor.run import Supervisor  # noqa: PLC0415 - see the module's rules
    from router.supervisor.spec import Spec  # noqa: PLC0415 - see the module's rules

    log_to_stderr("supervisor")
    raise_descriptor_limit()
    myself = (sys.executable, "-m", "router.serve")
    options = (("--workers", workers), ("--region", region), ("--cluster", cluster))
    given = [f"{name}={value}" for name, value in options if value is not None]
    spec = Spec(control=(*myself, "control", str(path), *given), worker=(*myself, "worker"))
    try:
        supervisor = Supervisor(spec)
    except OSError as error:
        logging.getLogger("router").error("no run directory can be made, see TMPDIR: %s", error)  # noqa: TRY400 - the reason is in the text
        return 1
    return supervisor.run()


def main(arguments: Sequence[str]) -> int:
    """Run a child process; ``arguments`` begin with its kind."""
    kind, *rest = arguments
    try:
        return {"worker": _worker, "control": _control}[kind](rest)
    except Exception:
        # As one line of the log, not as the interpreter's own many.
        logging.getLogger("router").exception("an unforeseen error ends this process")
        return _UNFORESEEN


def log_to_stderr(process: str) -> None:
    """Log one line per event to stderr, under the name of this process."""
    output = logging.StreamHandler(sys.stderr)
    output.setFormatter(LineFormatter(process))
    logging.basicConfig(level=logging.INFO, handlers=[output], force=True)
    # It reports each notice of the system, also those about files that nobody follows.
    logging.getLogger("watchfiles").setLevel(logging.WARNING)
    # flagd's core reports each context that a rule can do nothing with: what callers send would fill the log.
    logging.getLogger("openfeature.contrib").setLevel(logging.CRITICAL)


class LineFormatter(logging.Formatter):
    """One event, one line: time, level, process, message; nothing that a terminal would obey."""

    def __init__(self, process: str) -> None:
        super().__init__(f"%(asctime)s.%(msecs)03dZ %(levelname)s {process} %(message)s", "%Y-%m-%dT%H:%M:%S")
        self.converter = time.gmtime

    def format(self, record: logging.LogRecord) -> str:
        """Write a record, its traceback included, as one line."""
        return super().format(record).translate(_ESCAPES)


# --- Worker ---------------------------------------------------------------------------------------------------------


def _worker(arguments: Sequence[str]) -> int:
    from router.proxy.worker import main as work  # noqa: PLC0415 - see the module's rules

    options = dict(zip(arguments[::2], arguments[1::2], strict=True))
    log_to_stderr(f"worker-{options['--index']}")
    listener, segment, lifeline = (int(options[name]) for name in ("--listener", "--segment", "--lifeline"))
    seat = int(options["--index"]), int(options["--block"])
    return work(seat, listener, segment, lifeline, Path(options["--run"]))


# --- Control process ------------------------------------------------------------------------------------------------


def _control(arguments: Sequence[str]) -> int:
    # Until there is a loop to act on it; the default action would end this process.
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    from router.admin.process import main as control  # noqa: PLC0415 - see the module's rules

    log_to_stderr("control")
    return control(arguments)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
