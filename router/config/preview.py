"""The part of the schema about looking at a new version before it has traffic.

Responsible for: the keys of ``allocate.preview``, as frozen data; the rules are those of ``schema``.
Does not know: when a release looks at them.
"""

from typing import Annotated

from msgspec import Meta, Struct

from router.config.terms import HeaderName

Wanted = Annotated[str, Meta(pattern=r"^[!-~]([ -~]{0,254}[!-~])?$")]


class Preview(Struct, frozen=True, kw_only=True):
    """Requests that the new version serves whatever its share; marked, and left out of analysis."""

    header: Annotated[HeaderName, Meta(description="header field that such a request has, such as x-preview")]
    value: Annotated[
        Wanted | None,
        Meta(description="value that it must have; default any. Whoever may send it reaches the new version"),
    ] = None
