"""History: when each phase began and ended, from revisions, and from exposures where those are gone."""

from msgspec import structs

from router.analysis.history import Epoch, Phase, complete, history
from router.config.load import load_text
from router.events.model import Revised, Run
from tests.config.sample import SMALL


def revised(number: int, time: float, run: tuple[int, int, int] | None, weights: tuple[float, float]) -> Revised:
    """Make a revision with experiment ``e`` at a run, phase and epoch; without it when that is None."""
    text = SMALL if run is not None else SMALL.partition("experiments:")[0]
    return Revised(
        number=number,
        time=time,
        cause="reload",
        author="test",
        digest="",
        config=load_text(text.encode(), "router.yaml").config,
        weights={"e": dict(zip(("control", "treatment"), weights, strict=True))},
        runs={} if run is None else {"e": Run(number=run[0], phase=run[1], epoch=run[2])},
    )


def test_a_phase_ends_when_the_next_begins() -> None:
    """Shares that change begin a phase, and a bandit's weights an epoch; leaving the configuration ends both."""
    found = history(
        [
            revised(1, 10.0, (1, 1, 0), (95, 5)),
            revised(2, 20.0, (1, 1, 1), (90, 10)),
            revised(3, 25.0, (1, 1, 1), (90, 10)),
            revised(4, 30.0, (1, 2, 0), (50, 50)),
            revised(5, 40.0, None, (0, 0)),
            revised(6, 50.0, (2, 1, 0), (50, 50)),
        ]
    )
    arms = ("control", "treatment")
    assert found.phases["e"] == (
        Phase(1, 1, 10.0, 30.0, arms, "control", clustered=False),
        Phase(1, 2, 30.0, 40.0, arms, "control", clustered=False),
        Phase(2, 1, 50.0, None, arms, "control", clustered=False),
    )
    assert [(epoch.phase, epoch.epoch, epoch.start) for epoch in found.epochs["e"]] == [
        (1, 0, 10.0),
        (1, 1, 20.0),
        (2, 0, 30.0),
        (1, 0, 50.0),
    ]
    assert found.epochs["e"][1] == Epoch(1, 1, 1, 20.0, {"control": 90, "treatment": 10})


def test_what_the_journal_lost_is_taken_from_exposures() -> None:
    """A phase that is known by its exposures alone ends with the start of the next one."""
    known = (Phase(1, 2, 30.0), Phase(1, 3, 50.0))
    assert complete(known, {(1, 1): 12.0, (1, 2): 31.0}) == (
        Phase(1, 1, 12.0, 30.0),
        Phase(1, 2, 30.0, 50.0),
        Phase(1, 3, 50.0),
    )
    assert complete((), {(1, 1): 1.0, (2, 1): 5.0}) == (Phase(1, 1, 1.0, 5.0), Phase(2, 1, 5.0))


def test_what_the_oldest_revision_that_is_left_has_began_at_an_unknown_time() -> None:
    """A compacted journal must not make a phase end when its oldest revision came, long after the next had begun."""
    found = history([revised(101, 900.0, (1, 2, 0), (50, 50)), revised(102, 950.0, (1, 3, 0), (60, 40))])
    assert [(phase.phase, phase.start, phase.end) for phase in found.phases["e"]] == [
        (2, None, 950.0),
        (3, 950.0, None),
    ]
    first, *_ = complete(found.phases["e"], {(1, 1): 12.0, (1, 2): 31.0, (1, 3): 951.0})
    assert first == Phase(1, 1, 12.0, 31.0)


def test_a_change_of_what_decides_is_remembered_with_its_time() -> None:
    """``decide`` may be edited while an experiment runs; the phase goes on, and its history says when that was."""
    first = revised(1, 10.0, (1, 1, 0), (95, 5))
    edited = [
        structs.replace(experiment, decide=structs.replace(experiment.decide, alpha=0.2))
        for experiment in first.config.experiments
    ]
    config = structs.replace(first.config, experiments=tuple(edited))
    second = structs.replace(revised(2, 20.0, (1, 1, 0), (95, 5)), config=config)
    third = structs.replace(revised(3, 30.0, (1, 2, 0), (50, 50)), config=config)
    found = history([first, second, third]).phases["e"]
    assert [phase.redecided for phase in found] == [(20.0,), ()]
