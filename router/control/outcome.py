"""Whether what somebody sent is an outcome that can be taken, and why not.

Responsible for: the fields of an outcome, its bounds, its time against the clock, and the signature of its assignments.
Does not know: HTTP, where outcomes are kept, whether one is a repeat or has an exposure (only the analysis does).

Rules: pure; the time and the keys are given. Each refusal is about one outcome and says which field and what is wrong
with it, in a sentence for whoever sends. Nothing of an assignment is believed before its signature.
"""

import math
from base64 import urlsafe_b64decode
from datetime import datetime
from typing import Annotated, Final, Literal

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

from router.config.scalars import format_duration
from router.events.outcomes import Assigned, Outcome
from router.routing.answer import MAX_ID_BYTES
from router.routing.source import MAX_UNIT_BYTES
from router.routing.token import MAX_TOKEN_BYTES, Assignment, verify

MAX_TOKENS: Final = 256  # experiments of one exchange; a head of 32 KiB has room for fewer
_HASH_CHARACTERS: Final = 22  # of 16 bytes in base64url (``token.unit_hash``)
# Unix seconds of the year 2300: what is beyond counts milliseconds or less.
_SECONDS_MAX: Final = 1e10

RefusedAs = Literal["malformed", "future", "too_late", "bad_signature"]

_Ident = Annotated[str, Meta(pattern=r"^[^\x00-\x1f\x7f]{1,128}\Z")]
_Named = Annotated[str, Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}\Z")]
_RequestId = Annotated[str, Meta(pattern=r"^[\x21-\x7e]{1,128}\Z")]
_Tokens = Annotated[str, Meta(max_length=MAX_TOKENS * (MAX_TOKEN_BYTES + 2))]


class Terms(Struct, frozen=True):
    """What the judgement depends on besides the outcome.

    Attributes:
        now: Unix seconds.
        max_future: How far ahead of ``now`` a time may be, in seconds.
        max_late: How far behind it may be, in seconds.
        keys: What assignments may be signed with; none when the router signs none.
    """

    now: float
    max_future: float
    max_late: float
    keys: tuple[bytes, ...]


class Refused(Struct, frozen=True):
    """Why an outcome is not taken.

    Attributes:
        id: Its id, as far as it can be read.
        fate: What it is counted as.
        reason: For whoever sent it.
    """

    id: str | None
    fate: RefusedAs
    reason: str


class _Sent(Struct, frozen=True, gc=False, forbid_unknown_fields=True):
    """An outcome as it is sent."""

    id: _Ident
    outcome: _Named
    value: bool | int | float = 1
    time: int | float | str | UnsetType = UNSET
    assignment: _Tokens | UnsetType = UNSET
    request_id: _RequestId | UnsetType = UNSET
    unit: str | int | UnsetType = UNSET
    item: str | int | UnsetType = UNSET


class _Identified(Struct, frozen=True):
    id: object = None


class _NotTakenError(Exception):
    """Why an outcome is not taken; never leaves this module."""

    def __init__(self, fate: RefusedAs, reason: str) -> None:
        super().__init__(reason)
        self.fate = fate


_decode = msgspec.json.Decoder(_Sent).decode
_decode_id = msgspec.json.Decoder(_Identified).decode


def judge(raw: bytes | msgspec.Raw, terms: Terms) -> Outcome | Refused:
    """Read one outcome.

    Args:
        raw: JSON, or bytes that should be.
        terms: What it depends on besides.
    """
    try:
        sent = _decode(raw)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        return Refused(_ident(raw), "malformed", f"{error}")
    try:
        return _outcome(sent, terms)
    except _NotTakenError as refused:
        return Refused(sent.id, refused.fate, str(refused))


def _outcome(sent: _Sent, terms: Terms) -> Outcome:
    keys = [name for name in ("assignment", "request_id", "unit") if getattr(sent, name) is not UNSET]
    if len(keys) != 1:
        given = f"it has {' and '.join(keys)}" if keys else "it has none"
        raise _NotTakenError("malformed", f"exactly one of assignment, request_id and unit says whose it is; {given}")
    timed = sent.time is not UNSET
    time = terms.now if isinstance(sent.time, UnsetType) else _time(sent.time, terms)
    return Outcome(
        sent.id,
        sent.outcome,
        _value(sent.value),
        time,
        timed,
        () if isinstance(sent.assignment, UnsetType) else _assignments(sent.assignment, terms.keys),
        None if isinstance(sent.request_id, UnsetType) else sent.request_id,
        None if isinstance(sent.unit, UnsetType) else _unit(sent.unit),
        None if isinstance(sent.item, UnsetType) else _item(sent.item),
    )


