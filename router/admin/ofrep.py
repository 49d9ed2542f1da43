"""OFREP 0.3.0: flags for other programs, on the admin listener.

Responsible for: the requests and answers of the OpenFeature Remote Evaluation Protocol, one flag and all of them: what
of a body is a context, status codes, error codes, entity tags.
Does not know: what a flag is (``router.flags``), who may ask (``guard``), the change stream (``stream``).

Rules: exactly the protocol's document. ``variant`` and ``reason`` are in every success, because the official providers
read them without asking; ``DEFAULT`` is not among the reasons of the document and becomes ``UNKNOWN``. An evaluation is
not an exposure: nothing is logged or counted as one.
"""

import asyncio
import hashlib
import re
import time
from collections.abc import Awaitable, Mapping
from dataclasses import dataclass, replace
from logging import getLogger
from typing import Any, Final

import msgspec
from aiohttp import web

from router.admin.driven import Driven
from router.control.loop import Control
from router.events.model import Revision
from router.flags.evaluate import Evaluation, Failed, Flags, Resolved

log = getLogger(__name__)

BODY_MAX: Final = 64 * 1024
CONTEXT_DEPTH: Final = 16
STREAM_PATH: Final = "/ofrep/v1/events"
INACTIVITY_S: Final = 120  # the protocol's default
_REASONS: Final = frozenset({"STATIC", "TARGETING_MATCH", "SPLIT", "DISABLED"})
_CODES: Final = frozenset({"PARSE_ERROR", "TARGETING_KEY_MISSING", "INVALID_CONTEXT", "GENERAL", "FLAG_NOT_FOUND"})
_DETAILS_MAX: Final = 500
_THREADS: Final = 2  # of the process's few; a kill must find one, however many programs ask for all flags
_DATE: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt ][0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]+)?([Zz]|[+-][0-9:]{5})")


@dataclass(frozen=True, slots=True)
class Context:
    """Whom an evaluation is for.

    Attributes:
        unit: The targeting key; None without one.
        attributes: The rest, as JSON has it.
    """

    unit: str | None
    attributes: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Refused:
    """Why a request is none: OpenFeature's error code, and a sentence."""

    code: str
    details: str


class Ofrep:
    """What the two routes do."""

    def __init__(self, control: Control) -> None:
        # Per process
        self._control = control
        self._seen: _Present | None = None
        self._building = asyncio.Lock()
        self._threads = asyncio.Semaphore(_THREADS)

    async def one(self, request: web.Request) -> web.Response:
        """Answer ``POST /ofrep/v1/evaluate/flags/{key}``."""
        return await _safely(self._one(request))

    async def all(self, request: web.Request) -> web.Response:
        """Answer ``POST /ofrep/v1/evaluate/flags``."""
        return await _safely(self._all(request))

    async def _one(self, request: web.Request) -> web.Response:
        key = request.match_info["key"]
        revision = self._control.revision
        context = await self._context(request, revision)
        if isinstance(context, Refused):
            return _json({"key": key, "errorCode": context.code, "errorDetails": context.details}, 400)
        present = await self._present(revision)
        evaluation = present.evaluate(key, context, time.time())
        if isinstance(evaluation, Failed):
            return _json(shown(evaluation), 404 if evaluation.code == "FLAG_NOT_FOUND" else 400)
        return _json(shown(evaluation))

    async def _all(self, request: web.Request) -> web.Response:
        revision = self._control.revision
        context = await self._context(request, revision)
        if not isinstance(context, Refused) and not _moment(request.query.get("flagConfigLastModified", "0")):
            context = Refused("GENERAL", "flagConfigLastModified is neither unix seconds nor a date-time")
        if isinstance(context, Refused):
            return _json({"errorCode": context.code, "errorDetails": context.details}, 400)
        present = await self._present(revision)
        async with self._threads:
            body = await asyncio.to_thread(_bulk, present, context, time.time())
        tag = entity_tag(body, context)
        if _matches(request.headers.get("If-None-Match", ""), tag):
            return web.Response(status=304, headers={"ETag": tag})
        return web.Response(body=body, content_type="application/json", headers={"ETag": tag})

    async def _context(self, request: web.Request, revision: Revision) -> Context | Refused:
        try:
            data = await request.read()
        except web.HTTPRequestEntityTooLarge:
            data = b" " * (BODY_MAX + 1)
        if len(data) > BODY_MAX:
            return Refused("INVALID_CONTEXT", f"the body has more than {BODY_MAX} bytes")
        if request.content_type != "application/json":
            return Refused("PARSE_ERROR", "the body is not application/json")
        return read_context(data, require_key=revision.config.flags.require_targeting_key)

    async def _present(self, revision: Revision) -> "_Present":
        async with self._building:
            before = self._seen
            if before is not None and before.revision is revision:
                return before
            known = before is not None and before.revision.config.flags is revision.config.flags
            flags = before.flags if before is not None and known else None
            self._seen = present = await asyncio.to_thread(_build, revision, flags)
            return present


