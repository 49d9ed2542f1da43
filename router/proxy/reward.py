"""Reading rewards from answers that are passed on.

Responsible for: which answers are read, collecting the bodies of those that are sampled, reading them later, counting;
and the bodies of their requests, where ``watch`` looks at these.
Does not know: what a number means, how one is spelled (``router.routing.reward``).

Rules: an answer is read if its exchange is in an experiment and a target gave it, whichever target that was: what the
caller got is what became of the unit (intention to treat, ``docs/decisions/0056-rewards.md``). Nothing of it waits:
bodies are copied as they pass, up to a length and within a room, and looked into in the worker's tick, for a part of
its time. The event waits for that. It has the key ``sampled`` when a whole body came and was looked into, or is of a
kind that has no reward; neither when the answer was cut, nor when the router had no room for it. Of a request's body
the router looks into what it has at hand: what was read to decide, or came whole with the head and is kept to be sent
again. It reads and holds no more than it would without.
"""

from collections import deque
from time import monotonic
from typing import TYPE_CHECKING, Final

from msgspec import Struct
from msgspec.structs import replace

from router import counters
from router.events.model import Exchange as Event
from router.proxy.bodies import chunked_content
from router.routing.reward import BODY_BYTES, REQUESTED, SAMPLED, RewardPlan, read_bodies, read_watched, unreadable

if TYPE_CHECKING:
    from router.proxy.exchange import Exchange
    from router.proxy.response_head import ResponseHead
    from router.proxy.server import Log

ROOM_BYTES: Final = 16 * 1024 * 1024  # of bodies that are collected or wait, in a worker
ENTRY_BYTES: Final = 2048  # what an exchange takes of it besides its body: its event
READ_S: Final = 0.005  # of each tick (``deadlines.TICK_S``) for reading bodies: a tenth of the worker's time

_WORD: Final = {name: counters.REWARDS + index for index, name in enumerate(counters.REWARD_RESULTS)}


class Reading(Struct, gc=False, eq=False):
    """What is read of one answer.

    Attributes:
        owner: Who collects, and reads later.
        plan: What there is to read.
        rewards: What was read so far.
        request: The request's body; None when it is not read.
        body: The body so far; None when it is not read.
        framed: Whether that has chunks.
        room: Bytes that are set aside for both.
    """

    owner: "Rewards"
    plan: RewardPlan
    rewards: dict[str, float | str]
    request: bytes | None = None
    body: bytearray | None = None
    framed: bool = False
    room: int = 0

    def append(self, event: Event) -> None:
        """Log the exchange, which has ended: now, or once the body is read."""
        self.owner.end(self, event)


