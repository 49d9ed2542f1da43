"""Live is offline: however a log came to be, the live fold's last answer is that of one fold over all of it."""

import asyncio
import time
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import msgspec
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from router.archive.courier import Couriers
from router.archive.upkeep import Upkeep
from router.config.load import load_text
from router.config.schema import Events, Keep
from router.control.counted import Counted
from router.control.fold import Fold
from router.control.measure import Question, Snapshot, Stop, measure
from router.events.model import Enrolment, Exchange, Revised, Run
from router.events.outcomes import Outcome, OutcomeStore
from router.events.segment import SegmentName
from tests.events.examples import exchange

BEGAN = 1_790_000_000.0
TEXT = """
events: {{dir: '{folder}'}}
targets:
  - {{name: a, endpoints: ['http://127.0.0.1:8001']}}
  - {{name: b, endpoints: ['http://127.0.0.1:8002']}}
routes: [{{name: r, target: a, unit: [header:x-user-id], attributes: {{tier: header:x-tier}}}}]
metrics: [{{name: ctr, kind: proportion, outcome: click, window: 1h, goal: up}}]
experiments:
  - name: e
    route: r
    strata: [tier]
    metrics: {{primary: ctr}}
    arms: [{{name: a, target: a, weight: 1}}, {{name: b, target: b, weight: 1}}]
"""
PHASES = ({"a": 1.0, "b": 1.0}, {"a": 1.0, "b": 3.0})
UNITS = [f"user-{number}" for number in range(8)]


def _question(folder: Path) -> Question:
    config = load_text(TEXT.format(folder=folder).encode(), "router.yaml").config
    history = tuple(
        Revised(
            number=number,
            time=BEGAN + 100 * (number - 1),
            cause="reload",
            author="file",
            digest="d",
            config=config,
            weights={"e": weights},
            runs={"e": Run(number=1, phase=number, epoch=0)},
        )
        for number, weights in enumerate(PHASES, start=1)
    )
    return Question(config, history[-1].runs, history, Counted({"r": (1000, 1)}, 1000, 0, (), 2))


def _exchange(number: int, drawn: tuple[str, str, int, str | None, bool]) -> Exchange:
    unit, arm, phase, tier, override = drawn
    return msgspec.structs.replace(
        exchange(number),
        time=BEGAN + number,
        request_id=f"q{number}",
        revision=phase,
        route="r",
        target=arm,
        unit=unit,
        attributes={} if tier is None else {"tier": tier},
        experiments=(Enrolment("e", 1, phase, 0, arm, 0.5, arm, override=override),),
    )


class _Log:
    """A folder that is written to in pieces."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._pieces = 0

    def write(self, events: list[Exchange]) -> None:
        """Write a segment, as a worker of its own that has ended since."""
        self.folder.mkdir(exist_ok=True)
        self._pieces += 1
        name = SegmentName("20260921T000000Z", 0, 4_000_000 + self._pieces, 1)
        (self.folder / str(name)).write_bytes(msgspec.json.Encoder().encode_lines(events))

    def receive(self, outcomes: list[Outcome]) -> None:
        """Take outcomes, in a store that is opened anew."""
        store = OutcomeStore(self.folder)
        store.append(outcomes, BEGAN + 500)
        store.close()

    def seal(self) -> None:
        """Turn what is closed into Parquet."""
        upkeep = Upkeep(self.folder)
        events = Events(dir=str(self.folder), keep=Keep(age=1e9))
        upkeep.round(events, (), Couriers(self.folder), time.time() + 3600)
        assert not upkeep.tally.failures


def _live(folder: Path) -> Snapshot:
    """Look as a control process does that has just started."""
    fold = Fold()

    async def ignore(_snapshot: Snapshot) -> None:
        return

    asyncio.run(fold.look(_question(folder), ignore))
    assert fold.snapshot is not None, fold.problem
    return fold.snapshot


exchanges = st.lists(
    st.tuples(
        st.sampled_from(UNITS),
        st.sampled_from("aaab"),
        st.sampled_from((1, 1, 2)),
        st.sampled_from(("gold", "none", None)),
        st.sampled_from((False, False, False, True)),
    ),
    max_size=30,
)
outcomes = st.lists(
    st.tuples(st.integers(-20, 60), st.sampled_from(("unit", "request_id")), st.integers(0, 40)), max_size=12
)


def _outcome(number: int, drawn: tuple[int, str, int]) -> Outcome:
    at, keyed, whose = drawn
    key: dict[str, Any] = {"unit": UNITS[whose % 8]} if keyed == "unit" else {"request_id": f"q{whose}"}
    return Outcome(f"o{number}", "click", 1.0, BEGAN + at, timed=True, **key)


@settings(max_examples=3, deadline=None, phases=(Phase.explicit, Phase.reuse, Phase.generate))
@given(exchanges, outcomes, st.lists(st.sampled_from(("write", "receive", "seal", "look")), min_size=3, max_size=5))
def test_live_is_offline(
    drawn: list[tuple[str, str, int, str | None, bool]], sent: list[tuple[int, str, int]], steps: list[str]
) -> None:
    """Written in any pieces, sealed at any time, by processes that begin anew: the same counts, findings and sums."""
    events = [_exchange(number, each) for number, each in enumerate(drawn)]
    taken = [_outcome(number, each) for number, each in enumerate(sent)]
    with TemporaryDirectory() as folder:
        live, offline = _Log(Path(folder) / "live"), _Log(Path(folder) / "offline")
        live.write(events[: len(events) // 2])
        rest, waiting = events[len(events) // 2 :], taken
        for step in steps:
            if step == "write":
                live.write(rest[:7])
                rest = rest[7:]
            elif step == "receive":
                live.receive([*waiting[:5], *taken[:2]])
                waiting = waiting[5:]
            elif step == "seal":
                live.seal()
            else:
                _live(live.folder)
        live.write(rest)
        live.receive(waiting)
        offline.write(events)
        offline.receive(taken)
        _same(_live(live.folder), measure(_question(offline.folder), Stop()))


def _same(live: Snapshot, offline: Snapshot) -> None:
    one, other = (replace(each, time=0.0, took_s=0.0, folded=None, reports={}) for each in (live, offline))
    assert one == other
    assert [each.decision for each in live.reports.values()] == [each.decision for each in offline.reports.values()]
    assert live.folded is not None
    assert offline.folded is not None
    for one, other in zip(
        msgspec.to_builtins(live.folded.experiments["e"].stages),
        msgspec.to_builtins(offline.folded.experiments["e"].stages),
        strict=True,
    ):
        assert one == other
    known = {place: cell.metrics["ctr"].units for place, cell in offline.folded.experiments["e"].cells.items()}
    found = {place: cell.metrics["ctr"].units for place, cell in live.folded.experiments["e"].cells.items()}
    assert found.keys() == known.keys()
    for place, moments in known.items():
        assert msgspec.structs.astuple(found[place]) == pytest.approx(msgspec.structs.astuple(moments))
