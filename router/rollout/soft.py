"""Soft guardrails and trials: what is told and changes nothing.

Responsible for: telling of each once in a phase, when it fails.
Does not know: what hard guardrails lead to (``ladder`` and its siblings).

Rules: pure. One that fails and passes in turns is told once in a phase, so a flapping metric fills no log.
"""

from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from router.events.rollout import Found
from router.rollout.effect import Effect, Say
from router.rollout.turn import Case, place, record

_WATCHED: Final = "watch "
"""What the names of anomalies begin with: they are told as such."""


class Told(Struct, frozen=True):
    """What was told in a phase.

    Attributes:
        place: Run and phase.
        names: Guardrails.
    """

    place: tuple[int, int] = (0, 0)
    names: frozenset[str] = frozenset()


def soft(case: Case, told: Told) -> tuple[tuple[Effect, ...], Told]:
    """Tell of what fails and was not told yet in this phase.

    Args:
        case: What was looked at.
        told: What was told so far.
    """
    progress, here = case.progress, (case.progress.run, case.observed.phase)
    known = told.names if told.place == here else frozenset()
    fresh = [found for found in case.observed.found if _soft(found) and found.name not in known]
    effects: list[Effect] = []
    for found in fresh:
        text = f"{found.name}: {found.reason}"
        said = f"{text} (a trial, which changes nothing)" if found.dry_run else text
        instead = {"rollback": "would have rolled back", "pause": "would have asked a person"}.get(found.action)
        alternative = (
            f"{instead} were it no trial" if found.dry_run and instead else "rolls back with `action: rollback`"
        )
        effects += [
            record(case, replace(progress, reason=said, by="router"), "warn", alternative),
            Say(
                event="verdict",
                severity="info" if found.dry_run else "warning",
                text=f"{case.experiment.name}: in {place(progress)}: {said}",
                key=f"{case.experiment.name}-{progress.run}-{case.observed.phase}-{found.name}",
            ),
        ]
    return tuple(effects), Told(here, known | {found.name for found in fresh})


def _soft(found: Found) -> bool:
    failing = found.status == "fail" and (found.action == "warn" or found.dry_run)
    return failing and not found.name.startswith(_WATCHED)