@dataclass(frozen=True, slots=True)
class _Present:
    """What a revision says of flags: the files', and what experiments make of them."""

    revision: Revision
    flags: Flags
    driven: Driven

    def evaluate(self, key: str, context: Context, now: float) -> Evaluation:
        """Return what a flag is: an experiment's arm for its units, otherwise what the file says."""
        own = self.flags.evaluate(key, context.unit, context.attributes)
        found = self.driven.evaluate(key, context.unit, context.attributes, now)
        if found is None:
            return own
        return replace(found, metadata={**own.metadata, **found.metadata}) if isinstance(own, Resolved) else found


def _build(revision: Revision, flags: Flags | None) -> _Present:
    return _Present(revision, Flags(revision.config.flags.sets) if flags is None else flags, Driven(revision))


async def _safely(answering: Awaitable[web.Response]) -> web.Response:
    """Answer a failure of our own as the protocol has it; the guard would write a problem document."""
    try:
        return await answering
    except Exception:
        log.exception("an OFREP evaluation failed")
        return _json({"errorDetails": "the evaluation failed; the log says why"}, 500)


def read_context(data: bytes, *, require_key: bool) -> Context | Refused:
    """Read the body of a request.

    Args:
        data: The body.
        require_key: Whether there has to be a targeting key.
    """
    try:
        body = msgspec.json.decode(data)
    except (msgspec.DecodeError, RecursionError) as error:
        return Refused("PARSE_ERROR", f"the body is not JSON: {error}")
    if not isinstance(body, dict):
        return Refused("PARSE_ERROR", "the body is not an object")
    context = body.get("context")
    if not isinstance(context, dict):
        return Refused("INVALID_CONTEXT", "context is missing, or not an object")
    if _deeper(context, CONTEXT_DEPTH):
        return Refused("INVALID_CONTEXT", f"the context is nested more than {CONTEXT_DEPTH} deep")
    unit = context.pop("targetingKey", None)
    if unit is None or unit == "":
        return (
            Refused("TARGETING_KEY_MISSING", "the context has no targetingKey")
            if require_key
            else Context(None, context)
        )
    if not isinstance(unit, str):
        return Refused("INVALID_CONTEXT", "targetingKey is not text")
    return Context(unit, context)


def _deeper(value: Any, left: int) -> bool:
    if not isinstance(value, dict | list):
        return False
    return left == 0 or any(_deeper(item, left - 1) for item in (value.values() if isinstance(value, dict) else value))


def shown(evaluation: Evaluation) -> dict[str, Any]:
    """Return an evaluation as the protocol has it; without ``value`` when the caller's own default is meant."""
    if isinstance(evaluation, Failed):
        code = evaluation.code if evaluation.code in _CODES else "GENERAL"
        return {"key": evaluation.key, "errorCode": code, "errorDetails": evaluation.details[:_DETAILS_MAX]}
    answer: dict[str, Any] = {
        "key": evaluation.key,
        "reason": evaluation.reason if evaluation.reason in _REASONS else "UNKNOWN",
        "variant": evaluation.variant or "",
        "metadata": evaluation.metadata,
    }
    return answer if evaluation.variant is None else {**answer, "value": evaluation.value}


def _bulk(present: _Present, context: Context, now: float) -> bytes:
    flags = present.flags
    answers = [shown(present.evaluate(key, context, now)) for key in flags.kinds]
    stream = {"type": "sse", "endpoint": {"requestUri": STREAM_PATH}, "inactivityDelaySec": INACTIVITY_S}
    return msgspec.json.encode({"flags": answers, "metadata": flags.metadata, "eventStreams": [stream]})


def entity_tag(body: bytes, context: Context) -> str:
    """Return the tag of a bulk answer: of what it says and whom for, so that another context never matches."""
    about = msgspec.json.encode([context.unit, context.attributes], order="deterministic")
    digest = hashlib.sha256(hashlib.sha256(about).digest() + body).hexdigest()
    return f'"{digest[:32]}"'


def _matches(header: str, tag: str) -> bool:
    """Tell whether If-None-Match names a tag (RFC 9110 13.1.2, weakly); providers also send it without its quotes."""
    given = (item.strip().removeprefix("W/") for item in header.split(","))
    return any(item in ("*", tag, tag.strip('"')) for item in given)


def _moment(text: str) -> bool:
    return (text.isascii() and text.isdigit()) or _DATE.fullmatch(text) is not None


def _json(value: object, status: int = 200) -> web.Response:
    return web.Response(body=msgspec.json.encode(value), status=status, content_type="application/json")
