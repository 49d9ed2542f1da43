"""Edits of YAML text keep everything else."""

import base64
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.config.load import load_text
from router.demo.edit import replace_once, save, set_weights, weights_in
from router.demo.gateway import KEYS, Ports, configure, split
from router.demo.show import CONFIGURATION, SPLITS

TEXT = CONFIGURATION.read_text(encoding="utf-8")
weights = st.integers(min_value=1, max_value=1000).map(float)


@given(simple=weights, better=weights)
def test_weights_written_are_the_weights_read(simple: float, better: float) -> None:
    """An edited file asks for exactly the new weights, and its other lines are untouched."""
    edited = set_weights(TEXT, {"simple": simple, "better": better})

    assert {**weights_in(TEXT), "simple": simple, "better": better} == weights_in(edited)
    kept = [line for line in TEXT.splitlines() if "simple, " not in line and "better, " not in line]
    assert kept == [line for line in edited.splitlines() if "simple, " not in line and "better, " not in line]


def test_an_arm_that_is_not_there_is_an_error() -> None:
    """An edit never silently does nothing."""
    with pytest.raises(ValueError, match='arm "best" has 0 lines'):
        set_weights(TEXT, {"best": 10})


def test_text_that_is_not_there_once_is_an_error() -> None:
    """Neither a missing nor an ambiguous place is edited."""
    with pytest.raises(ValueError, match="0 times"):
        replace_once("a: 1", "b", "c")
    with pytest.raises(ValueError, match="2 times"):
        replace_once("a: 1, a: 2", "a", "c")


def test_a_save_replaces_the_file_whole(tmp_path: Path) -> None:
    """The new text is there under the same name, and nothing is left beside it."""
    path = tmp_path / "demo.yaml"
    path.write_text("old", encoding="utf-8")
    save(path, "new")

    assert [entry.name for entry in tmp_path.iterdir()] == ["demo.yaml"]
    assert path.read_text(encoding="utf-8") == "new"


def test_the_configuration_of_a_show_loads_with_its_ports(tmp_path: Path) -> None:
    """The copy names the show's ports, folder and keys, and the router accepts it at both splits."""
    (tmp_path / KEYS).write_bytes(base64.b64encode(bytes(32)))
    ports = Ports(server=18080, admin=19090, simple=19101, better=19102, canary=19103)
    text = configure(TEXT, ports)
    for weighed in SPLITS:
        config = load_text(set_weights(text, weighed).encode(), "demo.yaml", tmp_path).config
        assert weighed == {arm.name: arm.weight for arm in config.experiments[0].arms}
        assert (config.server.listen, config.admin.listen) == ("127.0.0.1:18080", "127.0.0.1:19090")
        urls = [endpoint.url for target in config.targets for endpoint in target.endpoints]
        assert urls == ["http://127.0.0.1:19101", "http://127.0.0.1:19102", "http://127.0.0.1:19103"]
        assert config.events.dir == "events"
        assert (config.server.signing is not None, "assignment" in config.server.expose) == (True, True)


def test_the_shipped_configuration_is_the_first_split() -> None:
    """Who runs ``router serve config/demo.yaml`` gets what the demo starts with."""
    assert SPLITS[0].items() <= weights_in(TEXT).items()
    changed = [line for line in configure(TEXT, Ports()).splitlines() if line not in TEXT.splitlines()]
    assert [line.split(":")[0].strip() for line in changed] == ["signing", "expose", "events"]


def test_no_arm_has_the_name_of_another_experiments() -> None:
    """The name of an arm says which experiment a user is in, and the segments leave some users outside."""
    experiments = load_text(TEXT.encode(), "demo.yaml").config.experiments
    arms = [arm.name for experiment in experiments for arm in experiment.arms]
    assert len(set(arms)) == len(arms)
    assert sum(each.segment[1] - each.segment[0] for each in split(load_text(TEXT.encode(), "demo.yaml").config)) < 1
