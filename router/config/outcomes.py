"""Outcomes in the configuration: which times the ingest takes.

Responsible for: its keys.
Does not know: how outcomes are kept (``events.keep``), what they belong to.

Rules: those of ``router.config.schema``.
"""

from typing import Annotated

from msgspec import Meta, Struct

from router.config.terms import Duration, Timeout


class Outcomes(Struct, frozen=True, kw_only=True):
    """The ingest of outcomes."""

    max_future: Annotated[
        Duration, Meta(le=86400, description="how far ahead of this machine's clock the time of an outcome may be")
    ] = 300.0
    max_late: Annotated[
        Timeout | None,
        Meta(
            description="how long ago an outcome may have happened; default, and at most, `events.keep.age`, for as "
            "long as which a repeat is known",
        ),
    ] = None
