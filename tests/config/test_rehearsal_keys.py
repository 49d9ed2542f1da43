"""The keys of what a release passes before it has traffic: offline check and shadow."""

from pathlib import Path

import pytest

from router.config.load import load_text
from router.config.mistake import ConfigError
from router.config.schema import Allocate

TEXT = """\
targets:
  - {{name: a, endpoints: ['http://127.0.0.1:8001']}}
  - {{name: b, endpoints: ['http://127.0.0.1:8002']}}
routes: [{{name: r, target: a, unit: [header:x-user]}}]
experiments:
  - {{name: e, route: r, arms: [{{name: x, target: a}}, {{name: y, target: b}}], allocate: {{{allocate}}}}}
"""


def allocate(text: str, folder: Path) -> Allocate:
    """Load an allocator."""
    found = load_text(TEXT.format(allocate=text).encode(), "router.yaml", folder).config
    return found.experiments[0].allocate


def test_a_duration_alone_is_a_shadow(tmp_path: Path) -> None:
    """Everything else has a default."""
    found = allocate("use: rollout, shadow: 2h", tmp_path).rehearsal
    assert found is not None
    assert (found.hold, found.share, found.agree, found.p99, found.failures) == (7200.0, 0.1, None, 1.5, 0.01)


def test_a_map_says_more(tmp_path: Path) -> None:
    """In the units of the format."""
    text = "use: rollout, shadow: {for: 1h, share: 50%, agree: 99%, p99: 2, deadline: 1d, compare: {ignore: [/id]}}"
    found = allocate(text, tmp_path).rehearsal
    assert found is not None
    assert (found.share, found.agree, found.deadline, found.compare.ignore) == (0.5, 0.99, 86400.0, ("/id",))


def test_the_recipe_has_a_shadow_and_named_stages_have_what_they_name(tmp_path: Path) -> None:
    """An allocator that is no rollout has none."""
    assert allocate("use: rollout", tmp_path).rehearsal is not None
    assert allocate("use: rollout, stages: [{share: 100%, hold: 1h}]", tmp_path).rehearsal is None
    fixed = TEXT.format(allocate="use: fixed").replace("target: a}, {", "target: a, weight: 1}, {")
    fixed = fixed.replace("target: b}]", "target: b, weight: 1}]")
    found = load_text(fixed.encode(), "router.yaml", tmp_path).config
    assert found.experiments[0].allocate.rehearsal is None


def test_recorded_requests_are_named_relative_to_the_file(tmp_path: Path) -> None:
    """As every other file is."""
    (tmp_path / "r.ndjson").write_text("{}")
    found = allocate("use: rollout, offline: {requests: r.ndjson, require: ['f1 >= 80%'], no_worse: 1%}", tmp_path)
    assert found.offline is not None
    assert (found.offline.requests, found.offline.no_worse) == (str(tmp_path / "r.ndjson"), 0.01)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("use: fixed, shadow: 1h", "only a rollout has a shadow before its stages"),
        ("use: fixed, offline: {result: x}", "has no effect, because only rollout has it"),
        ("use: rollout, offline: {}", 'key "requests" is missing'),
        ("use: rollout, offline: {requests: gone.ndjson}", "there is no file"),
        ("use: rollout, offline: {result: x, requests: gone.ndjson}", "is beside requests"),
        ("use: rollout, offline: {result: x, require: ['f1 >= 1%']}", "has no effect without requests"),
        ("use: rollout, offline: {requests: gone.ndjson, max_age: 1d}", "has no effect without result"),
        ("use: rollout, offline: {requests: gone.ndjson, require: [good]}", "'good' is no requirement"),
        ("use: rollout, shadow: {share: 10%}", 'key "for" is missing'),
        ("use: rollout, shadow: {for: 1h, agree: 100%}", "agree"),
        ("use: rollout, shadow: {for: 1h, share: 0%}", "share"),
    ],
)
def test_mistakes_say_what_is_wrong(tmp_path: Path, text: str, said: str) -> None:
    """With the place."""
    with pytest.raises(ConfigError) as caught:
        allocate(text, tmp_path)
    assert said in str(caught.value)
    assert "$.experiments[0].allocate" in str(caught.value)
