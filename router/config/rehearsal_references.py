"""What has to fit together in the offline check of a release.

Responsible for: where its evidence comes from, requirements that can be read, keys that have no effect.
Does not know: shapes and ranges of values, which the schema checks; what an offline check does.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from router.config.parts import Report, given, part
from router.config.requirement import parse
from router.config.resolve import BROKEN

_OF_REQUESTS: Final = (
    "require", "no_worse", "prediction", "probability", "positive", "label", "compare", "concurrency", "timeout",
    "limit", "max_time",
)  # fmt: skip


def check_offline(path: str, allocate: Mapping[str, Any], report: Report) -> None:
    """Report what an offline check lacks, and what it has no use for.

    Args:
        path: Of the experiment.
        allocate: Its ``allocate``.
        report: Takes mistakes.
    """
    if not given(allocate, "offline"):
        return
    offline, at = part(allocate, "offline"), f"{path}.allocate.offline"
    _evidence(at, offline, report)
    if given(offline, "requests") and not Path(offline["requests"]).is_file():
        report(f"{at}.requests", f"there is no file {offline['requests']}")
    if given(offline, "require"):
        for place, text in enumerate(offline["require"]):
            _readable(f"{at}.require[{place}]", text, report)


def _evidence(at: str, offline: Mapping[str, Any], report: Report) -> None:
    """Report where the evidence does not come from one place, and keys that are about the other."""
    if "requests" in offline and "result" in offline:
        report(f"{at}.result", "is beside requests; the evidence is either sent for or read")
    elif "requests" not in offline and "result" not in offline:
        report(at, 'key "requests" is missing: recorded requests to send; or result: what router evaluate --out wrote')
    if "requests" not in offline:
        for key in _OF_REQUESTS:
            if key in offline:
                report(f"{at}.{key}", "has no effect without requests: router evaluate was asked for it, or not")
    elif "max_age" in offline:
        report(f"{at}.max_age", "has no effect without result")


def _readable(at: str, text: object, report: Report) -> None:
    if text is BROKEN:
        return
    try:
        parse(str(text))
    except ValueError as error:
        report(at, str(error))
