"""Blue-green and rolling releases for tests: experiments, observations, and a world that does as it is told."""

from typing import Any

from msgspec import convert
from msgspec.structs import replace

from router.config.schema import Experiment
from router.events.rollout import Found, Progress
from router.rollout.effect import Effect, Shift
from router.rollout.fitness import EndpointNow, serving
from router.rollout.observed import Observed
from router.rollout.turn import Refused, Turn

OLD = tuple(f"http://old-{n}" for n in range(4))
NEW = tuple(f"http://new-{n}" for n in range(4))
GUARD = {"metric": "errors", "ratio": 2.0, "action": "rollback"}


def experiment(use: str, *, guarded: bool = True, **allocate: Any) -> Experiment:
    """Return a release from arm ``blue`` on target ``old`` to ``green`` on ``new``."""
    plain: dict[str, Any] = {
        "name": "e",
        "route": "r",
        "arms": [{"name": "blue", "target": "old", "weight": 1}, {"name": "green", "target": "new", "weight": 0}],
        "allocate": {"use": use, **allocate},
        **({"metrics": {"primary": "ctr", "guardrails": [GUARD]}} if guarded else {}),
    }
    return convert(plain, Experiment)


def found(status: str, action: str = "rollback") -> Found:
    """Return what a guardrail says."""
    return Found(name="errors ratio 2", status=status, action=action, reason="as told")  # type: ignore[arg-type]


def stood(urls: tuple[str, ...], *, usable: bool | None = True) -> tuple[EndpointNow, ...]:
    """Return how endpoints stand."""
    return tuple(EndpointNow(url, 1, usable) for url in urls)


class World:
    """What is known of a release, and what its shifts make of it.

    Attributes:
        observed: What is known next.
        share: Share of the new arm in force.
        in_use: Target to the endpoints that are in use, of those that were named.
        turns: What was decided.
    """

    def __init__(self, drive: Any, release: Experiment, now: float = 1000.0) -> None:
        self.drive, self.release, self.now = drive, release, now
        self.share = 0.0
        self.in_use: dict[str, tuple[str, ...]] = {}
        self.turns: list[Turn] = []
        self.observed = Observed(phase=1, found=(found("pass"),), endpoints={"blue": stood(OLD), "green": stood(NEW)})
        self.progress: Progress
        self.take(drive.begin(release, 1, now))

    def take(self, turn: Turn | Refused) -> tuple[Effect, ...]:
        """Carry a decision out; return its effects."""
        assert not isinstance(turn, Refused), turn.reason
        self.turns.append(turn)
        self.progress, effects = turn
        for each in effects:
            if isinstance(each, Shift):
                self.share = self.progress.share
                self.in_use |= each.endpoints or {}
        return effects

    def know(self, **more: Any) -> None:
        """Change what is known; endpoints that are in use are those in force."""
        observed = replace(self.observed, **more)
        endpoints = {
            arm: tuple(
                replace(each, in_use=each.url in self.in_use.get(target, (each.url,)))
                for each in observed.endpoints[arm]
            )
            for arm, target in (("blue", "old"), ("green", "new"))
            if arm in observed.endpoints
        }
        blue = serving(endpoints.get("blue", ()), "blue")
        control = blue if blue is not None and blue.status == "fail" else None
        self.observed = replace(observed, endpoints=endpoints, control=control)

    def look(self, step_s: float = 0.0) -> tuple[Effect, ...]:
        """Let a second pass and look."""
        self.now += 1
        self.know(step_s=step_s)
        return self.take(self.drive.step(self.release, self.progress, self.observed, self.now))
