"""When each request is meant to be sent: an open loop at a constant rate.

Responsible for: the intended time of every request, and how many of them are due.
Does not know: clocks, connections, or how a request ends; times are seconds on any clock, given by the caller.

Rules: the intended time of request n is start + n / rate, computed and never accumulated, so it does not drift and does
not depend on what was sent or answered before.
"""


class Schedule:
    """The requests of one run; the only state is how many of them were taken.

    Args:
        rate: Requests per second.
        total: How many requests there are.
        start: Time of the first.
    """

    def __init__(self, rate: float, total: int, start: float) -> None:
        self.rate = rate
        self.total = total
        self.start = start
        self.taken = 0

    def due(self, now: float) -> int:
        """Return how many requests should have been sent by now and were not taken."""
        if now < self.start:
            return 0
        # Floating point may round (intended - start) * rate to just below n; that must not cost the request a tick.
        reached = int((now - self.start) * self.rate + 1e-6) + 1
        return min(reached, self.total) - self.taken

    def take(self) -> float:
        """Take the next request; return the time it is meant to be sent.

        Raises:
            IndexError: All were taken.
        """
        if self.taken >= self.total:
            raise IndexError(f"all {self.total} requests are taken")
        intended = self.start + self.taken / self.rate
        self.taken += 1
        return intended

    def exhausted(self) -> bool:
        """Tell whether every request was taken."""
        return self.taken >= self.total
