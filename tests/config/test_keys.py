"""Files of signing keys: what counts as one, and messages that give nothing away."""

import base64
from pathlib import Path

import pytest

from router.config.keys import parse_keys
from router.config.load import load_text
from router.config.mistake import ConfigError

SECRETS = (bytes(range(32)), bytes(range(200, 248)))
REST = "targets: [{name: t, endpoints: ['http://h']}]\nroutes: [{name: r, target: t}]\n"


def test_keys_are_read_in_order_however_base64_is_spelled() -> None:
    """Standard or URL-safe, with padding or without; comments and empty lines do not count."""
    standard, safe = base64.b64encode(SECRETS[0]), base64.urlsafe_b64encode(SECRETS[1]).rstrip(b"=")
    assert parse_keys(b"# rotated in May\n\n" + standard + b"\r\n  " + safe) == SECRETS


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "holds no key"),
        (b"# nothing\n", "holds no key"),
        (base64.b64encode(b"s" * 31), "line 1 holds 31 bytes; a key has at least 32"),
        (b"\ntop secret!", "line 2 is not base64"),
        (b"\xff\xfe", "line 1 is not base64"),
        (b"\n".join([base64.b64encode(SECRETS[0])] * 2), "line 2 repeats line 1"),
        (b"\n".join(base64.b64encode(bytes([n]) * 32) for n in range(17)), "holds 17 keys; at most 16 are of use"),
        (b"a" * 70_000, "is larger than 65536 bytes"),
        (b"x\nshort", "line 1 is not base64; line 2 is not base64"),
    ],
)
def test_what_is_wrong_is_said_by_line(content: bytes, message: str) -> None:
    """Every mistake in one sentence."""
    with pytest.raises(ValueError, match=r"^.*$") as caught:
        parse_keys(content)
    assert str(caught.value) == message


def test_no_message_gives_a_secret_away(tmp_path: Path) -> None:
    """A configuration mistake names file and line; what the line holds is nowhere in it."""
    file = tmp_path / "keys"
    file.write_text("hunter2hunter2!\n" + base64.b64encode(b"secret").decode())
    with pytest.raises(ConfigError) as caught:
        load_text(f"server: {{signing: {{keys_file: {file}}}}}\n{REST}".encode(), "router.yaml")
    said = str(caught.value)
    assert said.startswith('router.yaml:1: $.server.signing.keys_file: file "/')
    assert said.endswith("line 1 is not base64; line 2 holds 6 bytes; a key has at least 32")
    assert "hunter2" not in said
    assert base64.b64encode(b"secret").decode() not in said


@pytest.mark.parametrize(
    ("server", "path", "message"),
    [
        ("expose: [arm, assignment]", "$.server.expose[1]", "has to be signed; set server.signing.keys_file"),
        ("signing: {keys_file: /nowhere/keys}", "$.server.signing.keys_file", "cannot read file"),
        ("signing: {keys_file: /}", "$.server.signing.keys_file", "is not a regular file"),
    ],
)
def test_signing_that_cannot_work_is_a_mistake(server: str, path: str, message: str) -> None:
    """An assignment nobody can sign, and keys nobody can read."""
    with pytest.raises(ConfigError) as caught:
        load_text(f"server: {{{server}}}\n{REST}".encode(), "router.yaml")
    (mistake,) = caught.value.mistakes
    assert mistake.path == path
    assert message in mistake.message


def test_the_file_is_followed(tmp_path: Path) -> None:
    """It belongs to the files whose content is looked at."""
    file = tmp_path / "keys"
    file.write_bytes(base64.b64encode(SECRETS[0]))
    text = f"server: {{signing: {{keys_file: keys}}, expose: [assignment]}}\n{REST}"
    found = load_text(text.encode(), "router.yaml", tmp_path)
    assert found.referenced == (file,)
