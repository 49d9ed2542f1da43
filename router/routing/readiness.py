"""Whether an endpoint says that it is ready.

Responsible for: what answers to health questions make of it, and the word that the control process tells workers.
Does not know: how an endpoint is asked, what is done with one that is not ready.

Rules: an endpoint that was never asked counts as ready. The first good answer is enough for one that never was bad; one
that was bad needs ``healthy_after`` in a row, as it took ``unhealthy_after`` in a row to become so.
"""

from typing import Final, NamedTuple

from router.config.schema import Health

UNKNOWN: Final = 0  # not asked yet, or not asked at all
UNHEALTHY: Final = 1
HEALTHY: Final = 2
RECOVERED: Final = 3  # healthy, after it was not
NAMES: Final = ("unknown", "unhealthy", "healthy", "healthy")

_STATE_BITS: Final = 2


class Readiness(NamedTuple):
    """What is known, as one word.

    Attributes:
        since_ms: When it became so, in milliseconds of the monotonic clock.
        state: One of the states.
    """

    since_ms: int = 0
    state: int = UNKNOWN

    @property
    def word(self) -> int:
        """Return it as a word."""
        return self.since_ms << _STATE_BITS | self.state

    @classmethod
    def of(cls, word: int) -> "Readiness":
        """Read a word."""
        return cls(word >> _STATE_BITS, word & (1 << _STATE_BITS) - 1)

    @property
    def ready(self) -> bool:
        """Return whether the endpoint may be used."""
        return self.state != UNHEALTHY


class Judgement(NamedTuple):
    """What is known of an endpoint, and the answers since that speak against it.

    Attributes:
        readiness: What is known.
        against: Answers in a row that do not fit it.
    """

    readiness: Readiness = Readiness()
    against: int = 0

    def after(self, now_ms: int, settings: Health, *, good: bool) -> "Judgement":
        """Return what one more answer makes of it."""
        readiness = self.readiness
        if good == readiness.ready and readiness.state != UNKNOWN:
            return Judgement(readiness)
        if readiness.state == UNKNOWN and good:
            return Judgement(Readiness(now_ms, HEALTHY))
        against = self.against + 1
        if against < (settings.healthy_after if good else settings.unhealthy_after):
            return Judgement(readiness, against)
        return Judgement(Readiness(now_ms, RECOVERED if good else UNHEALTHY))