class Rewards:
    """The readings of one worker."""

    __slots__ = ("_log", "_waiting", "_words", "held")

    def __init__(self, words: memoryview, log: "Log") -> None:
        # Per process
        self._words = words
        self._log = log
        self._waiting: deque[tuple[Event, Reading]] = deque()
        self.held = 0  # bytes of room that are taken

    def begin(self, exchange: "Exchange", head: "ResponseHead", body: bytes, *, framed: bool) -> Reading | None:
        """Begin to read an answer.

        Args:
            exchange: The exchange, on a route that has rewards.
            head: The answer's head.
            body: What came of its body with the head, as the caller gets it.
            framed: Whether that has chunks.
        """
        decision = exchange.decision
        plan = decision.route.rewards if decision is not None else None
        if decision is None or plan is None or not decision.enrolments:
            return None
        rewards: dict[str, float | str] = {}
        lines = head.forward.lower()
        for reward in plan.headers:
            self._take(rewards, reward.source, reward.read(lines))
        reading = Reading(self, plan, rewards)
        unit = exchange.head.id if decision.unit is None else decision.unit
        if plan.threshold and plan.samples(unit.encode()):
            if plan.requests:
                self._hold(reading, exchange)
            if plan.bodies or plan.watched:
                self._collect(reading, exchange.head.method, head, body, framed=framed)
        return reading

    def add(self, reading: Reading, body: bytes) -> None:
        """Take further bytes of the body, as the caller gets them."""
        kept = reading.body
        if kept is None:
            return
        size = len(body)
        # Chunks take room too: little, unless they carry a few bytes each.
        if len(kept) + size > BODY_BYTES * (2 if reading.framed else 1):
            self._give_up(reading, "too_large")
            reading.rewards[SAMPLED] = reading.plan.share
        elif self.held + size > ROOM_BYTES:
            self._give_up(reading, "no_room")
        else:
            self.held += size
            reading.room += size
            kept += body

    def end(self, reading: Reading, event: Event) -> None:
        """Log an exchange that has ended, of whose answer this is read: now, or once the body is."""
        if reading.body is not None and event.outcome_fault is not None:
            self._give_up(reading, "incomplete")
        if reading.body is None and reading.request is None:
            self._log.append(event)
        else:
            self._waiting.append((event, reading))

    def tick(self) -> None:
        """Read the bodies that wait, as far as there is time."""
        until = monotonic() + READ_S if self._waiting else 0.0
        while self._waiting:
            event, reading = self._waiting.popleft()
            self._read(event, reading)
            if monotonic() >= until:
                break

    def close(self) -> None:
        """Log what waits, without looking into bodies any more."""
        while self._waiting:
            event, reading = self._waiting.popleft()
            if reading.body is not None:
                self._give_up(reading, "no_room")
            self._log.append(event)

    def _hold(self, reading: Reading, exchange: "Exchange") -> None:
        """Keep the request's body to be looked into, where it is at hand, is JSON and there is room."""
        head = exchange.head
        kept = exchange.kept
        body = head.body or (kept if kept is not None and len(kept) == head.length else None)
        if not body or len(body) > BODY_BYTES or self.held + len(body) > ROOM_BYTES:
            return
        self.held += len(body)
        reading.room += len(body)
        reading.request = bytes(body)

    def _collect(self, reading: Reading, method: bytes, head: "ResponseHead", body: bytes, *, framed: bool) -> None:
        reason: str | None = "absent" if method == b"HEAD" or head.length == 0 else unreadable(head.forward.lower())
        if reason is None and head.length > BODY_BYTES:
            reason = "too_large"
        if reason is not None:
            self._count(reading, reason)
            reading.rewards[SAMPLED] = reading.plan.share
        elif self.held + ENTRY_BYTES > ROOM_BYTES:
            self._count(reading, "no_room")
        else:
            self.held += ENTRY_BYTES
            reading.room += ENTRY_BYTES
            reading.framed = framed
            reading.body = bytearray()
            self.add(reading, body)

    def _read(self, event: Event, reading: Reading) -> None:
        body, request, plan = reading.body, reading.request, reading.plan
        content = None if body is None else chunked_content(bytes(body)) if reading.framed else bytes(body)
        self._give_up(reading, None)
        rewards = dict(reading.rewards)
        asked = None if request is None else read_watched(plan.requests, request)
        if asked is not None:
            rewards |= asked | {REQUESTED: plan.share}
        if content is not None:
            rewards[SAMPLED] = plan.share
            for reward, value in zip(plan.bodies, read_bodies(plan.bodies, content), strict=True):
                self._take(rewards, reward.source, value)
            rewards |= read_watched(plan.watched, content) or {}
        self._log.append(replace(event, rewards=rewards))

    def _give_up(self, reading: Reading, why: str | None) -> None:
        """Hold no body of the answer any more, and, once nothing is to be read later, none of the request."""
        kept = len(reading.request) if why is not None and reading.request is not None else 0
        self.held -= reading.room - kept
        reading.room = kept
        reading.body = None
        if why is not None:
            self._count(reading, why)

    def _take(self, rewards: dict[str, float | str], source: str, value: float | str) -> None:
        if isinstance(value, str):
            self._words[_WORD[value]] += 1
        else:
            rewards[source] = value
            self._words[_WORD["read"]] += 1

    def _count(self, reading: Reading, result: str) -> None:
        self._words[_WORD[result]] += len(reading.plan.bodies) + len(reading.plan.watched)
