"""``check`` and ``explain`` for folders with files for regions and clusters."""

import json
from pathlib import Path

from tests.cli.test_cli import router
from tests.config.layered import folder
from tests.config.sample import SMALL
from tests.config.test_folder import FILES


def test_check_without_options_checks_every_combination(tmp_path: Path) -> None:
    """The summary says how many there are; a mistake in any of them fails."""
    folder(tmp_path, FILES)
    assert router("check", tmp_path).stdout == (
        "ok: 2 targets, 1 route, 1 experiment; 6 combinations of region and cluster\n"
    )
    found = json.loads(router("check", tmp_path, "--json").stdout)
    assert [(site["region"], site["cluster"]) for site in found["sites"]][:3] == [
        (None, None),
        (None, "canary"),
        ("eu", None),
    ]
    folder(tmp_path, {"regions/us.yaml": "x: 1"})
    assert router("check", tmp_path).stderr.startswith(f"{tmp_path}/regions/us.yaml:1: $.x: unknown key")


def test_check_with_options_checks_one(tmp_path: Path) -> None:
    """What others get wrong is not its business; a typo in the option is."""
    folder(tmp_path, {**FILES, "regions/us.yaml": "x: 1"})
    assert router("check", tmp_path, "--region", "eu", "--cluster", "canary").exit_code == 0
    wrong = router("check", tmp_path, "--region", "eu-wset")
    assert (wrong.exit_code, wrong.stderr) == (
        1,
        f'{tmp_path}/regions: there is no eu-wset.yaml for region "eu-wset"; there are: eu, us\n',
    )


def test_the_difference_of_two_folders_is_said_for_each_combination(tmp_path: Path) -> None:
    """What changes for all is said once, and what changes for a region besides, as that region's."""
    old, new = folder(tmp_path / "old", FILES), folder(tmp_path / "new", FILES, SMALL + "events: {unenrolled: 2%}\n")
    text = FILES["regions/eu.yaml"].replace("90", "40")
    (new / "regions" / "eu.yaml").write_text(text)
    result = router("check", new, "--diff", old)
    assert result.stdout.splitlines() == [
        "ok: 2 targets, 1 route, 1 experiment; 6 combinations of region and cluster",
        "events: unenrolled changes from 1% to 2%",
        "region eu: experiment e: arm control gets 80% of units instead of 90%",
        "region eu: experiment e: arm treatment gets 20% of units instead of 10%",
        "region eu: experiment e: 10% of units move from control to treatment",
        "region eu, cluster canary: experiment e: arm control gets 44.4444% of units instead of 64.2857%",
        "region eu, cluster canary: experiment e: arm treatment gets 55.5556% of units instead of 35.7143%",
        "region eu, cluster canary: experiment e: 19.8413% of units move from control to treatment",
    ]


def test_explain_says_where_a_value_came_from_and_what_it_replaced(tmp_path: Path) -> None:
    """By name, with file and line of each step; for programs with the same parts."""
    folder(tmp_path, FILES)
    asked = ("explain", tmp_path, "--region", "eu", "--cluster", "canary", "--value")
    path = "$.experiments[e].arms[treatment].weight"
    assert router(*asked, path).stdout.splitlines() == [
        f"{tmp_path}/clusters/canary.yaml:2: 50",
        f"  instead of {tmp_path}/regions/eu.yaml:1: 10",
        f"  instead of {tmp_path}/global.yaml:9: 5",
    ]
    assert json.loads(router(*asked, path, "--json").stdout) == {
        "path": path,
        "file": f"{tmp_path}/clusters/canary.yaml",
        "line": 2,
        "value": 50,
        "removed": False,
        "above": [
            {"file": f"{tmp_path}/global.yaml", "line": 9, "value": 5},
            {"file": f"{tmp_path}/regions/eu.yaml", "line": 1, "value": 10},
        ],
    }


def test_explain_writes_a_map_value_by_value(tmp_path: Path) -> None:
    """Each with its own place, those that nobody wrote with ``default``."""
    folder(tmp_path, FILES)
    lines = router("explain", tmp_path, "--cluster", "canary", "--value", "experiments[e].arms[treatment]").stdout
    written = [line for line in lines.splitlines() if not line.startswith("default: ")]
    assert written == [
        f'{tmp_path}/clusters/canary.yaml:2: $.experiments[e].arms[treatment].name: "treatment"',
        f'  instead of {tmp_path}/global.yaml:9: "treatment"',
        f'{tmp_path}/global.yaml:9: $.experiments[e].arms[treatment].target: "b"',
        f"{tmp_path}/clusters/canary.yaml:2: $.experiments[e].arms[treatment].weight: 50",
        f"  instead of {tmp_path}/global.yaml:9: 5",
    ]
    assert "default: $.server.listen: " in router("explain", tmp_path, "--value", "server").stdout


def test_explain_decides_as_the_region_does(tmp_path: Path) -> None:
    """Weights, arms and targets are those of the site that is named."""
    folder(tmp_path, FILES)
    steps = json.loads(router("explain", tmp_path, "--region", "eu", "--unit", "u", "--json").stdout)
    assert [step["result"] for step in steps if step["kind"] == "arm"] == ["weight 90", "weight 10"]
