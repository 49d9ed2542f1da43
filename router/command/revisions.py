"""What ``router revisions`` does.

Responsible for: asking a running router for its last revisions, and writing what each changed, where and by whom.
Does not know: how changes are found (``router.control``).
"""

import json
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from router.command.remote import Admin


def revisions(admin: Admin, most: int, *, as_json: bool) -> int:
    """Write the last revisions, the newest first.

    Args:
        admin: The router's admin API.
        most: How many.
        as_json: Write JSON for programs.

    Raises:
        AdminError: When the router could not be asked.
    """
    answer, _ = admin.ask("GET", "/v1/revisions")
    found = answer["revisions"][:most]
    if as_json:
        sys.stdout.write(json.dumps({"revisions": found}, indent=2) + "\n")
        return 0
    for revision in found:
        for line in _lines(revision):
            sys.stdout.write(f"{line}\n")
    return 0


def _lines(revision: dict[str, Any]) -> Iterator[str]:
    moment = datetime.fromtimestamp(revision["time"], UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    yield f"revision {revision['number']}, {moment}, {revision['cause']} by {revision['author']}"
    edits = revision["edits"]
    for edit in edits:
        place = edit.get("file", "") + (f":{edit['line']}" if edit.get("line") else "")
        by = f", {edit['by']}" if edit.get("by") else ""
        yield f"  {edit['path']}: {edit.get('before', 'absent')} → {edit.get('after', 'absent')} ({place}{by})"
    if revision["edited"] > len(edits):
        yield f"  and {revision['edited'] - len(edits)} more"
    if not edits:
        yield from (f"  {change}" for change in revision["changes"])
