"""Events to write: an exchange with everything in it, and a configuration for revisions."""

from router.config.schema import Arm, Config, Endpoint, Experiment, Route, Target
from router.events.model import Enrolment, Exchange, Revised, Run, Shadow


def exchange(number: int = 1, unit: str | None = "user-1", path: str = "/v2/models/m/infer") -> Exchange:
    """Make an exchange that is told apart by its number."""
    return Exchange(
        id=f"{number:032x}",
        time=1_763_800_000.25 + number,
        request_id=f"request-{number}",
        revision=3,
        route="ranker",
        method="POST",
        path=path,
        status=200,
        attempts=1,
        duration=0.0123,
        first_byte=0.011,
        request_bytes=130,
        response_bytes=420,
        target="v1",
        unit=unit,
        unit_source="header:x-user-id",
        experiments=(Enrolment("e", 1, 1, 1, "control", 0.95, "v1"),),
    )


def config() -> Config:
    """Make a small configuration with an experiment."""
    return Config(
        targets=(
            Target(name="v1", endpoints=(Endpoint(url="http://127.0.0.1:8001"),)),
            Target(name="v2", endpoints=(Endpoint(url="http://127.0.0.1:8002"),)),
        ),
        routes=(Route(name="ranker", target="v1"),),
        experiments=(
            Experiment(
                name="e",
                route="ranker",
                arms=(Arm(name="control", target="v1", weight=95), Arm(name="treatment", target="v2", weight=5)),
            ),
        ),
    )


def revised(number: int) -> Revised:
    """Make a journal entry."""
    return Revised(
        number=number,
        time=1_763_800_000.5 + number,
        cause="reload",
        author="file",
        digest="d" * 64,
        config=config(),
        weights={"e": {"control": 95.0, "treatment": 5.0}},
        runs={"e": Run(number=1, phase=number, epoch=1)},
        changes=("weight of e/treatment 1 -> 5",),
    )


def shadow(number: int = 1) -> Shadow:
    """Make a comparison that is told apart by its number."""
    return Shadow(
        id=f"{number:032x}", time=1_763_800_000.25, request_id="r", revision=3, route="ranker", result="differ",
        agree=False, primary="v1", primary_status=200, primary_duration=0.1, primary_bytes=420, shadow="v2",
        shadow_status=200, shadow_duration=0.2, shadow_bytes=421, unit="user-1", differences=("/a/0",),
    )  # fmt: skip
