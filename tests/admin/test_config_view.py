"""``/v1/config``: effective values with their origins, of the process's own region and of those it serves besides."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from router.control.seat import Source
from tests.admin.serving import served
from tests.config.layered import folder
from tests.control.build import yaml
from tests.control.desk import Desk

BASE = yaml(top="layered_by: {region: group}", route="attributes: {group: header:x-group}")
FILES = {
    "regions/eu.yaml": "experiments: [{name: ramp, arms: [{name: new, weight: 50}]}]",
    "regions/us.yaml": "targets: [{name: us, endpoints: ['http://h']}]\nroutes: [{name: r, target: us}]",
}


def _config(desk: Desk, query: str) -> tuple[int, Any]:
    async def run() -> tuple[int, Any]:
        async with served(desk) as client, client.get(f"/v1/config{query}") as response:
            return response.status, await response.json()

    return asyncio.run(run())


def _desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path, source=Source(folder(tmp_path / "etc", FILES, BASE)))


def test_a_region_is_shown_as_its_requests_get_it(tmp_path: Path) -> None:
    """With the file and line of each value, and what it replaced."""
    weight = "?path=$.experiments[ramp].arms[new].weight"
    status, own = _config(_desk(tmp_path), weight)
    place = f"{tmp_path}/etc"
    assert (status, own["values"]) == (
        200,
        [{"path": "$.experiments[0].arms[1].weight", "value": 5, "origin": f"{place}/global.yaml:10"}],
    )
    assert _config(_desk(tmp_path), f"{weight}&region=eu")[1]["values"] == [
        {
            "path": "$.experiments[0].arms[1].weight",
            "value": 50,
            "origin": f"{place}/regions/eu.yaml:1",
            "above": [{"value": 5, "origin": f"{place}/global.yaml:10"}],
        }
    ]


def test_targets_of_other_regions_say_where_they_come_from(tmp_path: Path) -> None:
    """The process knows them too."""
    values = _config(_desk(tmp_path), "?path=targets[us].endpoints[0].url")[1]["values"]
    assert values[0]["origin"] == f"{tmp_path}/etc/regions/us.yaml:1"


@pytest.mark.parametrize(
    ("query", "status", "detail"),
    [
        ("?region=mars", 404, "no requests are told apart as 'mars' here"),
        ("?path=server.lisen", 404, 'there is no "lisen" in $.server'),
        ("?path=a..b", 400, '"a..b" is not a path such as'),
        ("?regoin=eu", 400, "'regoin' is not a parameter; there are: region, cluster, path"),
    ],
)
def test_what_is_not_there_is_said(tmp_path: Path, query: str, status: int, detail: str) -> None:
    """And never shown as the process's own."""
    found, answer = _config(_desk(tmp_path), query)
    assert found == status
    assert answer["detail"].startswith(detail)


def test_an_answer_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the way to the rest."""
    monkeypatch.setattr("router.admin.views.MAX_VALUES", 3)
    answer = _config(_desk(tmp_path), "")[1]
    assert (len(answer["values"]), answer["more"]) == (3, "ask for what is under a path")
