"""Copies of requests to shadows, and how their answers compare with those that callers get.

Responsible for: whether there is room for a copy, what is kept of the primary's answer, the comparison of the two, and
what is counted and logged of it.
Does not know: how a copy travels (``copy``), who is sampled (``router.routing.sample``), when two answers agree
(``router.routing.compare``).

Rules: a copy is sent after the request itself, and nothing of the exchange waits for it: what does not fit is dropped
and counted. A copy counts as under way until its comparison is done, so all that is held for shadows is bounded by
``inflight`` times a request body and two answers. A request body that did not come whole is never sent. Comparing, and
reading long answers, take at most a share of the worker's time; what is due beyond it waits for the next tick.
"""

from collections import deque
from random import random
from time import monotonic
from typing import TYPE_CHECKING, Final

from msgspec import Struct

from router import counters
from router.events.model import Revision
from router.events.model import Shadow as Event
from router.histogram import HISTOGRAM_BUCKETS, HISTOGRAM_SUM, SHORT_BUCKETS, SHORT_US, bucket
from router.proxy.bodies import chunked_content
from router.proxy.copy import Copy
from router.proxy.phase import DONE
from router.proxy.pool import Planned, Shared, TargetPool, plan_pool
from router.proxy.sending import request_lines
from router.proxy.tally import refused, tally
from router.routing.compare import Answer, compare_answers
from router.routing.sample import ShadowPlan, mirrors

if TYPE_CHECKING:
    from router.proxy.exchange import Exchange
    from router.proxy.server import Server
    from router.routing.decide import Decision

MARK: Final = b"x-router-shadow: 1\r\n"
READ_BYTES: Final = 2 * 1024 * 1024  # of each tick, of answers that do not come in one piece: 40 MiB/s, 4 % of a core
COMPARE_S: Final = 0.01  # of each tick (``deadlines.TICK_S``) for comparing: a fifth of the worker's time

_RESULT: Final = {name: counters.SHADOW_COUNTS + index for index, name in enumerate(counters.SHADOW_RESULTS)}
_SECONDS: Final = counters.SHADOW_SECONDS + HISTOGRAM_BUCKETS
_SECONDS_SUM: Final = counters.SHADOW_SECONDS + HISTOGRAM_SUM
_AGREE: Final = {"agree": True, "differ": False}


class Mirror(Struct, gc=False, eq=False):
    """What is kept of one exchange for its copies: the request until it is whole, the answer, and its end.

    Attributes:
        copies: Those that are under way, or wait for the exchange to end.
        limit: Longest answer that is kept, in bytes; -1 when none is.
        reserved: Shadows that get a copy once the request is whole.
        request: The request body so far, as it is forwarded.
        body: The answer so far, as the caller gets it; None once it is longer.
        framed: Whether that has chunks.
    """

    copies: list[Copy]
    limit: int = -1
    reserved: tuple[ShadowPlan, ...] = ()
    request: bytearray | None = None
    body: bytes | bytearray | None = b""
    framed: bool = False
    # At the end of the exchange
    decision: "Decision | None" = None
    ident: str = ""
    time: float = 0.0
    request_id: str = ""
    revision: int = 0
    status: int = 0
    seconds: float = 0.0
    size: int = 0
    fault: str | None = None
    failed: bool = False  # the target that it was decided to go to, whoever answered

    def upload(self, exchange: "Exchange", data: bytes) -> None:
        """Take further bytes of the request; send the copies when it is whole."""
        request = self.request
        if request is None:
            return
        request += data
        shadows = exchange.server.shadows
        for plan in self.reserved:
            if len(request) > plan.body_bytes:
                shadows.release(plan, "dropped_body")
        self.reserved = tuple(plan for plan in self.reserved if len(request) <= plan.body_bytes)
        if exchange.request_done:
            reserved, self.reserved, self.request = self.reserved, (), None
            for plan in reserved:
                shadows.send(exchange, plan, bytes(request), self)
        elif not self.reserved:
            self.request = None

    def begin(self, body: bytes, *, framed: bool) -> None:
        """Take the first bytes of the answer's body."""
        self.framed = framed
        self.body = body if len(body) <= self.limit else None

    def add(self, body: bytes) -> None:
        """Take further bytes of it."""
        kept = self.body
        if kept is not None:
            if len(kept) + len(body) > self.limit:
                self.body = None
            elif isinstance(kept, bytearray):
                kept += body
            else:
                self.body = bytearray(kept + body)

    def ended(self, exchange: "Exchange", now: float) -> None:
        """Take what became of the exchange, and compare it with the answers that are there already."""
        shadows = exchange.server.shadows
        if self.reserved:
            for plan in self.reserved:
                shadows.release(plan, "dropped_incomplete")
            self.reserved, self.request = (), None
        if not self.copies:
            return
        head = exchange.head
        self.decision = exchange.decision
        self.ident = head.id
        self.time = exchange.started + exchange.server.wall_offset
        self.request_id = exchange.request_id.decode("latin-1")
        self.revision = exchange.table.number
        self.status = exchange.status
        self.seconds = now - exchange.started
        self.size = exchange.response_bytes
        self.fault = exchange.outcome_fault or _elsewhere(exchange)
        self.failed = exchange.target_failed
        if self.framed and self.body is not None and self.fault is None:
            self.body = chunked_content(bytes(self.body))
        for copy in self.copies.copy():
            if copy.phase == DONE:
                shadows.judge(copy, self)


