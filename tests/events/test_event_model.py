"""The structs that leave a process: small on the wire, and readable by other versions."""

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from router.config.schema import Config
from router.events.model import Enrolment, Exchange, Revised, Revision, Run
from tests.events.examples import config, exchange, revised

text = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
enrolments = st.builds(Enrolment, text, *[st.integers(0, 9)] * 3, text, st.floats(0, 1), text, override=st.booleans())
exchanges = st.builds(
    Exchange,
    id=text, time=st.floats(0, 4e9), request_id=text, revision=st.integers(0, 2**53), route=text, method=text,
    path=text, status=st.integers(0, 999), attempts=st.integers(0, 9), duration=st.floats(0, 1e6),
    first_byte=st.none() | st.floats(0, 1e6), request_bytes=st.integers(0, 2**53),
    response_bytes=st.integers(0, 2**53), target=st.none() | text, unit=st.none() | text,
    unit_source=st.none() | text, experiments=st.lists(enrolments, max_size=3).map(tuple), failed=st.booleans(),
    fault=st.none() | text, outcome_fault=st.none() | text, fallback=st.none() | text,
)  # fmt: skip


@given(exchanges)
def test_an_exchange_survives_json(event: Exchange) -> None:
    """What is read is what was written, on one line."""
    line = msgspec.json.encode(event)
    assert b"\n" not in line
    assert msgspec.json.decode(line, type=Exchange) == event


def test_a_line_says_its_type_and_leaves_out_what_did_not_happen() -> None:
    """A line begins with its type; faults and fallbacks appear only when there were any."""
    line = msgspec.json.encode(exchange())
    assert line.startswith(b'{"type":"exchange","id":')
    assert b"fault" not in line
    assert b"override" not in line


def test_fields_of_a_later_version_are_ignored() -> None:
    """A reader of this version reads what later ones write."""
    later = msgspec.json.encode({**msgspec.to_builtins(exchange()), "shadowed": True})
    assert msgspec.json.decode(later, type=Exchange) == exchange()


def test_a_revision_survives_its_way_to_the_workers() -> None:
    """Workers get the same revision that control made."""
    runs = {"e": Run(number=1, phase=1, epoch=1)}
    revision = Revision(
        number=3, time=1.5, cause="start", author="file", digest="d", config=config(),
        weights={"e": {"control": 95.0, "treatment": 5.0}}, runs=runs, slots={"target\0v1": 512},
    )  # fmt: skip
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(revision), type=Revision) == revision


def test_a_journal_entry_survives_json() -> None:
    """A restart finds the same weights and configuration."""
    entry = msgspec.json.decode(msgspec.json.encode(revised(7)), type=Revised)
    assert entry == revised(7)
    assert isinstance(entry.config, Config)
