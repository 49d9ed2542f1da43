"""Files and folders to configurations: values, places, files, digests."""

import hashlib
import ipaddress
import os
from pathlib import Path

import pytest
import trustme

from router.config.load import Origin, _near, load, load_text
from router.config.mistake import MAX_MISTAKES, ConfigError
from router.config.schema import Arm, Config, Endpoint
from tests.config.sample import SMALL, loaded, mistakes

EXAMPLES = sorted((Path(__file__).parents[2] / "config").glob("*.yaml"))
GOLDEN = Path(__file__).parent / "golden"


def test_every_mistake_is_reported_at_once() -> None:
    """Each kind of mistake is in the golden file; all are found in one run, each with its line, path and message."""
    with pytest.raises(ConfigError) as caught:
        load_text((GOLDEN / "mistakes.yaml").read_bytes(), "mistakes.yaml", Path("/nowhere"))
    assert str(caught.value).splitlines() == (GOLDEN / "mistakes.txt").read_text().splitlines()


@pytest.mark.parametrize("section", ["targets", "routes", "experiments"])
def test_a_misspelt_section_is_one_mistake_not_one_for_each_name_of_it(section: str) -> None:
    """Names that would have been in it are not reported as missing."""
    wrong = mistakes(SMALL.replace(f"{section}:", f"x{section}:"))
    assert {line.split(": ")[1] for line in wrong} <= {f"$.x{section}", "$"}


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.name)
def test_every_example_loads(path: Path) -> None:
    """Each file in config/ is without mistakes and names its schema for editors."""
    assert load(path).config.targets
    assert path.read_text().startswith("# yaml-language-server: $schema=router.schema.json\n")


def test_values_have_their_units_resolved() -> None:
    """Durations are seconds, sizes bytes, shares parts of one, a plain endpoint one of weight 1."""
    config = loaded(
        SMALL.replace("[http://127.0.0.1:8001]", "[HTTP://LOCALHOST:8001/, {url: 'https://[::1]', weight: 3}]")
        + "server: {drain: 250ms, limits: {body_bytes: 1MiB}}\nevents: {unenrolled: 5%}\n"
    ).config
    assert config.server.drain == 0.25
    assert config.server.limits.body_bytes == 1024**2
    assert config.events.unenrolled == 0.05
    assert config.targets[0].endpoints == (
        Endpoint(url="http://localhost:8001"),
        Endpoint(url="https://[::1]", weight=3),
    )
    assert config.experiments[0].arms[1] == Arm(name="treatment", target="b", weight=5)


def test_everything_but_targets_and_routes_has_a_default() -> None:
    """A target and a route are a whole configuration."""
    text = "targets: [{name: a, endpoints: [http://h]}]\nroutes: [{name: r, target: a}]"
    config = loaded(text).config
    assert config == Config(targets=config.targets, routes=config.routes)


def test_every_written_value_knows_its_line() -> None:
    """Origins cover each level of what was written, and nothing that is a default."""
    origins = loaded().origins
    assert origins["$.targets[1].endpoints[0]"] == Origin("router.yaml", 3, "http://127.0.0.1:8002")
    assert origins["$.targets[1].endpoints[0].url"] == Origin("router.yaml", 3, "http://127.0.0.1:8002")
    assert origins["$.experiments[0].arms[0].weight"] == Origin("router.yaml", 9, 95)
    assert origins["$.experiments[0].arms"].line == 9
    assert origins["$"].value["routes"][0]["unit"] == ["header:x-user-id"]
    assert "$.server" not in origins


def test_the_digest_is_that_of_the_bytes() -> None:
    """Two files differ in their digest exactly if they differ in a byte."""
    assert loaded().digest == hashlib.sha256(SMALL.encode()).hexdigest()
    assert loaded(SMALL + "#\n").digest != loaded().digest


@pytest.mark.parametrize("name", ["router.yaml", "global.yaml"])
def test_a_folder_holds_the_configuration(tmp_path: Path, name: str) -> None:
    """A folder means its router.yaml or its global.yaml."""
    (tmp_path / name).write_text(SMALL)
    (tmp_path / "notes.yaml").write_text("something else")
    assert load(tmp_path).files == (tmp_path / name,)


