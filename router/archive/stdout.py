"""Events on standard output, for a log shipper that follows the container.

Responsible for: whole lines in order, however slow the reader.
Does not know: the router's own log, which goes to stderr.
"""

import errno
import os
import select
from collections.abc import Sequence
from typing import Annotated, Final

from msgspec import Meta, Struct

from router.archive.sink import BACKLOG_BYTES
from router.config.terms import Size

_STDOUT: Final = 1
_WAIT_S: Final = 1.0


class Stdout(Struct, frozen=True, kw_only=True):
    """The sink."""

    backlog: Annotated[Size, Meta(description="bytes of events that may wait; beyond it the oldest are dropped")] = (
        BACKLOG_BYTES
    )

    def open(self) -> "_Pipe":
        """Write to the descriptor that this process was started with."""
        return _Pipe(_STDOUT)


class _Pipe:
    """A descriptor that may not take everything at once."""

    def __init__(self, fd: int) -> None:
        # Per process
        self._fd = fd
        self._torn = False

    def send(self, lines: Sequence[bytes]) -> None:
        view = memoryview((b"\n" if self._torn else b"") + b"".join(lines))
        while view:
            # A line that is begun again after an error must not continue the half that is there already.
            self._torn = True
            try:
                view = view[os.write(self._fd, view) :]
            except OSError as error:
                if error.errno != errno.EAGAIN:
                    raise
                select.select((), (self._fd,), (), _WAIT_S)
        self._torn = False

    def close(self) -> None:
        """Leave the descriptor open: it is not ours."""
