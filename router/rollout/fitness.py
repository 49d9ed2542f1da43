"""Whether a side of a release can serve, by its endpoints.

Responsible for: what the health and the breakers of endpoints say of a side as a whole.
Does not know: who asked them, what follows.

Rules: pure. What is not known is not said to be fit or unfit. Parts of a side count by the weights of the endpoints.
"""

from collections.abc import Sequence
from typing import Final, Literal

from msgspec import Struct

from router.config.schema import Arm, Experiment
from router.events.rollout import Found

LEAST: Final = 0.5
"""Share of a side's weight that has to be usable for it to take all traffic: Envoy's default panic threshold."""
_NAMED: Final = 3


class EndpointNow(Struct, frozen=True):
    """One endpoint, as its breaker and the health questions have it.

    Attributes:
        url: Its base URL.
        weight: Its weight.
        usable: Whether it may get requests now; None when it is asked for its health and has not answered yet.
        in_use: Whether the release has it in use.
    """

    url: str
    weight: int
    usable: bool | None
    in_use: bool = True


def sides(experiment: Experiment) -> tuple[Arm, Arm]:
    """Return the arms that a release leads from and to."""
    old = next((arm for arm in experiment.arms if arm.name == experiment.control), experiment.arms[0])
    return old, next(arm for arm in experiment.arms if arm is not old)


def serving(endpoints: Sequence[EndpointNow], side: str) -> Found | None:
    """Say whether a side can take all traffic: of it, by weight, at least half is not known to be unusable.

    Args:
        endpoints: Its endpoints.
        side: What it is called, for people.

    Returns:
        None when nothing is known of it.
    """
    whole = sum(each.weight for each in endpoints)
    if not whole:
        return None
    share = sum(each.weight for each in endpoints if each.usable is not False) / whole
    fit = share >= LEAST
    ill = [each.url for each in endpoints if each.usable is False]
    reason = "can serve" if fit else f"cannot serve: {_listed(ill, len(endpoints))} cannot be used"
    return _found("pass" if fit else "fail", f"{side} {reason}", share)


def ready(endpoints: Sequence[EndpointNow], side: str) -> Found | None:
    """Say whether every endpoint of a side can be used: what is about to get traffic starts whole.

    Args:
        endpoints: Its endpoints.
        side: What it is called, for people.

    Returns:
        None when nothing is known of it.
    """
    if not endpoints:
        return None
    ill = [each.url for each in endpoints if not each.usable]
    reason = f"is not ready: {_listed(ill, len(endpoints))} cannot be used yet" if ill else "is ready"
    return _found("fail" if ill else "pass", f"{side} {reason}", 1 - len(ill) / len(endpoints))


def _listed(urls: Sequence[str], count: int) -> str:
    more = f" and {len(urls) - _NAMED} more" if len(urls) > _NAMED else ""
    return f"{len(urls)} of {count} endpoints ({', '.join(urls[:_NAMED])}{more})"


def _found(status: Literal["pass", "fail"], reason: str, share: float) -> Found:
    return Found(name="readiness", status=status, action="rollback", reason=reason, estimate=share)
