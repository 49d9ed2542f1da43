"""One request to several targets, and one answer of theirs.

Responsible for: sending a request to every arm of an experiment that interleaves or combines, how long to wait for
which answer, and what the caller gets.
Does not know: how a request is sent and an answer read (``member``), what several answers come to
(``router.routing.fanout``).

Rules: nothing goes to the caller before it is known what it is. An answer that cannot be combined, or that there is
only one of, is served as it came; an arm without one is left out, so no request fails that one arm alone could have
served. When every arm has failed, the exchange goes on as after any failed attempt. A target that is known to be the
only one left gets the caller, so that its answer streams. What is held is bounded: for each exchange by the
experiment's ``body_bytes`` and ``answer_bytes`` times its arms, and for all of a worker by ``ROOM_BYTES``.
"""

from asyncio import TimerHandle
from time import monotonic
from typing import TYPE_CHECKING, Final, cast

from msgspec import Struct, field
from msgspec.structs import replace

from router import counters
from router.events.model import Fanout
from router.proxy.exchange import Exchange
from router.proxy.grammar import lines_pattern
from router.proxy.member import Member
from router.proxy.phase import DONE, WAIT
from router.proxy.receive import SERVER_ERROR, keep_whole
from router.proxy.rescue import fall_back
from router.proxy.response_head import ResponseHead
from router.proxy.shadow import mirror
from router.routing.ensemble import Value
from router.routing.fanout import MOST_SHOWN, FanPlan, Whole
from router.routing.recover import CAUSE

if TYPE_CHECKING:
    from router.proxy.downstream import Downstream
    from router.routing.decide import Decision

ROOM_BYTES: Final = 64 * 1024 * 1024  # of requests and answers that a worker holds for arms
CLIENT_ERROR: Final = 400
_RESULT: Final = {name: counters.FAN_COUNTS + index for index, name in enumerate(counters.FAN_RESULTS)}
# An answer that is to be combined must be a whole one in a coding that is read.
_NOT_ASKED: Final = lines_pattern(
    {b"accept-encoding", b"range", b"if-range", b"if-none-match", b"if-modified-since", b"if-match"}
)
# What the head of one answer says of its own body.
_NOT_OURS: Final = lines_pattern(
    {
        b"content-length", b"etag", b"last-modified", b"content-md5", b"digest", b"content-digest", b"repr-digest",
        b"accept-ranges",
    }
)  # fmt: skip
_LENGTH: Final = lines_pattern({b"content-length"})


def gathered(exchange: Exchange, plan: FanPlan) -> bool:
    """Return whether all of a request is there, or more than is sent to several; else more of it is waited for."""
    length = max(exchange.head.length, exchange.request_bytes)
    if exchange.request_done or length > plan.body_bytes or not _suits(exchange):
        return True
    exchange.say_continue()
    exchange.watch_body(monotonic())
    return False


def begin(exchange: Exchange, plan: FanPlan) -> bool:
    """Send a request to every arm; False when it is not for several, and nothing has happened then.

    Args:
        exchange: The exchange, decided and let through.
        plan: The experiment.
    """
    decision = exchange.decision
    size = len(exchange.outbox) * len(plan.seats)
    if decision is None or not _suits(exchange):
        return False
    room = exchange.server.fan_room
    base = next((place for place, seat in enumerate(plan.seats) if seat.target == decision.target), None)
    if base is None or not exchange.request_done or exchange.request_bytes > plan.body_bytes or not room.take(size):
        for seat in plan.seats:
            exchange.server.words[seat.row + _RESULT["skipped"]] += 1
        return False
    fan = exchange.fan = Fan(exchange, room, plan, base, size)
    fan.ask(exchange, decision)
    return True


def _suits(exchange: Exchange) -> bool:
    """Return whether a request is one whose answers can be combined."""
    return exchange.head.method != b"HEAD" and not exchange.head.upgrade


class Room(Struct, eq=False):
    """What a worker holds for arms, in bytes."""

    held: int = 0

    def take(self, size: int) -> bool:
        """Take room, if there is any."""
        if self.held + size > ROOM_BYTES:
            return False
        self.held += size
        return True


