"""A release on a desk, which tests look at as the driver would."""

import time
from pathlib import Path

from router.control.loop import Control
from router.events.rollout import Progress
from tests.control.build import yaml
from tests.control.desk import Desk

STAGES = "allocate: {use: rollout, stages: [{share: 5%, hold: 1h, approve: true}, {share: 50%, hold: 1h}]}"


def release_desk(folder: Path, allocate: str = STAGES, top: str = "") -> Desk:
    """Make a desk with the release ``ramp``."""
    text = yaml(experiment=f"{allocate}\nowner: ranking <team>", target="version: '2'", top=top)
    return Desk(folder, text.replace(", weight: 95", "").replace(", weight:  5", ""))


async def look(control: Control, times: int = 1) -> None:
    """Let the driver look at all releases."""
    for _ in range(times):
        await control.driver.look(control.scene, control.drive, (time.time(), time.monotonic()))


def progress(control: Control) -> Progress:
    """Return where the release is."""
    found = control.driver.present("ramp", control.revision)
    assert found is not None
    return found
