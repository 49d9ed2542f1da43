"""One process that serves several regions and clusters: what may differ between them."""

from pathlib import Path

import pytest

from router.config.diff import differences
from router.config.load import Site, load
from router.config.variant import applied
from router.counters import fallback_key, pair_key, row_keys
from router.events.model import Run
from tests.config.layered import folder, loaded, mistakes

BASE = """\
layered_by: {region: group, cluster: cell}
targets:
  - {name: a, endpoints: [http://127.0.0.1:8001]}
  - {name: b, endpoints: [http://127.0.0.1:8002]}
routes:
  - name: r
    match: {path: /v2/}
    target: a
    unit: [header:x-user-id]
    attributes: {group: header:x-group, cell: header:x-cell}
experiments:
  - name: e
    route: r
    arms: [{name: control, target: a, weight: 95}, {name: treatment, target: b, weight: 5}]
"""
EU = "experiments: [{name: e, arms: [{name: treatment, weight: 50}]}]\n"
US = "targets: [{name: us, endpoints: [http://h]}]\nroutes: [{name: r, target: us, fallback: [{target: b}]}]\n"
FILES = {
    "regions/eu.yaml": EU,
    "regions/us.yaml": US,
    "clusters/canary.yaml": "overrides: [{unit: q, experiment: e, arm: control}]",
}


def test_each_combination_is_a_variant_with_what_it_has_of_its_own(tmp_path: Path) -> None:
    """And nothing more: what is the same is not there."""
    found = loaded(tmp_path, FILES, base=BASE)
    own = {variant.label: variant for variant in found.config.variants}
    assert own.keys() == {"eu", "us", "/canary", "eu/canary", "us/canary"}
    assert [arm.weight for arm in own["eu"].experiments[0].arms] == [95, 50]
    assert (own["eu"].routes, own["eu"].overrides) == ((), None)
    assert (own["us"].routes[0].target, own["us"].experiments) == ("us", ())
    assert own["/canary"].overrides
    assert own["/canary"].overrides == own["eu/canary"].overrides
    for other in found.others:
        variant = next(item for item in found.config.variants if (item.region, item.cluster) == other.site)
        assert applied(found.config, variant).routes == other.config.routes
        assert applied(found.config, variant).experiments == other.config.experiments


def test_the_process_knows_every_target_and_counts_for_every_combination(tmp_path: Path) -> None:
    """Also those that only another region names: they are probed, pooled and counted."""
    config = loaded(tmp_path, FILES, base=BASE).config
    assert [target.name for target in config.targets] == ["a", "b", "us"]
    keys = {key for key, _ in row_keys(config, {"e": Run(number=1, phase=1, epoch=0)})}
    assert {pair_key("r", "us"), pair_key("r", "a"), fallback_key("r", "b")} <= keys


def test_only_the_attributes_that_are_named_tell_requests_apart(tmp_path: Path) -> None:
    """Without ``cluster``, the process's own cluster holds for all."""
    base = BASE.replace(", cluster: cell", "")
    found = loaded(tmp_path, FILES, Site("eu", "canary"), base)
    assert [(variant.region, variant.cluster) for variant in found.config.variants] == [("us", None)]
    assert found.others[0].site == Site("us", "canary")
    assert found.config.overrides[0].unit == "q"


def test_all_files_count_for_the_digest_and_are_followed(tmp_path: Path) -> None:
    """A change of any region's file is a change."""
    before = loaded(tmp_path, FILES, base=BASE)
    assert len(before.files) == 4
    assert loaded(tmp_path, {"regions/eu.yaml": f"{EU}#"}, base=BASE).digest != before.digest