def test_what_cannot_be_read_is_one_mistake(tmp_path: Path) -> None:
    """A missing file, an empty folder and a name with NUL are mistakes, not tracebacks."""
    expected = {
        tmp_path / "no.yaml": f"{tmp_path}/no.yaml: cannot be read: No such file or directory",
        tmp_path: f"{tmp_path}: the folder holds neither global.yaml nor router.yaml",
        Path("a\0b"): "a\0b: cannot be read: embedded null byte",
        Path("a" * 300): f"{'a' * 300}: cannot be read: File name too long",
    }
    for path, message in expected.items():
        with pytest.raises(ConfigError) as caught:
            load(path)
        assert str(caught.value) == message


def test_a_folder_with_two_whole_configurations_is_refused(tmp_path: Path) -> None:
    """Neither is ignored in silence."""
    for name in ("global.yaml", "router.yaml"):
        (tmp_path / name).write_text(SMALL)
    with pytest.raises(ConfigError, match=r"holds both global\.yaml and router\.yaml; keep one"):
        load(tmp_path)


def test_a_file_behind_swapped_links_is_read_where_it_was_named(tmp_path: Path) -> None:
    """Kubernetes mounts files as links through ..data; files named in them are sought beside the link."""
    (tmp_path / "..2026").mkdir()
    (tmp_path / "..2026" / "router.yaml").write_text(SMALL + "admin: {token_file: token}\n")
    (tmp_path / "..data").symlink_to("..2026")
    (tmp_path / "router.yaml").symlink_to("..data/router.yaml")
    (tmp_path / "token").write_text("0123456789abcdef\n")
    assert load(tmp_path / "router.yaml").config.admin.token_file == str(tmp_path / "token")


