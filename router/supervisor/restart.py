"""How long to wait before a dead child is replaced, and when to give up.

Responsible for: telling one crash from a crash loop. Pure: it is told how long a child lived.
Does not know: processes, clocks.

Rules: a child that lived long enough settles every debt; the first few quick deaths cost no wait, so that one crash is
replaced at once; then waits double up to a cap.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Policy:
    """What counts as a crash loop.

    Attributes:
        settled_s: A child that lived this long does not belong to a loop.
        free: Quick deaths in a row that are replaced at once.
        first_s: The wait after the free ones; doubles with each further one.
        cap_s: The longest wait.
        limit: Quick deaths in a row after which it is given up; None is never.
    """

    settled_s: float = 10.0
    free: int = 3
    first_s: float = 0.2
    cap_s: float = 10.0
    limit: int | None = 10


class Restarts:
    """The quick deaths in a row of one child and its replacements."""

    def __init__(self, policy: Policy) -> None:
        self.policy = policy
        self.deaths = 0

    def died(self, lived_s: float) -> float | None:
        """Count a death.

        Args:
            lived_s: Seconds between the start of the child and its end.

        Returns:
            Seconds to wait before the replacement starts; None to give up.
        """
        if lived_s >= self.policy.settled_s:
            self.deaths = 0
        self.deaths += 1
        if self.policy.limit is not None and self.deaths >= self.policy.limit:
            return None
        if self.deaths <= self.policy.free:
            return 0.0
        # The exponent is bounded: 2.0**1024 would overflow after a day of crashes without a limit.
        doublings = min(self.deaths - self.policy.free - 1, 30)
        return min(self.policy.cap_s, self.policy.first_s * 2.0**doublings)
