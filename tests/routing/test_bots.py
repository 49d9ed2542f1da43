"""User agents of machines are told from those of people, as the package crawler-user-agents says."""

import pytest
from crawleruseragents import CRAWLER_USER_AGENTS_DATA, is_crawler
from hypothesis import given
from hypothesis import strategies as st

from router.routing.bots import KEPT, MAX_AGENT, Bots, _branching, _trie

BROWSERS = [
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36",
    "Mozilla/5.0 (Macintosh; Intel Mac OS X 10.15; rv:145.0) Gecko/20100101 Firefox/145.0",
    "Mozilla/5.0 (iPhone; CPU iPhone OS 18_7 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Mobile/15E148",
    "OurApp/7.3 (Android 16; de)",
    "",
]
EXAMPLES = [str(example) for entry in CRAWLER_USER_AGENTS_DATA for example in entry.get("instances", ())]
PIECES = st.sampled_from([str(entry["pattern"]).replace("\\", "") for entry in CRAWLER_USER_AGENTS_DATA])


def test_every_example_of_the_package_is_a_bot() -> None:
    """All of them, whatever else stands in the name."""
    bots = Bots()
    assert len(EXAMPLES) > 1000
    assert [example for example in EXAMPLES if not bots.is_bot(example.encode())] == []


@pytest.mark.parametrize("name", BROWSERS)
def test_browsers_and_apps_are_none(name: str) -> None:
    """People use them; nor does a missing name say anything."""
    assert not Bots().is_bot(name.encode())


@given(st.lists(PIECES | st.text("abcBOTot/.- +()", max_size=8), max_size=4).map(" ".join), st.sampled_from(BROWSERS))
def test_answers_are_those_of_the_package(name: str, browser: str) -> None:
    """Also for names that nobody has, as far as they are looked at."""
    bots = Bots()
    for agent in (name, browser + name, name[1:], name[:-1]):
        assert bots.is_bot(agent.encode()) == is_crawler(agent.encode()[:MAX_AGENT].decode("latin-1"))


def test_any_bytes_have_an_answer() -> None:
    """Names need not be text in any encoding, and their end is not looked at."""
    bots = Bots()
    assert not bots.is_bot(b"\xff\x00\xfe")
    assert bots.is_bot(b"\xff Googlebot/2.1")
    assert not bots.is_bot(b"x" * MAX_AGENT + b"Googlebot/2.1")


def test_what_is_kept_is_bounded() -> None:
    """Somebody who sends a new name each time fills no memory, and changes no answer."""
    bots = Bots()
    for number in range(KEPT + 10):
        bots.is_bot(b"agent %d" % number)
    assert len(bots._kept) == 10
    assert [bots.is_bot(b"curl/8"), bots.is_bot(b"curl/8"), bots.is_bot(b"agent 1")] == [True, True, False]


def test_a_text_that_begins_with_another_needs_no_pattern() -> None:
    """The shorter one is found wherever the longer is."""
    assert _branching(_trie(["bot", "bots", "box"])) == "bo(?:t|x)"
