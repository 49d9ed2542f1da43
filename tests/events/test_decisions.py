"""The decision log: what was written is found again, whatever happened to the disk."""

import json
import math
from pathlib import Path

import pytest

from router.events.decisions import DecisionFile, Wanted, newest, number_of, numbered, read_decisions
from router.events.rollout import Decided, Found


def decided(number: int = 1, **changes: object) -> Decided:
    """Make a decision."""
    fields = {
        "id": "",
        "time": float(number),
        "experiment": "e-2",
        "run": 1,
        "phase": 1,
        "revision": 0,
        "step": "stage",
        "action": "advance",
        "reason": "all passed",
    } | changes
    return numbered(Decided(**fields), number, 7)  # type: ignore[arg-type] # what a test gives


def test_what_was_written_is_read_in_order(tmp_path: Path) -> None:
    """By the next process, too; a number that was written twice counts once."""
    assert read_decisions(tmp_path) == ((), 0)
    DecisionFile(tmp_path).append([decided(1), decided(2)])
    DecisionFile(tmp_path).append([decided(2), decided(3)])
    assert read_decisions(tmp_path) == ((decided(1), decided(2), decided(3)), 0)


def test_a_torn_line_is_cut_off_and_others_are_counted(tmp_path: Path) -> None:
    """The power went in the middle of a line; another line is somebody's edit."""
    log = DecisionFile(tmp_path)
    log.append([decided(1)])
    path = tmp_path / "decisions.ndjson"
    path.write_bytes(b"hello\n" + path.read_bytes() + b'{"type":"deci')
    DecisionFile(tmp_path).append([decided(2)])
    assert read_decisions(tmp_path) == ((decided(1), decided(2)), 1)


def test_the_log_does_not_grow_for_ever(tmp_path: Path) -> None:
    """Two files are kept, and the newest decisions are always there."""
    log = DecisionFile(tmp_path, full=2000)
    for number in range(1, 101):
        log.append([decided(number)])
    found, _ = read_decisions(tmp_path)
    assert [number_of(each.id) for each in found] == list(range(number_of(found[0].id), 101))
    assert sum(path.stat().st_size for path in tmp_path.iterdir()) <= 4000


def test_what_is_unbounded_is_left_out_of_a_line(tmp_path: Path) -> None:
    """JSON has no NaN and no infinity, and a line that holds one could never be read again."""
    found = Found(
        name="errors", status="inconclusive", action="rollback", reason="few", high=math.inf, estimate=math.nan,
        counts={"a": math.nan, "b": 2.0},
    )  # fmt: skip
    DecisionFile(tmp_path).append([decided(1, found=(found,), numbers={"x": -math.inf, "y": 1.0})])
    text = (tmp_path / "decisions.ndjson").read_text()

    def never(name: str) -> None:
        raise AssertionError(name)

    json.loads(text, parse_constant=never)
    (read,), _ = read_decisions(tmp_path)
    assert (read.found[0].high, read.found[0].estimate, read.found[0].counts) == (None, None, {"b": 2.0})
    assert read.numbers == {"y": 1.0}


@pytest.mark.parametrize(
    ("wanted", "numbers"),
    [
        (Wanted(), [4, 3, 2, 1]),
        (Wanted(limit=2), [4, 3]),
        (Wanted(before=3), [2, 1]),
        (Wanted(run=2), [4]),
        (Wanted(actions=frozenset({"hold", "rollback"})), [3]),
        (Wanted(since=2, until=3), [3, 2]),
        (Wanted(experiment="other"), []),
    ],
    ids=["all", "limit", "before", "run", "actions", "times", "experiment"],
)
def test_decisions_are_found_by_what_they_are_about(wanted: Wanted, numbers: list[int]) -> None:
    """The newest first; what is not said does not matter."""
    kept = [decided(1), decided(2), decided(3, action="rollback"), decided(4, run=2)]
    assert [number_of(each.id) for each in newest(kept, wanted)] == numbers


@pytest.mark.parametrize(("text", "number"), [("e-2-1-17", 17), ("17", 17), ("e-", 0), ("", 0), ("e-٣", 0)])
def test_the_number_of_a_decision_is_the_end_of_its_id(text: str, number: int) -> None:
    """Names may hold hyphens and digits."""
    assert number_of(text) == number
