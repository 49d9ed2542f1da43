"""``notify``: who is told what.

Responsible for: the key, and the events that there are.
Does not know: which notifiers there are (``notify_references``), or what they do (``router.notify``).
"""

from typing import Annotated, Final

from msgspec import Meta

from router.config.terms import Json

EVENTS: Final = (
    "stage",
    "approval",
    "verdict",
    "deadline",
    "rollback",
    "abort",
    "pause",
    "resume",
    "promote",
    "switch",
    "done",
    "kill",
    "drill",
    "anomaly",
    "quality",
)
"""What is told: the next stage began · somebody has to approve, or has · a soft or dry-run guardrail failed, or
something keeps a release that waiting alone does not end · a deadline passed · back on control · given up · paused,
resumed or promoted by a person · traffic switched · done · killed, or no longer · rehearsed · something unusual was
seen · the data cannot be trusted."""
SEVERITIES: Final = ("info", "warning", "critical")
Notify = Annotated[
    tuple[dict[str, Json], ...],
    Meta(
        description="who is told what: `{use: webhook, url: …}`, `{use: slack, url_file: …}`, "
        "`{use: command, run: […]}`, or a notifier of your own, `{use: my_package.notify:Mine, …}`, each with its "
        "options beside `use`; `events: [rollback, approval]`, `severity: warning` (at least) and `experiments: […]` "
        "narrow it; see docs/rollouts.md"
    ),
]
