"""Which ranker was preferred: what outcomes about items of interleaved lists come to.

Responsible for: the impression that an outcome about an item belongs to, the ranker that it speaks for, and sums over
impressions and units.
Does not know: whether a difference is chance (``router.inference.preference``), how lists are merged.

An impression is one answer with a merged list. What a person did with its items speaks for the ranker with more credit:
by team draft, the items that its team put in (Radlinski, Kurup and Joachims 2008); by balanced, the items that stand in
its list down to where the lowest one that was chosen stands in either (Joachims 2003). Each item counts once.

Rules: forced exposures, and bots where they are left out, are no impressions. An outcome keyed by request is about that
request's list; one keyed by unit or assignment about the last list before it that has the item. Only outcomes above 0
speak. Nothing but impressions with an outcome is read row by row, in pages, so memory is bounded.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import ibis
import msgspec
from ibis.expr import types as ir
from msgspec import Struct

from router.analysis.aggregates import Moments
from router.analysis.engine import Engine
from router.analysis.plan import Plan
from router.events.model import Fanout

PAGE: Final = 20_000  # rows that are read at once
_decode = msgspec.json.Decoder(Fanout).decode


class Credit(Struct, frozen=True):
    """What outcomes of one name say of two rankers, in one phase of an experiment.

    Attributes:
        arms: The rankers: control, and the other.
        shown: Impressions in all.
        units: Units that had one.
        wins: Impressions with an outcome that speak for each ranker.
        ties: Impressions with an outcome that speak for both alike, or for none.
        sums: Over units with such an impression: y is wins of the second less those of the first, x how many it had.
        preferred: Units for which more impressions speak for one ranker than for the other, by ranker.
        undecided: Units for which as many speak for both.
        first: Units by what the first of their impressions that speaks for either speaks for.
        unmatched: Outcomes about an item that belong to no impression.
    """

    arms: tuple[str, str]
    shown: int = 0
    units: int = 0
    wins: tuple[int, int] = (0, 0)
    ties: int = 0
    sums: Moments = Moments()
    preferred: tuple[int, int] = (0, 0)
    undecided: int = 0
    first: tuple[int, int] = (0, 0)
    unmatched: int = 0


Phase = tuple[int, int]
Credits = Mapping[tuple[Phase, str], Credit]
"""Run and phase, and the name of an outcome, to what such outcomes say."""


def credits_of(engine: Engine, made: Plan, now: float) -> Credits:
    """Return what outcomes about items say of the rankers of an interleaved experiment.

    Args:
        engine: Has the relations ``exposures`` and ``outcomes`` of the data contract, both without duplicates.
        made: What is computed for the experiment.
        now: Nothing later is looked at; unix seconds.

    Returns:
        Nothing for an experiment that is not interleaved, or of which no list was shown; for a phase of which lists
        were shown and nobody did anything, nothing either.
    """
    if made.rankers is None:
        return {}
    shown = _shown(engine, made, now)
    counts = engine.rows(shown.group_by("run", "phase").aggregate(shown=shown.count(), units=shown.unit.nunique()))
    if not counts:
        return {}
    said = engine.table("outcomes")
    said = said.filter(said.item.notnull(), said.value > 0, said.time <= now)
    said = said.filter((said.keyed != "assignment") | (said.experiment == made.experiment))
    found = engine.keep("credited", _matched(said, shown))
    tallies: dict[tuple[Phase, str], _Tally] = {}
    for impression in _impressions(engine, found):
        tallies.setdefault((impression.phase, impression.outcome), _Tally()).take(impression, made.rankers)
    lost = _unmatched(engine, said, found) if tallies else {}
    sizes = {(row["run"], row["phase"]): (row["shown"], row["units"]) for row in counts}
    return {
        key: tally.credit(made.rankers, sizes[key[0]], lost.get(key[1], 0))
        for key, tally in sorted(tallies.items(), key=lambda item: item[0])
    }


def _shown(engine: Engine, made: Plan, now: float) -> ir.Table:
    """Return the impressions."""
    seen = engine.table("exposures")
    kept = seen.filter(seen.experiment == made.experiment, seen.time <= now, ~seen.override, seen.fanout.notnull())
    kept = kept.filter(kept.fanout.contains('"merge":'))
    return kept.filter(~kept.bot) if made.bots else kept


def _matched(said: ir.Table, shown: ir.Table) -> ir.Table:
    """Return each outcome with the impression that it is about: one row for each item, outcome and impression."""
    at = shown.select(
        "exchange", "run", "phase", "unit", "user", "unit_hash", "request_id", "fanout", shown_at=shown.time
    )
    what = said.select("id", "outcome", "item", "keyed", "time", key=said.unit, asked=said.request_id, of=said.run,
                       hashed=said.unit_hash)  # fmt: skip
    quoted = '"' + what.item.replace("\\", "\\\\").replace('"', '\\"') + '"'
    what = what.mutate(quoted=quoted)
    by_request = what.filter(what.keyed == "request_id")
    by_unit = what.filter(what.keyed == "unit")
    by_token = what.filter(what.keyed == "assignment")
    joined = [
        by_request.join(at, by_request.asked == at.request_id),
        by_unit.join(at, [by_unit.key == at.user, by_unit.time >= at.shown_at]),
        by_token.join(
            at, [by_token.hashed == at.unit_hash, by_token.of == at.run, by_token.time >= at.shown_at]
        ),
    ]  # fmt: skip
    columns = ("id", "outcome", "item", "time", "exchange", "run", "phase", "unit", "fanout", "shown_at", "quoted")
    every = ibis.union(*(each.select(*columns) for each in joined))
    every = every.filter(every.fanout.contains(every.quoted))
    last = ibis.window(group_by=every.id, order_by=[ibis.desc(every.shown_at), every.exchange])
    every = every.mutate(place=ibis.row_number().over(last))
    every = every.filter(every.place == 0)
    keys = ["run", "phase", "outcome", "unit", "exchange", "item"]
    return every.group_by(keys).aggregate(fanout=every.fanout.min(), shown_at=every.shown_at.min(), said=every.count())


class _Impression(Struct, frozen=True):
    """What was done with one list: the items that outcomes of one name are about."""

    phase: Phase
    outcome: str
    unit: str
    time: float
    items: tuple[str, ...]
    fanout: Fanout


def _impressions(engine: Engine, found: ir.Table) -> Iterator[_Impression]:
    """Yield impressions with an outcome, those of a unit one after the other."""
    order = ["run", "phase", "outcome", "unit", "exchange", "item"]
    after: tuple[Any, ...] | None = None
    rows: list[Mapping[str, Any]] = []
    while True:
        left = found if after is None else found.filter(_beyond(found, order, after))
        page = engine.rows(left.order_by(order).limit(PAGE))
        rows += page
        ended = len(page) < PAGE
        while rows:
            group = list(_group(rows))
            if len(group) == len(rows) and not ended:
                break
            del rows[: len(group)]
            head, fanout = group[0], _read(group[0]["fanout"])
            if fanout is not None:
                items = tuple(row["item"] for row in group)
                place = head["run"], head["phase"]
                yield _Impression(place, head["outcome"], head["unit"], head["shown_at"], items, fanout)
        if ended:
            return
        after = tuple(page[-1][name] for name in order)


def _read(text: str) -> Fanout | None:
    """Return what an event says was shown; None when a line was damaged, or is of a version that says it otherwise."""
    try:
        found = _decode(text)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return None
    told = found.teams if found.merge == "team_draft" else found.ranks
    return found if len(told) == len(found.items) else None


def _group(rows: Sequence[Mapping[str, Any]]) -> Iterator[Mapping[str, Any]]:
    """Yield the first rows that are of one impression and outcome."""
    names = ("run", "phase", "outcome", "unit", "exchange")
    for row in rows:
        if any(row[name] != rows[0][name] for name in names):
            return
        yield row


def _beyond(found: ir.Table, order: Sequence[str], after: Sequence[Any]) -> ir.BooleanValue:
    """Return the condition that a row comes behind another in an order."""
    condition: ir.BooleanValue = ibis.literal(value=False)
    for name, value in zip(reversed(order), reversed(after), strict=True):
        condition = (found[name] > value) | ((found[name] == value) & condition)
    return condition


def _unmatched(engine: Engine, said: ir.Table, found: ir.Table) -> dict[str, int]:
    """Count, by outcome, those about an item that belong to no impression."""
    total = engine.rows(said.group_by("outcome").aggregate(number=said.id.nunique()))
    known = engine.rows(found.group_by("outcome").aggregate(number=found.said.sum()))
    matched = {row["outcome"]: row["number"] for row in known}
    return {row["outcome"]: max(0, row["number"] - matched.get(row["outcome"], 0)) for row in total}


def credit(fanout: Fanout, items: Sequence[str]) -> tuple[int, int]:
    """Return how many items speak for each ranker.

    Args:
        fanout: What was shown.
        items: Those that were chosen; what was not shown is passed over.
    """
    places = {item: place for place, item in enumerate(fanout.items)}
    chosen = sorted({places[item] for item in items if item in places})
    if fanout.merge == "team_draft":
        teams = [fanout.teams[place] for place in chosen]
        return teams.count(0), teams.count(1)
    if not chosen:
        return 0, 0
    depth = min(rank for rank in fanout.ranks[chosen[-1]] if rank)
    found = [fanout.ranks[place] for place in chosen]
    first, second = (sum(1 for ranks in found if 0 < ranks[ranker] <= depth) for ranker in (0, 1))
    return first, second


class _Unit(Struct):
    """What is known of the unit whose impressions come now."""

    name: str
    difference: int = 0
    impressions: int = 0
    first: tuple[float, int] | None = None  # when the first impression was that speaks for either, and for which


class _Tally:
    """Sums of one phase and outcome."""

    def __init__(self) -> None:
        self._wins = [0, 0]
        self._ties = 0
        self._sums = [0.0] * 5
        self._units = 0
        self._preferred = [0, 0, 0]
        self._first = [0, 0]
        self._unit: _Unit | None = None

    def take(self, impression: _Impression, arms: Sequence[str]) -> None:
        """Take an impression; those of a unit come one after the other."""
        credits_ = credit(impression.fanout, impression.items)
        if next(iter(impression.fanout.arms), "") != arms[0]:
            credits_ = credits_[::-1]
        if self._unit is None or self._unit.name != impression.unit:
            self._close()
            self._unit = _Unit(impression.unit)
        unit = self._unit
        unit.impressions += 1
        if credits_[0] == credits_[1]:
            self._ties += 1
            return
        winner = int(credits_[1] > credits_[0])
        self._wins[winner] += 1
        unit.difference += 1 if winner else -1
        if unit.first is None or impression.time < unit.first[0]:
            unit.first = impression.time, winner

    def _close(self) -> None:
        """Add up what is known of a unit of which nothing more comes."""
        unit, self._unit = self._unit, None
        if unit is None:
            return
        self._units += 1
        y, x = float(unit.difference), float(unit.impressions)
        self._sums = [known + new for known, new in zip(self._sums, (y, y * y, x, x * x, x * y), strict=True)]
        self._preferred[2 if not unit.difference else int(unit.difference > 0)] += 1
        if unit.first is not None:
            self._first[unit.first[1]] += 1

    def credit(self, arms: tuple[str, str], sizes: tuple[int, int], unmatched: int) -> Credit:
        """Return the sums."""
        self._close()
        return Credit(
            arms=arms,
            shown=sizes[0],
            units=sizes[1],
            wins=(self._wins[0], self._wins[1]),
            ties=self._ties,
            sums=Moments(self._units, *self._sums),
            preferred=(self._preferred[0], self._preferred[1]),
            undecided=self._preferred[2],
            first=(self._first[0], self._first[1]),
            unmatched=unmatched,
        )
