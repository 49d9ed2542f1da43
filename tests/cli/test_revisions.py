"""``router revisions``: what the last changes changed."""

import json
from typing import TYPE_CHECKING, Any, cast

import pytest

from router.command.revisions import revisions

if TYPE_CHECKING:
    from router.command.remote import Admin

FOUND: list[dict[str, Any]] = [
    {
        "number": 12,
        "time": 1_800_000_000.0,
        "cause": "reload",
        "author": "ann, owner of etc/eu.yaml",
        "changes": ["experiment e: arm b gets 10% of units instead of 5%"],
        "edits": [
            {
                "path": "$.experiments[e].arms[b].weight", "before": "5.0", "after": "10.0",
                "file": "etc/eu.yaml", "line": 3, "by": "ann",
            },
            {"path": "$.routes[r].fallback", "after": "[]", "file": "revision 3"},
        ],
        "edited": 4,
    },
    {
        "number": 11,
        "time": 1_800_000_000.0,
        "cause": "kill",
        "author": "ci",
        "changes": ["killed"],
        "edits": [],
        "edited": 0,
    },
]  # fmt: skip


class _Router:
    """A running router that answers one question."""

    def ask(self, method: str, path: str) -> tuple[Any, str | None]:
        assert (method, path) == ("GET", "/v1/revisions")
        return {"revisions": FOUND}, None


def test_each_value_is_said_with_its_place_and_its_author(capsys: pytest.CaptureFixture[str]) -> None:
    """And where no value of a file changed, what did."""
    assert revisions(cast("Admin", _Router()), 2, as_json=False) == 0
    assert capsys.readouterr().out.splitlines() == [
        "revision 12, 2027-01-15 08:00:00 UTC, reload by ann, owner of etc/eu.yaml",
        "  $.experiments[e].arms[b].weight: 5.0 → 10.0 (etc/eu.yaml:3, ann)",
        "  $.routes[r].fallback: absent → [] (revision 3)",
        "  and 2 more",
        "revision 11, 2027-01-15 08:00:00 UTC, kill by ci",
        "  killed",
    ]


def test_as_many_as_were_asked_for(capsys: pytest.CaptureFixture[str]) -> None:
    """As JSON for programs."""
    assert revisions(cast("Admin", _Router()), 1, as_json=True) == 0
    assert json.loads(capsys.readouterr().out) == {"revisions": FOUND[:1]}
