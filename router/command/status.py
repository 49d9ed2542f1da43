"""What ``router status NAME`` shows: where a release is, what it waits for, and with ``--why`` all that it knows.

Responsible for: putting answers of the admin API into words and tables that fit a terminal of 80 columns, and a pipe.
Does not know: how the answers come about, the admin API's address (``remote``).
"""

import json
import sys
import textwrap
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any, Final
from urllib.parse import quote

from rich.console import Console
from rich.table import Table as Grid

from router.command.remote import Admin, place
from router.command.terminal import console

_WAITS: Final = {
    "waiting": "waits for somebody",
    "paused": "is paused",
    "running": "goes on by itself",
    "over": "is over",
}
_COUNTS: Final = 8  # that are shown of a guardrail


def show(admin: Admin, name: str, last: int, *, as_json: bool) -> int:
    """Show one experiment.

    Args:
        admin: The router.
        name: The experiment.
        last: How many decisions to show, with the evidence; 0 shows neither.
        as_json: Whether for a program.

    Raises:
        AdminError: when the router could not be asked, or said no.
    """
    path = f"/v1/experiments/{quote(name, safe='')}"
    found, tag = admin.ask("GET", path)
    tag = (tag or "").strip('"')
    decisions = admin.ask("GET", f"{path}/decisions?limit={last}")[0]["decisions"][::-1] if last else []
    if as_json:
        document = {"experiment": found, "tag": tag} | ({"decisions": decisions} if last else {})
        sys.stdout.write(json.dumps(document, indent=2) + "\n")
        return 0
    output = console()
    for line in _head(found, tag, time.time()):
        bare = line.lstrip()
        _say(output, bare, len(line) - len(bare))
    if last:
        release = found.get("release") or {}
        observed = release.get("observed") or {}
        now = [] if release.get("status") == "over" else observed.get("found") or []
        then: list[dict[str, Any]] = next((each["found"] for each in decisions[::-1] if each.get("found")), [])
        _evidence(now or then, fresh=bool(now))
        _beside(observed)
        _decisions(decisions)
    return 0


def _head(found: dict[str, Any], tag: str, now: float) -> Iterator[str]:
    yield f"experiment {found['name']}, run {found['run']}, phase {found['phase']}, tag {tag}"
    for arm in found["arms"]:
        counted = f"{arm['exchanges']:,} exchanges, {arm['failed']:,} failed"
        yield f"  {arm['name']}: {percent(arm['share'])} of units, {counted}"
    killed, invalid, release = found["killed"], found.get("invalid"), found.get("release")
    if killed is not None:
        yield f"  killed since {moment(killed['time'])} by {killed['by']}: {killed['reason'] or 'no reason was given'}"
    if invalid is not None:
        yield f"  its data are invalid since {moment(invalid['time'])}: {invalid['reason']}"
    if release is None:
        yield "  no release: its weights are those of the file or of a bandit"
        return
    if release.get("step") is None:
        yield f"  the release ({release['kind']}) has not begun: {release.get('problem') or 'it does in a second'}"
        return
    yield from _release(found["name"], release, tag, now)


def _release(name: str, release: dict[str, Any], tag: str, now: float) -> Iterator[str]:
    stages = [step for step in release.get("steps") or [] if step["step"] == release["step"]]
    of = f" of {len(stages)}" if len(stages) > 1 else ""
    yield (
        f"  {release['kind'].replace('_', '-')}: {place(release)}{of}, {percent(release['share'])} on the new arm, "
        f"since {moment(release['since'])} ({span(now - release['since'])})"
    )
    held = f" ({release['holding']})" if release.get("holding") else ""
    waits = "holds" if held and release["status"] == "running" else _WAITS[release["status"]]
    yield f"  it {waits}{held}: {release['reason']}"
    if release["by"] != "router":
        yield f"  last brought there by {release['by']}"
    if release.get("problem"):
        yield f"  NOT IN FORCE: {release['problem']}"
    for approval in release.get("approvals") or []:
        said = f": {approval['reason']}" if approval.get("reason") else ""
        yield f"  approved {place({'stage': 0} | approval)} by {approval['by']} at {moment(approval['time'])}{said}"
    answers = {"waiting": ("approve", "rollback"), "paused": ("resume", "rollback")}.get(release["status"], ())
    if answers:
        yield "  answer with: " + " | ".join(f"router {what} {name} --seen {tag}" for what in answers)


