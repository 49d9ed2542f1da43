"""The endpoints of a target, and the choice among them.

Responsible for: choosing an endpoint, and what happens to the endpoints when the configuration changes.
Does not know: requests, connections.

Rules: an endpoint that stays in the configuration keeps its connections.
"""

from collections.abc import Callable

from router import counters
from router.config import schema
from router.proxy.endpoint import Endpoint, place_of
from router.routing.balance import Balancer, make


class TargetPool:
    """The endpoints of one target, and where its counters are."""

    __slots__ = ("_balancer", "_kind", "_words", "direct", "endpoints", "retrying", "row", "target")

    def __init__(self, target: schema.Target, row: int, words: memoryview) -> None:
        self._words = words
        self._kind = ""
        self._balancer: Balancer
        self.row = row
        self.direct = True  # whether an endpoint can be picked without a further question
        self.retrying = 0  # further attempts under way
        self.endpoints: tuple[Endpoint, ...] = ()
        self.target = target

    def _count_connection(self) -> None:
        self._words[self.row + counters.TARGET_CONNECTS] += 1

    def plan(self, target: schema.Target, *, trust_anew: bool) -> list[Endpoint]:
        """Return the endpoints of a changed target, without changing anything; those that stay are the same objects.

        Args:
            target: The target as it is to be.
            trust_anew: Whether files of certificates have changed, so that no https endpoint stays.

        Raises:
            OSError: A file with certificates cannot be read.
        """
        known = {endpoint.place: endpoint for endpoint in self.endpoints if not (trust_anew and endpoint.place.tls)}
        places = [(item.url, place_of(item, target.tls)) for item in target.endpoints]
        return [known.get(place) or Endpoint(url, place, self._count_connection) for url, place in places]

    def update(self, target: schema.Target, endpoints: list[Endpoint]) -> None:
        """Follow a change of the configuration; endpoints that stay keep connections, load and latency."""
        for item, endpoint in zip(target.endpoints, endpoints, strict=True):
            endpoint.weight = item.weight
            endpoint.limits = target.pool
            endpoint.timeouts = target.timeouts
        for endpoint in self.endpoints:
            if endpoint not in endpoints:
                endpoint.close()
        if target.balance != self._kind:
            self._kind = target.balance
            self._balancer = make(target.balance)
        self.target = target
        self.endpoints = tuple(endpoints)

    def pick(self, key: int, random: Callable[[], float]) -> Endpoint | None:
        """Choose an endpoint for one exchange; None when none can be used."""
        endpoints = self.endpoints
        if len(endpoints) == 1:
            return endpoints[0]
        return endpoints[self._balancer.pick(endpoints, key, random)]

    def close(self) -> None:
        """Use no more."""
        for endpoint in self.endpoints:
            endpoint.close()
