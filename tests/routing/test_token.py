"""Tokens: nobody without a key makes one, and nobody makes another one out of one."""

import hmac
from base64 import urlsafe_b64encode

import msgspec
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from router.routing.token import (
    MAX_TOKEN_BYTES,
    Assignment,
    Forced,
    Override,
    allow,
    bound_unit,
    sign,
    unit_hash,
    verify,
)

KEY, OLD, FOREIGN = b"k" * 32, b"o" * 32, b"f" * 32
KEYS = (KEY, OLD)
NOW = 1_800_000_000.0
NAMES = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", fullmatch=True)
ASSIGNMENTS = st.builds(
    Assignment,
    experiment=NAMES,
    arm=NAMES,
    run=st.integers(1, 10**6),
    phase=st.integers(1, 10**6),
    unit=st.text(st.sampled_from("abcXYZ-_09"), min_size=22, max_size=22),
    propensity=st.floats(0, 1),
    time=st.integers(0, 2**40),
)
TOKEN = sign(KEY, Assignment("ranker", "treatment", 1, 2, "x" * 22, 0.05, int(NOW)))


@given(ASSIGNMENTS, st.sampled_from(KEYS))
def test_what_was_signed_is_read_back(said: Assignment, key: bytes) -> None:
    """By every key that counts, also one that no longer signs."""
    token = sign(key, said)
    assert verify(KEYS, token, Assignment) == (said, key)
    assert len(token) <= MAX_TOKEN_BYTES


@given(st.integers(0, len(TOKEN) - 1), st.integers(0, 255))
def test_any_other_byte_makes_it_worthless(place: int, byte: int) -> None:
    """In the payload, the signature or between them; bits that do not count included."""
    assume(TOKEN[place] != byte)
    assert verify(KEYS, TOKEN[:place] + bytes([byte]) + TOKEN[place + 1 :], Assignment) is None


@given(st.binary(max_size=300))
def test_whatever_is_sent_is_no_token(data: bytes) -> None:
    """Nothing raises, and nothing passes."""
    assert verify(KEYS, data, Assignment) is None
    assert verify(KEYS, data + b"." + TOKEN.partition(b".")[2], Assignment) is None


@pytest.mark.parametrize(
    "token",
    [
        b"",
        b".",
        TOKEN + b"=",
        TOKEN + b".",
        b" " + TOKEN,
        TOKEN[:-1],
        TOKEN.replace(b".", b""),
        TOKEN.partition(b".")[0] + b".",
        b"A" * (MAX_TOKEN_BYTES + 1),
    ],
)
def test_another_spelling_is_no_token(token: bytes) -> None:
    """Padding, white space, parts missing, or more than any token has."""
    assert verify(KEYS, token, Assignment) is None


def test_a_foreign_key_and_no_key_sign_nothing() -> None:
    """Without a key that counts there is no token."""
    said = Assignment("ranker", "treatment", 1, 2, "x" * 22, 0.05, 0)
    assert verify(KEYS, sign(FOREIGN, said), Assignment) is None
    assert verify((), sign(KEY, said), Assignment) is None


def test_one_kind_never_passes_for_another() -> None:
    """What every caller gets is not a permission."""
    override = sign(KEY, Override("ranker", "treatment", int(NOW) + 60))
    assert verify(KEYS, override, Assignment) is None
    assert verify(KEYS, TOKEN, Override) is None
    assert allow(KEYS, TOKEN, 0.0) is None


def test_an_override_counts_until_it_expires() -> None:
    """Not in the second that it names."""
    token = sign(KEY, Override("ranker", "treatment", int(NOW)))
    assert allow(KEYS, token, NOW - 1) is not None
    assert allow(KEYS, token, NOW) is None


def test_an_override_for_a_unit_is_for_no_other() -> None:
    """Nor for a request without one; the unit itself is not in the token."""
    bound = bound_unit(KEY, b"user-17")
    forced = Forced(Override("ranker", "treatment", int(NOW), bound), KEY)
    assert [forced.fits(unit) for unit in (b"user-17", b"user-18", b"", None)] == [True, False, False, False]
    assert Forced(Override("ranker", "treatment", int(NOW)), KEY).fits(None)
    assert b"user-17" not in msgspec.json.encode(forced.override)


def test_the_hash_of_a_unit_is_pinned() -> None:
    """Outcomes of today are joined tomorrow; another salt, run or unit is another hash."""
    assert unit_hash("ranker-v2", 1, "user-17") == "6ckuII9T82_Srxey73qPmA"
    others = {unit_hash("ranker-v2", 1, "user-18"), unit_hash("ranker-v2", 2, "user-17"), unit_hash("x", 1, "user-17")}
    assert len(others | {unit_hash("ranker-v2", 1, "user-17")}) == 4


def test_a_signed_payload_that_is_no_statement_is_refused() -> None:
    """Should somebody with a key sign something else."""
    for payload in (b'["a1"]', b'["a1","e","a",1,2,"u",0.5,7,8]', b"{}", b"\xff"):
        head = urlsafe_b64encode(payload).rstrip(b"=")
        tail = urlsafe_b64encode(hmac.digest(KEY, payload, "sha256")).rstrip(b"=")
        assert verify(KEYS, head + b"." + tail, Assignment) is None
