"""The command line: what goes where, exit statuses, and one clear sentence for each mistake of a user."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from router.cli import app
from router.config.reference import BEGIN, END, reference

ROOT = Path(__file__).parents[2]
GATEWAY = str(ROOT / "config" / "gateway.yaml")
EXAMPLE = str(ROOT / "config" / "router.yaml")
COMMANDS = (
    "analyze",
    "check",
    "explain",
    "replay",
    "serve",
    "demo",
    "bench",
    "status",
    "kill",
    "resume",
    "restore",
    "revisions",
    "sign",
    "schema",
)


def router(*arguments: str | Path) -> Result:
    """Run the command line in this process; an exception that would be a traceback fails the test."""
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_shows_an_example(command: str) -> None:
    """Help ends in a command line that can be copied."""
    result = router(command, "--help")
    assert result.exit_code == 0
    assert f"Example: router {command}" in result.stdout


def test_help_loads_nothing_heavy() -> None:
    """``router --help`` imports neither the control plane's libraries nor the data plane's."""
    code = (
        "import sys\nfrom router import cli\n"
        "print([name for name in ('aiohttp', 'numpy', 'uvloop', 'yaml', 'msgspec') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout == "[]\n"


def test_the_module_is_the_command() -> None:
    """``python -m router`` is ``router``."""
    done = subprocess.run(
        [sys.executable, "-m", "router", "check", EXAMPLE], capture_output=True, text=True, check=True, cwd=ROOT
    )
    assert done.stdout == "ok: 2 targets, 1 route, 1 experiment\n"


def test_version_is_printed() -> None:
    """``--version`` names the program and succeeds."""
    result = router("--version")
    assert result.exit_code == 0
    assert result.stdout.startswith("router ")


@pytest.mark.parametrize("arguments", [("nonsense",), ("check",), ("check", EXAMPLE, "--nonsense"), ("restore", "x")])
def test_wrong_usage_is_status_2(arguments: tuple[str, ...]) -> None:
    """What the command line itself does not understand has the customary status."""
    result = router(*arguments)
    assert result.exit_code == 2
    assert "Usage: " in result.stderr


# --- check ----------------------------------------------------------------------------------------------------------


def test_check_sums_up_a_good_file() -> None:
    """One line says that all is well and what was read."""
    result = router("check", GATEWAY)
    assert (result.exit_code, result.stdout, result.stderr) == (0, "ok: 4 targets, 2 routes, 2 experiments\n", "")


def test_check_writes_every_mistake_to_stderr(tmp_path: Path) -> None:
    """Mistakes are lines that editors and CI can jump to, and the status is 1."""
    bad = tmp_path / "bad.yaml"
    bad.write_text("targets: []\nroutes: [{nam: r}]\n")
    result = router("check", bad)
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr.splitlines() == [
        f"{bad}:1: $.targets: needs at least 1 item",
        f'{bad}:2: $.routes[0].nam: unknown key "nam"; did you mean "name"?',
        f'{bad}:2: $.routes[0]: key "name" is missing: unique name',
        f'{bad}:2: $.routes[0]: key "target" is missing: target that serves when no experiment says otherwise',
    ]


def test_check_writes_mistakes_as_json(tmp_path: Path) -> None:
    """Programs get the parts of each mistake."""
    bad = tmp_path / "bad.yaml"
    bad.write_text("targets: []\n")
    result = router("check", bad, "--json")
    assert result.exit_code == 1
    found = json.loads(result.stdout)
    assert found["ok"] is False
    assert found["mistakes"][1] == {
        "file": str(bad),
        "line": 1,
        "path": "$",
        "message": 'key "routes" is missing: what traffic goes where',
    }


def test_check_says_what_a_change_would_do(tmp_path: Path) -> None:
    """Differences, moved units, and what a running router would refuse, before the change is made."""
    new = tmp_path / "new.yaml"
    text = Path(EXAMPLE).read_text().replace("weight: 95", "weight: 45").replace("2026-11-20", "2026-11-22")
    new.write_text(f"{text}\nserver: {{workers: 2}}\n")
    result = router("check", new, "--diff", EXAMPLE)
    assert result.exit_code == 0
    lines = result.stdout.splitlines()
    assert lines[:6] == [
        "ok: 2 targets, 1 route, 1 experiment",
        "server: workers changes from auto to 2",
        "target ranker-v2: version changes from 2026-11-20 to 2026-11-22",
        "experiment ranker-v2: arm control gets 90% of units instead of 95%",
        "experiment ranker-v2: arm treatment gets 10% of units instead of 5%",
        "experiment ranker-v2: 5% of units move from control to treatment",
    ]
    assert lines[6].startswith(f"a running router refuses this: {new}:")
    assert "$.targets[1].version" in lines[6]
    assert lines[7:] == ["a running router refuses this until it is restarted: server.workers changes"]


def test_check_says_how_many_units_enter_and_leave(tmp_path: Path) -> None:
    """A change of who takes part is told with the share of all units that it moves, as docs/experiments.md shows."""
    example = Path("config/experiments.yaml")
    new = tmp_path / "new.yaml"
    new.write_text(example.read_text().replace("coverage: 50%", "coverage: 60%"))
    lines = router("check", new, "--diff", example).stdout.splitlines()
    assert lines[1:] == [
        "experiment ranker-v2: coverage changes from 50% to 60%",
        "experiment ranker-v2: 0.99% of units enter it, into control",
        "experiment ranker-v2: 0.99% of units enter it, into treatment",
    ]
    back = router("check", example, "--diff", new).stdout.splitlines()
    assert "experiment ranker-v2: 0.99% of units leave it, from control" in back


def test_check_writes_a_change_as_json(tmp_path: Path) -> None:
    """Programs get the moved share as a number."""
    new = tmp_path / "new.yaml"
    new.write_text(Path(EXAMPLE).read_text().replace("weight: 95", "weight: 45"))
    found = json.loads(router("check", new, "--diff", EXAMPLE, "--json").stdout)["diff"]
    assert found["moves"] == [
        {"experiment": "ranker-v2", "from": "control", "to": "treatment", "share": pytest.approx(0.05)}
    ]
    assert (found["refused"], found["restart"]) == ([], [])


def test_check_says_that_nothing_changes() -> None:
    """A file compared with itself changes nothing."""
    assert router("check", EXAMPLE, "--diff", EXAMPLE).stdout.splitlines()[1:] == ["nothing changes"]


def test_check_reports_mistakes_of_the_old_file(tmp_path: Path) -> None:
    """What cannot be read cannot be compared with."""
    result = router("check", EXAMPLE, "--diff", tmp_path / "none.yaml")
    assert (result.exit_code, result.stderr) == (
        1,
        f"{tmp_path}/none.yaml: cannot be read: No such file or directory\n",
    )


# --- explain --------------------------------------------------------------------------------------------------------


def steps(*arguments: str) -> dict[str, list[dict[str, object]]]:
    """Explain as JSON; give the steps by kind."""
    result = router("explain", *arguments, "--json")
    assert result.exit_code == 0, result.stderr
    kinds: dict[str, list[dict[str, object]]] = {}
    for step in json.loads(result.stdout):
        kinds.setdefault(step["kind"], []).append(step)
    return kinds


def test_explain_shows_how_arms_compete() -> None:
    """The arm with the smallest -ln(u)/weight is the one chosen, and its target serves."""
    found = steps(EXAMPLE, "--unit", "user-17")
    arms = {str(step["name"]): float(str(step["score"])) for step in found["arm"]}
    chosen = [step["name"] for step in found["arm"] if step["chosen"]]
    assert chosen == [min(arms, key=lambda name: arms[name])]
    assert found["source"][-1]["result"] == "user-17"
    assert found["target"][0]["name"] == {"control": "ranker-v1", "treatment": "ranker-v2"}[str(chosen[0])]


def test_explain_shows_an_override() -> None:
    """A unit with an override gets its arm whatever its hash is."""
    found = steps(EXAMPLE, "--unit", "qa-1")
    assert found["override"][0]["name"] == "ranker-v2=treatment"
    assert found["target"][0]["name"] == "ranker-v2"


@pytest.mark.parametrize("route", ["ranker", "chat"])
def test_explain_asks_about_a_named_route(route: str) -> None:
    """A route that is named is taken for granted, and the unit is put where it reads it."""
    found = steps(GATEWAY, "--route", route, "--unit", "u")
    assert found["route"][0]["name"] == route
    assert found["source"][0]["result"] == "u"


def test_explain_finds_the_route_of_a_request() -> None:
    """Path, method, headers and body decide as they would in traffic."""
    request = ("--path", "/v1/chat/completions", "--body", '{"model": "chat", "user": "u-9"}')
    found = steps(GATEWAY, *request)
    assert [step["name"] for step in found["route"] if step["chosen"]] == ["chat"]
    assert found["source"][-1] == {
        **found["source"][-1],
        "name": "json:/user",
        "result": "u-9",
        "chosen": True,
    }


def test_explain_puts_attributes_where_the_route_reads_them() -> None:
    """An attribute is given by its name, wherever it comes from."""
    found = steps(GATEWAY, "--route", "ranker", "--attribute", "country=US", "--attribute", "device=phone")
    assert [step["result"] for step in found["attribute"]] == ["header:x-country is US", "json:/device is phone"]


def test_explain_draws_a_table() -> None:
    """For people the steps are a table with an arrow at what was taken."""
    lines = router("explain", EXAMPLE, "--unit", "user-17").stdout.splitlines()
    assert "-ln(u)/weight" in lines[0]
    assert any(line.startswith("→  target") for line in lines)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((GATEWAY, "--route", "none"), "router explain: there is no route none; there are: ranker, chat"),
        ((GATEWAY, "--path", "/other"), "router explain: no route takes this request"),
        (
            (GATEWAY, "--path", "/other", "--attribute", "a=b"),
            "router explain: attributes are given, but no route is found for this request; name one with --route",
        ),
        (
            (GATEWAY, "--route", "ranker", "--attribute", "age=7"),
            "router explain: route ranker has no attribute age; it has: country, device",
        ),
        ((GATEWAY, "--header", "x"), "--header 'x' is not KEY=VALUE"),
        ((GATEWAY, "--route", "ranker", "--body", "{"), "router explain: the body is not JSON: "),
        ((EXAMPLE, "--value", "$.server.lisen"), 'router explain: there is no "lisen" in $.server'),
        ((EXAMPLE, "--value", "$..a"), 'router explain: "$..a" is not a path such as '),
    ],
)
def test_explain_refuses_with_one_sentence(arguments: tuple[str, ...], message: str) -> None:
    """A question without an answer has status 1 and says what is missing."""
    result = router("explain", *arguments)
    assert result.exit_code == 1
    assert result.stderr.startswith(message)
    assert len(result.stderr.splitlines()) == 1


def test_explain_names_the_line_of_a_value() -> None:
    """A value's origin is its file and line."""
    assert router("explain", EXAMPLE, "--value", "$.routes[0].target").stdout == f'{EXAMPLE}:18: "ranker-v1"\n'
    found = json.loads(router("explain", EXAMPLE, "--value", "routes[ranker].target", "--json").stdout)
    assert found == {
        "path": "$.routes[ranker].target",
        "file": EXAMPLE,
        "line": 18,
        "value": "ranker-v1",
        "removed": False,
        "above": [],
    }
    assert router("explain", EXAMPLE, "--value", "server.drain").stdout == "default: 30.0\n"


