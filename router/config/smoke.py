"""The part of the schema about what a new version has to show before it gets traffic.

Responsible for: the keys of ``allocate.tests``, as frozen data; the rules are those of ``schema``.
Does not know: when and how they are asked (``router.control.smoke``).
"""

from typing import Annotated

from msgspec import Meta, Struct, field

from router.config.terms import HeaderName, Json, Method, Path, Pointer, Scalar, Timeout

Status = Annotated[int, Meta(ge=200, le=599)]
FieldValue = Annotated[str, Meta(pattern=r"^([!-~]([ -~]{0,4094}[!-~])?)?$")]


class SmokeTest(Struct, frozen=True, kw_only=True):
    """One request to each endpoint of the new version, and what its answer has to be."""

    path: Annotated[Path, Meta(description="what is asked for, after the endpoint's base URL")]
    method: Annotated[Method, Meta(description="request method")] = "GET"
    headers: Annotated[dict[HeaderName, FieldValue], Meta(max_length=32, description="header fields to send")] = field(
        default_factory=dict
    )
    body: Annotated[
        Annotated[str, Meta(max_length=65_536)] | None, Meta(description="text to send; instead of `json`")
    ] = None
    json: Annotated[Json, Meta(description="content to send, as application/json; instead of `body`")] = None
    status: Annotated[
        tuple[Status, ...], Meta(min_length=1, description="statuses that are good; redirects are not followed")
    ] = (200,)
    max_time: Annotated[
        Timeout, Meta(le=60, description="how long the whole answer may take, from connecting to its last byte")
    ] = 10.0
    expect: Annotated[
        dict[Pointer, Scalar],
        Meta(max_length=64, description="JSON pointers into the answer and the values they must have"),
    ] = field(default_factory=dict)
    repeat: Annotated[
        int, Meta(ge=1, le=1000, description="how often each endpoint is asked; every answer has to be good")
    ] = 1
