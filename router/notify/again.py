"""Whether and when a delivery that failed is tried again.

Responsible for: which answers are worth another try, and the pause before it.
Does not know: clocks, how anything is sent.

The pause is that of exponential back-off with full jitter (M. Brooker, "Exponential Backoff and Jitter", AWS
Architecture Blog, 2015): uniform between 0 and ``min(MOST_S, FIRST_S * 2**tries)``. ``Retry-After`` (RFC 9110 10.2.3)
is the least of it, up to ``ASKED_S``, with as much as a tenth more, so that many senders do not come back at once.

Rules: pure. 408 and 429 say "later" (RFC 9110 15.5.9, RFC 6585 4), every 5xx may pass; another status from 300 on will
be the same the next time. Redirects are not followed: a token or a signature is for the place that was configured.
"""

from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import Final

FIRST_S: Final = 1.0
MOST_S: Final = 120.0
ASKED_S: Final = 600.0
FOR_S: Final = 3600.0
"""How long one notification is tried."""
_LATER: Final = frozenset({408, 429})


def pause_s(tries: int, chance: float, asked_s: float | None = None) -> float:
    """Return how long to wait before the next try.

    Args:
        tries: Tries so far, from 1.
        chance: A random number of [0, 1).
        asked_s: What ``Retry-After`` said, in seconds.
    """
    own = chance * min(MOST_S, FIRST_S * 2.0 ** min(tries, 16))
    if asked_s is None:
        return own
    asked = min(max(asked_s, 0.0), ASKED_S)
    return max(own, asked * (1.0 + chance / 10))


def again(status: int) -> bool:
    """Return whether an answer with this status is worth another try."""
    return status in _LATER or status >= 500


def retry_after_s(text: str | None, now: float) -> float | None:
    """Return what a ``Retry-After`` says, in seconds; None when it says nothing that can be used.

    Args:
        text: Value of the field: seconds, or a date.
        now: Unix seconds.
    """
    if text is None:
        return None
    bare = text.strip()
    if bare.isascii() and bare.isdigit():
        return float(bare[:9])
    try:
        moment = parsedate_to_datetime(bare)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
    return max(0.0, (moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)).timestamp() - now)