def mirror(exchange: "Exchange", body: bytes) -> None:
    """Send copies of a request that was just sent, or once it is whole.

    Args:
        exchange: The exchange; it is decided and has no mirror yet.
        body: Its request body so far, as it is forwarded.
    """
    decision = exchange.decision
    if decision is None:
        return
    shadows = exchange.server.shadows
    if exchange.head.upgrade:  # a copy of half a conversation is none
        for plan in decision.shadows:
            exchange.server.words[plan.row + _RESULT["dropped_upgrade"]] += 1
        return
    done = exchange.request_done
    length = len(body) if done else max(len(body), exchange.head.length)
    made = Mirror([])
    for plan in decision.shadows:
        if shadows.admit(plan, length):
            if plan.answer_bytes > made.limit and plan.rules is not None:
                made.limit = plan.answer_bytes
            if done:
                shadows.send(exchange, plan, body, made)
            else:
                made.reserved = (*made.reserved, plan)
    if made.reserved:
        made.request = bytearray(body)
        exchange.shadow = made
    elif made.copies:
        exchange.shadow = made


def _elsewhere(exchange: "Exchange") -> str | None:
    """Return why another than the assigned target answered; None when it was that one."""
    if exchange.step is not None:
        return "fallback"
    decision = exchange.decision
    return "degraded" if decision is not None and exchange.target != decision.target else None


