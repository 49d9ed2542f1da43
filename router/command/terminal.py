"""Where results for people are written.

Responsible for: one console on standard output that shows text as it is.
Does not know: what is written to it.
"""

import sys

from rich.console import Console

_PIPE_WIDTH = 200  # a pipe has no width; lines are not folded for a reader that is a program


def console() -> Console:
    """Make a console as wide as the terminal, or wide enough for a program."""
    width = None if sys.stdout.isatty() else _PIPE_WIDTH
    return Console(markup=False, highlight=False, width=width)
