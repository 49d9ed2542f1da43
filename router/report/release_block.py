"""Where a release is, as part of a page.

Responsible for: the markup of one release: its ladder, its share, what it waits for, its last decisions.
Does not know: how it got there, other parts of the page.

Rules: everything is escaped. What is shown is plain data as the admin API gives it.
"""

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any, Final

from router.events.rollout import Decided
from router.report.postmortem import place_of
from router.report.style import clock, percent, span, table

_CLASS: Final = {"waiting": "run", "paused": "run", "running": "", "over": ""}
_SAID: Final = {"waiting": "Waits for somebody", "paused": "Paused", "running": "Goes on by itself", "over": "Over"}
_ENDED: Final = frozenset({"rolled_back", "aborted"})


def release_block(release: Mapping[str, Any], decisions: Sequence[Decided], reports: Sequence[str], now: float) -> str:
    """Return the markup.

    Args:
        release: As ``GET /v1/experiments/NAME`` gives it.
        decisions: The last ones, newest first.
        reports: Ids of its post-mortem reports, newest first.
        now: Unix seconds.
    """
    if release.get("step") is None:
        return f"<p>The release ({escape(str(release['kind']))}) has not begun.</p>"
    ended = release["step"] in _ENDED
    kind = "stop" if ended else "ship" if release["step"] == "done" else _CLASS[release["status"]] or "unknown"
    held = f" ({release['holding']})" if release.get("holding") else ""
    said = "Holds" if held and release["status"] == "running" else _SAID[release["status"]]
    parts = [
        ladder(release),
        f'<div class="decision {kind}"><strong>{escape(_place(release).capitalize())}, {percent(release["share"])}',
        f"</strong><p>{said}{escape(held)} since {clock(release['since'])} UTC, ",
        f"{span(max(0.0, now - release['since']))}: {escape(release['reason'])}</p></div>",
    ]
    if release.get("problem"):
        parts.append(f"<p><strong>Not in force: {escape(release['problem'])}</strong></p>")
    if reports:
        links = ", ".join(f'<a href="postmortems/{escape(each)}">{escape(each)}</a>' for each in reports[:5])
        parts.append(f"<p>Post-mortems: {links}</p>")
    if decisions:
        rows = (
            (clock(each.time), each.action, place_of(each), percent(each.share), each.by, each.reason, each.alternative)
            for each in decisions
        )
        parts.append("<h3>Last decisions</h3>")
        parts.append(table(("time, UTC", "what", "where", "share", "by", "why", "otherwise"), rows))
    return "".join(parts)


def ladder(release: Mapping[str, Any]) -> str:
    """Return the steps of a release as a list, with those that are past and the one where it is."""
    steps = release.get("steps") or []
    here = next((index for index, step in enumerate(steps) if _same(step, release)), None)
    items = []
    for index, step in enumerate(steps):
        past = here is not None and index < here
        mark = ' class="here" aria-current="step"' if index == here else ' class="past"' if past else ""
        share = f" {percent(step['share'])}" if step["share"] and step["step"] != "done" else ""
        items.append(f"<li{mark}>{escape(_place(step))}{share}</li>")
    if here is None and release.get("step") is not None:
        items.append(f'<li class="here" aria-current="step">{escape(_place(release))}</li>')
    return f'<ol class="ladder">{"".join(items)}</ol>' if items else ""


def _same(step: Mapping[str, Any], release: Mapping[str, Any]) -> bool:
    counted = step["step"] not in ("stage", "batch") or step["stage"] == release.get("stage", 0)
    return bool(step["step"] == release["step"] and counted)


def _place(where: Mapping[str, Any]) -> str:
    step = str(where["step"])
    return f"{step} {where.get('stage', 0) + 1}" if step in ("stage", "batch") else step.replace("_", " ")