def test_a_mistake_in_any_regions_file_is_reported_once(tmp_path: Path) -> None:
    """Though it shows in several combinations."""
    folder(tmp_path, {**FILES, "regions/eu.yaml": "routes: [{name: r, target: nobody}]"}, BASE)
    assert mistakes(tmp_path, Site()) == [
        'regions/eu.yaml:1: $.routes[0].target: there is no target "nobody"; there are: a, b'
    ]


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("server: {drain: 9s}", "$.server.drain"),
        ("admin: {listen: '127.0.0.1:9'}", "$.admin.listen"),
        ("events: {keep: {age: 2d}}", "$.events.keep.age"),
        ("targets: [{name: a, version: '2'}]", "$.targets[0].version"),
        ("routes: [{name: r, match: {path: /x}}]", "$.routes[0].match.path"),
        ("routes: [{name: r, unit: [client_ip]}]", "$.routes[0].unit[0]"),
        ("routes: [{name: r, attributes: {group: client_ip}}]", "$.routes[0].attributes.group"),
        ("routes: [{name: r, rate_limit: {requests: 5/s}}]", "$.routes[0].rate_limit"),
        ("routes: [{name: r, shadow: [{target: b, share: 5%}]}]", "$.routes[0].shadow"),
        ("routes: [{name: r, fallback: [{cached: {ttl: 5m}}]}]", "$.routes[0].fallback"),
        ("routes: [{name: s, target: a, match: {path: /s}}]", "$.routes[1]"),
        ("experiments: [{name: e, $patch: delete}]", "$.experiments[e]"),
        ("layered_by: {region: cell}", "$.layered_by.region"),
        ("layers: [{name: l}]", "$.layers"),
    ],
)
def test_what_belongs_to_the_process_is_the_same_for_all(tmp_path: Path, text: str, path: str) -> None:
    """Another value in a region's file is a mistake at its place."""
    folder(tmp_path, {"regions/eu.yaml": text}, BASE)
    (found,) = mistakes(tmp_path, Site())
    assert found.partition(": is another for region eu; with layered_by")[0] == f"regions/eu.yaml:1: {path}"


def test_there_are_bounds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On how many combinations one process serves, and on their values together."""
    folder(tmp_path, FILES, BASE)
    monkeypatch.setattr("router.config.sites.MAX_VARIANTS", 4)
    assert mistakes(tmp_path, Site()) == [
        "global.yaml:1: $.layered_by: there are 5 other combinations, and 4 at most are served"
    ]
    monkeypatch.undo()
    monkeypatch.setattr("router.config.document.MAX_NODES", 100)
    assert mistakes(tmp_path, Site()) == [
        "global.yaml:1: $.layered_by: there are more than 100 values in all combinations together"
    ]


def test_an_attribute_that_no_route_has_is_a_mistake(tmp_path: Path) -> None:
    """No request would ever be told apart; neither by none."""
    folder(tmp_path, {}, BASE.replace("region: group", "region: gruop"))
    assert mistakes(tmp_path, Site()) == [
        'global.yaml:1: $.layered_by.region: there is no attribute of any route named "gruop"; there are: cell, group'
    ]
    folder(tmp_path, {}, BASE.replace("region: group, cluster: cell", ""))
    assert mistakes(tmp_path, Site()) == [
        "global.yaml:1: $.layered_by: names no attribute; give it region, cluster or both"
    ]


def test_a_change_of_a_region_is_said_as_its(tmp_path: Path) -> None:
    """What changes for all is said once, and what only a region has new with its name."""
    old = loaded(tmp_path / "old", FILES, base=BASE).config
    files = {**FILES, "regions/eu.yaml": EU.replace("50", "5")}
    new = load(folder(tmp_path / "new", files, BASE.replace("weight: 95", "weight: 45"))).config
    assert differences(old, new) == (
        "experiment e: arm control gets 90% of units instead of 95%",
        "experiment e: arm treatment gets 10% of units instead of 5%",
        "for eu: experiment e: arm control gets 90% of units instead of 65.5172%",
        "for eu: experiment e: arm treatment gets 10% of units instead of 34.4828%",
        "for eu/canary: experiment e: arm control gets 90% of units instead of 65.5172%",
        "for eu/canary: experiment e: arm treatment gets 10% of units instead of 34.4828%",
    )
