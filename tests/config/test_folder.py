"""A folder with files for regions and clusters."""

from pathlib import Path

import pytest

from router.config import folder as folders
from router.config.load import ConfigError, Site, load, load_every
from router.config.origins import find
from tests.config.layered import folder, loaded, mistakes
from tests.config.sample import SMALL

EU = "experiments: [{name: e, arms: [{name: control, weight: 90}, {name: treatment, weight: 10}]}]\n"
FILES = {
    "regions/eu.yaml": EU,
    "regions/us.yaml": "# nothing of its own yet\n",
    "clusters/canary.yaml": "server: {drain: 9s}\nexperiments: [{name: e, arms: [{name: treatment, weight: 50}]}]\n",
    "overrides.yaml": "overrides: [{unit: qa-1, experiment: e, arm: treatment}]\n",
}
ROOT = Path(__file__).parents[2]


def _weights(place: Path, site: Site) -> dict[str, float]:
    return {arm.name: arm.weight for arm in load(place, site).config.experiments[0].arms}


def test_the_files_of_a_site_are_merged_in_order(tmp_path: Path) -> None:
    """Global, region, cluster, overrides: each may be partial, and the lower one wins."""
    found = loaded(tmp_path, FILES, Site("eu", "canary"))
    assert [file.relative_to(tmp_path).as_posix() for file in found.files] == [
        "global.yaml",
        "regions/eu.yaml",
        "clusters/canary.yaml",
        "overrides.yaml",
    ]
    assert _weights(tmp_path, Site("eu", "canary")) == {"control": 90, "treatment": 50}
    assert _weights(tmp_path, Site("eu")) == {"control": 90, "treatment": 10}
    assert _weights(tmp_path, Site("us")) == _weights(tmp_path, Site()) == {"control": 95, "treatment": 5}
    assert found.config.server.drain == 9
    assert found.config.overrides[0].unit == "qa-1"


def test_a_value_knows_its_file_and_what_it_replaced(tmp_path: Path) -> None:
    """A person who asks by names gets file and line of the value and of each that it replaced."""
    found, below = find(loaded(tmp_path, FILES, Site("eu", "canary")), "$.experiments[e].arms[treatment].weight")
    assert (found.path, found.value, len(below)) == ("$.experiments[0].arms[1].weight", 50, 1)
    assert found.place == f"{tmp_path}/clusters/canary.yaml:2"
    assert [(origin.file, origin.line, origin.value) for origin in found.above] == [
        (f"{tmp_path}/global.yaml", 9, 5),
        (f"{tmp_path}/regions/eu.yaml", 1, 10),
    ]


@pytest.mark.parametrize(
    ("path", "place", "value"),
    [
        ("server.drain", "default (removed by {}/regions/eu.yaml:1)", 30.0),
        ("experiments[e]", "default (removed by {}/regions/eu.yaml:2)", None),
        ("server.listen", "default", "0.0.0.0:8080"),
        ("routes[r].fallback[0].respond.json.items", "{}/global.yaml:8", [1, {"a": 2}]),
    ],
)
def test_what_was_removed_and_what_nobody_wrote_say_so(tmp_path: Path, path: str, place: str, value: object) -> None:
    """A default names who removed what was there; a part of free JSON is where the whole is."""
    base = "targets: [{name: a, endpoints: [http://h]}]\nserver: {drain: 5s}\nexperiments:\n- name: e\n  route: r\n"
    base += "  arms: [{name: x, target: a, weight: 1}, {name: y, target: a, weight: 1}]\n"
    base += "routes:\n- {name: r, target: a, fallback: [{respond: {json: {items: [1, {a: 2}]}}}]}\n"
    files = {"regions/eu.yaml": "server: {drain: {$patch: delete}}\nexperiments: [{name: e, $patch: delete}]"}
    found, _ = find(loaded(tmp_path, files, Site("eu"), base), path)
    assert (found.place, found.value) == (place.format(tmp_path), value)


@pytest.mark.parametrize(
    ("site", "message"),
    [
        (Site("eu-wset"), 'regions: there is no eu-wset.yaml for region "eu-wset"; there are: eu, us'),
        (Site("uss"), 'regions: there is no uss.yaml for region "uss"; did you mean "us"?'),
        (Site("eu", "x"), 'clusters: there is no x.yaml for cluster "x"; there are: canary'),
        (Site("../global"), 'regions: there is no ../global.yaml for region "../global"; there are: eu, us'),
    ],
)
def test_a_site_without_a_file_is_a_mistake_where_others_have_one(tmp_path: Path, site: Site, message: str) -> None:
    """A typo never serves the global configuration in silence."""
    assert mistakes(folder(tmp_path, FILES), site) == [message]


def test_a_site_is_nothing_to_a_configuration_without_such_files(tmp_path: Path) -> None:
    """A host may always say where it is."""
    assert loaded(tmp_path, {}, Site("eu", "a")).digest == load(tmp_path / "global.yaml", Site("eu")).digest
    (tmp_path / "clusters").mkdir()
    assert mistakes(tmp_path, Site("eu")) == []
    assert mistakes(tmp_path, Site("eu", "a")) == ['clusters: there is no a.yaml for cluster "a"; there is none']


