"""What a request head is once it is read: data, and the names that its readers share.

Responsible for: the description of a request that may be carried, the reason why one may not, and which fields concern
the proxy itself.
Does not know: how bytes become either (``heads`` for the ordinary ones, ``careful`` for all others).
"""

from typing import Final, NamedTuple

from router.routing.request import Request

CHUNKED: Final = -1

METHODS: Final = frozenset({b"GET", b"HEAD", b"POST", b"PUT", b"DELETE", b"PATCH", b"OPTIONS"})

# What the proxy itself reads of a request; the table adds the fields its routes need.
REQUEST_FIELDS: Final = (
    b"host", b"content-length", b"transfer-encoding", b"connection", b"expect", b"upgrade", b"te", b"keep-alive",
    b"proxy-connection", b"trailer", b"http2-settings", b"x-forwarded-for", b"x-forwarded-proto", b"x-forwarded-host",
    b"x-request-id", b"content-encoding", b"idempotency-key",
)  # fmt: skip


class Refusal(NamedTuple):
    """Why a request is not carried: status, counted cause (``counters.REFUSALS``) and a sentence for the caller."""

    status: int
    cause: str
    detail: str


class RequestHead(Request, gc=False):
    """A request head that may be carried: what routing sees of the request, and what the proxy needs besides.

    Attributes:
        authority: Host and port as asked for; empty when HTTP/1.0 did not say.
        length: Content length in bytes, or ``CHUNKED``.
        http11: Whether the version is 1.1.
        keep_alive: Whether the caller's connection may carry another request.
        expects: Whether the caller waits for 100 (Continue).
        request_id: ``x-request-id``, if there is a usable one.
        forward: Request line and fields to send on, without the final empty line.
        end: Length of the head as it came, in bytes.
        upgrade: Protocols that the caller would rather speak, in lower case, where it may (``upgrade``).
    """

    authority: bytes = b""
    length: int = 0
    http11: bool = True
    keep_alive: bool = True
    expects: bool = False
    request_id: bytes | None = None
    forward: bytes = b""
    end: int = 0
    upgrade: frozenset[bytes] = frozenset()
