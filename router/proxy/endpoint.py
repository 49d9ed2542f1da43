"""One endpoint of a target, and the connections kept to it.

Responsible for: reusing or making a connection, waiting for one when all are in use, resolving names.
Does not know: requests, other endpoints. A claim is whatever waits for a connection.

Rules: a free connection is taken last in, first out, so that surplus ones grow old and are closed before the endpoint
does it. Connections and waiters are bounded. No connection is given away twice, and one that is not given back is gone
from the count.
"""

import asyncio
import errno
import logging
import socket
import ssl
import time
from collections import deque
from collections.abc import Callable
from math import inf
from typing import Protocol
from urllib.parse import urlsplit

from mmh3 import mmh3_x64_128_utupledigest

from router import counters
from router.config import schema
from router.config.place import Place, client_context
from router.proxy.upstream import Upstream
from router.routing.standing import Standing

WAITERS_PER_CONNECTION = 4  # how many claims may wait for each connection that an endpoint may have
logger = logging.getLogger(__name__)
_LOCAL_ERRNO = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM, errno.EADDRNOTAVAIL})
_LOCAL_EAI = frozenset({socket.EAI_SYSTEM, socket.EAI_MEMORY})  # a resolver without a descriptor, or memory
_EWMA_WEIGHT = 0.1


class Claim(Protocol):
    """What waits for a connection."""

    def connected(self, upstream: Upstream) -> None:
        """Take the connection."""

    def not_connected(self, fault: str) -> None:
        """There is none, for a cause in ``counters.FAULTS``."""


