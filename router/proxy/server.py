"""What all connections of a worker share.

Responsible for: the table in force and all that is derived from it, who may connect, which addresses are believed, and
ending everything in order.
Does not know: processes, where revisions come from.

Rules: a new table is swapped in between two callbacks, so that an exchange sees one or the other; exchanges under way
keep theirs. Endpoints that stay keep their connections. Limits hold for the whole router: what other workers have open
is read from their counters.
"""

import asyncio
import logging
import ssl
import time
from collections.abc import Sequence
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Protocol

from router import counters
from router.config import schema
from router.events.model import Event, Revision
from router.proxy.deadlines import Wheel
from router.proxy.downstream import Downstream
from router.proxy.exchange import Exchange
from router.proxy.fans import Fans
from router.proxy.heads import RequestReader
from router.proxy.identity import Identity
from router.proxy.last_good import LastGood
from router.proxy.limiter import Limiter
from router.proxy.pool import Shared, TargetPool, follow, plan_pool
from router.proxy.request_head import RequestHead
from router.proxy.response_head import ResponseReader
from router.proxy.reward import Rewards
from router.proxy.shadow import Shadows
from router.proxy.signing import Signing
from router.routing.steps import TargetStep
from router.routing.table import Table, compile_table
from router.routing.token import Forced

logger = logging.getLogger(__name__)

VIA = b"via: 1.1 router\r\n"
VIA_1_0 = b"via: 1.0 router\r\n"


class Log(Protocol):
    """Where events go; never blocks, never raises."""

    def append(self, event: Event) -> None:
        """Take an event."""


