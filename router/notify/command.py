"""A program that gets JSON on its standard input.

Responsible for: the call.
Does not know: processes.

Rules: no shell, so nothing of a notice is ever taken for code; what the program is told is on its standard input only.
"""

from typing import Annotated

from msgspec import Meta, Struct

from router.config.terms import Timeout
from router.notify.notice import Notice, document
from router.notify.notice import Run as Call

Word = Annotated[str, Meta(min_length=1, max_length=4096)]


class Command(Struct, frozen=True, kw_only=True):
    """The notifier."""

    run: Annotated[
        tuple[Word, ...],
        Meta(min_length=1, max_length=64, description="program and arguments, without a shell; JSON is its input"),
    ]
    timeout: Annotated[
        Timeout, Meta(le=600, description="after which it is killed, with all that it started; at most 10m")
    ] = 30.0

    def __post_init__(self) -> None:
        """Refuse what no system can run.

        Raises:
            ValueError: With a sentence.
        """
        if any("\0" in word for word in self.run):
            raise ValueError("run: a word holds a NUL character")

    def message(self, notice: Notice) -> Call:
        """Return the call."""
        return Call(argv=self.run, stdin=document(notice) + b"\n", timeout=self.timeout)
