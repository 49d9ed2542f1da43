"""Labels: when they come, how often, under which key, and what is counted of the router's answers."""

import msgspec

from router.demo.labels import DELAYS_S, KEYS, Answer, Label, counted, labels
from router.demo.tally import LabelTally, Seen

NOW = 1_800_000_000.0
SEEN = Seen("user-0001", "simple", 0.01, right=True, request_id="r-1", assignment="token")


def _sent(count: int) -> tuple[list[list[Label]], LabelTally]:
    tally = LabelTally()
    return [list(labels(number, SEEN, tally, NOW)) for number in range(count)], tally


def test_some_labels_come_twice_and_some_never() -> None:
    """Of ten labels one never comes and one comes again, under its id and after the first; all are late."""
    found, tally = _sent(300)
    assert [len(each) for each in found].count(0) == tally.never == 30
    twice = [each for each in found if len(each) == 2]
    assert len(twice) == 30
    for first, again in twice:
        assert (first.body, first.repeat, again.repeat) == (again.body, False, True)
        assert first.due < again.due
    assert all(DELAYS_S[0] <= each[0].due - NOW <= DELAYS_S[1] for each in found if each)


def test_labels_are_keyed_in_all_three_ways() -> None:
    """Each key has labels that come once, and labels that come twice; exactly one is given."""
    found, _ = _sent(300)
    values = {"request_id": "r-1", "assignment": "token", "unit": "user-0001"}
    for key in KEYS:
        mine = [each for each in found if each and key in each[0].body]
        assert {len(each) for each in mine} == {1, 2}
        assert {each[0].body[key] for each in mine} == {values[key]}
    assert all(sum(key in each[0].body for key in KEYS) == 1 for each in found if each)


def test_every_label_has_an_id_of_its_own() -> None:
    """An id tells a label from all others, so that only repeats are duplicates."""
    found, _ = _sent(300)
    ids = [each[0].body["id"] for each in found if each]
    assert len(set(ids)) == len(ids)


def test_what_the_router_says_is_counted() -> None:
    """Accepted, known and refused labels are what the answer says; values count once."""
    found, tally = _sent(20)
    batch = [label for each in found for label in each]
    refused = [msgspec.Raw(b"{}")]
    counted(batch, Answer(accepted=17, duplicate=2, conflicting=1, refused=refused))
    assert (tally.sent, tally.repeated, tally.accepted, tally.duplicates, tally.refused) == (20, 2, 17, 2, 2)
    assert tally.right == 18
