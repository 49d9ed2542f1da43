"""The store of last good answers: what it keeps, for how long, and that it is bounded."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from router.proxy.last_good import ENTRY_BYTES, LastGood

HEAD = b"HTTP/1.1 200 OK\r\n"


def store(size: int = 1 << 20, ttl: float = 60.0) -> LastGood:
    """Make a store."""
    return LastGood(ttl, size)


def put(kept: LastGood, key: bytes, body: bytes = b"x", now: float = 0.0) -> None:
    """Keep an answer."""
    kept.put(key, HEAD, body, now, now)


def body(kept: LastGood, key: bytes, now: float = 0.0) -> bytes | None:
    """Return the content of the answer to a question."""
    found = kept.get(key, now)
    return None if found is None else found.body


def test_the_last_answer_counts() -> None:
    """A question has one answer, the last one; another question has none."""
    kept = store()
    put(kept, b"a", b"first")
    put(kept, b"a", b"second")
    assert body(kept, b"a") == b"second"
    assert body(kept, b"b") is None
    assert len(kept) == 1


def test_an_answer_grows_old() -> None:
    """An answer is given until it is as old as ``ttl``, and takes no bytes any more once it was found too old."""
    kept = store(ttl=10)
    put(kept, b"a")
    assert body(kept, b"a", 9.9) == b"x"
    assert body(kept, b"a", 10.0) is None
    assert (len(kept), kept.used) == (0, 0)


def test_the_least_recently_used_goes_first() -> None:
    """When the bytes are used up, what was not asked for the longest goes."""
    one = len(HEAD) + ENTRY_BYTES + 1
    kept = store(16 * one)
    for index in range(16):
        put(kept, b"%d" % index)
    assert body(kept, b"0") == b"x"
    put(kept, b"16")
    assert body(kept, b"0") == b"x"
    assert body(kept, b"1") is None


def test_an_answer_that_is_too_large_is_not_kept() -> None:
    """An answer of more than a sixteenth of the store is not kept, and the one before it is not the last any more."""
    kept = store(64 * 1024)
    put(kept, b"a")
    put(kept, b"b")
    put(kept, b"a", b"x" * 5000)
    assert body(kept, b"a") is None
    assert body(kept, b"b") == b"x"
    assert not kept.set_aside(4096)
    assert kept.set_aside(3000)


def test_answers_that_come_in_are_bounded() -> None:
    """A quarter of the store is set aside for answers that are coming in, and what is kept makes way for them."""
    kept = store(64 * 1024)
    for index in range(200):
        put(kept, b"%d" % index, b"x" * 1000)
    assert kept.used > 60 * 1024
    assert [kept.set_aside(3000) for _ in range(7)] == [True] * 5 + [False] * 2
    assert kept.used + kept.coming <= 64 * 1024
    for _ in range(5):
        kept.give_back(3000)
    assert kept.coming == 0


def test_a_change_of_the_configuration_applies_to_what_is_kept() -> None:
    """A shorter ``ttl`` and a smaller ``size`` hold for the answers that are there too."""
    kept = store(64 * 1024, ttl=100)
    for index in range(100):
        put(kept, b"%d" % index)
    kept.resize(10, 32 * 1024)
    assert kept.used <= 32 * 1024
    assert body(kept, b"99", 9.0) == b"x"
    assert body(kept, b"99", 10.0) is None


class Store(RuleBasedStateMachine):
    """A store against a dictionary that forgets nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.kept = store(20_000, ttl=10)
        self.now = 0.0
        self.known: dict[bytes, tuple[bytes, float]] = {}
        self.aside: list[int] = []

    @rule(key=st.sampled_from([b"a", b"b", b"c"]), body=st.integers(0, 2000).map(bytes))
    def put(self, key: bytes, body: bytes) -> None:
        """Keep an answer."""
        put(self.kept, key, body, self.now)
        self.known[key] = (body, self.now)

    @rule(key=st.sampled_from([b"a", b"b", b"c", b"d"]))
    def get(self, key: bytes) -> None:
        """Whatever is given was the last answer to just this question, and is young enough."""
        found = body(self.kept, key, self.now)
        if found is not None:
            last, at = self.known[key]
            assert found == last
            assert self.now - at < 10

    @rule(seconds=st.floats(0, 6))
    def wait(self, seconds: float) -> None:
        """Let time pass."""
        self.now += seconds

    @rule(length=st.integers(0, 2000))
    def begin(self, length: int) -> None:
        """Set room aside."""
        if self.kept.set_aside(length):
            self.aside.append(length)

    @rule(data=st.data())
    def end(self, data: Any) -> None:
        """Give room back."""
        if self.aside:
            self.kept.give_back(self.aside.pop(data.draw(st.integers(0, len(self.aside) - 1))))

    @invariant()
    def bounded(self) -> None:
        """What is used is what is there, and never more than the size."""
        assert self.kept.used == sum(kept.size for kept in self.kept._kept.values())
        assert self.kept.coming == sum(self.aside)
        assert self.kept.used + self.kept.coming <= self.kept.size


TestStore = Store.TestCase


@given(st.lists(st.tuples(st.binary(max_size=2), st.integers(0, 100)), max_size=50), st.integers(0, 5000))
def test_no_sequence_exceeds_the_size(answers: list[tuple[bytes, int]], size: int) -> None:
    """However small the store, what it keeps fits."""
    kept = store(size)
    for key, length in answers:
        put(kept, key, bytes(length))
        assert kept.used <= size
