"""Which weights were in force: those of the process, of other sites, and under a kill."""

import msgspec

from router.analysis.weights import in_force
from router.config.schema import Arm, Config, Endpoint, Experiment, Route, Target, Variant
from router.events.model import Coming, Kill, Revised, Run, Ticked

EVEN = {"a": 1.0, "b": 1.0}
KILL = Kill(by="ann", reason=None, time=3.0, arm="a", identity="i")


def _experiment(a: float, b: float) -> Experiment:
    arms = (Arm(name="a", target="t", weight=a), Arm(name="b", target="t", weight=b))
    return Experiment(name="e", route="r", arms=arms)


def _revised(number: int, run: Run, weights: dict[str, float], variants: tuple[Variant, ...] = ()) -> Revised:
    config = Config(
        targets=(Target(name="t", endpoints=(Endpoint(url="http://h"),)),),
        routes=(Route(name="r", target="t"),),
        experiments=(_experiment(1, 1),),
        variants=variants,
    )
    return Revised(
        number=number, time=float(number), cause="reload", author="file", digest="d", config=config,
        weights={"e": weights}, runs={"e": run},
    )  # fmt: skip


def test_every_epoch_that_a_revision_tells_of_is_known() -> None:
    """Whether it changed anything or not; nothing is known of other experiments."""
    first, second = Run(number=1, phase=1, epoch=0), Run(number=1, phase=1, epoch=1)
    found = in_force([_revised(1, first, EVEN), _revised(2, first, EVEN), _revised(3, second, {"a": 3.0, "b": 1.0})])
    assert found == {"e": {(1, 1, 0, ""): EVEN, (1, 1, 1, ""): {"a": 3.0, "b": 1.0}}}


def test_a_site_has_the_weights_of_its_variant() -> None:
    """But a kill holds everywhere, and a variant that leaves the experiment alone has no weights of its own."""
    run = Run(number=1, phase=2, epoch=0)
    variants = (Variant(region="EU", experiments=(_experiment(9, 1),)), Variant(region="US"))
    revised = _revised(1, run, EVEN, variants)
    assert in_force([revised]) == {"e": {(1, 2, 0, ""): EVEN, (1, 2, 0, "EU"): {"a": 9.0, "b": 1.0}}}
    killed = msgspec.structs.replace(revised, weights={"e": {"a": 1.0, "b": 0.0}}, killed={"e": KILL})
    assert in_force([killed])["e"][1, 2, 0, "EU"] == {"a": 1.0, "b": 0.0}


def test_weights_without_a_run_are_of_no_phase() -> None:
    """A journal of an earlier version may lack it."""
    revised = msgspec.structs.replace(_revised(1, Run(number=1, phase=1, epoch=0), EVEN), runs={})
    assert in_force([revised]) == {}


def test_an_epoch_with_two_weights_has_none() -> None:
    """Units cannot be held to either; a mismatch that is none would be worse than one that is not tested."""
    run = Run(number=1, phase=1, epoch=0)
    other = Run(number=1, phase=2, epoch=0)
    found = in_force([_revised(1, run, EVEN), _revised(2, run, {"a": 1.0, "b": 0.0}), _revised(3, other, EVEN)])
    assert found == {"e": {(1, 2, 0, ""): EVEN}}


def test_epochs_of_ticks_are_known_at_once_and_for_later() -> None:
    """Weights that allocators published, those for a coming period too, wherever requests came from."""
    run, later = Run(number=1, phase=1, epoch=0), Run(number=1, phase=1, epoch=1)
    mostly, hardly = {"a": 9.0, "b": 1.0}, {"a": 1.0, "b": 9.0}
    ticks = (
        Ticked(number=2, time=2.0, author="thompson", weights={"e": mostly}, runs={"e": later}),
        Ticked(
            number=3,
            time=3.0,
            author="thompson",
            runs={"e": later},
            coming={"e": Coming(start=9.0, epoch=2, weights=hardly)},
        ),
    )
    found = in_force([_revised(1, run, EVEN)], ticks)
    assert found == {"e": {(1, 1, 0, ""): EVEN, (1, 1, 1, ""): mostly, (1, 1, 2, ""): hardly}}
    coming = msgspec.structs.replace(_revised(1, run, EVEN), coming={"e": Coming(start=9.0, epoch=5, weights=hardly)})
    assert in_force([coming])["e"][1, 1, 5, ""] == hardly
