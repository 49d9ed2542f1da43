"""What an upper file has locked stays what it is."""

import pytest

from tests.config.layered import merged

UPPER = """\
locked: [PATH]
server: {drain: 5s, limits: {headers: 10}}
targets: [{name: a, version: "1"}, {name: b}]
routes: [{name: r, attributes: {tier: header:x-tier}}]
"""


def _mistakes(path: str, *lower: str) -> list[str]:
    return merged([UPPER.replace("PATH", f"'{path}'"), *lower])[1]


@pytest.mark.parametrize(
    "path", ["$.server.limits", "server.limits", "$.server", "server", "$", '$["server"].limits.headers']
)
def test_a_locked_value_may_be_repeated_and_not_changed(path: str) -> None:
    """A path reaches a value and all that is below it, in whatever way it is written."""
    assert _mistakes(path, "server: {limits: {headers: 10}}") == []
    changed = ["1:1: $.server.limits.headers: is locked by 0:1 and may not change here"]
    assert _mistakes(path, "server: {limits: {headers: 11}}") == changed
    assert _mistakes(path, "server: {limits: {headers: '10'}}") == changed
    assert _mistakes(path, "server: {limits: {headers: {$patch: delete}}}") == changed


@pytest.mark.parametrize(
    ("path", "lower", "mistake"),
    [
        ("$.server.limits", "server:\n  limits: {body_bytes: 1MiB}", "1:2: $.server.limits.body_bytes"),
        ("$.server.limits", "server: {$patch: replace, drain: 5s}", "1:1: $.server"),
        ("$.server.limits", "server: {$patch: delete}", "1:1: $.server"),
        ("$.server.timeouts", "server: {timeouts: {keepalive: 1s}}", "1:1: $.server.timeouts"),
        ("$.admin.listen", "admin: {listen: '127.0.0.1:1'}", "1:1: $.admin"),
        ("$.targets[a].version", "targets: [{name: a, version: '2'}]", "1:1: $.targets[a].version"),
        ("$.targets[a].version", "targets: [{name: a, $patch: delete}]", "1:1: $.targets[a]"),
        ("$.targets", "targets: [{name: c}]", "1:1: $.targets[c]"),
        ("$.targets[a]", "targets: [{$patch: replace}, {name: a}]", "1:1: $.targets"),
        ("$.routes[r].attributes", "routes: [{name: r, attributes: {x: client_ip}}]", "1:1: $.routes[r].attributes.x"),
    ],
)
def test_a_file_below_may_not_change_it_in_any_other_way(path: str, lower: str, mistake: str) -> None:
    """Adding below it, removing or replacing what it is in, or setting what the upper file left out."""
    assert _mistakes(path, lower) == [f"{mistake}: is locked by 0:1 and may not change here"]


@pytest.mark.parametrize(
    ("path", "lower"),
    [
        ("$.server.limits", "server: {drain: 6s}"),
        ("$.server.limits", "server: {$patch: replace, limits: {headers: 10}}"),
        ("$.targets[a]", "targets: [{name: b, version: '7'}, {name: c}]"),
        ("$.admin.listen", "admin: {token_file: f}"),
    ],
)
def test_everything_else_may_be_changed(path: str, lower: str) -> None:
    """Also what is around a locked value, so long as that stays."""
    assert _mistakes(path, lower) == []


@pytest.mark.parametrize(
    ("path", "mistake"),
    [
        ("server.limit", 'there is no key "limit" in $.server'),
        ("targets[c]", 'there is no "c" in $.targets to lock'),
        ("targets[a].version.x", "$.targets[a].version is one value; nothing below it can be locked apart"),
        ("a b", '"a b" is not a path such as $.experiments[ranker-v2].arms[control].weight'),
        ("", '"" is not a path such as $.experiments[ranker-v2].arms[control].weight'),
    ],
)
def test_a_path_that_leads_nowhere_is_a_mistake(path: str, mistake: str) -> None:
    """It would lock nothing, and nobody would notice."""
    assert _mistakes(path) == [f"0:1: $.locked: {mistake}"]


def test_each_file_may_lock_for_those_below_and_none_can_unlock() -> None:
    """The paths of all files hold together, from the file on that has them."""
    lower = "locked: [server.drain]\nserver: {drain: 7s, limits: {headers: 11}}"
    root, mistakes = merged([UPPER.replace("PATH", "server.limits"), lower, "locked: []\nserver: {drain: 8s}"])
    assert mistakes == [
        "1:2: $.server.limits.headers: is locked by 0:1 and may not change here",
        "2:2: $.server.drain: is locked by 1:1 and may not change here",
    ]
    assert root.plain()["locked"] == ["server.limits", "server.drain"]
