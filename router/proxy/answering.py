"""What a caller gets of several answers to its request.

Responsible for: carrying out what ``fanout`` has found to be the case: a combined answer, one arm's as it came, one
arm's that is still coming, or what follows when every arm has failed.
Does not know: when to stop waiting, how answers are combined (``router.routing.fanout``).

Rules: how the unit's own arm did is the exchange's ``failed``, whoever served (intention to treat); to be late is to
fail. An answer that is served as it came loses its framing and nothing else.
"""

from time import monotonic
from typing import TYPE_CHECKING, Final

from msgspec.structs import replace

from router.events.model import Fanout
from router.proxy.grammar import lines_pattern
from router.proxy.phase import DONE
from router.proxy.receive import SERVER_ERROR, keep_whole
from router.proxy.rescue import fall_back
from router.proxy.response_head import ResponseHead
from router.routing.ensemble import Value
from router.routing.fanout import MOST_SHOWN, Whole
from router.routing.recover import CAUSE

if TYPE_CHECKING:
    from router.proxy.exchange import Exchange
    from router.proxy.fanout import Fan
    from router.proxy.member import Member

# What the head of one answer says of its own body.
_NOT_OURS: Final = lines_pattern(
    {
        b"content-length", b"etag", b"last-modified", b"content-md5", b"digest", b"content-digest", b"repr-digest",
        b"accept-ranges",
    }
)  # fmt: skip
_LENGTH: Final = lines_pattern({b"content-length"})


def combine(fan: "Fan", exchange: "Exchange", good: "list[Member]") -> None:
    """Answer with what several answers come to."""
    own = fan.members[fan.base]
    # Of models that are one, the first speaks for all, whoever the caller is; a ranker's own units keep its answer.
    base = good.index(own) if own in good and fan.plan.use == "interleave" else 0
    unit = exchange.decision.unit if exchange.decision is not None else None
    answers = [member.answer for member in good if member.answer is not None]
    whole = fan.plan.combine(answers, base, b"%b\0%b" % ((unit or "").encode(), exchange.request_id))
    for member in good:
        member.result = "combined"
    fan.event = note(fan, good, good[base], whole)
    head = good[base].head
    if head is not None:
        _answer(fan, exchange, good[base], (head.status, _NOT_OURS.sub(b"", head.forward), whole.body))


def serve(fan: "Fan", exchange: "Exchange", member: "Member") -> None:
    """Answer with what one arm said, or says."""
    if not member.over:
        hand_over(fan, exchange, member)
        return
    member.result = member.result or "alone"
    if member.head is not None:
        lines = _LENGTH.sub(b"", member.head.forward)
        _answer(fan, exchange, member, (member.head.status, lines, member.content))


def _answer(fan: "Fan", exchange: "Exchange", member: "Member", said: tuple[int, bytes, bytes]) -> None:
    """Answer with status, header lines and body."""
    status, lines, body = said
    _settle(fan, exchange, member)
    if status not in (204, 304):  # RFC 9110 8.6
        lines += b"content-length: %d\r\n" % len(body)
    exchange.target = member.seat.target
    exchange.served = True
    fan.pair = member.seat.pair
    if exchange.shadow is not None:
        exchange.shadow.begin(body, framed=False)
    if exchange.decision is not None and exchange.decision.route.keeps:
        exchange.arrived = monotonic()
        keep_whole(exchange, ResponseHead(status, len(body), True, lines, 0), body)
    exchange.answer(status, lines, body, keep=True)


def hand_over(fan: "Fan", exchange: "Exchange", member: "Member") -> None:
    """Let the exchange with one target be the caller's own from now on."""
    _settle(fan, exchange, member)
    stalled, deadline = member.stalled, member.deadline
    theirs, caller = member.give(), exchange.caller
    if theirs is None or theirs.decision is None or exchange.decision is None:
        raise RuntimeError("an exchange that is over cannot be given away")
    member.result = member.result or ("too_large" if stalled else "alone")
    fan.pair = member.seat.pair
    fan.exchange, exchange.fan = theirs, None
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


def nobody(fan: "Fan", exchange: "Exchange") -> None:
    """Go on as after a failed attempt: no arm has an answer that is none of an error."""
    answered = [member for member in fan.ranked() if member.head is not None]
    refused = [member for member in answered if member.status < SERVER_ERROR]
    if refused:
        serve(fan, exchange, refused[0])
        return
    own = fan.members[fan.base]
    _settle(fan, exchange, None)
    fault = "status" if own.head is not None else own.fault or "timeout_first_byte"
    if fall_back(exchange, CAUSE[fault]):
        return
    if answered:
        serve(fan, exchange, answered[0])
    else:
        exchange.give_up(fault)


def _settle(fan: "Fan", exchange: "Exchange", member: "Member | None") -> None:
    """Note who serves; the others are not waited for any more, and how the unit's arm did is the exchange's."""
    fan.decided = True
    own = fan.members[fan.base]
    for other in fan.members:
        if other is not member and not other.over:
            other.cancel("too_large" if other.stalled else "late")
            if other is own and other.result == "late":
                own.failed, own.first_fault = True, "timeout_first_byte"
    if own.failed:
        exchange.fault, exchange.target_failed = own.first_fault, True
    exchange.attempts = sum(each.attempts for each in fan.members)
    exchange.passed = tuple(each.seat.target for each in fan.members if each is not (member or own))


def note(fan: "Fan", good: "list[Member]", base: "Member", whole: Whole) -> Fanout:
    """Return for the event which arm contributed what."""
    plan, shown = fan.plan, whole.placed[:MOST_SHOWN]
    drafted = plan.how == "team_draft"
    parts = [(member.seat.arm, member.answer.part) for member in good if member.answer is not None]
    values = [(arm, part.number) for arm, part in parts if isinstance(part, Value)]
    return Fanout(
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
