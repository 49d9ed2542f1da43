"""Reports of experiments as pages.

Responsible for: drawing a page once for each look at the log, in a thread, and keeping it until the next look.
Does not know: what a page says (``router.report``), who asks.

Rules: one page is drawn at a time, because Matplotlib's settings are those of the process, and at most ``MOST`` are
kept. What was not looked at yet is said so, on a page as short as that.
"""

import asyncio
from html import escape
from typing import TYPE_CHECKING, Final

from router.admin.index import release_of
from router.analysis.trust import told
from router.control.loop import Control
from router.report.style import RELEASE, opening

if TYPE_CHECKING:
    from router.analysis.result import Result
    from router.control.measure import Snapshot
    from router.events.model import Invalid
    from router.report.report import Report

MOST: Final = 32
POLICY: Final = "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'"
"""The page holds everything that it needs, so nothing else may load."""


class Pages:
    """Pages of the last look at the log."""

    def __init__(self, control: Control) -> None:
        # Per process
        self._control = control
        self._drawing = control.postmortems.drawing  # of all pages of this process
        self._of: Snapshot | None = None
        self._kept: dict[tuple[str, Invalid | None], str] = {}

    async def page(self, name: str) -> str:
        """Return the page of an experiment, which exists."""
        snapshot = self._control.fold.snapshot
        mark = self._control.revision.invalid.get(name)
        report = snapshot.reports.get(name) if snapshot is not None else None
        release = await release_of(self._control, name)
        if snapshot is None or report is None or snapshot.folded is None:
            problem = self._control.fold.problem or (snapshot.unfolded if snapshot is not None else None)
            return _nothing(name, problem, release)
        async with self._drawing:
            if snapshot is not self._of:
                self._of, self._kept = snapshot, {}
            drawn = self._kept.get((name, mark))
            if drawn is None:
                result = snapshot.folded.experiments[name]
                said = told(snapshot.quality.get(name, ()), mark)
                drawn = await asyncio.to_thread(_draw, report, result, said)
                if len(self._kept) >= MOST:
                    del self._kept[next(iter(self._kept))]
                self._kept[name, mark] = drawn
        return drawn.replace(RELEASE, release, 1)


def _draw(report: "Report", result: "Result", said: list[str]) -> str:
    # Large libraries of an extra, which a control process without a report needs not load.
    from router.report.page import page  # noqa: PLC0415 - see above
    from router.report.plots import plots  # noqa: PLC0415 - the same

    metrics = result.plan.metrics
    return page(report, result, said, plots(report, metrics[0]) if metrics else ())


def _nothing(name: str, problem: str | None, release: str) -> str:
    reason = problem or "its events were not looked at yet"
    return (
        f"{opening(name)}<body><main><h1>{escape(name)}</h1>{release}"
        f"<h2>Report</h2><p>There is no report yet: {escape(reason)}.</p></main></body></html>\n"
    )
