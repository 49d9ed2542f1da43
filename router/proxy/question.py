"""Which answers may be given again, and to which request.

Responsible for: the key of a question, and whether a question has one and an answer may be kept, as functions of heads.
Does not know: where answers are kept, for how long, when one is given again.

Rules: when in doubt, no. Two requests have the same key only if nothing that may tell two callers or two answers apart
differs: method, host, path, query, body, unit, attributes, and the fields below. The key is a digest of their encoding
as MessagePack, which can be decoded again: no two questions are written the same. What a shared cache must not keep
(RFC 9111 section 3) is not kept, and some that it may: what sets a cookie, and what belongs to a request with
credentials.
"""

import re
from hashlib import blake2b
from typing import TYPE_CHECKING, Final, NamedTuple

from msgspec import msgpack

from router.proxy.grammar import fields_pattern, lines_pattern
from router.proxy.request_head import CHUNKED

if TYPE_CHECKING:
    from router.proxy.request_head import RequestHead
    from router.proxy.response_head import ResponseHead
    from router.routing.decide import Decision

METHODS: Final = frozenset({b"GET", b"POST"})  # the others change something, or have answers without content
# Fields of a request that choose between answers, or say what its body means. A cookie is a caller's own.
SELECTING: Final = frozenset(
    {
        b"accept", b"accept-charset", b"accept-encoding", b"accept-language", b"content-encoding", b"content-type",
        b"cookie", b"origin",
    }
)  # fmt: skip
_CREDENTIALS: Final = frozenset({b"authorization", b"proxy-authorization"})
_UNWANTED: Final = frozenset({b"no-store", b"no-cache"})  # RFC 9111 5.2.1: in a request
_UNSHARED: Final = frozenset({b"no-store", b"no-cache", b"private", b"must-revalidate", b"proxy-revalidate"})  # 5.2.2
_KEY_BYTES: Final = 32
encode = msgpack.Encoder().encode
_ASKED: Final = fields_pattern(SELECTING | _CREDENTIALS | {b"cache-control"})
_ANSWERED: Final = fields_pattern({b"cache-control", b"set-cookie", b"vary", b"content-type", b"age"})
_NOT_KEPT: Final = lines_pattern({b"age", b"x-request-id"})  # age is counted on; the id was another exchange's
_AGE: Final = re.compile(rb"[0-9]{1,9}")


class Good(NamedTuple):
    """A head that may be given again: status line and fields with their CRLFs, and its age in seconds on arrival."""

    lines: bytes
    age: int


def key(request: "RequestHead", body: bytes | None, decision: "Decision") -> bytes | None:
    """Return the key of the question that a request asks.

    Args:
        request: Its head.
        body: The whole body as it came, chunks and all; None when it was not kept.
        decision: What was decided about it.

    Returns:
        None when its answer may neither be kept nor come from what was kept.
    """
    if (
        body is None
        or request.method not in METHODS
        or request.upgrade
        or any(item.override for item in decision.enrolments)
    ):
        return None
    selecting: list[tuple[bytes, bytes]] = []
    for found, value in _ASKED.findall(request.forward):
        name = found.lower()
        if name in SELECTING:
            selecting.append((name, value.rstrip(b" \t")))
        elif name in _CREDENTIALS or not _UNWANTED.isdisjoint(_directives(value)):
            return None
    selecting.sort()
    attributes = [
        (name, source.label, source.read(request))
        for name, source in decision.route.attributes.items()
        if not source.json  # what is read from the body is in the key with it
    ]
    question = (
        request.method, request.host, request.path, request.query, request.length == CHUNKED, body,
        decision.unit_source, decision.unit, selecting, attributes,
    )  # fmt: skip
    return blake2b(encode(question), digest_size=_KEY_BYTES).digest()


def good(answer: "ResponseHead", decision: "Decision") -> Good | None:
    """Return what may be kept of an answer's head; None when the answer may not be kept."""
    if answer.status != 200 or answer.length < 0:
        return None
    age = 0
    for found, value in _ANSWERED.findall(answer.forward):
        name = found.lower()
        if name == b"set-cookie":
            return None
        if name == b"cache-control":
            if not _UNSHARED.isdisjoint(_directives(value)):
                return None
        elif name == b"vary":
            if not _keyed(decision).issuperset(_names(value)):
                return None
        elif name == b"content-type":
            if value.lower().startswith(b"text/event-stream"):
                return None
        else:
            found_age = _AGE.fullmatch(value.rstrip(b" \t"))
            age = max(age, int(found_age[0])) if found_age else age
    return Good(_NOT_KEPT.sub(b"", answer.forward), age)


def _keyed(decision: "Decision") -> frozenset[bytes]:
    """Return the fields that are part of the key of a question."""
    route = decision.route
    unit = [source.field for source in route.sources if source.label == decision.unit_source]
    attributes = [source.field for source in route.attributes.values()]
    return SELECTING.union(field for field in (*unit, *attributes) if field is not None)


def _directives(value: bytes) -> frozenset[bytes]:
    """Return the names in a Cache-Control field; what stands in quotes counts too, to be safe."""
    return frozenset(part.partition(b"=")[0].strip(b' \t"').lower() for part in value.split(b","))


def _names(value: bytes) -> frozenset[bytes]:
    return frozenset(part.strip(b" \t").lower() for part in value.split(b",")) - {b""}
