"""A route's ``rate_limit``, as one worker sees it.

Responsible for: which bucket a request draws from, and the words in which workers tell each other what they admitted.
Does not know: what becomes of a request that is refused.

Rules: memory is fixed. Units share a table of ``counters.UNIT_SLOTS`` buckets by a hash, so two units may share one, in
which case they have one rate together; a bucket that nobody draws from fills up, so it is as if it had expired. A table
is 0.5 MiB of shared words and 1.5 MiB of views, for each route and worker.
"""

import contextlib
import socket
from collections.abc import Sequence
from typing import Final

from mmh3 import mmh3_x64_128_utupledigest

from router import counters
from router.config.schema import RateLimit
from router.routing.rate import Buckets, Rate

_V6_NETWORK_BYTES: Final = 8  # of an address: one subscriber has 2^64 of them (RFC 6177)


class Limiter:
    """The buckets of one route."""

    __slots__ = ("_base", "_blocks", "_buckets", "_words", "config")

    def __init__(self, config: RateLimit, base: int, blocks: Sequence[memoryview], worker: int, now: float) -> None:
        """Begin with what is known of admissions before.

        Args:
            config: The limit.
            base: First word of the limit's row.
            blocks: The words of all workers.
            worker: Which of them is this one.
            now: Seconds of ``time.monotonic``.
        """
        # Per route
        self.config = config
        self._base = base
        self._blocks = blocks
        self._words = blocks[worker]
        late = self._sum(base + counters.RATE_ADMITTED) > 0
        self._buckets = Buckets(rate_of(config), row_buckets(config), now, late=late)

    def change(self, config: RateLimit) -> None:
        """Go on at another rate of the same kind (``per``)."""
        self.config = config
        self._buckets.change(rate_of(config))

    def take(self, unit: int | None, client: str, now: float) -> float:
        """Draw for one request; 0 if it is admitted, else the seconds until one would be.

        Args:
            unit: Hash of its unit; None without one.
            client: Address of its caller.
            now: Seconds of ``time.monotonic``.
        """
        index = 0
        if self.config.per == "unit":
            index = (client_key(client) if unit is None else unit) % counters.UNIT_SLOTS
        word = self._base + counters.RATE_BUCKETS + index
        wait = self._buckets.take(index, now, self._sum(word))
        if not wait:
            words = self._words
            words[word] += 1
            words[self._base + counters.RATE_ADMITTED] += 1
        return wait

    def tick(self, now: float) -> None:
        """Look at what others admitted, so that it is known when; a table is too large for that."""
        if self.config.per == "route":
            self._buckets.look(0, now, self._sum(self._base + counters.RATE_BUCKETS))

    def _sum(self, word: int) -> int:
        return sum([block[word] for block in self._blocks])


def rate_of(config: RateLimit) -> Rate:
    """Return the rate that a limit says."""
    return Rate(config.requests, config.burst or max(1, round(config.requests)))


def row_buckets(config: RateLimit) -> int:
    """Return how many buckets a limit has."""
    return counters.UNIT_SLOTS if config.per == "unit" else 1


def client_key(client: str) -> int:
    """Return 64 bits that stand for a caller's address; of version 6, for its network."""
    data = client.encode()
    if ":" in client:
        with contextlib.suppress(OSError):  # not an address after all: the text stands for itself
            data = socket.inet_pton(socket.AF_INET6, client.partition("%")[0])[:_V6_NETWORK_BYTES]
    key: int = mmh3_x64_128_utupledigest(data)[0]
    return key
