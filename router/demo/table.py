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

from router.demo.tally import ArmTally, SplitTally, Tally
from router.demo.verdict import Check, describe


@dataclass(frozen=True, slots=True)
class Note:
    """Something that was done or happened, and when: seconds since the first request."""

    at_s: float
    text: str

    def line(self) -> str:
        """Return the note for people."""
        return f"{self.at_s:6.1f} s  {self.text}"


def dashboard(tally: Tally, notes: Sequence[Note], headline: str) -> RenderableType:
    """Return everything that is known so far."""
    states = ["until the change"] * (len(tally.splits) - 1) + ["in force" if tally.settled else "changing"]
    tables = [split_table(split, state) for split, state in zip(tally.splits, states, strict=False)]
    failed = Text(f"{tally.errors} failed", style="bold red" if tally.errors else "green")
    total = Text.assemble(f"{tally.requests} requests in all, ", failed)
    lines = [Text(note.line(), style="dim") for note in notes]
    return Group(Text(headline, style="bold"), *tables, total, *lines)


def split_table(split: SplitTally, state: str) -> Table:
    """Return one split as a table with a row for each arm."""
    table = Table(
        title=f"{describe(split)} · revision {split.revision} · {state}",
        title_justify="left",
        title_style="bold cyan",
        box=SIMPLE_HEAD,
        padding=(0, 0, 0, 1),
    )
    table.add_column("arm")
    for column in ("weight", "users", "share", "requests", "accuracy", "p50 ms", "p99 ms", "errors"):
        table.add_column(column, justify="right", no_wrap=True)
    users = len(split.arms_of_user)
    for arm, counts in split.arms.items():
        served = split.users(arm)
        table.add_row(
            arm,
            _percent(split.share(arm)) if arm in split.weights else "-",
            str(served),
            _percent(served / users if users else None),
            str(counts.requests),
            _percent(counts.accuracy()),
            _milliseconds(counts, 0.5),
            _milliseconds(counts, 0.99),
            Text(str(counts.errors), style="bold red" if counts.errors else ""),
        )
    return table


def progress_line(tally: Tally, elapsed_s: float) -> str:
    """Return the state in one line, for logs and pipes."""
    if not tally.splits:
        return f"{elapsed_s:6.1f} s  no split in force yet"
    split = tally.splits[-1]
    arms = "; ".join(
        f"{arm}: {split.users(arm)} users, {counts.requests} requests, {_percent(counts.accuracy())} right, "
        f"p50 {_milliseconds(counts, 0.5)} ms, p99 {_milliseconds(counts, 0.99)} ms"
        for arm, counts in split.arms.items()
    )
    return f"{elapsed_s:6.1f} s  {describe(split)}  {tally.requests} requests, {tally.errors} failed  {arms}"


def checklist(checks: Sequence[Check]) -> RenderableType:
    """Return the checks, kept or broken, each with its evidence."""
    table = Table.grid(padding=(0, 1))
    for check in checks:
        mark = Text("✔", style="bold green") if check.kept else Text("✘", style="bold red")
        table.add_row(mark, Text.assemble(check.promise, (f" — {check.evidence}", "dim")))
    return table


def conclusion(checks: Sequence[Check]) -> Text:
    """Return the outcome in one line."""
    broken = sum(not check.kept for check in checks)
    if broken:
        return Text(f"{broken} of {len(checks)} promises not kept", style="bold red")
    return Text(f"all {len(checks)} promises kept", style="bold green")


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{100 * share:.1f} %"


def _milliseconds(counts: ArmTally, q: float) -> str:
    value = counts.quantile_ms(q)
    return "-" if value is None else f"{value:.1f}"
