"""What came of many releases, as tables.

Responsible for: shares, times, users, and whether the goals are met.
Does not know: how releases went.

Rules: times are those of releases that ended so: to the stop of those that were rolled back, to full share of those
that were promoted; the median, and in brackets what 5 % exceed. Users exposed are those whom the new version had served
when it ended.
"""

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

import numpy as np

from benchmarks.rollouts.replay import Ended
from benchmarks.rollouts.scenarios import Scenario

HEAD: Final = (
    "| scenario | wanted | controller | rolled back | promoted | holding | to the stop | to full share | users exposed "
    "|\n"
    "|---|---|---|---:|---:|---:|---:|---:|---:|"
)


class Line(NamedTuple):
    """What came of a scenario under a controller.

    Attributes:
        scenario: What happened.
        controller: Who decided.
        ended: How each seed's release ended.
    """

    scenario: Scenario
    controller: str
    ended: Sequence[Ended]

    def share(self, outcome: str) -> float:
        """Return the share of releases that ended so."""
        return sum(each.outcome == outcome for each in self.ended) / len(self.ended)

    def times(self, outcome: str) -> list[float]:
        """Return how long those took that ended so, in seconds."""
        return [each.time_s for each in self.ended if each.outcome == outcome]

    def row(self) -> str:
        """Return it as a row of a table in Markdown."""
        shares = " | ".join(f"{self.share(outcome):.1%}" for outcome in ("rolled back", "promoted", "held"))
        users = np.quantile([each.users for each in self.ended], (0.5, 0.95))
        times = " | ".join(_span(self.times(outcome)) for outcome in ("rolled back", "promoted"))
        exposed = f"{users[0]:,.0f} ({users[1]:,.0f})"
        return f"| {self.scenario.name} | {self.scenario.wanted} | {self.controller} | {shares} | {times} | {exposed} |"

    def numbers(self) -> dict[str, Any]:
        """Return it for programs."""
        return {
            "scenario": self.scenario.name,
            "wanted": self.scenario.wanted,
            "controller": self.controller,
            "seeds": len(self.ended),
            "rolled_back": self.share("rolled back"),
            "promoted": self.share("promoted"),
            "holding": self.share("held"),
            "stop_s": _quantiles(self.times("rolled back")),
            "full_s": _quantiles(self.times("promoted")),
            "users": _quantiles([float(each.users) for each in self.ended]),
            "failures": _quantiles([float(each.failures) for each in self.ended]),
            "looks": sum(each.looks for each in self.ended) / len(self.ended),
        }


def summary(lines: Sequence[Line], names: Sequence[str]) -> str:
    """Return two tables: what ought to be stopped, and what ought to be promoted.

    Args:
        lines: What came of it.
        names: Controllers, a column for each.
    """
    parts = []
    for wanted, shown in (("stop", _stopped), ("ship", _shipped)):
        chosen = list(dict.fromkeys(line.scenario for line in lines if line.scenario.wanted == wanted))
        rows = [f"| {'to be stopped' if wanted == 'stop' else 'to be promoted'} | {' | '.join(names)} |"]
        rows.append(f"|---|{'---:|' * len(names)}")
        for scenario in chosen:
            found = {line.controller: shown(line) for line in lines if line.scenario == scenario}
            rows.append(f"| {scenario.name} | {' | '.join(found.get(name, '') for name in names)} |")
        parts.append("\n".join(rows))
    return "\n\n".join(parts)


def _stopped(line: Line) -> str:
    users = float(np.median([each.users for each in line.ended]))
    return f"{line.share('rolled back'):.1%}, {users:,.0f}"


def _shipped(line: Line) -> str:
    held = f", {line.share('held'):.1%} hold" if line.share("held") else ""
    return f"{line.share('rolled back'):.1%}{held}"


def _quantiles(values: Sequence[float]) -> dict[str, float] | None:
    if not values:
        return None
    median, late = np.quantile(values, (0.5, 0.95))
    return {"median": float(median), "p95": float(late)}


def _span(times: Sequence[float]) -> str:
    if not times:
        return ""
    median, late = np.quantile(times, (0.5, 0.95))
    return f"{_short(float(median))} ({_short(float(late))})"


def _short(seconds: float) -> str:
    if seconds < 5400:
        return f"{seconds / 60:.0f}m"
    return f"{seconds / 3600:.1f}h"
