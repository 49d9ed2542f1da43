"""A recording is read line by line; a mistake anywhere in it refuses it, with its line."""

import base64
import json
from pathlib import Path
from typing import Any

import pytest

from router.evaluate.recording import Recorded, RecordingError, parse, requests, survey

LABEL = ("label",)


def one(**line: Any) -> Recorded:
    """Read a line."""
    return parse(1, json.dumps({"path": "/x", **line}).encode(), LABEL)


def written(folder: Path, text: str) -> Path:
    """Write a recording."""
    file = folder / "r.ndjson"
    file.write_text(text, "utf-8")
    return file


def test_a_line_is_a_request() -> None:
    """What it leaves out has the obvious meaning: GET without a body, POST with one, JSON as JSON."""
    assert (one().method, one().body) == ("GET", b"")
    found = one(json={"a": 1}, headers={"X-A": "b"})
    assert (found.method, json.loads(found.body)) == ("POST", {"a": 1})
    assert found.headers == (("X-A", "b"), ("content-type", "application/json"))
    assert one(json=1, headers={"Content-Type": "text/x"}).headers == (("Content-Type", "text/x"),)
    assert one(body="é").body == "é".encode()
    assert one(base64=base64.b64encode(b"\x00\xff").decode()).body == b"\x00\xff"
    assert one(method="GET", body="x").method == "GET"


def test_what_is_known_of_it_is_optional() -> None:
    """Label, unit, recorded answer and status; anything else is passed over."""
    found = one(label=True, unit=17, expected={"a": 1}, status=404, whatever=[1])
    assert (found.label, found.unit, found.status) == (True, "17", 404)
    assert found.expected is not None
    assert json.loads(found.expected) == {"a": 1}
    assert one(expected="plain text").expected == b"plain text"
    assert (one().label, one().unit, one().expected) == (None, None, None)
    assert parse(1, b'{"path": "/", "truth": {"y": 3}}', ("truth", "y")).label == 3


def test_fields_of_a_connection_and_of_the_router_are_not_sent_again() -> None:
    """They are of the request that was, not of this one."""
    assert (
        one(
            headers={"Host": "h", "Content-Length": "3", "Transfer-Encoding": "chunked", "x-router-override": "a=b"}
        ).headers
        == ()
    )


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ('{"path": "/x"', "not a request"),
        ("[]", "not a request"),
        ("{}", "path"),
        ('{"path": "x"}', "does not begin with /"),
        ('{"path": "/a b"}', "characters that are to be encoded"),
        ('{"path": "/x", "method": "DELETE"}', "method 'DELETE' is not sent"),
        ('{"path": "/x", "body": "a", "json": 1}', "only one of"),
        ('{"path": "/x", "base64": "%%"}', "base64"),
        ('{"path": "/x", "headers": {"a b": "c"}}', "header field"),
        ('{"path": "/x", "headers": {"a": "b\\r\\nc: d"}}', "header field"),
        ('{"path": "/x", "label": [1]}', "label"),
        ('{"path": "/x", "status": 7}', "status 7"),
        ('{"path": "/x", "label": ' + "[" * 3000, "not a request"),
    ],
)
def test_a_mistake_names_file_and_line(tmp_path: Path, line: str, said: str) -> None:
    """All of them are told, and nothing is sent."""
    file = written(tmp_path, '{"path": "/ok"}\n\n' + line + "\n")
    with pytest.raises(RecordingError) as caught:
        survey(file, LABEL)
    assert f"{file}:3: " in str(caught.value)
    assert said in str(caught.value)


def test_many_mistakes_are_cut_short(tmp_path: Path) -> None:
    """A file of another kind does not fill the terminal."""
    with pytest.raises(RecordingError) as caught:
        survey(written(tmp_path, "no\n" * 1000), LABEL)
    assert str(caught.value).count("\n") == 20


@pytest.mark.parametrize("text", ["", "\n\n"])
def test_an_empty_file_is_a_mistake(tmp_path: Path, text: str) -> None:
    """No request is no check."""
    with pytest.raises(RecordingError, match="no requests"):
        survey(written(tmp_path, text), LABEL)


def test_a_file_that_is_not_there_is_a_mistake(tmp_path: Path) -> None:
    """In a sentence with its name."""
    with pytest.raises(RecordingError, match="cannot be read: No such file"):
        survey(tmp_path / "gone.ndjson", LABEL)


def test_requests_come_in_the_files_order_or_those_that_are_taken(tmp_path: Path) -> None:
    """By their place among the requests, not the lines."""
    recording = survey(written(tmp_path, "".join(f'{{"path": "/{n}"}}\n\n' for n in range(5))), LABEL)
    assert recording.lines == 5
    assert [each.path for each in requests(recording, LABEL)] == ["/0", "/1", "/2", "/3", "/4"]
    assert [(each.path, each.line) for each in requests(recording, LABEL, frozenset({1, 4}))] == [("/1", 3), ("/4", 9)]