class Server:
    """The state of one worker's data plane."""

    __slots__ = (
        "_blocks",
        "_corked",
        "_expose",
        "_expose_more",
        "_networks",
        "_shared",
        "_signing",
        "connections",
        "draining",
        "expose_id_only",
        "fans",
        "identity",
        "last_good",
        "limiters",
        "limits",
        "log",
        "loop",
        "most_upstream",
        "pools",
        "requests",
        "responses",
        "rewards",
        "shadows",
        "table",
        "timeouts",
        "tls",
        "turn",
        "unenrolled",
        "wall_offset",
        "wheel",
        "words",
    )

    table: Table

    def __init__(
        self,
        revision: Revision,
        blocks: Sequence[memoryview],
        worker: int,
        log: Log,
        control: memoryview | None = None,
    ) -> None:
        """Serve a revision.

        Args:
            revision: The first.
            blocks: The shared words of all workers.
            worker: Which of them are this worker's.
            log: Where events go.
            control: The control process's words; without them endpoints are not known to be ready or not.
        """
        # Per process
        self.loop = asyncio.get_running_loop()
        self.words = blocks[worker]
        self._blocks = blocks
        self._shared = Shared(blocks, worker, control)
        self.log = log
        self.wheel = Wheel(time.monotonic())
        self.wall_offset = time.time() - time.monotonic()
        self.connections: set[Downstream] = set()
        self.draining = False
        self.turn = 0  # how often corked bytes were sent
        self._corked: list[tuple[asyncio.Transport, bytes]] = []
        self.pools: dict[str, TargetPool] = {}
        self.last_good: dict[str, LastGood] = {}  # by route
        self.shadows = Shadows(self, [block for number, block in enumerate(blocks) if number != worker])
        self.rewards = Rewards(self.words, log)
        self.fans = Fans(blocks, worker)
        self.limiters: dict[str, Limiter] = {}  # by route
        self._signing = Signing()
        self.identity = Identity(self.words)
        # Per revision
        self.tls: ssl.SSLContext | None = None
        self.swap(revision)

    def swap(self, revision: Revision) -> None:
        """Serve a revision from now on.

        Raises:
            OSError: A file with certificates cannot be read; the revision before stays in force, all of it.
        """
        table = compile_table(revision)
        config = revision.config
        pools = [plan_pool(self.pools, target, revision, self._shared) for target in config.targets]
        copies = self.shadows.plan(revision, self._shared)
        networks = tuple(ip_network(network, strict=False) for network in config.server.trusted_proxies)
        if config.server.tls is not None:  # the last step that can fail
            self.tls = self._certificate(config.server.tls)
        self._signing.follow(config.server.signing.keys_file if config.server.signing is not None else None)
        self.identity.follow(config.server.jwt)
        self.pools = follow(self.pools, pools)
        self.shadows.pools = follow(self.shadows.pools, copies)
        kept = (*self.pools.values(), *self.shadows.pools.values())
        self.most_upstream = sum(len(pool.endpoints) * pool.target.pool.max for pool in kept)
        self.fans.follow(revision, time.monotonic())
        self.last_good = self._stores(config)
        self.limiters = {route.name: limiter for route in config.routes if (limiter := self._limiter(route, revision))}
        self.limits = config.server.limits
        self.timeouts = config.server.timeouts
        self.unenrolled = config.events.unenrolled
        self._networks = networks
        self._expose = frozenset(config.server.expose)
        self._expose_more = bool(self._expose - {"request-id", "fallback"})
        self.expose_id_only = "request-id" in self._expose and not self._expose_more  # of an answer of the target's
        self.requests = RequestReader(table.fields, config.server.limits.headers)
        self.responses = ResponseReader([b"x-request-id"] if "request-id" in self._expose else [])
        self.table = table

    def _stores(self, config: schema.Config) -> dict[str, LastGood]:
        """Return the store of each route that keeps answers; one that did before keeps them, whatever else changed."""
        stores: dict[str, LastGood] = {}
        for route in config.routes:
            for step in route.fallback:
                if step.cached is not None:
                    share = step.cached.size // len(self._blocks)
                    store = stores[route.name] = self.last_good.get(route.name) or LastGood(step.cached.ttl, share)
                    store.resize(step.cached.ttl, share)
        return stores

    def _limiter(self, route: schema.Route, revision: Revision) -> Limiter | None:
        """Return what limits a route from now on; while the limit is of the same kind it goes on where it was."""
        config = route.rate_limit
        if config is None:
            return None
        known = self.limiters.get(route.name)
        if known is not None and known.config.per == config.per:
            known.change(config)
            return known
        base = revision.slots[counters.rate_key(route.name, config.per)]
        return Limiter(config, base, self._blocks, self._shared.worker, time.monotonic())

    def _certificate(self, tls: schema.Tls) -> ssl.SSLContext:
        """Load the certificate of the listener; one that cannot be read again stays what it was.

        A revision, a kill above all, must not wait for a certificate that somebody is renewing.
        """
        try:
            return _server_context(tls, self.tls)
        except OSError as error:
            if self.tls is None or tls != self.table.config.server.tls:
                raise
            logger.error("the certificate cannot be read again, the one of before is served: %s", error)  # noqa: TRY400 - the text says all
            return self.tls

    # --- writing ----------------------------------------------------------------------------------------------

    def cork(self, transport: asyncio.Transport, data: bytes) -> None:
        """Send bytes at the end of this turn of the event loop, behind those of all other connections.

        Sent one by one, each wakes the process that waits for it; sent together, the first does, which spares a third
        of the CPU time (``docs/decisions/0030-hot-path.md``). What is held back is sent before the loop waits again.
        """
        if not self._corked:
            self.loop.call_soon(self.uncork)
        self._corked.append((transport, data))

    def uncork(self) -> None:
        """Send what was held back; nothing, when there is none."""
        if self._corked:
            self.turn += 1
            corked, self._corked = self._corked, []
            for transport, data in corked:
                if not transport.is_closing():
                    transport.write(data)

    # --- callers ----------------------------------------------------------------------------------------------

    def accept(self) -> Downstream:
        """Make the protocol of a new caller connection."""
        return Downstream(self)

    def admit(self, caller: Downstream) -> bool:
        """Count a caller connection; False when the router has as many as it may have."""
        self.words[counters.CONNECTIONS_TOTAL] += 1
        if sum(block[counters.CONNECTIONS] for block in self._blocks) >= self.limits.connections:
            self.words[counters.REFUSED + counters.REFUSALS.index("overloaded")] += 1
            return False
        self.connections.add(caller)
        self.words[counters.CONNECTIONS] += 1
        return True

    def forget(self, caller: Downstream) -> None:
        """A caller connection is closed."""
        if caller in self.connections:
            self.connections.discard(caller)
            self.words[counters.CONNECTIONS] -= 1

    def exposed(self, exchange: Exchange) -> bytes:
        """Return the header lines about an exchange that callers may see."""
        expose = self._expose
        lines = b"x-request-id: %b\r\n" % exchange.request_id if "request-id" in expose else b""
        decision = exchange.decision
        if self._expose_more and decision is not None:
            if "arm" in expose and decision.arm is not None:
                lines += b"x-router-arm: %b\r\n" % decision.arm.encode()
            asked = exchange.attempts and (exchange.step is None or isinstance(exchange.step, TargetStep))
            if asked and "target" in expose:
                lines += b"x-router-target: %b\r\n" % exchange.target.encode()
            if "assignment" in expose and decision.cells:  # enrolled, and not forced
                lines += self._signing.line(decision, exchange.started + self.wall_offset)
        if exchange.step is not None and "fallback" in expose:
            lines += b"x-router-fallback: %b\r\n" % exchange.step.name.encode()
        return lines

    def forced(self, value: bytes, now: float) -> Forced | None:
        """Return the override that a request asks for, if it may; ``now`` is of ``time.monotonic``."""
        return self._signing.override(value, now + self.wall_offset)

    # --- addresses --------------------------------------------------------------------------------------------

    def trusts(self, address: str) -> bool:
        """Return whether X-Forwarded-* from this address are believed."""
        if not self._networks:
            return False
        try:
            parsed = ip_address(address.partition("%")[0])
        except ValueError:
            return False
        return any(parsed in network for network in self._networks)

    def client_behind(self, peer: str, forwarded_for: bytes) -> str:
        """Return the last address that no trusted proxy vouches for any more.

        Args:
            peer: Address of the connection, which is trusted.
            forwarded_for: The field, each proxy's peer appended by it.
        """
        client = peer
        for part in reversed(forwarded_for.split(b",")):
            text = part.strip().decode("latin-1")
            try:
                ip_address(text.partition("%")[0])
            except ValueError:
                break
            client = text
            if not self.trusts(text):
                break
        return client

    @staticmethod
    def forwarded_lines(client: str, *, secure: bool) -> bytes:
        """Return the header lines that say where requests of a connection come from, up to the host asked for."""
        proto = b"https" if secure else b"http"
        address = b"x-forwarded-for: %b\r\n" % client.encode() if client else b""
        return b"%bx-forwarded-proto: %b\r\n%bx-forwarded-host: " % (address, proto, VIA)

    @staticmethod
    def forwarded_behind(caller: Downstream, head: RequestHead) -> bytes:
        """Return those lines, to the end of the head, for a request of a trusted proxy or of HTTP/1.0.

        What a trusted proxy says is kept, and its address appended.
        """
        fields = head.fields if caller.peer_trusted else {}
        peers = [part for part in (fields.get(b"x-forwarded-for"), caller.client.encode()) if part]
        proto = fields.get(b"x-forwarded-proto", b"https" if caller.secure else b"http")
        host = fields.get(b"x-forwarded-host", head.authority)
        via = VIA if head.http11 else VIA_1_0  # RFC 9110 7.6.3: the version that was received
        addresses = b"x-forwarded-for: %b\r\n" % b", ".join(peers) if peers else b""  # a unix socket has no address
        return b"%bx-forwarded-proto: %b\r\n%bx-forwarded-host: %b\r\n\r\n" % (addresses, proto, via, host)

    # --- time and end -----------------------------------------------------------------------------------------

    def tick(self, now: float) -> None:
        """Expire deadlines and idle connections; called every ``deadlines.TICK_S``."""
        self.wall_offset = time.time() - now
        self.wheel.advance(now)
        self.shadows.tick(now)
        self.rewards.tick()
        self.fans.tick(now)
        for limiter in self.limiters.values():
            limiter.tick(now)
        for pool in self.pools.values():
            pool.tick(now)

    def close_idle(self) -> int:
        """Close the connections to targets that nobody uses, to have their descriptors; return how many."""
        pools = (*self.shadows.pools.values(), *self.pools.values())
        return sum(endpoint.close_idle() for pool in pools for endpoint in pool.endpoints)

    def announce_end(self) -> None:
        """Say with every answer from now on that its connection ends, so that callers move on by themselves."""
        self.draining = True

    def is_idle(self) -> bool:
        """Return whether no caller waits for anything."""
        return all(caller.is_idle() for caller in self.connections)

    def drain(self) -> None:
        """Close the connections that carry nothing; the others end with what they carry.

        A caller may be sending on one at this moment, which nothing can tell: hence last.
        """
        self.announce_end()
        for caller in tuple(self.connections):
            caller.close_if_idle()

    def abort(self) -> None:
        """Close everything now."""
        for caller in tuple(self.connections):
            caller.abort()
        self.shadows.abort()
        self.rewards.close()
        for pool in self.pools.values():
            pool.close()


def _server_context(tls: schema.Tls, context: ssl.SSLContext | None) -> ssl.SSLContext:
    """Load a certificate; into the context that the listener has, so that new connections get it from now on."""
    if context is None:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.set_alpn_protocols(["http/1.1"])
    else:  # a pair that does not fit would leave half of itself in the context that is in use
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(Path(tls.cert), Path(tls.key))
    context.load_cert_chain(Path(tls.cert), Path(tls.key))
    return context
