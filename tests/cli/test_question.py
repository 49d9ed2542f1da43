"""Facts about a request are put where the configuration reads them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.command.explain import compiled
from router.command.question import Facts, ask
from router.config.load import load_text

SOURCES = ["header:x-user", "cookie:uid", "query:user name", "json:/user/id", "json:/a~1b/0", "client_ip", "request"]


def config(source: str, extra: str = "") -> bytes:
    """Write a configuration whose route reads its unit from one source."""
    return f"""\
targets: [{{name: t, endpoints: [http://h]}}]
routes:
  - name: r
    target: t
    unit: ['{source}']
    attributes: {{again: '{source}', model: json:/model}}
    match: {{exact: /infer, hosts: ['*.example.org'], methods: [PUT], headers: {{X-Key: k}}, json: {{/model: m}}}}
{extra}""".encode()


@pytest.mark.parametrize("source", SOURCES)
@given(st.text("abc-019", min_size=1, max_size=20))
def test_a_unit_is_read_where_it_was_put(source: str, unit: str) -> None:
    """Whatever the source, the table finds the route by itself, and the route finds the unit."""
    table = compiled(load_text(config(source), "f.yaml"))
    if source == "request":
        unit = f"{int(unit.encode().hex(), 16):032x}"[:32]
    request = ask(table, Facts(unit=unit, route="r"))
    plan = table.find(request)
    assert getattr(plan, "name", None) == "r"
    decision = table.routes["r"].decide(request)
    assert (decision.unit, decision.unit_source) == (unit, source)


def test_facts_win_over_what_a_route_wants() -> None:
    """A method, a path or a header that is given is not replaced by one that would match."""
    table = compiled(load_text(config("cookie:uid"), "f.yaml"))
    headers = {"Cookie": "a=b", "Host": "Other:80"}
    request = ask(table, Facts(unit="u", route="r", method="GET", path="/x?y=z", headers=headers))
    assert (request.method, request.path, request.query, request.host) == (b"GET", b"/x", b"y=z", b"other")
    assert request.fields[b"cookie"] == b"uid=u; a=b"


def test_a_query_keeps_what_it_had() -> None:
    """A unit in the query comes first, so that it is the one that counts."""
    table = compiled(load_text(config("query:user"), "f.yaml"))
    assert ask(table, Facts(unit="a b", route="r", path="/x?user=other")).query == b"user=a%20b&user=other"


def test_a_body_without_room_is_refused() -> None:
    """A fact is never dropped silently."""
    table = compiled(load_text(config("json:/user/id"), "f.yaml"))
    with pytest.raises(ValueError, match="the body has no room for /user/id"):
        ask(table, Facts(unit="u", route="r", body='{"user": 7}'))
    assert ask(table, Facts(unit="u", route="r", body="[]")).body == b'{"user":{"id":"u"}}'


def test_a_whole_body_can_be_the_unit() -> None:
    """The empty pointer is the whole document (RFC 6901)."""
    table = compiled(load_text(config("json:"), "f.yaml"))
    assert ask(table, Facts(unit="u", route="r")).body == b'"u"'