def test_tls_files_are_read_relative_to_the_configuration(tmp_path: Path) -> None:
    """Certificate, key and authorities that fit are accepted, named absolutely, and listed as referenced."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    leaf = authority.issue_cert("localhost")
    leaf.cert_chain_pems[0].write_to_path(tmp_path / "tls.crt")
    leaf.private_key_pem.write_to_path(tmp_path / "tls.key")
    text = SMALL.replace("[http://127.0.0.1:8001]", "[https://localhost], tls: {ca: ca.pem}")
    (tmp_path / "router.yaml").write_text(text + "server: {tls: {cert: tls.crt, key: ./tls.key}}\n")
    found = load(tmp_path / "router.yaml")
    assert found.config.server.tls is not None
    assert found.config.server.tls.cert == str(tmp_path / "tls.crt")
    assert found.referenced == (tmp_path / "tls.crt", tmp_path / "tls.key", tmp_path / "ca.pem")


def test_tls_files_that_do_not_fit_are_mistakes(tmp_path: Path) -> None:
    """A key of another certificate, and authorities that are none, are found before traffic meets them."""
    authority = trustme.CA()
    first, second = authority.issue_cert("a"), authority.issue_cert("b")
    first.cert_chain_pems[0].write_to_path(tmp_path / "tls.crt")
    second.private_key_pem.write_to_path(tmp_path / "tls.key")
    (tmp_path / "ca.pem").write_text("nothing")
    text = SMALL.replace("[http://127.0.0.1:8001]", "[https://localhost], tls: {ca: ca.pem}")
    with pytest.raises(ConfigError) as caught:
        load_text(f"{text}server: {{tls: {{cert: tls.crt, key: tls.key}}}}\n".encode(), "f.yaml", tmp_path)
    first_line, second_line = str(caught.value).splitlines()
    assert first_line.startswith(f'f.yaml:2: $.targets[0].tls.ca: file "{tmp_path}'[:60])
    assert second_line == ("f.yaml:10: $.server.tls: certificate and key cannot be used: KEY_VALUES_MISMATCH")


@pytest.mark.parametrize("content", ["", "short", "two words that are long", "ü" * 20, "x" * 5000])
def test_a_token_file_holds_one_token(tmp_path: Path, content: str) -> None:
    """An empty or malformed token would lock operators out, or let everybody in."""
    (tmp_path / "token").write_text(content)
    reasons = "must hold a token of 16 to 4096 ASCII characters|holds no token|is not a name, a space and a token"
    with pytest.raises(ConfigError, match=f"token_file: file .*({reasons})"):
        load_text(f"{SMALL}admin: {{token_file: token}}\n".encode(), "f.yaml", tmp_path)


def test_a_named_pipe_is_no_token_file(tmp_path: Path) -> None:
    """A file that would block its reader is refused without opening it."""
    os.mkfifo(tmp_path / "token")
    with pytest.raises(ConfigError, match="is not a regular file"):
        load_text(f"{SMALL}admin: {{token_file: token}}\n".encode(), "f.yaml", tmp_path)


def test_the_admin_listener_needs_a_token_off_loopback(tmp_path: Path) -> None:
    """Whoever can reach the admin API can move traffic."""
    (tmp_path / "token").write_text("0123456789abcdef")
    for host in ("0.0.0.0", "[::]", str(ipaddress.IPv4Address(0x0A000001))):
        text = f"{SMALL}admin: {{listen: '{host}:9090'}}\n"
        assert mistakes(text) == [
            f'router.yaml:10: $.admin.listen: "{host}:9090" can be reached from other machines; set token_file as well'
        ]
        open_text = text.replace("'}", "', token_file: token}")
        assert load_text(open_text.encode(), "f.yaml", tmp_path).config.admin.token_file == str(tmp_path / "token")


@pytest.mark.parametrize(
    ("extra", "message"),
    [
        (
            "admin: {listen: 'unix:/a.sock'}",
            '$.admin.listen: "unix:/a.sock" is a unix socket; the admin API needs HOST:PORT',
        ),
        (
            "admin: {listen: '127.0.0.1:1'}\nserver: {listen: '0.0.0.0:1'}",
            '$.admin.listen: server.listen "0.0.0.0:1" and admin.listen "127.0.0.1:1" are the same port',
        ),
        (
            "server: {listen: '127.0.0.1:9090'}",
            '$.server.listen: server.listen "127.0.0.1:9090" and admin.listen "127.0.0.1:9090" are the same port',
        ),
    ],
)
def test_listeners_must_not_collide(extra: str, message: str) -> None:
    """The admin API is HTTP over TCP on an address of its own."""
    assert mistakes(f"{SMALL}{extra}\n") == [f"router.yaml:10: {message}"]


@pytest.mark.parametrize(
    ("before", "after", "message"),
    [
        (
            "[http://127.0.0.1:8001]",
            "[https://h], tls: {ca: /nowhere/ca.pem}",
            '2: $.targets[0].tls.ca: cannot read file "/nowhere/ca.pem": No such file or directory',
        ),
        ("path: /v2/", "path: /v2/, headers: [x]", "5: $.routes[0].match.headers: expected a map, found a list"),
        (
            "target: a, unit",
            "target: a, inspect_bytes: 0, attributes: {d: header:d, j: json:/d}, unit",
            "5: $.routes[0].attributes.j: reads the body, but inspect_bytes is 0",
        ),
        (
            "{path: /v2/}",
            "{json: {/a: 1}}, inspect_bytes: 0",
            "5: $.routes[0].match.json: reads the body, but inspect_bytes is 0",
        ),
        (
            "route: r\n",
            f"route: r\n    salt: {'s' * 257}\n",
            "9: $.experiments[0].salt: has 257 characters; the most is 256",
        ),
        (
            "targets:",
            "server: {limits: {body_bytes: 2000TiB}}\ntargets:",
            '1: $.server.limits.body_bytes: "2000TiB" is too large; the most is 1024TiB',
        ),
        (
            "targets:",
            "server: {limits: {body_bytes: 2000000000000000}}\ntargets:",
            "1: $.server.limits.body_bytes: 2000000000000000 is too large; the most is 1024TiB",
        ),
        (
            "targets:",
            "server: {listen: 'h:99999'}\ntargets:",
            '1: $.server.listen: "h:99999" has port 99999; ports are 0 to 65535',
        ),
        (
            "targets:",
            "server: {listen: 'h'}\ntargets:",
            '1: $.server.listen: "h" is not an address; write HOST:PORT, [V6]:PORT or unix:/path',
        ),
        (
            "unit: [",
            "fallback: [{respond: {}}, {target: b}], unit: [",
            "5: $.routes[0].fallback[1]: is never used: $.routes[0].fallback[0] answers whatever comes to it",
        ),
        (
            "unit: [",
            "fallback: [{target: b}, {target: b, causes: [timeout]}], unit: [",
            '5: $.routes[0].fallback[1].target: is never used: "b" was tried before, as $.routes[0].fallback[0].target',
        ),
        (
            "unit: [",
            "fallback: [{respond: {status: 204, json: {}}}], unit: [",
            "5: $.routes[0].fallback[0].respond.json: is never sent: an answer of status 204 has no content",
        ),
        (
            "unit: [",
            "fallback: [{rules: [{if: true, respond: {status: 304, json: 1}}]}], unit: [",
            "5: $.routes[0].fallback[0].rules[0].respond.json: is never sent: an answer of status 304 has no content",
        ),
        (
            "unit: [",
            "fallback: [{target: b}], fallback_on: [], unit: [",
            "5: $.routes[0].fallback_on: is empty, so no fallback is ever used",
        ),
        ("weight: 95", "weight: ''", "9: $.experiments[0].arms[0].weight: expected a number, found empty text"),
        (
            "targets:",
            "admin: []\nserver: {listen: '127.0.0.1:9090'}\ntargets:",
            "1: $.admin: expected a map, found a list",
        ),
        (
            "path: /v2/",
            "json: {/a: {b: 1}}",
            '5: $.routes[0].match.json["/a"]: expected text, a whole number, a number or true or false, found a map',
        ),
    ],
)
def test_one_mistake_is_one_message(before: str, after: str, message: str) -> None:
    """A single mistake is reported once, and nothing else with it."""
    assert before in SMALL
    assert mistakes(SMALL.replace(before, after)) == [f"router.yaml:{message}"]


@pytest.mark.parametrize(
    "match",
    ["{json: {/a: 1.5}}", "{headers: {x: y}, methods: [GET]}", "{exact: /v2/}", "{hosts: [a.b]}", "{json: {/a: true}}"],
)
def test_routes_may_share_a_path_and_differ_otherwise(match: str) -> None:
    """Routes collide only when every condition is the same."""
    text = SMALL.replace("experiments:", f"  - {{name: s, target: b, match: {match}}}\nexperiments:")
    assert mistakes(text) == []
    twice = text.replace("experiments:", f"  - {{name: t, target: b, match: {match}}}\nexperiments:")
    assert [line.split(": ")[1] for line in mistakes(twice)] == ["$.routes[2].match"]


def test_routes_without_any_match_collide() -> None:
    """A mistake about a match that was not written is shown at its route."""
    route = "  - name: s\n    target: b\n"
    assert mistakes(SMALL.replace("experiments:", f"{route}{route.replace('s', 'u', 1)}experiments:")) == [
        "router.yaml:8: $.routes[2]: matches exactly the requests of $.routes[1]; one of them would never be used"
    ]


def test_a_value_that_was_not_written_has_the_line_of_what_is_around_it() -> None:
    """A mistake about a default is shown where the value would stand."""
    origins = loaded().origins
    assert _near(origins, "$.experiments[0].arms[0].name.first").line == 9
    assert _near(origins, "$.server.listen").line == origins["$"].line


def test_a_match_that_is_broken_is_compared_with_none() -> None:
    """Two routes with unreadable matches are two mistakes, not three."""
    routes = "".join(f"  - {{name: s{i}, target: b, match: []}}\n" for i in range(2))
    assert len(mistakes(SMALL.replace("experiments:", f"{routes}experiments:"))) == 2


def test_references_are_not_checked_against_broken_parts() -> None:
    """A part that could not be read is reported once and causes no further mistakes of its own."""
    text = SMALL.replace("unit: [header:x-user-id]", "unit: [header]").replace("weight: 95", "weight: ninety")
    assert [line.split(": ")[1] for line in mistakes(text)] == [
        "$.routes[0].unit[0]",
        "$.experiments[0].arms[0].weight",
    ]


def test_a_hopeless_file_is_not_searched_to_its_end() -> None:
    """The number of mistakes is bounded, and the last one says so."""
    found = mistakes("".join(f"key{i}: 1\n" for i in range(MAX_MISTAKES * 2)))
    assert len(found) == MAX_MISTAKES + 1
    assert found[-1] == f"router.yaml: has at least {MAX_MISTAKES} mistakes; the rest was not looked for"


def test_an_experiment_may_compare_a_target_with_itself() -> None:
    """An A/A test is how people check the router; it is not a mistake."""
    assert loaded(SMALL.replace("target: b, weight", "target: a, weight")).config.experiments[0].arms[1].target == "a"


def test_a_unit_of_an_override_is_as_long_as_units_are() -> None:
    """An override that no request could ever meet is a mistake."""
    text = f"{SMALL}overrides: [{{unit: {'ü' * 257}, experiment: e, arm: control}}]\n"
    assert mistakes(text) == ["router.yaml:10: $.overrides[0].unit: has more than 512 bytes, which no unit has"]