def test_mistakes_are_in_the_file_that_has_them(tmp_path: Path) -> None:
    """Unknown keys, wrong values, references and locks each say their own file, in the order of the files."""
    files = {
        "regions/eu.yaml": "server: {drian: 5s}\ntargets: [{name: a, version: 5}]\n",
        "clusters/a.yaml": "\nroutes: [{name: r, target: nobody}]\nserver: {drain: 5s}\n",
    }
    folder(tmp_path, files, SMALL + "locked: [server.drain]\nserver: {}\n")
    assert mistakes(tmp_path, Site("eu", "a")) == [
        'regions/eu.yaml:1: $.server.drian: unknown key "drian"; did you mean "drain"?',
        "regions/eu.yaml:2: $.targets[0].version: expected text, found 5; put it in quotes if it is text",
        'clusters/a.yaml:2: $.routes[0].target: there is no target "nobody"; there are: a, b',
        "clusters/a.yaml:3: $.server.drain: is locked by global.yaml:10 and may not change here",
    ]


def test_files_that_are_no_documents_are_all_reported(tmp_path: Path) -> None:
    """One run shows everything."""
    folder(tmp_path, {"regions/eu.yaml": "a: ]", "overrides.yaml": "- x\n"})
    found = mistakes(tmp_path, Site("eu"))
    assert [text.partition(" ")[0] for text in found] == ["regions/eu.yaml:1:", "overrides.yaml:1:"]


def test_every_combination_is_checked_and_each_mistake_said_once(tmp_path: Path) -> None:
    """Also when it shows in several combinations, at several indexes."""
    files = {
        "regions/eu.yaml": "routes: [{name: s, target: c, match: {path: /s}}]\ntargets: [{name: c, endpoints: [http://h]}]\n",
        "regions/us.yaml": "targets: [{name: d, endpoints: [http://h], version: 1}]\n",
        "clusters/one.yaml": "targets: [{name: e, endpoints: [x]}]\n",
        "clusters/two.yaml": "targets: [{name: c, $patch: delete}]\n",
    }
    found = mistakes(folder(tmp_path, files))
    assert sorted(text.partition(": ")[0] for text in found) == [
        "clusters/one.yaml:1",
        "clusters/two.yaml:1",
        "regions/eu.yaml:1",
        "regions/us.yaml:1",
    ]


def test_every_combination_is_loaded_once(tmp_path: Path) -> None:
    """The first is the one without region and cluster; digests tell them apart."""
    every = load_every(folder(tmp_path, FILES))
    assert [each.site for each in every] == [
        Site(region, cluster) for region in (None, "eu", "us") for cluster in (None, "canary")
    ]
    assert len({each.digest for each in every}) == len(every)


def test_too_many_combinations_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the way out: name one."""
    monkeypatch.setattr("router.config.load.MAX_SITES", 5)
    (found,) = mistakes(folder(tmp_path, FILES))
    assert found.startswith(f"{tmp_path}: has 6 combinations of regions and clusters, and 5 are checked at once")
    assert found.endswith("; name a region or a cluster")


@pytest.mark.parametrize("name", ["regions/eu.yml", "clusters/a b.yaml"])
def test_a_file_that_would_not_be_read_is_a_mistake(tmp_path: Path, name: str) -> None:
    """A suffix or a name that is nearly right is never passed over; hidden files and other kinds are."""
    folder(tmp_path, {"regions/.eu.yaml.swp": "x", "regions/README.md": "x"})
    assert mistakes(tmp_path) == []
    folder(tmp_path, {name: ""})
    assert mistakes(tmp_path) == [f"{name}: is not called NAME.yaml, so it would not be read"]


def test_names_of_files_start_from_the_folder_whichever_file_has_them(tmp_path: Path) -> None:
    """So that moving a value from one file to another does not change what it means."""
    files = {"regions/eu.yaml": "admin: {token_file: token}", "token": "0123456789abcdef\n"}
    assert loaded(tmp_path, files, Site("eu")).config.admin.token_file == str(tmp_path / "token")


def test_files_together_are_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each file has its bound, and what comes of them has the same."""
    monkeypatch.setattr("router.config.document.MAX_NODES", 60)
    found = mistakes(folder(tmp_path, {"overrides.yaml": "".join(f"k{n}: 1\n" for n in range(25))}))
    assert found == ["global.yaml: the files together have more than 60 values"]


def test_files_that_change_while_they_are_read_are_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is loaded was all there at one moment; a folder that never rests is refused."""
    folder(tmp_path, {"overrides.yaml": "server: {drain: 1s}"})
    real, seen = folders._bytes, []

    def swapping(file: Path) -> bytes:
        data = real(file)
        seen.append(file)
        if file.name == "global.yaml" and len(seen) < limit:
            (tmp_path / "overrides.yaml").write_text(f"server: {{drain: {len(seen)}s}}")
        return data

    monkeypatch.setattr(folders, "_bytes", swapping)
    limit = 4
    assert load(tmp_path).config.server.drain == 3
    limit = 1000
    with pytest.raises(ConfigError, match="the files of the folder keep changing"):
        load(tmp_path)
