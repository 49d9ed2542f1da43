"""The router's own answers: problem documents (RFC 9457).

Responsible for: the bytes of an answer that no target gave.
Does not know: connections, or why the answer is needed.

Rules: ``type`` is stable for each cause, so that callers can branch on it; no detail of a target's address or error
text gets out.
"""

from email.utils import formatdate
from http import HTTPStatus

import msgspec

# Sentences for faults of a target, by the names of counters.FAULTS.
STATUS = {
    "refused": (502, "the target refused the connection"),
    "connect_timeout": (504, "the target could not be connected to in time"),
    "reset": (502, "the target closed the connection before it answered"),
    "timeout_first_byte": (504, "the target did not begin to answer in time"),
    "timeout_idle": (504, "the target fell silent"),
    "timeout_total": (504, "the exchange took too long"),
    "malformed": (502, "the target's answer is not valid HTTP"),
    "truncated": (502, "the target's answer was cut"),
    "tls": (502, "the target's certificate could not be verified, or TLS failed"),
    "dns": (502, "the target's name could not be resolved"),
    "pool_timeout": (503, "all connections to the target are in use"),
    "local": (503, "the router could not open a connection"),
}


def answer(
    status: int, cause: str, detail: str, request_id: bytes | None, lines: bytes = b"", *, head: bool = False
) -> bytes:
    """Write a whole response.

    Args:
        status: Status code.
        cause: What ``type`` ends in.
        detail: A sentence for the caller.
        request_id: The exchange's id, if it has one by now.
        lines: Further header lines, each with its CRLF.
        head: Whether to leave the content out, as the answer to HEAD does.
    """
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
    start = b"HTTP/1.1 %d %b\r\ndate: %b\r\ncontent-type: application/problem+json\r\ncontent-length: %d\r\n%b\r\n" % (
        status, HTTPStatus(status).phrase.encode(), formatdate(usegmt=True).encode(), len(body), lines,
    )  # fmt: skip
    return start if head else start + body
