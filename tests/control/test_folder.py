"""A folder of configuration: every file of it goes live, and none that is bad, half-written or gone."""

from collections.abc import Callable
from pathlib import Path

import pytest

from router.config.load import ConfigError, Loaded, Site, load
from router.control.seat import Source
from router.control.state import Refusal, State, apply, start
from router.counters import PUBLISHED, RELOAD_OK
from router.events.model import Run
from tests.control.build import NOW, yaml
from tests.control.desk import Desk, at_work, until

ARMS = "experiments: [{{name: ramp, arms: [{{name: old, weight: {}}}, {{name: new, weight: {}}}]}}]\n"


def _desk(place: Path) -> tuple[Desk, Path]:
    """Give a control process of region eu, cluster a, whose folder has files for the region only."""
    folder = place / "etc"
    (folder / "regions").mkdir(parents=True)
    (folder / "global.yaml").write_text(yaml())
    (folder / "regions" / "eu.yaml").write_text(ARMS.format(90, 10))
    return Desk(place, source=Source(folder, Site("eu"))), folder


def _shares(desk: Desk) -> dict[str, float]:
    return desk.control.revision.weights["ramp"]


def _global(folder: Path) -> None:
    (folder / "global.yaml").write_text(yaml(top="server: {drain: 7s}"))


def _region(folder: Path) -> None:
    (folder / "regions" / "eu.yaml").write_text(ARMS.format(80, 20))


def _another(folder: Path) -> None:
    (folder / "overrides.yaml").write_text("overrides: [{unit: qa, experiment: ramp, arm: new}]")


@pytest.mark.parametrize("save", [_global, _region, _another])
def test_each_file_of_the_folder_is_followed(tmp_path: Path, save: Callable[[Path], None]) -> None:
    """The uppermost, that of the region, and one that appears."""
    desk, folder = _desk(tmp_path)

    async def use() -> None:
        assert _shares(desk) == {"old": 90, "new": 10}
        save(folder)
        await until(lambda: desk.segment.words[PUBLISHED] == 2)

    at_work(desk, use)


def test_a_file_that_appears_and_goes_is_followed(tmp_path: Path) -> None:
    """Also in a folder that was not there; with the file goes what it said."""
    desk, folder = _desk(tmp_path)

    async def use() -> None:
        (folder / "overrides.yaml").write_text(ARMS.format(50, 50))
        await until(lambda: desk.segment.words[PUBLISHED] == 2)
        assert _shares(desk) == {"old": 50, "new": 50}
        (folder / "overrides.yaml").unlink()
        await until(lambda: desk.segment.words[PUBLISHED] == 3)
        assert _shares(desk) == {"old": 90, "new": 10}

    at_work(desk, use)


def test_the_file_of_another_region_changes_nothing(tmp_path: Path) -> None:
    """It has no say here, not even with mistakes."""
    desk, folder = _desk(tmp_path)

    async def use() -> None:
        (folder / "regions" / "us.yaml").write_text("nonsense: [")
        await desk.control.reload()
        assert desk.control.rejected is None
        assert desk.segment.words[PUBLISHED] == 1

    at_work(desk, use)


@pytest.mark.parametrize("bad", ["experiments: [{name: ramp,", "experiments: [{name: ramp, arms: []}]", None])
def test_a_bad_half_written_or_vanished_file_keeps_the_last_good_revision(tmp_path: Path, bad: str | None) -> None:
    """The global configuration never takes the place of a region's whose file went; all is well once it is back."""
    desk, folder = _desk(tmp_path)
    file = folder / "regions" / "eu.yaml"

    async def use() -> None:
        file.unlink() if bad is None else file.write_text(bad)
        await until(lambda: desk.control.rejected is not None)
        assert (desk.segment.words[PUBLISHED], desk.segment.words[RELOAD_OK]) == (1, 0)
        assert _shares(desk) == {"old": 90, "new": 10}
        file.write_text(ARMS.format(90, 10))
        await until(lambda: desk.control.rejected is None)
        file.write_text(ARMS.format(60, 40))
        await until(lambda: desk.segment.words[PUBLISHED] == 2)

    at_work(desk, use)


def test_a_folder_whose_links_are_swapped_goes_live_whole(tmp_path: Path) -> None:
    """As Kubernetes does it: everything in the folder leads through ``..data``."""
    mounted = tmp_path / "etc"
    versions = [mounted / "..1", mounted / "..2"]
    for version, shares in zip(versions, ((90, 10), (30, 70)), strict=True):
        (version / "regions").mkdir(parents=True)
        (version / "global.yaml").write_text(yaml())
        (version / "regions" / "eu.yaml").write_text(ARMS.format(*shares))
    (mounted / "..data").symlink_to("..1")
    for name in ("global.yaml", "regions"):
        (mounted / name).symlink_to(f"..data/{name}")
    desk = Desk(tmp_path, source=Source(mounted, Site("eu")))

    async def use() -> None:
        (mounted / "..tmp").symlink_to("..2")
        (mounted / "..tmp").rename(mounted / "..data")
        await until(lambda: desk.segment.words[PUBLISHED] == 2)

    at_work(desk, use)
    assert _shares(desk) == {"old": 30, "new": 70}


LAYERED = "layered_by: {region: group}"
ROUTE = "attributes: {group: header:x-group}"


def _layered(place: Path, *weights: int) -> Loaded:
    """Load a folder whose region us has weights of its own."""
    (place / "regions").mkdir(parents=True, exist_ok=True)
    (place / "global.yaml").write_text(yaml(top=LAYERED, route=ROUTE))
    (place / "regions" / "us.yaml").write_text(ARMS.format(*weights))
    return load(place)


def test_other_weights_of_a_region_begin_a_phase(tmp_path: Path) -> None:
    """Phases are of the experiment, whoever's weights changed; the event says whose each exchange had."""
    state, first = start(State(), _layered(tmp_path, 50, 50), NOW)
    assert first.runs["ramp"] == Run(number=1, phase=1, epoch=0)
    changed = apply(state, _layered(tmp_path, 40, 60), NOW + 1, "file")
    assert not isinstance(changed, Refusal)
    assert changed[1].runs["ramp"] == Run(number=1, phase=2, epoch=0)
    same = apply(changed[0], _layered(tmp_path, 4, 6), NOW + 2, "file")
    assert not isinstance(same, Refusal)
    assert same[1].runs["ramp"].phase == 2


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("experiments: [{name: ramp, salt: other}]", "salt"),
        ("experiments: [{name: ramp, arms: [{name: new, target: a}]}]", "arm 'new'"),
        ("experiments: [{name: ramp, arms: [{name: third, target: a, weight: 1}]}]", "arm 'third'"),
    ],
)
def test_an_experiment_is_one_for_all_regions(tmp_path: Path, text: str, what: str) -> None:
    """Its units would move from arm to arm as they travel; the way out is another experiment."""
    _layered(tmp_path, 1, 1)
    (tmp_path / "regions" / "us.yaml").write_text(text)
    loaded = load(tmp_path)
    with pytest.raises(ConfigError) as caught:
        start(State(), loaded, NOW)
    messages = [mistake.message for mistake in caught.value.mistakes]
    assert messages[0] == f"experiment 'ramp' has another {what} for region us; all need the same"
    assert all(mistake.file == f"{tmp_path}/regions/us.yaml" for mistake in caught.value.mistakes)
    refused = apply(start(State(), _layered(tmp_path, 1, 1), NOW)[0], loaded, NOW, "file")
    assert isinstance(refused, Refusal)
    assert refused.mistakes == caught.value.mistakes
