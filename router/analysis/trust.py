"""Data quality in words and as plain data, wherever results are shown.

Responsible for: what of the findings people are told beside results, and the shape that programs read.
Does not know: where it is shown, how anything was found. Imports nothing heavy: it is shown where no fold runs, too.

Rules: pure. Invalid data come first, then what is not fine; what is fine is not told one by one.
"""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import msgspec

from router.events.model import Invalid

if TYPE_CHECKING:
    from router.analysis.quality import Quality


def quality_document(quality: "Quality") -> dict[str, Any]:
    """Return what is known of a phase's data."""
    return {
        "run": quality.run,
        "phase": quality.phase,
        "status": quality.status,
        "sample_ratio": msgspec.to_builtins(quality.sample_ratio),
        "findings": [msgspec.to_builtins(finding) for finding in quality.findings],
    }


def told(qualities: Iterable["Quality"], mark: Invalid | None) -> list[str]:
    """Return what people have to know before they read results.

    Args:
        qualities: What is known of each phase.
        mark: That the router marked the experiment invalid, in the phase that the mark names.
    """
    lines = []
    if mark is not None:
        lines.append(f"INVALID until fixed, run {mark.run}, phase {mark.phase}: {mark.reason}")
    for quality in qualities:
        where = f"run {quality.run}, phase {quality.phase}"
        marked = mark is not None and (mark.run, mark.phase) == (quality.run, quality.phase)
        broken = quality.invalid
        if broken is not None and not marked:
            lines.append(f"INVALID, {where}: {broken.sentence}")
        told_of = [each for each in quality.findings if each.status in ("warn", "insufficient data")]
        lines += [f"{each.status}, {where}, {each.check}: {each.sentence}" for each in told_of]
    return lines or ["data quality: all checks are fine"]
