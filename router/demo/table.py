"""The show on a terminal, and as plain lines where there is none.

Responsible for: turning a tally, the notes of what was done, and the checks into something to read.
Does not know: where they come from, when they are printed.

Rules: pure; it only reads what it is given. "-" stands for what could not be said yet.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from rich.box import SIMPLE_HEAD
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from router.demo.tally import ArmTally, Tally
from router.demo.verdict import Check, describe

LEGEND = "p50/99 in ms; labels come back as outcomes: sent, taken, known (twice), never"


@dataclass(frozen=True, slots=True)
class Note:
    """Something that was done or happened, and when: seconds since the first request."""

    at_s: float
    text: str

    def line(self) -> str:
        """Return the note for people."""
        return f"{self.at_s:6.1f} s  {self.text}"


def dashboard(tally: Tally, notes: Sequence[Note], headline: str, release: str = "") -> RenderableType:
    """Return everything that is known so far; ``release`` says in a line how that does."""
    failed = Text(f"{tally.errors} failed", style="bold red" if tally.errors else "green")
    total = Text.assemble(f"{tally.requests} requests in all, ", failed)
    lines = [Text(note.line(), style="dim") for note in notes]
    return Group(
        Text(headline, style="bold"),
        arms_table(tally),
        Text(LEGEND, style="dim"),
        _phases(tally),
        total,
        *([Text(release, style="cyan")] if release else []),
        *lines,
    )


def arms_table(tally: Tally) -> Table:
    """Return a row for each arm under each split, and one for the users outside.

    ``p50/99`` are milliseconds. On the right the labels: outcomes sent, those that the API took, those that it knew
    already, and labels that never come.
    """
    table = Table(box=SIMPLE_HEAD, padding=0)  # the box has a space between columns
    table.add_column("split", style="cyan", no_wrap=True)
    table.add_column("arm", no_wrap=True)
    for column in ("users", "reqs", "right", "p50/99", "errs", "sent", "taken", "twice", "never"):
        table.add_column(column, justify="right", no_wrap=True)
    for split in tally.splits:
        for number, (arm, counts) in enumerate(split.arms.items()):
            came = counts.labels
            shown = (came.sent, came.accepted, came.duplicates, came.never)
            first = "" if number else describe(split)
            table.add_row(first, arm, str(split.users(arm)), *_cells(counts), *map(str, shown))
    if tally.outside.requests:
        users = sum(None in homes for homes in tally.homes.values())
        table.add_row("outside", "-", str(users), *_cells(tally.outside), *["-"] * 4)
    return table


def _cells(counts: ArmTally) -> tuple[str | Text, ...]:
    return (
        str(counts.requests),
        _percent(counts.accuracy()),
        _milliseconds(counts),
        Text(str(counts.errors), style="bold red" if counts.errors else ""),
    )


def _phases(tally: Tally) -> Text:
    """Say which split is of which revision, and what a change means for the counts."""
    said = []
    for split in tally.splits:
        phase, last = tally.phase(split), tally.current[split.experiment] is split
        state = "until the change" if not last else "in force" if tally.settled else "changing"
        said.append(f"{describe(split)} · revision {split.revision} · phase {phase} · {state}")
    if any(tally.phase(split) > 1 for split in tally.splits):
        said.append("another split opens a phase: users and labels are counted anew, never pooled")
    return Text("\n".join(said), style="dim")


def progress_line(tally: Tally, elapsed_s: float) -> str:
    """Return the state in one line, for logs and pipes."""
    if not tally.splits:
        return f"{elapsed_s:6.1f} s  no split in force yet"
    arms = "; ".join(
        f"{describe(split)} {arm}: {split.users(arm)} users, {counts.requests} requests, "
        f"{_percent(counts.accuracy())} right, {counts.labels.accepted} labels"
        for split in tally.current.values()
        for arm, counts in split.arms.items()
    )
    return f"{elapsed_s:6.1f} s  {tally.requests} requests, {tally.errors} failed  {arms}"


def checklist(checks: Sequence[Check], *, interrupted: bool = False) -> RenderableType:
    """Return the checks, kept or broken, each with its evidence; of an interrupted show some say neither."""
    table = Table.grid(padding=(0, 1))
    for check in checks:
        mark = Text("✔", style="bold green") if check.kept else Text("✘", style="bold red")
        if interrupted and not check.enough:
            mark = Text("-", style="dim")
        table.add_row(mark, Text.assemble(check.promise, (f" — {check.evidence}", "dim")))
    return table


def conclusion(checks: Sequence[Check], *, interrupted: bool = False) -> Text:
    """Return the outcome in one line."""
    said = [check for check in checks if check.enough or not interrupted]
    broken = sum(not check.kept for check in said)
    after = ""
    if interrupted:
        after = f"; interrupted, so {len(checks) - len(said)} more could not be looked at"
    if broken:
        return Text(f"{broken} of {len(said)} promises not kept{after}", style="bold red")
    return Text(f"all {len(said)} promises kept{after}", style="bold yellow" if interrupted else "bold green")


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{100 * share:.1f}%"


def _milliseconds(counts: ArmTally) -> str:
    median, late = counts.quantile_ms(0.5), counts.quantile_ms(0.99)
    return "-" if median is None or late is None else f"{median:.1f}/{late:.0f}"
