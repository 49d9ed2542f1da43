"""What has to fit together in an experiment's ``allocate``.

Responsible for: keys that a policy needs, and keys that have no effect with it.
Does not know: shapes and ranges of values, which the schema checks, experiments.
"""

from collections.abc import Mapping
from typing import Any

from router.config.parts import Report
from router.config.resolve import BROKEN


def check_allocate(path: str, allocate: Mapping[str, Any], report: Report) -> None:
    """Report what an allocator lacks, and what it has no use for."""
    use = allocate.get("use", "fixed")
    if use == "switchback" and "slot" not in allocate:
        report(f"{path}.allocate", 'key "slot" is missing: length of a slot of time; switchback needs it')
    elif use not in (BROKEN, "switchback") and "slot" in allocate:
        report(f"{path}.allocate.slot", "has no effect, because only switchback has slots")