@pytest.mark.parametrize("option", [("--value", "$.a"), ("--unit", "u")])
def test_explain_reports_the_mistakes_of_a_bad_file(tmp_path: Path, option: tuple[str, str]) -> None:
    """A configuration with mistakes explains nothing."""
    (tmp_path / "bad.yaml").write_text("")
    result = router("explain", tmp_path / "bad.yaml", *option)
    assert (result.exit_code, result.stderr) == (
        1,
        f"{tmp_path}/bad.yaml:1: is empty; targets and routes are needed\n",
    )


# --- serve, demo, bench ---------------------------------------------------------------------------------------------


def test_serve_passes_its_options_and_status_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """The status of the running router is that of the command."""
    calls: list[tuple[Path, int | None, str | None, str | None]] = []

    def serve(path: Path, workers: int | None = None, region: str | None = None, cluster: str | None = None) -> int:
        calls.append((path, workers, region, cluster))
        return 3

    monkeypatch.setattr("router.serve.serve", serve)
    assert router("serve", "c.yaml", "--workers", "2").exit_code == 3
    assert router("serve", "c.yaml", "--region", "eu", "--cluster", "a").exit_code == 3
    monkeypatch.setenv("ROUTER_REGION", "us")
    assert router("serve", "c.yaml").exit_code == 3
    path = Path("c.yaml")
    assert calls == [(path, 2, None, None), (path, None, "eu", "a"), (path, None, "us", None)]


