"""One request to several targets, and one answer of theirs.

Responsible for: sending a request to every arm of an experiment that interleaves or combines, how long to wait for
which answer, and what each arm's part was worth.
Does not know: how a request is sent and an answer read (``member``), what several answers come to
(``router.routing.fanout``), how it reaches the caller (``answering``).

Rules: nothing goes to the caller before it is known what it is. An answer that cannot be combined, or that there is
only one of, is served as it came; an arm without one is left out, so no request fails that one arm alone could have
served. When every arm has failed, the exchange goes on as after any failed attempt. A target that is known to be the
only one left gets the caller, so that its answer streams. What is held is bounded: for each exchange by the
experiment's ``body_bytes`` and ``answer_bytes`` times its arms, and for all of a worker (``fans``). An arm's part is
judged by what others had for the same request: where nobody had an answer, the request may be to blame.
"""

from asyncio import TimerHandle
from time import monotonic
from typing import TYPE_CHECKING, Final, cast

from msgspec import Struct, field
from msgspec.structs import replace

from router import counters
from router.events.model import Fanout
from router.proxy import answering
from router.proxy.deadlines import NEVER
from router.proxy.exchange import Exchange
from router.proxy.fans import Fans
from router.proxy.grammar import lines_pattern
from router.proxy.member import Member
from router.proxy.phase import WAIT
from router.proxy.shadow import mirror
from router.routing.ensemble import Value, apart
from router.routing.fanout import FanPlan, Seat

if TYPE_CHECKING:
    from router.proxy.downstream import Downstream
    from router.routing.decide import Decision

CLIENT_ERROR: Final = 400
_RESULT: Final = {name: counters.FAN_COUNTS + index for index, name in enumerate(counters.FAN_RESULTS)}
_NO_PART: Final = frozenset({"failed", "late", "too_large", "encoded", "not_json", "no_value"})
# An answer that is to be combined must be a whole one in a coding that is read.
_NOT_ASKED: Final = lines_pattern(
    {b"accept-encoding", b"range", b"if-range", b"if-none-match", b"if-modified-since", b"if-match"}
)


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
    decision, fans = exchange.decision, exchange.server.fans
    base = next((place for place, seat in enumerate(plan.seats) if seat.arm in _arms(decision, plan)), None)
    if decision is None or base is None or not _suits(exchange):
        return False
    held = len(exchange.outbox) * len(plan.seats)
    seats = [seat for seat in plan.seats if _asked(fans, seat)]
    whole = exchange.request_done and exchange.request_bytes <= plan.body_bytes
    if not seats or not whole or not fans.take(held):
        for seat in plan.seats:
            exchange.server.words[seat.row + _RESULT["skipped"]] += 1
        return False
    fan = exchange.fan = Fan(exchange, fans, plan, base, held)
    fan.ask(exchange, decision, seats)
    return True


def _arms(decision: "Decision | None", plan: FanPlan) -> set[str]:
    """Return the arm of a decision's unit in an experiment."""
    enrolments = () if decision is None else decision.enrolments
    return {each.arm for each in enrolments if each.experiment == plan.experiment}


def _asked(fans: Fans, seat: Seat) -> bool:
    """Return whether an arm is to be asked: unless it contributed nothing lately."""
    breaker = fans.breaker(seat.row)
    return breaker is None or breaker.admits()


def _suits(exchange: Exchange) -> bool:
    """Return whether a request is one whose answers can be combined."""
    return exchange.head.method != b"HEAD" and not exchange.head.upgrade


