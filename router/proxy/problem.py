"""The router's own answers: problem documents (RFC 9457).

Responsible for: the bytes of an answer that no target gave.
Does not know: connections, or why the answer is needed.

Rules: ``type`` is stable for each cause, so that callers can branch on it; no detail of a target's address or error
text gets out.
"""

from email.utils import formatdate
from http import HTTPStatus

import msgspec

from router.proxy.request_head import Refusal

# Sentences for faults of a target, by the names of counters.FAULTS.
FAULTS = {
    "refused": Refusal(502, "refused", "the target refused the connection"),
    "connect_timeout": Refusal(504, "connect_timeout", "the target could not be connected to in time"),
    "reset": Refusal(502, "reset", "the target closed the connection before it answered"),
    "timeout_first_byte": Refusal(504, "timeout_first_byte", "the target did not begin to answer in time"),
    "timeout_idle": Refusal(504, "timeout_idle", "the target fell silent"),
    "timeout_total": Refusal(504, "timeout_total", "the exchange took too long"),
    "malformed": Refusal(502, "malformed", "the target's answer is not valid HTTP"),
    "truncated": Refusal(502, "truncated", "the target's answer was cut"),
    "tls": Refusal(502, "tls", "the target's certificate could not be verified, or TLS failed"),
    "dns": Refusal(502, "dns", "the target's name could not be resolved"),
    "pool_timeout": Refusal(503, "pool_timeout", "all connections to the target are in use"),
    "unavailable": Refusal(503, "unavailable", "no endpoint of the target is ready"),
    "breaker_open": Refusal(503, "breaker_open", "the target fails, and is left alone for a moment"),
    "shed": Refusal(503, "shed", "the target has more to do than it can"),
    "status": Refusal(502, "status", "the target answered with an error"),
    "local": Refusal(503, "local", "the router could not open a connection"),
}


def answer(refusal: Refusal, lines: bytes = b"", *, head: bool = False) -> bytes:
    """Write a whole response about bytes that are no acceptable request.

    Args:
        refusal: What to say: status, what ``type`` ends in, and a sentence for the caller.
        lines: Further header lines, each with its CRLF.
        head: Whether to leave the content out, as the answer to HEAD does.
    """
    start, content = parts(refusal, None)
    return b"".join((start, lines, b"\r\n", b"" if head else content))


def parts(refusal: Refusal, request_id: bytes | None) -> tuple[bytes, bytes]:
    """Return status line and fields, each with its CRLF, and the content.

    Args:
        refusal: What to say: status, what ``type`` ends in, and a sentence for the caller.
        request_id: The exchange's id, if it has one by now.
    """
    status, cause, detail = refusal
    document = {
        "type": "urn:problem-type:router:" + cause.replace("_", "-"),
        "title": HTTPStatus(status).phrase,
        "status": status,
        "detail": detail,
    }
    if request_id is not None:
        document["instance"] = "urn:router:request:" + request_id.decode("latin-1")
    body = msgspec.json.encode(document) + b"\n"
    # RFC 9110 6.6.1: who has a clock sends Date.
    start = b"HTTP/1.1 %d %b\r\ndate: %b\r\ncontent-type: application/problem+json\r\ncontent-length: %d\r\n" % (
        status, HTTPStatus(status).phrase.encode(), formatdate(usegmt=True).encode(), len(body),
    )  # fmt: skip
    return start, body
