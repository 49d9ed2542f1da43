"""Lines of the log: one for each event, whatever is in it."""

import logging

import pytest

from router.serve import LineFormatter


@pytest.mark.parametrize(
    "evil", ["a\nb", "a\r\nERROR forged", "\x1b[2J", "\x00", "\x7f", "\x9b31m", "\u2028", "\u2029"]
)
def test_a_name_cannot_forge_a_line_or_reach_a_terminal(evil: str) -> None:
    """Line ends and controls are written as what they are."""
    record = logging.LogRecord("router", logging.INFO, "f", 1, "name=%s", (evil,), None)
    line = LineFormatter("control").format(record)
    assert line.isprintable()
    assert line.startswith("20")


def test_a_traceback_is_one_line_too() -> None:
    """What an error says is somebody's text as well."""
    with pytest.raises(ValueError, match="invalid literal") as caught:
        int("a\nb\x1b[2J")
    error = caught.value
    trouble = (type(error), error, error.__traceback__)
    record = logging.LogRecord("router", logging.ERROR, "f", 1, "failed", (), trouble)
    assert LineFormatter("control").format(record).isprintable()