class Fan(Struct, eq=False):
    """The requests of one exchange to several targets.

    Attributes:
        exchange: The caller's; None once it is over.
        fans: What the worker keeps over such requests.
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
    fans: Fans
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

    def ask(self, exchange: Exchange, decision: "Decision", seats: list[Seat]) -> None:
        """Send the request to some arms.

        Args:
            exchange: The caller's.
            decision: Its decision.
            seats: The arms that are asked, one at least.
        """
        exchange.phase = WAIT
        exchange.caller.watch(NEVER)  # each member has its own deadlines
        self.members = [Member(self, seat, exchange.caller) for seat in self.plan.seats]
        now = monotonic()
        exchange.overhead += now - exchange.arrived
        self.timer = exchange.server.loop.call_later(self.plan.deadline, self.expire)
        body = bytes(exchange.outbox)
        for member in self.members:
            if member.seat not in seats:
                member.drop()
                continue
            breaker = self.fans.breaker(member.seat.row)
            member.ticket = breaker.enter() if breaker is not None else 0
            member.began = now
            member.exchange = self._exchange(exchange, decision, member)
            member.exchange.outbox += body
            member.exchange.pick()
        if decision.shadows and not exchange.mirrored:
            exchange.mirrored = True
            mirror(exchange, body)
        if len(seats) == 1:
            self.notice()

    def _exchange(self, exchange: Exchange, decision: "Decision", member: Member) -> Exchange:
        """Make the exchange with one target: it has neither fallbacks nor copies of its own."""
        seat, head = member.seat, exchange.head
        theirs = replace(
            decision, route=decision.route.bare or decision.route, target=seat.target, pair=seat.pair,
            head=self.plan.head(decision.head, seat), shadows=(),
        )  # fmt: skip
        forward = _NOT_ASKED.sub(b"", head.forward) + b"accept-encoding: identity\r\n"
        return Exchange(
            exchange.server, cast("Downstream", member), exchange.table, exchange.pools,
            replace(head, forward=forward), exchange.request_id, exchange.started, member.began, decision=theirs,
            target=seat.target, request_done=True, request_bytes=exchange.request_bytes, outbox=bytearray(),
            level=exchange.level, fan=self,
        )  # fmt: skip

    def holds(self, member: Member, size: int) -> bool:
        """Take room for bytes of an answer; False when it is more than is read, or there is no room."""
        within = len(member.sent) <= member.limit() and self.fans.take(size)
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
        exchange = self.exchange
        if self.decided or exchange is None:
            return
        running = [member for member in self.ranked() if not member.over and not member.stalled]
        fair = [member for member in self.ranked() if _serves(member)]
        if running and not self.late:
            if len(running) == 1 and not fair:
                answering.hand_over(self, exchange, running[0])
            return
        good = [member for member in self.members if member.answer is not None]
        used = [member for member in good if not self._tried(member)] or good
        if len(used) > 1:
            answering.combine(self, exchange, used)
        elif used or fair:
            answering.serve(self, exchange, (used or fair)[0])
        elif len(running) == 1:
            answering.hand_over(self, exchange, running[0])
        elif not running:
            answering.nobody(self, exchange)

    def ranked(self) -> list[Member]:
        """Return the members, that of the unit's arm first."""
        own = self.members[self.base]
        return [own, *(each for each in self.members if each is not own)]

    def _tried(self, member: Member) -> bool:
        """Return whether an arm is only being tried: the value of a model that stood apart counts once it is back."""
        return bool(member.ticket) and self.plan.use == "ensemble"

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
        for member in self.members:
            member.cancel("cancelled")
        far = self._far()
        results = {}
        for member in self.members:
            result = member.result or "unused"
            result = "apart" if result == "combined" and member in far else result
            results[member.seat.arm] = result
            words[member.seat.row + _RESULT[result]] += 1
            self._judge(exchange, member, good=member.answer is not None and member not in far)
        self.event = replace(self.event or Fanout(self.plan.experiment, {}), arms=results)
        self.fans.held -= self.held
        self.held = 0
        return True

    def _far(self) -> list[Member]:
        """Return the members whose value stands apart from the others'."""
        if self.plan.use != "ensemble":
            return []
        valued = [
            (member, member.answer.part)
            for member in self.members
            if member.answer is not None and isinstance(member.answer.part, Value)
        ]
        flags = apart([value for _, value in valued], self.plan.how)
        return [member for (member, _), far in zip(valued, flags, strict=True) if far]

    def _judge(self, exchange: Exchange, member: Member, *, good: bool) -> None:
        """Tell an arm's breaker what its part was worth."""
        breaker = self.fans.breaker(member.seat.row)
        if breaker is None or not member.began:
            return
        now = monotonic()
        if good:
            exchange.server.words[member.seat.row + counters.ENDPOINT_SUCCEEDED] += 1
            if member.ticket:
                breaker.leave()
                breaker.passed(member.ticket, now)
            return
        others = any(other.answer is not None for other in self.members if other is not member)
        if others and (member.answer is not None or member.result in _NO_PART):
            breaker.failed(member.ticket, member.began, now)
        if member.ticket:
            breaker.leave()


def _serves(member: Member) -> bool:
    """Return whether a caller can be given what there is of a member, and it is no error."""
    return (member.stalled or member.head is not None) and 0 < member.status < CLIENT_ERROR
