"""Signed statements: assignments that callers may show again, and overrides that operators hand out.

Responsible for: what is in a token, its bytes, and whether somebody with a key made it.
Does not know: where keys come from (``router.config.keys``), headers, clocks; it is told the time.

A token is ``base64url(payload).base64url(HMAC-SHA256(key, payload))`` without padding. The payload is a JSON array that
begins with its kind and version, ``"a1"`` or ``"o1"``, so that one kind never passes for another.

Rules: pure. Nothing of a token is looked at before its signature; comparing takes the same time wherever it differs.
There is one spelling of a token: bits that do not count are refused, so nobody makes a second token out of one.
"""

import binascii
import hashlib
import hmac
from base64 import urlsafe_b64decode, urlsafe_b64encode
from typing import Final, TypeVar

import msgspec
from msgspec import Struct

MAX_TOKEN_BYTES: Final = 2048  # four names of 64 characters and a unit of 512 bytes fit
_MAC_CHARACTERS: Final = 43  # 32 bytes in base64url
_ALPHABET: Final = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"


class Assignment(Struct, frozen=True, array_like=True, tag="a1", forbid_unknown_fields=True):
    """That a unit was assigned to an arm.

    Attributes:
        experiment: Name of the experiment.
        arm: The arm.
        run: Number of the run.
        phase: Phase of the run.
        unit: Salted hash of the unit (``unit_hash``), never the unit.
        propensity: Probability of the arm.
        time: When, in unix seconds, rounded down to a minute.
    """

    experiment: str
    arm: str
    run: int
    phase: int
    unit: str
    propensity: float
    time: int


class Override(Struct, frozen=True, array_like=True, tag="o1", forbid_unknown_fields=True):
    """That a request may have a given arm.

    Attributes:
        experiment: Name of the experiment.
        arm: The arm.
        expires: Until when, in unix seconds.
        unit: Hash of the only unit that may (``bound_unit``); None is any.
    """

    experiment: str
    arm: str
    expires: int
    unit: str | None = None


class Forced(Struct, frozen=True):
    """An override of a request, verified.

    Attributes:
        override: What it says.
        key: The key that signed it.
    """

    override: Override
    key: bytes

    def fits(self, unit: bytes | None) -> bool:
        """Return whether a unit, in UTF-8, may use it."""
        wanted = self.override.unit
        if wanted is None:
            return True
        return unit is not None and hmac.compare_digest(bound_unit(self.key, unit), wanted)


Statement = TypeVar("Statement", Assignment, Override)


def sign(key: bytes, statement: Assignment | Override) -> bytes:
    """Return the token of a statement."""
    payload = msgspec.json.encode(statement)
    return b"%b.%b" % (_text(payload), _text(hmac.digest(key, payload, "sha256")))


def verify(keys: tuple[bytes, ...], token: bytes, kind: type[Statement]) -> tuple[Statement, bytes] | None:
    """Return what a token says and the key that signed it.

    Args:
        keys: The keys that count.
        token: What somebody sent.
        kind: What it has to be.

    Returns:
        None when it is not one token of that kind, signed with one of the keys.
    """
    if len(token) > MAX_TOKEN_BYTES:
        return None
    head, dot, tail = token.partition(b".")
    payload, given = _bytes(head), _bytes(tail)
    if not dot or len(tail) != _MAC_CHARACTERS or payload is None or given is None:
        return None
    for key in keys:
        if hmac.compare_digest(hmac.digest(key, payload, "sha256"), given):
            try:
                return msgspec.json.decode(payload, type=kind), key
            except msgspec.DecodeError:  # signed, but another kind
                return None
    return None


def allow(keys: tuple[bytes, ...], token: bytes, now: float) -> Forced | None:
    """Return the override that a token is, if it is one and counts still.

    Args:
        keys: The keys that count.
        token: What somebody sent.
        now: Unix seconds.
    """
    found = verify(keys, token, Override)
    return Forced(*found) if found is not None and now < found[0].expires else None


def unit_hash(salt: str, run: int, unit: str) -> str:
    """Return what stands for a unit in an assignment: the same for all of one run, of no use in another.

    It is salted and not keyed, so that whoever has the event log and the configuration can join outcomes to units,
    also after keys have changed. Who knows the salt can try units; give experiments on guessable units a salt that
    nobody guesses.
    """
    digest = hashlib.sha256(f"{salt}\0assignment\0{run}\0{unit}".encode()).digest()
    return _text(digest[:16]).decode()


def bound_unit(key: bytes, unit: bytes) -> str:
    """Return what stands for a unit in an override, for one key."""
    return _text(hmac.digest(key, b"override\0" + unit, "sha256")[:16]).decode()


def _text(data: bytes) -> bytes:
    return urlsafe_b64encode(data).rstrip(b"=")


def _bytes(text: bytes) -> bytes | None:
    """Decode strictly; None when it is not what ``_text`` writes."""
    if text.translate(None, _ALPHABET):
        return None
    try:
        data = urlsafe_b64decode(text + b"=" * (-len(text) % 4))
    except (binascii.Error, ValueError):
        return None
    return data if _text(data) == text else None