def _evidence(found: list[dict[str, Any]], *, fresh: bool) -> None:
    output = console()
    output.print()
    output.print("Guardrails now" if fresh else "Guardrails at the last decision", style="bold")
    if not found:
        output.print("  nothing was looked at yet")
        return
    grid = Grid(box=None, pad_edge=False, header_style="dim")
    for title in ("guardrail", "status", "estimate", "bounds", "margin", "statistic"):
        grid.add_column(title, overflow="fold", justify="left" if title in ("guardrail", "status") else "right")
    for each in found:
        grid.add_row(
            each["name"],
            _status(each),
            figure(each.get("estimate")),
            _bounds(each.get("low"), each.get("high")),
            figure(each.get("margin")),
            _reached(each.get("statistic"), each.get("threshold")),
        )
    output.print(grid)
    for each in found:
        counts = ", ".join(f"{key} {figure(value)}" for key, value in _counts(each))
        alpha = f"; alpha {figure(each['alpha'])}" if each.get("alpha") is not None else ""
        _say(output, f"{each['name']}: {each['reason']}{f' ({counts}{alpha})' if counts else ''}", 2)


def _counts(found: dict[str, Any]) -> list[tuple[str, float]]:
    return [(key, value) for key, value in found.get("counts", {}).items() if key != "since"][:_COUNTS]


def _status(found: dict[str, Any]) -> str:
    then = {"rollback": "rolls back", "warn": "is told", "pause": "asks"}[found["action"]]
    said = f"FAIL, {then}" if found["status"] == "fail" else str(found["status"])
    return said + (" (dry run)" if found.get("dry_run") else "") + (" (fast path)" if found.get("fast") else "")


def _bounds(low: float | None, high: float | None) -> str:
    if low is None and high is None:
        return ""
    return f"{figure(low) or '-∞'} … {figure(high) or '∞'}"


def _reached(statistic: float | None, threshold: float | None) -> str:
    if statistic is None:
        return ""
    return figure(statistic) + (f" of {figure(threshold)}" if threshold is not None else "")


def _beside(observed: dict[str, Any]) -> None:
    """Show what else was looked at."""
    if not observed:
        return
    output = console()
    output.print()
    output.print("What else was looked at", style="bold")
    counted = " ".join(f"{arm} {count:,}" for arm, count in (observed.get("exchanges") or {}).items())
    units = " ".join(f"{arm} {count:,}" for arm, count in (observed.get("units") or {}).items())
    lines = {
        "time in this step": span(observed.get("step_s", 0.0)) + " that count",
        "exchanges": counted,
        "units": units or "not known",
        "sample ratio": f"{observed.get('sample_ratio', 'unknown')} {observed.get('quality', '')}".strip(),
        "primary metric": observed.get("primary", "inconclusive"),
        "silent for": span(observed["silent_s"]) if observed.get("silent_s", 0.0) > 10 else "",
    }
    for key in ("offline", "shadow", "control", "smoke"):
        check = observed.get(key)
        lines[key] = f"{check['status']}: {check['reason']}" if check else ""
    lines |= {f"risk {key}": figure(value) for key, value in (observed.get("risk") or {}).items()}
    for key, text in lines.items():
        if text:
            _say(output, f"{key}: {text}", 2)


def _decisions(decisions: list[dict[str, Any]]) -> None:
    output = console()
    output.print()
    output.print("Decisions, the latest last", style="bold")
    if not decisions:
        output.print("  none yet")
    for each in decisions:
        where = place({"stage": 0} | each)
        share = f", {percent(each['share'])}" if each.get("share") else ""
        by = each.get("by", "router")
        output.print(f"{moment(each['time'])} {each['action']} → {where}{share} by {by} [{each['id']}]")
        _say(output, each["reason"], 4)
        if each.get("alternative"):
            _say(output, f"otherwise: {each['alternative']}", 4)
        for found in each.get("found", []):
            if found["status"] == "fail" and found["name"] not in each["reason"]:
                _say(output, f"{found['name']}: {found['reason']}", 4)


def _say(output: Console, text: str, indent: int) -> None:
    """Write a sentence: folded on a terminal with its indent kept, whole for a program."""
    lead = " " * indent
    if output.is_terminal:
        for line in textwrap.wrap(text, max(20, output.width - indent - 2), break_on_hyphens=False) or [""]:
            output.print(lead + line, soft_wrap=True)
            lead = " " * (indent + 2)
        return
    output.print(lead + text, soft_wrap=True)


def moment(time_s: float) -> str:
    """Say a moment in UTC."""
    return datetime.fromtimestamp(time_s, UTC).strftime("%Y-%m-%d %H:%M:%S")


def span(seconds: float) -> str:
    """Say how long something is, in two units at most."""
    whole = max(0, int(seconds))
    if whole < 60:
        return f"{whole} s"
    units = ((86400, "d"), (3600, "h"), (60, "min"))
    parts = []
    for size, mark in units:
        if whole >= size:
            parts.append(f"{whole // size} {mark}")
            whole %= size
    return " ".join(parts[:2])


def percent(share: float) -> str:
    """Say a share."""
    return f"{100 * share:.4g} %"


def figure(value: float | None) -> str:
    """Say a number in four digits; nothing for one that is not known."""
    if value is None:
        return ""
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"