def test_demo_passes_its_options_and_status_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """The demo's verdict is the status of the command."""

    def run(seconds: float) -> int:
        return int(seconds)

    monkeypatch.setattr("router.demo.run.run", run)
    assert router("demo", "--seconds", "5").exit_code == 5


def test_bench_passes_its_options_and_status_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each option arrives under its name."""
    from router.bench.plan import Options  # noqa: PLC0415 - only this test needs it

    calls: list[tuple[str, Options]] = []

    def bench(url: str, options: Options) -> int:
        calls.append((url, options))
        return 1

    monkeypatch.setattr("router.bench.command.bench", bench)
    result = router("bench", "http://h", "--rate", "5", "--header", "a: 1", "--header", "b: 2", "--json", "--insecure")
    assert result.exit_code == 1
    assert calls == [("http://h", Options(rate=5.0, headers=("a: 1", "b: 2"), json=True, insecure=True))]


# --- schema ---------------------------------------------------------------------------------------------------------


def test_schema_writes_the_schema() -> None:
    """The output is what config/router.schema.json holds."""
    assert router("schema").stdout == (ROOT / "config" / "router.schema.json").read_text()


def test_schema_writes_the_reference() -> None:
    """The output is the reference in Markdown."""
    assert router("schema", "--markdown").stdout == reference() + "\n"


def test_schema_puts_the_reference_into_a_page(tmp_path: Path) -> None:
    """What stands around the markers is kept."""
    page = tmp_path / "page.md"
    page.write_text(f"before\n{BEGIN}\nold\n{END}\nafter\n")
    assert router("schema", "--into", page).exit_code == 0
    assert page.read_text() == f"before\n{BEGIN}\n\n{reference()}\n\n{END}\nafter\n"


def test_schema_leaves_a_page_without_markers_alone(tmp_path: Path) -> None:
    """A page that does not say where, and one that is not there, are refused with one sentence."""
    page = tmp_path / "page.md"
    page.write_text("text")
    assert router("schema", "--into", page).exit_code == 1
    assert page.read_text() == "text"
    result = router("schema", "--into", tmp_path / "none.md")
    assert (result.exit_code, result.stderr) == (1, f"router schema: {tmp_path}/none.md: No such file or directory\n")
