"""What a person reads."""

from io import StringIO

from rich.console import Console, RenderableType

from router import histogram
from router.demo.table import Note, checklist, conclusion, dashboard, progress_line
from router.demo.tally import LabelTally, Seen, Tally
from router.demo.verdict import Check


def _text(renderable: RenderableType, width: int = 100) -> str:
    console = Console(file=StringIO(), width=width)
    console.print(renderable)
    written = console.file
    assert isinstance(written, StringIO)
    return written.getvalue()


SPLITS = {"digits": {"simple": 95.0, "better": 5.0}, "pilot": {"plain": 50.0, "vectors": 50.0}}


def _tally() -> Tally:
    made = Tally()
    made.begin(SPLITS, revision=1)
    for number in range(20):
        arm = "better" if number == 0 else "simple"
        made.record(Seen(f"user-{number}", arm, 0.004, right=number % 2 == 0), made.epoch())
    made.splits[0].arms["simple"].labels = LabelTally(sent=18, repeated=1, accepted=17, duplicates=1, never=2)
    return made


def test_the_table_shows_each_arm_with_what_came_of_its_labels() -> None:
    """Users, requests, accuracy, latency, errors and labels of an arm are on its line."""
    lines = _text(dashboard(_tally(), [], "headline")).splitlines()
    simple = next(line for line in lines if "simple" in line)

    assert simple.split() == ["digits", "95/5", "simple", "19", "19", "47.4%", "4.0/4", "0", "18", "17", "1", "2"]
    assert any("digits 95/5 · revision 1 · phase 1 · in force" in line for line in lines)


def test_users_outside_are_a_line_of_their_own() -> None:
    """They have requests and latencies, and no labels."""
    tally = _tally()
    assert "outside" not in _text(dashboard(tally, [], "headline"))
    tally.record(Seen("user-99", None, 0.004, right=True), tally.epoch())
    line = next(line for line in _text(dashboard(tally, [], "headline")).splitlines() if "outside" in line)

    assert line.split() == ["outside", "-", "1", "1", "100.0%", "4.1/4", "0", "-", "-", "-", "-"]


def test_what_another_split_means_for_the_counts_is_said() -> None:
    """A change opens a phase; the table says that its counts stand alone."""
    tally = _tally()
    assert "opens a phase" not in _text(dashboard(tally, [], "headline"))
    tally.begin({**SPLITS, "digits": {"simple": 50.0, "better": 50.0}}, revision=2)
    shown = _text(dashboard(tally, [], "headline"), width=80)

    assert "another split opens a phase: users and labels are counted anew, never pooled" in shown
    assert "digits 95/5 · revision 1 · phase 1 · until the change" in shown
    assert "digits 50/50 · revision 2 · phase 2 · in force" in shown
    assert "pilot 50/50 · revision 1 · phase 1 · in force" in shown


def test_a_table_fits_an_ordinary_terminal() -> None:
    """In 80 columns no number is cut, also after five minutes at full pace."""
    tally = _tally()
    tally.begin({**SPLITS, "digits": {"simple": 50.0, "better": 50.0}}, revision=2)
    arm = tally.splits[2].arms["simple"]
    arm.requests = arm.right = 60_000
    arm.labels = LabelTally(sent=60_000, repeated=6_000, accepted=54_000, duplicates=6_000, never=6_000)
    arm.latency[histogram.bucket(14_200)] += 60_000
    shown = _text(dashboard(tally, [Note(1.5, "saving the split")], "headline"), width=80)

    assert "…" not in shown
    assert "60000" in shown
    assert "   1.5 s  saving the split" in shown


def test_nothing_seen_is_shown_as_nothing_to_say() -> None:
    """Before the first request the table has dashes, not zeros that look like measurements."""
    empty = Tally()
    empty.begin(SPLITS, revision=1)

    assert "nan" not in _text(dashboard(empty, [], "headline"))
    assert "- right" in progress_line(empty, 0.0)


def test_a_broken_promise_is_marked() -> None:
    """Kept and broken checks differ in the mark, not only in colour."""
    checks = [Check("kept one", kept=True, evidence="a"), Check("broken one", kept=False, evidence="b")]
    shown = _text(checklist(checks))

    assert "✔ kept one — a" in shown
    assert "✘ broken one — b" in shown
    assert "1 of 2 promises not kept" in _text(conclusion(checks))
    assert "all 1 promises kept" in _text(conclusion(checks[:1]))


def test_an_interrupted_show_says_so() -> None:
    """What could not be looked at is neither kept nor broken; what was seen to be broken still is."""
    checks = [
        Check("kept one", kept=True, evidence="a"),
        Check("unseen one", kept=False, evidence="b", enough=False),
    ]
    shown = _text(checklist(checks, interrupted=True))

    assert "✘" not in shown
    assert "- unseen one — b" in shown
    said = _text(conclusion(checks, interrupted=True))
    assert "all 1 promises kept; interrupted, so 1 more could not be looked at" in said
    broken = [*checks, Check("broken one", kept=False, evidence="c")]
    assert "1 of 2 promises not kept; interrupted" in _text(conclusion(broken, interrupted=True))
    assert "2 of 3 promises not kept" in _text(conclusion(broken))
