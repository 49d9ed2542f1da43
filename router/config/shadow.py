"""Shadows in the configuration: targets that get copies of a route's requests.

Responsible for: the keys of a shadow and of the comparison of its answers.
Does not know: routes, how copies are made.

Rules: those of ``router.config.schema``. What a shadow may hold is bounded by its own keys: ``inflight`` times a
request body and two answers.
"""

from typing import Annotated

from msgspec import Meta, Struct

from router.config.terms import Name, Pointer, Share, Size


class Compare(Struct, frozen=True, kw_only=True):
    """How the answers of a shadow are compared with those that callers get."""

    tolerance: Annotated[
        float,
        Meta(
            ge=0,
            le=1,
            description="how far apart numbers may be, relative to the larger one, and absolute below 1; integers "
            "must be equal",
        ),
    ] = 1e-6
    ignore: Annotated[tuple[Pointer, ...], Meta(description="JSON pointers under which nothing is compared")] = ()
    body_bytes: Annotated[
        Size, Meta(le=16 * 1024**2, description="longest answer that is compared; of longer ones only the status is")
    ] = 256 * 1024


class Shadow(Struct, frozen=True, kw_only=True):
    """A target that gets copies of a route's requests, and whose answers reach nobody."""

    target: Annotated[Name, Meta(description="target that gets the copies; calling it must have no effect on anyone")]
    share: Annotated[
        Share,
        Meta(description="share of units whose requests are all copied; without a unit, of requests"),
    ]
    inflight: Annotated[
        int, Meta(ge=1, le=10_000, description="copies under way in the whole router; further ones are dropped")
    ] = 32
    body_bytes: Annotated[
        Size, Meta(le=64 * 1024**2, description="longest request body that is copied; longer ones are dropped")
    ] = 1024 * 1024
    compare: Annotated[
        Compare | None, Meta(description="compare its answers with those that callers get; `{}` takes the defaults")
    ] = None