class Endpoint:
    """One endpoint as this worker sees it. A ``routing.balance.Candidate``."""

    __slots__ = (
        "_addresses", "_connections", "_context", "_free", "_loop", "_next_address", "_tasks", "_waiting", "active",
        "authority", "breaker", "closed", "key", "latency", "limits", "on_connect", "place", "resolved_at", "row",
        "slow_s", "standing", "succeeded", "timeouts", "url", "weight",
    )  # fmt: skip

    def __init__(self, url: str, place: Place, on_connect: Callable[[], None], standing: tuple[Standing, int]) -> None:
        """Begin without connections.

        Args:
            url: Base URL.
            place: Where that is.
            on_connect: Called for each connection that was made.
            standing: Whether it may be used, and where its row of counters begins.
        """
        # Per endpoint
        self.standing, row = standing
        self.breaker = self.standing.breaker
        self.row = row
        self.succeeded = row + counters.ENDPOINT_SUCCEEDED
        self.slow_s = inf
        self.url = url
        self.place = place
        self.authority = urlsplit(url).netloc.encode("latin-1")
        self.key = mmh3_x64_128_utupledigest(url.encode(), 0)[0]
        self.weight = 1
        self.limits = schema.Pool()
        self.timeouts = schema.TargetTimeouts()
        self.on_connect = on_connect
        self.active = 0
        self.latency = 0.0
        self.closed = False
        self._loop = asyncio.get_running_loop()
        self._context = client_context(place) if place.tls else None
        self._free: list[Upstream] = []
        self._connections = 0
        self._waiting: deque[Claim] = deque()
        self._tasks: set[asyncio.Task[None]] = set()
        self._addresses: list[tuple[int, tuple[str, int]]] = _literal(place)
        self._next_address = 0
        self.resolved_at = float("inf") if self._addresses else 0.0

    def __repr__(self) -> str:
        return f"<Endpoint {self.url} active={self.active} connections={self._connections} free={len(self._free)}>"

    def configure(self, item: schema.Endpoint, target: schema.Target) -> None:
        """Follow a change of the configuration."""
        self.weight = item.weight
        self.limits = target.pool
        self.timeouts = target.timeouts
        self.slow_s = inf if target.breaker.slow is None else target.breaker.slow

    def reuse(self) -> Upstream | None:
        """Give a free connection, if there is one that is still open.

        The kernel is asked when the event loop has not looked for a while: what came in since may be an end, or an
        answer that nobody asked for (RFC 9112 9.2), and it must not become that of the next request.
        """
        free = self._free
        while free:
            upstream = free.pop()
            if time.monotonic() - upstream.idle_since > _TRUSTED_S and upstream.is_stale():
                upstream.close()
            elif upstream.transport is not None and not upstream.transport.is_closing():
                return upstream
        return None

    def claim(self, claim: Claim) -> bool:
        """Make a new connection for a claim, or let it wait for one; return whether it waits."""
        if self._connections < self.limits.max:
            self._connect(claim)
            return False
        if len(self._waiting) < WAITERS_PER_CONNECTION * self.limits.max:
            self._waiting.append(claim)
        else:
            self._loop.call_soon(claim.not_connected, "pool_timeout")
        return True

    def give_back(self, upstream: Upstream, now: float) -> None:
        """Keep a connection whose exchange is over and which may serve another."""
        upstream.user = None
        upstream.used = True
        upstream.idle_since = now
        transport = upstream.transport
        # RFC 9112 9.3: one that still has bytes of the last request to send is not used for another.
        if transport is None or transport.is_closing() or transport.get_write_buffer_size():
            upstream.close()
            return
        if not upstream.reading:
            upstream.read(on=True)
        while self._waiting:
            self._waiting.popleft().connected(upstream)
            if upstream.user is not None:
                return
        if self.closed:
            upstream.close()
        else:
            self._free.append(upstream)

    def withdraw(self, claim: Claim) -> None:
        """Stop waiting; a claim that does not wait is no error."""
        if claim in self._waiting:
            self._waiting.remove(claim)

    def expire_idle(self, now: float) -> None:
        """Close connections that lay idle for ``pool.idle``: before the endpoint does, which would race a request."""
        limit = now - self.limits.idle
        free = self._free
        count = 0
        while count < len(free) and free[count].idle_since <= limit:
            count += 1
        for upstream in free[:count]:
            upstream.close()
        del free[:count]

    def observe(self, seconds: float) -> None:
        """Take note of a time from the end of a request to the first byte of its answer."""
        if seconds > self.slow_s:
            self.breaker.slow(time.monotonic())
        self.latency += _EWMA_WEIGHT * (seconds - self.latency) if self.latency else seconds

    def close(self) -> None:
        """Take no new exchanges: free connections close now, the others when nobody needs them any more."""
        self.closed = True
        self.close_idle()

    def close_idle(self) -> int:
        """Close the free connections; return how many there were."""
        free, self._free = self._free, []
        for upstream in free:
            upstream.close()
        return len(free)

    def refresh(self, now: float, every: float) -> None:
        """Resolve the name again when the last answer is older than ``every`` seconds; the old one serves meanwhile."""
        if now - self.resolved_at >= every and self._addresses:
            self.resolved_at = now
            task = self._loop.create_task(self._refresh())
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _refresh(self) -> None:
        try:
            await self.resolve()
        except OSError as error:
            logger.warning("%s: %s is not resolved, the last addresses serve on", self.url, error)

    async def resolve(self) -> None:
        """Look the name up; the last good answer is kept when that fails."""
        infos = await self._loop.getaddrinfo(self.place.host, self.place.port, type=socket.SOCK_STREAM)
        self._addresses = [(family, (str(address[0]), self.place.port)) for family, _, _, _, address in infos]
        self.resolved_at = time.monotonic()

    def _connect(self, claim: Claim) -> None:
        self._connections += 1
        task = self._loop.create_task(self._connect_for(claim))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _connect_for(self, claim: Claim) -> None:
        upstream = Upstream(self._lost)
        fault = "connect_timeout"
        try:
            async with asyncio.timeout(self.timeouts.connect):
                fault = await self._open(upstream)
        except TimeoutError:
            upstream.abandon()
        finally:
            if not upstream.opened:
                self._connections -= 1
                self._connect_next()
        if upstream.transport is None:
            claim.not_connected("reset" if upstream.opened else fault)
            return
        self.on_connect()
        claim.connected(upstream)
        if upstream.user is None:  # the claim was withdrawn meanwhile
            self.give_back(upstream, time.monotonic())

    async def _open(self, upstream: Upstream) -> str:
        """Try the endpoint's addresses in turn; return the fault of the last, or "" when connected."""
        if not self._addresses:
            try:
                await self.resolve()
            except OSError as error:
                return "local" if error.errno in _LOCAL_EAI else "dns"
        fault = "dns"
        for offset in range(len(self._addresses)):
            family, (host, port) = self._addresses[(self._next_address + offset) % len(self._addresses)]
            try:
                await self._loop.create_connection(
                    lambda: upstream, host, port, family=family, ssl=self._context,
                    server_hostname=(self.place.server_name or self.place.host) if self._context else None,
                )  # fmt: skip
            except (OSError, ssl.SSLError) as error:
                fault = connect_fault(error)
            else:
                self._next_address = (self._next_address + 1) % len(self._addresses)
                return ""
        return fault

    def _lost(self, upstream: Upstream) -> None:
        self._connections -= 1
        if upstream.user is None and upstream in self._free:
            self._free.remove(upstream)
        self._connect_next()

    def _connect_next(self) -> None:
        """Use room for a connection for whoever has waited longest."""
        if self._waiting and self._connections < self.limits.max:
            self._connect(self._waiting.popleft())


_TRUSTED_S = 0.02  # idle for less than this, a connection was seen open by the event loop just now


def connect_fault(error: OSError) -> str:
    """Name the fault (``counters.FAULTS``) that an error of connecting stands for."""
    if isinstance(error, ssl.SSLError):
        return "tls"
    if error.errno in _LOCAL_ERRNO:
        return "local"
    return "connect_timeout" if isinstance(error, TimeoutError) else "refused"


def _literal(place: Place) -> list[tuple[int, tuple[str, int]]]:
    for family in (socket.AF_INET, socket.AF_INET6):
        try:
            socket.inet_pton(family, place.host)
        except OSError:
            continue
        return [(family, (place.host, place.port))]
    return []
