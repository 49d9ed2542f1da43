"""Regions and clusters of live requests, and the files that say what they get, while traffic flows."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.e2e.running import SERVE, Model, Router, wait_until

ARMS = "experiments: [{{name: e, arms: [{{name: old, weight: {}}}, {{name: new, weight: {}}}]}}]\n"


@contextmanager
def _layered(place: Path) -> Iterator[tuple[Router, Path]]:
    """Run a router of region eu that tells regions and clusters apart by two headers."""
    folder = place / "etc"
    for name in ("regions", "clusters"):
        (folder / name).mkdir(parents=True)
    with Model("old") as old, Model("new") as new:
        router = Router(place)
        text = router.yaml({"old": old.url, "new": new.url}, {"old": 100, "new": 0})
        attributes = "unit: [header:x-user-id], attributes: {group: header:x-group, cell: header:x-cell}"
        (folder / "global.yaml").write_text(
            text.replace("unit: [header:x-user-id]", attributes) + "layered_by: {region: group, cluster: cell}\n"
        )
        (folder / "regions" / "eu.yaml").write_text("# as everywhere\n")
        (folder / "regions" / "us.yaml").write_text(ARMS.format(0, 100))
        (folder / "clusters" / "canary.yaml").write_text(ARMS.format(0, 1))
        router.config = folder
        try:
            router.start_ready(SERVE, ROUTER_REGION="eu")
            yield router, folder
        finally:
            router.close()


def _served(router: Router, **headers: str) -> str:
    status, body = router.ask("/", port=router.port, x_user_id="u", **headers)
    assert status == 200
    return body.decode()


def _sites(events: Path) -> set[str | None]:
    """Give the regions and clusters whose experiment exchanges were in."""
    lines = [line for file in events.glob("exchange-*") for line in file.read_text().split("\n")[:-1]]
    return {item.get("site") for line in lines for item in json.loads(line)["experiments"]}


def test_requests_get_the_weights_of_their_region_while_files_change(tmp_path: Path) -> None:
    """By attribute, request by request; an edit of one region's file moves its users and no others."""
    with _layered(tmp_path) as (router, folder):
        assert [_served(router), _served(router, x_group="eu"), _served(router, x_group="mars")] == ["old"] * 3
        assert _served(router, x_group="us") == _served(router, x_cell="canary") == "new"
        (folder / "regions" / "us.yaml").write_text(ARMS.format(100, 0))
        wait_until(lambda: _served(router, x_group="us") == "old", "revision 2")
        assert _served(router, x_group="us", x_cell="canary") == "new"
        (folder / "regions" / "us.yaml").unlink()
        (folder / "regions" / "mars.yaml").write_text(ARMS.format(0, 100))
        wait_until(lambda: _served(router, x_group="mars") == "new", "a new region")
        assert _served(router, x_group="us") == "old"
        wait_until(lambda: _sites(tmp_path / "events") == {None, "us", "/canary", "us/canary", "mars"}, "the events")


def test_a_bad_file_of_one_region_changes_nothing_for_any(tmp_path: Path) -> None:
    """It is refused whole, and shown with its file and line; so is one that makes the experiment another one."""
    with _layered(tmp_path) as (router, folder):
        for bad in ("experiments: [{", "experiments: [{name: e, salt: other}]\n"):
            (folder / "regions" / "us.yaml").write_text(bad)
            rejected = wait_until(lambda: router.revision()["rejected"], "the refusal")
            assert {mistake["file"] for mistake in rejected["mistakes"]} == {f"{folder}/regions/us.yaml"}
            assert _served(router, x_group="us") == "new"
            (folder / "regions" / "us.yaml").write_text(ARMS.format(0, 100))
            wait_until(lambda: router.revision()["rejected"] is None, "the file to be fine")
        assert router.revision()["number"] == 1


def test_a_region_that_has_no_file_is_not_served_as_another(tmp_path: Path) -> None:
    """A typo ends the start with a sentence."""
    (tmp_path / "etc" / "regions").mkdir(parents=True)
    router = Router(tmp_path)
    (tmp_path / "etc" / "global.yaml").write_text(router.yaml({"old": "http://127.0.0.1:1"}, {}))
    (tmp_path / "etc" / "regions" / "eu-west.yaml").write_text("")
    router.config = tmp_path / "etc"
    router.start(SERVE, ROUTER_REGION="eu-wset")
    assert router.wait() == 1
    assert 'there is no eu-wset.yaml for region "eu-wset"; did you mean "eu-west"?' in router.said()
