"""What a person reads."""

from io import StringIO

from rich.console import Console, RenderableType

from router.demo.table import Note, checklist, conclusion, dashboard, progress_line
from router.demo.tally import Seen, Tally
from router.demo.verdict import Check


def _text(renderable: RenderableType, width: int = 100) -> str:
    console = Console(file=StringIO(), width=width)
    console.print(renderable)
    written = console.file
    assert isinstance(written, StringIO)
    return written.getvalue()


def _tally() -> Tally:
    made = Tally()
    made.begin({"simple": 95.0, "better": 5.0}, revision=1)
    for number in range(20):
        arm = "better" if number == 0 else "simple"
        made.record(Seen(f"user-{number}", arm, 0.004, right=number % 2 == 0), 0)
    return made


def test_the_table_shows_each_arm_beside_its_configured_weight() -> None:
    """Users, requests, accuracy and errors of an arm are on its line."""
    lines = _text(dashboard(_tally(), [], "headline")).splitlines()
    simple = next(line for line in lines if "simple" in line)

    assert simple.split() == ["simple", "95.0", "%", "19", "95.0", "%", "19", "47.4", "%", "4.0", "4.1", "0"]
    assert any("95/5 · revision 1 · in force" in line for line in lines)


def test_a_table_fits_an_ordinary_terminal() -> None:
    """In 80 columns no number is cut."""
    shown = _text(dashboard(_tally(), [Note(1.5, "saving the split")], "headline"), width=80)

    assert "…" not in shown
    assert "47.4 %" in shown
    assert "   1.5 s  saving the split" in shown


def test_nothing_seen_is_shown_as_nothing_to_say() -> None:
    """Before the first request the table has dashes, not zeros that look like measurements."""
    empty = Tally()
    empty.begin({"simple": 95.0, "better": 5.0}, revision=1)

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
