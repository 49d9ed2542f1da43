"""The supervisor's conversation with the control process."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.control.terms import Agreed, Terms
from router.supervisor.channel import Channel

TERMS = Terms("127.0.0.1:8080", 4, 30.0, 5.0)


@given(st.integers(1, 200))
def test_terms_arrive_however_they_are_cut(size: int) -> None:
    """A line may come in any pieces, and several at once."""
    channel = Channel()
    data = TERMS.line() + Terms("unix:/x", 1, 0.0, 0.5).line()
    said: list[Terms] = []
    for start in range(0, len(data), size):
        channel.theirs.sendall(data[start : start + size])
        said += channel.receive() or []
    channel.close()
    assert said == [TERMS, Terms("unix:/x", 1, 0.0, 0.5)]


def test_an_answer_is_read_as_it_was_written() -> None:
    """The control process learns the real port."""
    channel = Channel()
    channel.answer(Agreed(2, "127.0.0.1:40123"))
    assert Agreed.read(channel.theirs.recv(4096)) == Agreed(2, "127.0.0.1:40123")
    assert channel.answered
    channel.close()


def test_the_end_of_the_other_side_is_told_from_silence() -> None:
    """Nothing yet is an empty list; the end is None; an answer to nobody is no error."""
    channel = Channel()
    assert channel.receive() == []
    channel.theirs.close()
    assert channel.receive() is None
    channel.answer(Agreed(1, "x"))
    channel.close()


@pytest.mark.parametrize("line", [b"nonsense\n", b"{}\n", b'{"listen": "x", "workers": "many"}\n', b"[1]\n"])
def test_anything_else_is_refused(line: bytes) -> None:
    """A child that speaks otherwise is not the control process."""
    channel = Channel()
    channel.theirs.sendall(line)
    with pytest.raises(ValueError, match="control process said"):
        channel.receive()
    channel.close()


def test_a_line_without_end_is_refused() -> None:
    """What is kept of an unfinished line is bounded."""
    channel = Channel()
    for _ in range(16):
        channel.theirs.sendall(b"x" * 4096)
        assert channel.receive() == []
    channel.theirs.sendall(b"x" * 4096)
    with pytest.raises(ValueError, match="without a line end"):
        channel.receive()
    channel.close()
