"""Experiments that send a request to several arms, compiled: whom it goes to, and what is made of the answers.

Responsible for: ``compile_fans``, and ``FanPlan``: from the answers' bodies to one body.
Does not know: how requests are sent, what a body is worth that cannot be read, when to stop waiting.

Rules: pure. Who is in the experiment, and the arm of a unit, are decided as for any other; what an arm of weight 0 says
is not asked, so a killed experiment goes to its control alone.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Final, Literal, NamedTuple

from msgspec import Raw, Struct

from router.config.schema import Breaker, Experiment
from router.counters import FANS, fan_key, pair_key
from router.events.model import Revision
from router.routing.answer import Ids, compile_ids, read_list, with_value
from router.routing.bucket import arm_prefix
from router.routing.ensemble import Value, combine_values, read_value
from router.routing.interleave import Coin, Placed, balanced, team_draft
from router.routing.request import pointer_tokens

DEADLINE_S: Final = 1.0
BODY_BYTES: Final = 256 * 1024
MOST_SHOWN: Final = 100  # items of a list that the event names: beyond them nobody looks

Part = dict[str, Raw] | Value
"""What answers are combined by: the items of a list by their ids, in order; or a value."""


WINDOW_S: Final = 60.0
LEAST_ASKED: Final = 20
MOSTLY: Final = 0.5


def standing_rules(breaker: Breaker) -> Breaker:
    """Return when an arm is not asked any more, and how it comes back.

    Args:
        breaker: That of its target, of which it takes how long it stays away, and how many probes bring it back.
    """
    return Breaker(
        consecutive=0,
        ratio=MOSTLY,
        min_requests=LEAST_ASKED,
        window=WINDOW_S,
        open=breaker.open,
        max_open=breaker.max_open,
        probes=breaker.probes,
        ramp=0.0,
    )


class Seat(Struct, frozen=True):
    """An arm that requests go to.

    Attributes:
        arm: Its name.
        target: Its target.
        pair: First word of the counter row of route and target.
        row: First word of its own.
        label: ``EXPERIMENT=ARM``, as its target is told.
    """

    arm: str
    target: str
    pair: int
    row: int
    label: bytes


class Answer(NamedTuple):
    """An answer that can be combined with others: its body, and what ``FanPlan.read`` found there."""

    body: bytes
    part: Part


class Whole(NamedTuple):
    """One body, of several: the body, and what came of the items of lists."""

    body: bytes
    placed: tuple[Placed, ...] = ()


class FanPlan(Struct, frozen=True):
    """An experiment that sends a request to several arms.

    Attributes:
        experiment: Its name.
        use: What is done with the answers.
        seats: Who gets the request, in the order of the file; two at least.
        at: Pointer to the list, or the value.
        ids: Where the id of an item is.
        how: ``merge`` or ``combine``.
        deadline: Seconds that the answer waits for all.
        body_bytes: Longest request that is sent to several.
        answer_bytes: Longest answer that is read.
        prefix: Hashed in front of unit and request id, for the coin.
        told: Matches the experiment's arm in the header fields to a target.
    """

    experiment: str
    use: Literal["interleave", "ensemble"]
    seats: tuple[Seat, ...]
    at: tuple[str, ...]
    ids: Ids
    how: str
    deadline: float
    body_bytes: int
    answer_bytes: int
    prefix: bytes
    told: re.Pattern[bytes]

    def head(self, lines: bytes, seat: Seat) -> bytes:
        """Return header fields to the target of the unit's arm as those to another arm's."""
        return self.told.sub(lambda _: seat.label, lines, count=1)

    def answer(self, body: bytes) -> Answer | None:
        """Return an answer as far as it can be combined; None when the body does not have what is combined."""
        if self.use == "interleave":
            part: Part | None = read_list(body, self.at, self.ids)
        else:
            part = read_value(body, self.at, self.how)
        return None if part is None else Answer(body, part)

    def combine(self, answers: Sequence[Answer], base: int, drawn: bytes) -> Whole:
        """Return one body of several.

        Args:
            answers: Two at least.
            base: Place among them of the one that the rest is taken from.
            drawn: Unit and request id: what decides what is left to chance.
        """
        if self.use == "ensemble":
            values = [answer.part for answer in answers if isinstance(answer.part, Value)]
            return Whole(with_value(answers[base].body, self.at, combine_values(values, self.how)))
        lists = [answer.part for answer in answers if isinstance(answer.part, dict)]
        merge = team_draft if self.how == "team_draft" else balanced
        placed = merge(list(lists[0]), list(lists[1]), Coin(self.prefix + drawn))
        # An item that both have is the one of whoever put it in; where nobody did, of whose answer the rest is.
        owners = [base if each.team < 0 else each.team for each in placed]
        items = [
            (lists[owner] if each.item in lists[owner] else lists[1 - owner])[each.item]
            for owner, each in zip(owners, placed, strict=True)
        ]
        return Whole(with_value(answers[base].body, self.at, items), tuple(placed))


NO_FANS: Final[Mapping[str, FanPlan]] = {}


def compile_fans(route: str, revision: Revision) -> Mapping[str, FanPlan]:
    """Compile, by name, the experiments of a route that send requests to several arms.

    Raises:
        KeyError: If the revision has no weight or counter row for one of them.
    """
    fans = {
        experiment.name: _compile(experiment, revision)
        for experiment in revision.config.experiments
        if experiment.route == route and experiment.allocate.use in FANS
    }
    return {name: plan for name, plan in fans.items() if len(plan.seats) > 1}


def _compile(experiment: Experiment, revision: Revision) -> FanPlan:
    allocate, name = experiment.allocate, experiment.name
    slots, weights = revision.slots, revision.weights[name]
    interleaved = allocate.use == "interleave"
    return FanPlan(
        experiment=name,
        use="interleave" if interleaved else "ensemble",
        seats=tuple(
            Seat(
                arm.name,
                arm.target,
                slots[pair_key(experiment.route, arm.target)],
                slots[fan_key(name, arm.name)],
                f"{name}={arm.name}".encode(),
            )
            for arm in experiment.arms
            if arm.target is not None and weights[arm.name] > 0
        ),
        at=pointer_tokens((allocate.list if interleaved else allocate.at) or ""),
        ids=compile_ids(pointer_tokens(allocate.id or "")),
        how=allocate.merge if interleaved else allocate.combine,
        deadline=DEADLINE_S if allocate.deadline is None else allocate.deadline,
        body_bytes=BODY_BYTES if allocate.body_bytes is None else allocate.body_bytes,
        answer_bytes=BODY_BYTES if allocate.answer_bytes is None else allocate.answer_bytes,
        prefix=arm_prefix(f"interleave\0{name if experiment.salt is None else experiment.salt}", ""),
        told=re.compile(rb"(?<= )%b=[^,\r\n]+" % re.escape(name.encode())),
    )
