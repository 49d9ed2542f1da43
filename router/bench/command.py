"""What `router bench URL` does.

The command line calls one function::

    bench(url: str, options: Options, output: TextIO = sys.stdout, errors: TextIO = sys.stderr) -> int

``Options`` (``router.bench.plan``) is frozen data with a default for every field; its fields are the command's options:
``--rate --seconds --connections --method --header (repeated) --body --body-file --timeout --allow-errors --insecure
--json --plot``. The result is the exit status: 0 when every request was answered with a status below 400 (or
``allow_errors``), 1 when one was not or the run could not be made; 130 after Ctrl-C.

Responsible for: the order of things, and what goes to which output.
Does not know: how anything is measured or drawn.

Rules: standard output carries the result and nothing else, so `--json` can be piped; progress goes to a terminal only,
as one short write twice a second, because drawing a bar would delay the requests it reports on.
"""

import sys
from typing import TextIO

import msgspec
from rich.console import Console

from router.bench import plan, plot, report
from router.bench.generator import run
from router.bench.plan import BenchError, Options

WIDTH = 110  # of a result that goes to a file or a pipe


def bench(url: str, options: Options, output: TextIO | None = None, errors: TextIO | None = None) -> int:
    """Measure a URL, print the result, and return the exit status.

    Args:
        url: What to send requests to, http or https.
        options: The user's choices.
        output: Where the result goes; default standard output.
        errors: Where progress and mistakes go; default standard error.
    """
    output, errors = output or sys.stdout, errors or sys.stderr
    terminal = errors.isatty()

    def progress(share: float) -> None:
        if terminal:
            done = round(share * 40)
            errors.write(f"\r[{'#' * done}{' ' * (40 - done)}] {share:4.0%}")
            errors.flush()

    try:
        chosen = plan.make(url, options)
        if options.plot is not None:
            plot.check(options.plot)
        result = report.make(url, chosen, run(chosen, progress))
        if terminal:
            errors.write("\r\x1b[K")
        if options.json:
            output.write(msgspec.json.encode(result).decode() + "\n")
        else:
            report.show(result, Console(file=output, width=None if output.isatty() else WIDTH))
        if options.plot is not None:
            plot.draw(result, options.plot)
    except BenchError as error:
        errors.write(f"router bench: {error}\n")
        return 1
    except KeyboardInterrupt:
        errors.write("\nrouter bench: interrupted; nothing to report\n")
        return 130
    if result.doubt:
        errors.write(f"router bench: NOT VALID: {result.doubt}\n")
    return 1 if result.failed and not options.allow_errors else 0
