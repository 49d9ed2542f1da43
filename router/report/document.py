"""A report as one JSON document.

Responsible for: names and shape of what programs read.
Does not know: how it is shown to people, files.

Rules: plain data only, and nothing in it is nan or infinite: such a number would be a mistake of a method, so it is
refused here rather than written as JSON that no parser reads. Keys are only ever added.
"""

from math import isfinite
from typing import TYPE_CHECKING, Any

import msgspec

if TYPE_CHECKING:  # it brings the libraries of an extra, and whoever has a report has them
    from router.report.report import Report


def report_document(report: "Report") -> dict[str, Any]:
    """Return the report as plain data.

    Raises:
        ValueError: If a number in it is nan or infinite.
    """
    found: dict[str, Any] = msgspec.to_builtins(report)
    _check(found, "report")
    return found


def _check(value: object, path: str) -> None:
    if isinstance(value, float) and not isfinite(value):
        raise ValueError(f"{path} is {value}, which is no number")
    if isinstance(value, dict):
        for key, below in value.items():
            _check(below, f"{path}.{key}")
    elif isinstance(value, list | tuple):
        for index, below in enumerate(value):
            _check(below, f"{path}[{index}]")
