"""A line of the error budget: what was promised, what was found.

Responsible for: the form of lines, and the binomial bound that they are held to.
Does not know: methods.
"""

from typing import Literal, NamedTuple

from scipy.stats import binom

ALARM = 1e-6
"""Chance that a line of a method that keeps its promise is called out of budget."""


class Line(NamedTuple):
    """A claim and what a simulation found.

    Attributes:
        method: The method.
        setting: What was simulated.
        runs: How often.
        found: Errors, or successes where they are promised; of ``shown``, a number of any kind.
        promised: Their share at most (``most``), at least (``least``), or about (``about``).
        tolerance: Added to the promise of an asymptotic method; beyond it lies the binomial bound.
        kind: How ``promised`` is meant; ``shown`` lines promise nothing.
        text: Of ``shown`` lines, what is shown.
    """

    method: str
    setting: str
    runs: int
    found: int
    promised: float
    tolerance: float = 0.0
    kind: Literal["most", "least", "about", "shown"] = "most"
    text: str = ""

    def row(self, *, good: bool) -> str:
        """Return it as a row of a table in Markdown."""
        said = {"most": "≤", "least": "≥", "about": "≈", "shown": ""}[self.kind]
        promise = "" if self.kind == "shown" else f"{said} {self.promised:.1%}"
        if self.tolerance:
            promise += f" ± {self.tolerance:.1%}"
        found = self.text or f"{self.found / self.runs:.2%}"
        verdict = "" if self.kind == "shown" else "yes" if good else "**no**"
        return f"| {self.method} | {self.setting} | {self.runs:,} | {promise} | {found} | {verdict} |"


def within(line: Line) -> bool:
    """Say whether a line keeps its promise, but for chance."""
    high = line.found <= binom.ppf(1 - ALARM, line.runs, min(1.0, line.promised + line.tolerance))
    low = line.found >= binom.ppf(ALARM, line.runs, max(0.0, line.promised - line.tolerance))
    return {"most": bool(high), "least": bool(low), "about": bool(high and low), "shown": True}[line.kind]
