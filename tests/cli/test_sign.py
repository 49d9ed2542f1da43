"""``router sign``: what it writes is what the router honours."""

import base64
import json
import time
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from router.cli import app
from router.proxy.signing import Signing
from router.routing.token import bound_unit

KEY = b"k" * 32


@pytest.fixture
def keys(tmp_path: Path) -> Path:
    """A file with two keys."""
    path = tmp_path / "keys"
    path.write_bytes(base64.b64encode(KEY) + b"\n" + base64.b64encode(b"o" * 32) + b"\n")
    return path


def router(*arguments: str | Path) -> Result:
    """Run the command line."""
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    assert result.exception is None or isinstance(result.exception, SystemExit)
    return result


def test_the_field_that_is_written_is_honoured(keys: Path) -> None:
    """It can be given to curl as it is; until when it counts is on standard error."""
    result = router("sign", "ranker=treatment", "--keys", keys, "--unit", "user-17", "--for", "10m")
    assert result.exit_code == 0
    assert result.stderr.startswith("counts until ")
    name, _, value = result.stdout.strip().partition(": ")
    assert name == "x-router-override"
    signing = Signing()
    signing.follow(str(keys))
    forced = signing.override(value.encode(), time.time())
    assert forced is not None
    said = forced.override
    assert (said.experiment, said.arm, said.unit) == ("ranker", "treatment", bound_unit(KEY, b"user-17"))
    assert 500 < said.expires - time.time() <= 600


def test_programs_get_json(keys: Path) -> None:
    """Name, value and the end of its life."""
    found = json.loads(router("sign", "e=t", "--keys", keys, "--json").stdout)
    assert found["header"] == "x-router-override"
    assert found["value"].startswith("e=t; ")
    assert 3500 < found["expires"] - time.time() <= 3600


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("e",), "router sign: 'e' is not EXPERIMENT=ARM\n"),
        (("e=t\r\nx: y",), "is not EXPERIMENT=ARM"),
        (("e=t", "--for", "1y"), "router sign: --for "),
        (("e=t", "--for", "31d"), "is not more than 0 and at most 30d"),
        (("e=t", "--unit", "u" * 600), "--unit has 1 to 512 bytes"),
        (("e=t", "--keys", "/nowhere"), "router sign: --keys /nowhere cannot be read: "),
    ],
)
def test_what_is_wrong_is_one_sentence(keys: Path, arguments: tuple[str, ...], message: str) -> None:
    """With status 1, and nothing on standard output."""
    result = router("sign", "--keys", keys, *arguments)
    assert (result.exit_code, result.stdout) == (1, "")
    assert message in result.stderr
    assert len(result.stderr.splitlines()) == 1


def test_a_file_without_keys_is_said_without_its_content(tmp_path: Path) -> None:
    """What might be a secret is not printed."""
    path = tmp_path / "keys"
    path.write_text("hunter2!")
    result = router("sign", "e=t", "--keys", path)
    assert result.exit_code == 1
    assert "line 1 is not base64" in result.stderr
    assert "hunter2" not in result.stderr