def _value(value: float) -> float:
    try:
        number = float(value)
    except OverflowError:
        number = math.inf
    if not math.isfinite(number):
        raise _NotTakenError("malformed", "value is not a finite number of 64 bits")
    return number


def _time(given: float | str, terms: Terms) -> float:
    """Return unix seconds, if they are neither ahead of the clock nor too far behind it."""
    time = _rfc3339(given) if isinstance(given, str) else _value(given)
    if time > _SECONDS_MAX:
        raise _NotTakenError("future", f"time {time:.12g} is no unix time in seconds; is it in milliseconds?")
    ahead = time - terms.now
    if ahead > terms.max_future:
        bound = format_duration(terms.max_future)
        raise _NotTakenError(
            "future", f"time is {ahead:.6g} s ahead of the router's clock; outcomes.max_future is {bound}"
        )
    if -ahead > terms.max_late:
        raise _NotTakenError(
            "too_late", f"time is {-ahead:.6g} s ago; outcomes.max_late is {format_duration(terms.max_late)}"
        )
    return time


def _rfc3339(text: str) -> float:
    try:
        when: datetime = msgspec.convert(text, Annotated[datetime, Meta(tz=True)])
    except msgspec.ValidationError as error:
        raise _NotTakenError(
            "malformed", "time is neither unix seconds nor RFC 3339 with an offset, such as 2026-11-22T18:30:00Z"
        ) from error
    return when.timestamp()


def _unit(unit: str | int) -> str:
    """Return a unit as routes read it: a number is its JSON text."""
    text = str(unit)
    if not text or len(text.encode()) > MAX_UNIT_BYTES:
        raise _NotTakenError("malformed", f"unit has 1 to {MAX_UNIT_BYTES} bytes")
    return text


def _item(item: str | int) -> str:
    """Return the id of an item as events say it: a number is its JSON text."""
    text = str(item)
    if not text or len(text.encode()) > MAX_ID_BYTES:
        raise _NotTakenError("malformed", f"item has 1 to {MAX_ID_BYTES} bytes")
    return text


def _assignments(text: str, keys: tuple[bytes, ...]) -> tuple[Assigned, ...]:
    """Return what the header x-router-assignment says: tokens with commas between them, all of them signed."""
    if not keys:
        raise _NotTakenError("bad_signature", "this router signs no assignments (server.signing)")
    tokens = [token.strip(" \t") for token in text.split(",")]
    if len(tokens) > MAX_TOKENS:
        raise _NotTakenError("malformed", f"assignment has more than {MAX_TOKENS} tokens")
    found: dict[str, Assigned] = {}
    for number, token in enumerate(tokens, start=1):
        proven = verify(keys, token.encode("utf-8", "replace"), Assignment)
        if proven is None:
            which = f"token {number} of assignment" if len(tokens) > 1 else "assignment"
            raise _NotTakenError("bad_signature", f"{which} was not signed with a key of this router, or was changed")
        said = proven[0]
        each = Assigned(said.experiment, said.run, _hex(said.unit))
        if found.setdefault(each.experiment, each) != each:
            raise _NotTakenError("malformed", f"assignment has two different ones in experiment {each.experiment}")
    return tuple(found.values())


def _hex(unit: str) -> str:
    """Return the salted hash of a unit as hexadecimal digits."""
    if len(unit) != _HASH_CHARACTERS:
        raise _NotTakenError("bad_signature", "assignment is of a version that this router does not know")
    return urlsafe_b64decode(f"{unit}==").hex()


def _ident(raw: bytes | msgspec.Raw) -> str | None:
    """Return the id of something that is no outcome, if it has one that can be shown."""
    try:
        found = _decode_id(raw).id
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None
    return found if isinstance(found, str) and 0 < len(found) <= 128 and found.isprintable() else None