class Fan(Struct, eq=False):
    """The requests of one exchange to several targets.

    Attributes:
        exchange: The caller's; None once it is over.
        room: What is held counts there.
        plan: The experiment.
        base: Place of the unit's arm.
        held: Bytes that are held.
        members: The arms, in the order of the plan.
        timer: Until nobody waits for all any more.
        late: Whether it has come.
        noticed: Whether it is to be looked at what has changed.
        decided: Whether it is known what the caller gets.
        pair: First word of the counter row of the route and who served; 0 when no arm did.
        event: What came of it.
    """

    exchange: Exchange | None
    room: Room
    plan: FanPlan
    base: int
    held: int
    members: list[Member] = field(default_factory=list)
    timer: TimerHandle | None = None
    late: bool = False
    noticed: bool = False
    decided: bool = False
    pair: int = 0
    event: Fanout | None = None

    # --- asking -----------------------------------------------------------------------------------------------

    def ask(self, exchange: Exchange, decision: "Decision") -> None:
        """Send the request to every arm."""
        server = exchange.server
        body = bytes(exchange.outbox)
        exchange.phase = WAIT
        exchange.caller.watch(float("inf"))  # each member has its own deadlines
        head = exchange.head
        forward = _NOT_ASKED.sub(b"", head.forward) + b"accept-encoding: identity\r\n"
        head = replace(head, forward=forward)
        self.members = [Member(self, seat, exchange.caller) for seat in self.plan.seats]
        now = monotonic()
        exchange.overhead += now - exchange.arrived
        self.timer = server.loop.call_later(self.plan.deadline, self.expire)
        bare = decision.route.bare or decision.route
        for member in self.members:
            seat = member.seat
            lines = self.plan.head(decision.head, seat)
            theirs = replace(decision, route=bare, target=seat.target, pair=seat.pair, head=lines, shadows=())
            asked = member.exchange = Exchange(
                server, cast("Downstream", member), exchange.table, exchange.pools, head, exchange.request_id,
                exchange.started, now, decision=theirs, target=seat.target, request_done=True,
                request_bytes=exchange.request_bytes, outbox=bytearray(body), level=exchange.level, fan=self,
            )  # fmt: skip
            asked.pick()
        if decision.shadows and not exchange.mirrored:
            exchange.mirrored = True
            mirror(exchange, body)

    def holds(self, member: Member, size: int) -> bool:
        """Take room for bytes of an answer; False when it is more than is read, or there is no room."""
        within = len(member.sent) <= member.limit() and self.room.take(size)
        if within:
            self.held += size
        return within

    # --- waiting ----------------------------------------------------------------------------------------------

    def expire(self) -> None:
        """Wait for all no longer."""
        self.timer = None
        self.late = True
        self.look()

    def notice(self) -> None:
        """Look at what has changed, once this turn's work is done: a member may end while others are being asked."""
        if not self.noticed and not self.decided and self.exchange is not None:
            self.noticed = True
            self.exchange.server.loop.call_soon(self.look)

    def look(self) -> None:
        """Find out whether it is known what the caller gets."""
        self.noticed = False
        if self.decided or self.exchange is None:
            return
        running = [member for member in self._ranked() if not member.over and not member.stalled]
        if running and not self.late:
            if len(running) == 1 and not any(self._serves(member) for member in self.members if member.over):
                stalled = [member for member in self._ranked() if member.stalled]
                if not stalled:
                    self._hand_over(self.exchange, running[0])
            return
        good = [member for member in self.members if member.answer is not None]
        fair = [member for member in self._ranked() if self._serves(member)]
        if len(good) > 1:
            self._combine(self.exchange, good)
        elif good or fair:
            self._serve(self.exchange, (good or fair)[0])
        elif len(running) == 1:
            self._hand_over(self.exchange, running[0])
        elif not running:
            self._nobody(self.exchange)

    def _ranked(self) -> list[Member]:
        """Return the members, that of the unit's arm first."""
        return [self.members[self.base], *(each for each in self.members if each is not self.members[self.base])]

    @staticmethod
    def _serves(member: Member) -> bool:
        """Return whether a caller can be given what there is of a member, and it is no error."""
        return (member.stalled or member.head is not None) and 0 < member.status < CLIENT_ERROR

    # --- what the caller gets ---------------------------------------------------------------------------------

    def _combine(self, exchange: Exchange, good: list[Member]) -> None:
        """Answer with what several answers come to."""
        own = self.members[self.base]
        # Of models that are one, the first speaks for all, whoever the caller is; a ranker's own units keep its answer.
        base = good.index(own) if own in good and self.plan.use == "interleave" else 0
        drawn = b"%b\0%b" % ((exchange.decision.unit or "").encode() if exchange.decision else b"", exchange.request_id)
        answers = [member.answer for member in good if member.answer is not None]
        whole = self.plan.combine(answers, base, drawn)
        for member in good:
            member.result = "combined"
        head = good[base].head
        if head is not None:
            lines = _NOT_OURS.sub(b"", head.forward)
            self._note(good, good[base], whole)
            self._answer(exchange, good[base], head.status, lines, whole)

    def _serve(self, exchange: Exchange, member: Member) -> None:
        """Answer with what one arm said, or says."""
        if not member.over:
            self._hand_over(exchange, member)
            return
        member.result = member.result or "alone"
        head = member.head
        if head is not None:
            self._answer(exchange, member, head.status, _LENGTH.sub(b"", head.forward), Whole(member.content))

    def _answer(self, exchange: Exchange, member: Member, status: int, lines: bytes, whole: Whole) -> None:
        self._decide(exchange, member)
        if status not in (204, 304):  # RFC 9110 8.6
            lines += b"content-length: %d\r\n" % len(whole.body)
        exchange.target = member.seat.target
        exchange.served = True
        self.pair = member.seat.pair
        if exchange.shadow is not None:
            exchange.shadow.begin(whole.body, framed=False)
        if exchange.decision is not None and exchange.decision.route.keeps:
            exchange.arrived = monotonic()
            keep_whole(exchange, ResponseHead(status, len(whole.body), True, lines, 0), whole.body)
        exchange.answer(status, lines, whole.body, keep=True)

    def _hand_over(self, exchange: Exchange, member: Member) -> None:
        """Let the exchange with one target be the caller's own from now on."""
        self._decide(exchange, member)
        stalled, deadline = member.stalled, member.deadline
        theirs = member.give()
        caller = exchange.caller
        if theirs is None or theirs.decision is None or exchange.decision is None:
            raise RuntimeError("an exchange that is over cannot be given away")
        member.result = member.result or ("too_large" if stalled else "alone")
        self.pair = member.seat.pair
        self.exchange, exchange.fan = theirs, None
        exchange.phase = DONE
        theirs.caller, caller.exchange = caller, theirs
        theirs.decision, theirs.passed = replace(exchange.decision, head=theirs.decision.head), exchange.passed
        theirs.attempts += exchange.attempts
        theirs.fault, theirs.target_failed = exchange.fault or theirs.fault, exchange.target_failed
        theirs.overhead += exchange.overhead
        theirs.mirrored, theirs.shadow = exchange.mirrored, exchange.shadow
        if exchange.shadow is not None and theirs.replied:
            exchange.shadow.body = None  # what has come of the answer was not kept for a comparison
        if member.sent:
            caller.write(bytes(member.sent))
        if stalled:
            deadline = min(monotonic() + theirs.timeouts.idle, theirs.total_at)
            if theirs.upstream is not None and caller.writable:
                theirs.upstream.read(on=True)
        caller.watch(deadline)

    def _nobody(self, exchange: Exchange) -> None:
        """Go on as after a failed attempt: no arm has an answer that is none of an error."""
        answered = [member for member in self._ranked() if member.head is not None]
        refused = [member for member in answered if member.status < SERVER_ERROR]
        if refused:
            self._serve(exchange, refused[0])
            return
        own = self.members[self.base]
        self._decide(exchange, None)
        fault = "status" if own.head is not None else own.fault or "timeout_first_byte"
        if fall_back(exchange, CAUSE[fault]):
            return
        if answered:
            self._serve(exchange, answered[0])
        else:
            exchange.give_up(fault)

    def _decide(self, exchange: Exchange, member: Member | None) -> None:
        """Note who serves; the others are not waited for any more, and how the unit's arm did is the exchange's."""
        self.decided = True
        for other in self.members:
            if other is not member and not other.over:
                if self.members[self.base] is other:
                    exchange.fault, exchange.target_failed = "timeout_first_byte", True
                other.cancel("late" if self.late else "too_large")
        own = self.members[self.base]
        if own.failed:
            exchange.fault, exchange.target_failed = own.first_fault, True
        exchange.attempts = sum(each.attempts for each in self.members)
        exchange.passed = tuple(each.seat.target for each in self.members if each is not (member or own))

    # --- the end ----------------------------------------------------------------------------------------------

    def ended(self, exchange: Exchange) -> bool:
        """An exchange has ended; return whether it is the caller's."""
        if exchange is not self.exchange:
            return False
        self.exchange = None
        self.decided = True
        if self.timer is not None:
            self.timer.cancel()
            self.timer = None
        words = exchange.server.words
        results = {}
        for member in self.members:
            member.cancel("cancelled")
            result = results[member.seat.arm] = member.result or "unused"
            words[member.seat.row + _RESULT[result]] += 1
        self.event = self.event or Fanout(self.plan.experiment, results)
        self.event = replace(self.event, arms=results)
        self.room.held -= self.held
        self.held = 0
        return True

    def _note(self, good: list[Member], base: Member, whole: Whole) -> None:
        """Keep for the event which arm contributed what."""
        plan, shown = self.plan, whole.placed[:MOST_SHOWN]
        drafted = plan.how == "team_draft"
        parts = [(member.seat.arm, member.answer.part) for member in good if member.answer is not None]
        values = [(arm, part.number) for arm, part in parts if isinstance(part, Value)]
        self.event = Fanout(
            plan.experiment,
            {},
            base.seat.arm,
            merge=plan.how if plan.use == "interleave" else None,
            items=tuple(each.item for each in shown),
            teams=tuple(each.team for each in shown) if drafted else (),
            ranks=() if drafted else tuple(each.ranks for each in shown),
            combine=plan.how if plan.use == "ensemble" else None,
            values={arm: number for arm, number in values if number is not None},
        )
