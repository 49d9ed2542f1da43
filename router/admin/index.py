"""The first page: experiments with their releases, and the routes of the API.

Responsible for: its markup.
Does not know: what the routes do, how a release looks (``router.report.release_block``).

Rules: everything is escaped; no script, no request to anywhere.
"""

import asyncio
import time
from collections.abc import Mapping
from html import escape
from typing import Any
from urllib.parse import quote

from router.admin.openapi import SUMMARIES
from router.admin.views import experiments_view
from router.control.loop import Control
from router.control.postmortems import folder_of, listed
from router.events.decisions import Wanted
from router.report.release_block import ladder, release_block
from router.report.style import opening, percent

DECISIONS = 10


def index_page(control: Control) -> str:
    """Return the page."""
    revision = control.revision
    head = f"Revision {revision.number}, by {escape(revision.author)}."
    found = "".join(_experiment(view) for view in experiments_view(control)) or "<p>There are none.</p>"
    rows = "".join(
        f'<tr><td><a href="{path}">{path}</a></td><td>{summary}</td></tr>'
        if method == "get" and "{" not in path
        else f"<tr><td>{method.upper()} {path}</td><td>{summary}</td></tr>"
        for (method, path), summary in SUMMARIES.items()
    )
    body = (
        f"<h1>router</h1><p class=note>{head}</p><h2>Experiments</h2>{found}"
        f"<h2>Admin API</h2><div class=scroll><table>{rows}</table></div>"
    )
    return f"{opening('router')}<body><main>{body}</main></body></html>\n"


def _experiment(view: Mapping[str, Any]) -> str:
    name = str(view["name"])
    arms = ", ".join(f"{arm['name']} {percent(arm['share'])}" for arm in view["arms"])
    parts = [f'<h3><a href="/v1/experiments/{quote(name, safe="")}/report">{escape(name)}</a></h3>']
    if view["killed"] is not None:
        why = view["killed"]["reason"] or "no reason was given"
        parts.append(f'<p class="status fail">killed by {escape(view["killed"]["by"])}: {escape(why)}</p>')
    if view.get("invalid") is not None:
        parts.append(f'<p class="status fail">invalid data: {escape(view["invalid"]["reason"])}</p>')
    release = view.get("release")
    if release is not None and release.get("step") is not None:
        waits = {"waiting": "waits for somebody", "paused": "is paused"}.get(release["status"])
        told = f"<strong>It {waits}.</strong> " if waits else ""
        parts.append(f"{ladder(release)}<p>{told}{escape(release['reason'])}</p>")
    parts.append(f"<p class=note>{escape(arms)}</p>")
    return "".join(parts)


async def release_of(control: Control, name: str) -> str:
    """Return the part of an experiment's page about its release; nothing for one that is none."""
    view = next((view for view in experiments_view(control) if view["name"] == name), None)
    if view is None or view.get("release") is None:
        return ""
    decisions = await control.decisions.find(Wanted(experiment=name, limit=DECISIONS))
    reports = await asyncio.to_thread(listed, folder_of(control.revision.config), name)
    return f"<h2>Release</h2>{release_block(view['release'], decisions, reports, time.time())}"
