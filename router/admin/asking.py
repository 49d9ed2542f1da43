"""Who asks for a change, why, and on the ground of what they saw.

Responsible for: the bodies of changes, ``If-Match``, and making one line of what a person wrote.
Does not know: what is changed, who may ask (``guard``).
"""

import re
from typing import Any, TypeVar

import msgspec
from aiohttp import web

from router.admin.guard import CALLER

_AUTHOR_MAX = 128
_REASON_MAX = 1024
_ETAG = re.compile(r'"([0-9]{1,18})"')
_TAG = re.compile(r'"([0-9a-f]{1,64})"')


class Requester(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The body of a change; all of it may be left out."""

    author: str | None = None


class Reasoned(Requester, frozen=True, forbid_unknown_fields=True):
    """The body of a change that has a reason."""

    reason: str | None = None


Body = TypeVar("Body", bound=Requester)


def revision_of(request: web.Request) -> int | None:
    """Return the number of the revision that a change is asked for on; None when any will do.

    Raises:
        ValueError: If ``If-Match`` is not the ETag of a revision.
    """
    value = request.headers.get("If-Match", "*").strip()
    if value == "*":
        return None
    found = _ETAG.fullmatch(value)
    if found is None:
        raise ValueError("If-Match is not the ETag of a revision")
    return int(found[1])


def tag_of(request: web.Request) -> str | None:
    """Return the tag of the experiment that a change is asked for on; None when any will do.

    Raises:
        ValueError: If ``If-Match`` is not the ETag of an experiment.
    """
    value = request.headers.get("If-Match", "*").strip()
    if value == "*":
        return None
    found = _TAG.fullmatch(value)
    if found is None:
        raise ValueError("If-Match is not the ETag of an experiment")
    return found[1]


async def asked(request: web.Request, kind: type[Body]) -> tuple[str, Body]:
    """Return who asks: by the name of their token, by what the body says, and always from where; and the body.

    Raises:
        ValueError: If the body is not right.
    """
    data = await request.read()
    body = kind()
    if data:
        if request.content_type != "application/json":
            raise ValueError("the body is not application/json")
        try:
            body = msgspec.json.decode(data, type=kind)
        except msgspec.MsgspecError as error:
            raise ValueError(f"the body is not right: {error}") from error
    place = f"admin API from {request.remote}"
    said = _line(body.author, _AUTHOR_MAX) if body.author else None
    known = request.get(CALLER)
    if known is not None:  # what a token vouches for comes first; what the body says is only said
        said = known if said in (None, known) else f"{known}, for {said}"
    return f"{said} ({place})" if said else place, body


def reason_of(body: Reasoned) -> str | None:
    """Return the reason in one line; None when there is none."""
    return _line(body.reason, _REASON_MAX) or None if body.reason else None


def answer(value: Any, etag: int | str | None = None) -> web.Response:
    """Make an answer of plain data.

    Args:
        value: The data.
        etag: Its tag; None for no ``ETag``.
    """
    response = web.Response(body=msgspec.json.encode(value), content_type="application/json")
    if etag is not None:
        response.headers["ETag"] = f'"{etag}"'
    return response


def _line(text: str, longest: int) -> str:
    """Bring what a person wrote to one line without anything that a terminal or a log reader would obey."""
    joined = " ".join(text[: 4 * longest].split())
    return "".join(character if character.isprintable() else "\ufffd" for character in joined)[:longest]