class Shadows:
    """The shadows of one worker."""

    __slots__ = ("_others", "_read", "_spent", "_under_way", "_waiting", "_words", "pools", "server")

    def __init__(self, server: "Server", others: list[memoryview]) -> None:
        # Per process
        self.server = server
        self.pools: dict[str, TargetPool] = {}
        self._words = server.words
        self._others = others  # counters of the other workers
        self._under_way: set[Copy] = set()  # those that have a deadline
        self._waiting: deque[Copy] = deque()  # those that are to be compared
        self._spent = 0.0  # seconds of comparing since the last tick
        self._read = 0  # bytes of long answers since then

    def plan(self, revision: Revision, shared: Shared) -> list[Planned]:
        """Return what the pools are to become with a revision, as ``pool.plan_pool``."""
        config = revision.config
        mirrored = {shadow.target for route in config.routes for shadow in route.shadow}
        mirrored.update(shadow.target for _, shadow in mirrors(config, revision.mirrors))
        return [
            plan_pool(self.pools, target, revision, shared, counters.copies_key)
            for target in config.targets
            if target.name in mirrored
        ]

    def admit(self, plan: ShadowPlan, length: int) -> bool:
        """Take a place for a copy with a body of so many bytes; False, and counted, when there is no room."""
        words = self._words
        row = plan.row
        under_way = words[row]
        for block in self._others:
            under_way += block[row]
        if under_way >= plan.inflight:
            words[row + _RESULT["dropped_inflight"]] += 1
            return False
        if length > plan.body_bytes:
            words[row + _RESULT["dropped_body"]] += 1
            return False
        words[row] += 1
        return True

    def release(self, plan: ShadowPlan, result: str) -> None:
        """Give a place back, and count why."""
        self._words[plan.row] -= 1
        self._words[plan.row + _RESULT[result]] += 1

    def send(self, exchange: "Exchange", plan: ShadowPlan, body: bytes, made: Mirror) -> None:
        """Send a copy that has a place."""
        decision = exchange.decision
        pool = self.pools.get(plan.target)
        endpoint = None
        if pool is not None and decision is not None:  # a later revision may have no such shadow
            key = decision.key
            endpoint = pool.choose(key, random) if pool.direct else pool.pick(key, random, spare=True)
        if endpoint is None:
            self.release(plan, "dropped_unavailable")
            if plan.tally >= 0 and pool is not None and decision is not None:
                refused(self._words, plan, decision)
            return
        now = monotonic()
        compared = made if plan.rules is not None else None
        request = request_lines(exchange, body, endpoint, MARK)
        timeouts = endpoint.timeouts
        total_at = now + timeouts.total
        copy = Copy(
            self, self.server, plan, exchange.head.method, endpoint, compared, request, now,
            min(now + timeouts.first_byte, total_at), total_at,
        )  # fmt: skip
        if compared is not None:
            made.copies.append(copy)
        self._under_way.add(copy)
        copy.connect(fresh=False)

    def tires(self, size: int) -> bool:
        """Note bytes of a long answer; return whether it is enough of them until the next tick."""
        self._read += size
        return self._read > READ_BYTES

    def ended(self, copy: Copy) -> None:
        """Take a copy that has ended, and compare its answer if the primary's is there."""
        self._under_way.discard(copy)
        words = self._words
        row = copy.plan.row
        us = int(copy.seconds * 1e6)
        words[row + _SECONDS_SUM] += us
        words[row + _SECONDS + (SHORT_BUCKETS[us] if us < SHORT_US else bucket(us))] += 1
        primary = copy.primary
        if primary is None:
            self.release(copy.plan, "answered" if copy.fault is None else "failed")
        elif primary.decision is not None:
            self.judge(copy, primary)

    def judge(self, copy: Copy, primary: Mirror) -> None:
        """Compare two answers that are there: now where that is quick or there is time, else in the next tick."""
        if copy.fault is not None:
            self._settle(copy, primary, "failed")
        elif primary.fault is not None:
            self._settle(copy, primary, "primary_failed")
        elif copy.status == primary.status and copy.body is not None and copy.body == primary.body:
            self._settle(copy, primary, "agree")
        elif self._spent < COMPARE_S:
            self._compare(copy, primary)
        else:
            self._waiting.append(copy)

    def tick(self, now: float) -> None:
        """Expire deadlines, and compare what waits as far as there is time; called every ``deadlines.TICK_S``."""
        if self._read > READ_BYTES:
            for copy in self._under_way:
                copy.read(on=True)
        self._read = 0
        for copy in [copy for copy in self._under_way if copy.deadline <= now]:
            copy.expire(now)
        for pool in self.pools.values():
            pool.tick(now)
        self._spent = 0.0
        while self._waiting and self._spent < COMPARE_S:
            copy = self._waiting.popleft()
            if copy.primary is not None:
                self._compare(copy, copy.primary)

    def abort(self) -> None:
        """Drop what is under way, and close all connections."""
        for copy in tuple(self._under_way):
            self._under_way.discard(copy)
            copy.cancel()
            self._drop(copy)
        while self._waiting:
            self._drop(self._waiting.popleft())
        for pool in self.pools.values():
            pool.close()

    def _drop(self, copy: Copy) -> None:
        primary, copy.primary = copy.primary, None
        if primary is not None:
            primary.copies.remove(copy)
        self.release(copy.plan, "cancelled")

    def _compare(self, copy: Copy, primary: Mirror) -> None:
        rules = copy.plan.rules
        if rules is None:
            raise RuntimeError("an answer that is not to be compared")
        began = monotonic()
        bodies = [None if body is None else bytes(body) for body in (primary.body, copy.body)]
        verdict = compare_answers(Answer(primary.status, bodies[0]), Answer(copy.status, bodies[1]), rules)
        self._spent += monotonic() - began
        self._settle(copy, primary, verdict.result, verdict.differences)

    def _settle(self, copy: Copy, primary: Mirror, result: str, differences: tuple[str, ...] = ()) -> None:
        """Count and log a comparison; nothing is held of it afterwards."""
        self.release(copy.plan, result)
        if copy.plan.tally >= 0:
            tally(self._words, copy, primary, result)
        copy.primary = None
        primary.copies.remove(copy)
        decision = primary.decision
        if decision is None:
            raise RuntimeError("a comparison with an exchange that has not ended")
        self.server.log.append(
            Event(
                primary.ident,
                primary.time,
                primary.request_id,
                primary.revision,
                decision.route.name,
                result,
                _AGREE.get(result),
                decision.target,
                primary.status,
                primary.seconds,
                primary.size,
                copy.plan.target,
                copy.status,
                copy.seconds,
                copy.size,
                decision.unit,
                differences,
                copy.fault,
                primary.fault,
            )
        )
