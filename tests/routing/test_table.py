"""The routing table: which route a request takes."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from router.routing.decide import RoutePlan
from router.routing.match import NeedBody
from router.routing.path import canonical, canonical_text
from router.routing.request import Request
from router.routing.table import FOUND_BYTES, FOUND_PATHS, Table, compile_table
from tests.routing.build import request, revision, table


def route(name: str, **match: Any) -> dict[str, Any]:
    """Return a route of the configuration."""
    return {"name": name, "match": match}


def found(compiled: Table, asked: Request) -> str | None:
    """Return the name of the route of a request, or ``body`` when the body is needed."""
    plan = compiled.find(asked)
    if isinstance(plan, NeedBody):
        return "body"
    return None if plan is None else plan.name


def test_the_longest_prefix_wins() -> None:
    """Of nested prefixes the longest that the path begins with is taken, wherever they stand in the file."""
    compiled = table(
        [route("root", path="/"), route("deep", path="/a/b/c"), route("mid", path="/a/b"), route("side", path="/a/bb")]
    )
    paths = ("/", "/a", "/a/b", "/a/bc", "/a/bb", "/a/b/", "/a/b/c", "/a/b/cd/e", "/z", "/a/b/d")
    assert [found(compiled, request(path)) for path in paths] == [
        "root", "root", "mid", "mid", "side", "mid", "deep", "deep", "root", "mid",
    ]  # fmt: skip


def test_a_prefix_is_bytes() -> None:
    """``/v2/mod`` is a prefix of ``/v2/models``; a slash at the end keeps to whole segments."""
    compiled = table([route("bytes", path="/v2/mod"), route("segment", path="/v1/")])
    assert found(compiled, request("/v2/models")) == "bytes"
    assert found(compiled, request("/v1")) is None
    assert found(compiled, request("/v1/x")) == "segment"
    assert found(compiled, request("/")) is None


def test_exact_beats_prefix() -> None:
    """A whole path wins over any prefix, and gives way to it when its conditions are not met."""
    compiled = table(
        [route("long", path="/a/b"), route("exact", exact="/a/b", methods=["GET"]), route("short", path="/a")]
    )
    assert found(compiled, request("/a/b", method=b"GET")) == "exact"
    assert found(compiled, request("/a/b", method=b"POST")) == "long"
    assert found(compiled, request("/a/b/", method=b"GET")) == "long"
    assert found(compiled, request("/a/", method=b"GET")) == "short"


def test_a_route_without_match_takes_everything() -> None:
    """No path is any path, also one that is not a path."""
    compiled = table([route("all")])
    assert [found(compiled, request(path)) for path in ("/", "*", "/x/y")] == ["all"] * 3


def test_named_hosts_beat_wildcards_beat_any() -> None:
    """The more a host pattern says, the earlier it is asked."""
    compiled = table(
        [
            route("any"),
            route("wide", hosts=["*.org"]),
            route("wild", hosts=["*.Example.org"]),
            route("named", hosts=["other", "A.example.org"]),
        ]
    )
    hosts = (
        b"a.example.org",
        b"other",
        b"b.example.org",
        b"x.b.example.org",
        b"example.org",
        b"org",
        b"",
        b".example.org",
    )
    assert [found(compiled, request(host=host)) for host in hosts] == [
        "named", "named", "wild", "wild", "wide", "any", "any", "wide",
    ]  # fmt: skip


def test_an_endless_host_is_tried_against_no_wildcard() -> None:
    """Hosts longer than the DNS allows cost no look-up for each of their labels."""
    compiled = table([route("any"), route("wild", hosts=["*.org"])])
    assert found(compiled, request(host=b"a." * 125 + b".org")) == "wild"
    assert found(compiled, request(host=b"a." * 130 + b".org")) == "any"


def test_more_conditions_beat_fewer_then_the_file_order() -> None:
    """Among routes of one path and host, the one with more conditions is asked first, then the earlier one."""
    compiled = table(
        [
            route("none"),
            route("first", headers={"X-Tier": "gold"}),
            route("again", headers={"x-tier": "gold"}),
            route("two", headers={"x-tier": "gold", "x-country": "nl"}),
            route("post", methods=["POST", "PUT"], headers={"x-tier": "gold"}),
            route("never"),
        ]
    )
    assert compiled.fields == {b"x-tier", b"x-country"}
    assert found(compiled, request(method=b"GET")) == "none"
    assert found(compiled, request(method=b"GET", headers={"x-tier": "gold"})) == "first"
    assert found(compiled, request(method=b"GET", headers={"x-tier": "gold", "x-country": "nl"})) == "two"
    assert found(compiled, request(method=b"PUT", headers={"x-tier": "gold"})) == "post"
    assert found(compiled, request(method=b"PUT", headers={"x-tier": "Gold"})) == "none"


@pytest.mark.parametrize(
    ("wanted", "sent", "fits"),
    [
        ("ranker", '"ranker"', True),
        ("ranker", '"rank\\u0065r"', True),
        ("ranker", '"other"', False),
        ("1", "1", False),
        (1, "1", True),
        (1, "1.0", True),
        (1, "1e0", True),
        (1, '"1"', False),
        (1, "true", False),
        (0.5, "5e-1", True),
        (9007199254740993, "9007199254740993", True),
        (9007199254740993, "9007199254740992", False),
        (1, "1e999", False),
        (True, "true", True),
        (True, "1", False),
        (True, '"true"', False),
        (False, "false", True),
        (False, "0", False),
        (False, "null", False),
        ("x", "null", False),
        ("x", '["x"]', False),
    ],
)
def test_json_values_compare_by_kind_and_value(wanted: Any, sent: str, fits: bool) -> None:  # noqa: FBT001 - a parameter
    """Text equals text, numbers numbers by value, booleans booleans."""
    compiled = table([route("json", json={"/model": wanted}), route("else")])
    assert found(compiled, request(body=f'{{"model": {sent}}}'.encode())) == ("json" if fits else "else")


def test_the_body_is_asked_for_only_when_it_decides() -> None:
    """Methods and headers are looked at first; the body must be what is left to know."""
    compiled = table(
        [
            route("json", methods=["POST"], headers={"x-a": "1"}, json={"/m": 1, "/n": 2}),
            route("other", methods=["POST"], headers={"x-b": "1", "x-c": "1", "x-d": "1", "x-e": "1"}),
            route("else"),
        ]
    )
    with_a = {"x-a": "1"}
    with_b = dict.fromkeys(("x-b", "x-c", "x-d", "x-e"), "1")
    assert found(compiled, request(method=b"GET", headers=with_a)) == "else"
    assert found(compiled, request()) == "else"
    assert found(compiled, request(headers=with_a | with_b)) == "other"
    assert found(compiled, request(headers=with_a)) == "body"
    assert found(compiled, request(headers=with_a, body=b"")) == "else"
    assert found(compiled, request(headers=with_a, body=b'{"m": 1, "n": 2}')) == "json"
    assert found(compiled, request(headers=with_a, body=b'{"m": 1, "n": 3}')) == "else"
    assert found(compiled, request(headers=with_a, body=b'{"m": 2, "n": 2}')) == "else"
    assert found(compiled, request(headers=with_a, body=b"no json")) == "else"


def test_each_route_reads_no_more_than_its_own_limit() -> None:
    """The body is asked for up to the largest limit in question; a route sees none that is longer than its own."""
    small = {"inspect_bytes": 20, "name": "small", "match": {"path": "/a", "json": {"/m": 1}}}
    large = {"inspect_bytes": 50, "name": "large", "unit": ["json:/u"], "match": {"path": "/"}}
    other = {"inspect_bytes": 9999, "name": "other", "unit": ["json:/u"], "match": {"path": "/b"}}
    unread = {"inspect_bytes": 0, "name": "unread", "match": {"path": "/b", "json": {"/m": 1}}}
    compiled = table([small, large, other, unread])
    assert compiled.find(request("/a")) == NeedBody(50)
    assert found(compiled, request("/a", body=b'{"m": 1}')) == "small"
    assert found(compiled, request("/a", body=b'{"m": 1}'.ljust(21))) == "large"
    assert found(compiled, request("/b")) == "other"
    assert found(compiled, request("/b", body=b'{"m": 1}')) == "other"


def test_limits_of_neighbours_are_kept_apart() -> None:
    """Routes that differ in one JSON value and in their limits are each asked with their own."""
    routes = [{**route(f"m{limit}", json={"/m": limit}), "inspect_bytes": limit} for limit in (20, 50)]
    compiled = table(routes)
    assert compiled.find(request()) == NeedBody(50)
    assert [found(compiled, request(body=b'{"m": %d}' % limit)) for limit in (20, 50)] == ["m20", "m50"]
    assert [found(compiled, request(body=(b'{"m": %d}' % limit).ljust(30))) for limit in (20, 50)] == [None, "m50"]


def test_spelling_gets_around_no_route() -> None:
    """Escapes, repeated slashes and dot segments lead to the route of the plain path; disputed ones to none."""
    compiled = table([route("all", path="/"), route("secret", path="/v2/secret/"), route("exact", exact="/x%2fy")])
    for path in ("/v2/%73ecret/x", "/v2//secret/x", "/v2/./secret/x", "/a/../v2/secret/x", "/v2%2Fsecret/x"):
        assert found(compiled, request(path)) == "secret"
    for path in ("/x/y", "/x%2Fy", "/x//y"):
        assert found(compiled, request(path)) == "exact"
    assert found(compiled, request("/v2/a/..%2fsecret/x")) is None


def test_many_models_behind_one_path() -> None:
    """A gateway's routes that differ in one JSON value, or one header, are one look-up each."""
    by_json = [route(f"json{index}", path="/chat", json={"/model": f"m{index}"}) for index in range(300)]
    by_header = [route(f"head{index}", path="/head", headers={"x-model": f"m{index}"}) for index in range(300)]
    compiled = table([*by_json, *by_header])
    assert found(compiled, request("/chat", body=b'{"model": "m123"}')) == "json123"
    assert found(compiled, request("/chat", body=b'{"model": "m300"}')) is None
    assert found(compiled, request("/head", headers={"x-model": "m299"})) == "head299"
    assert found(compiled, request("/head")) is None
    assert [len(list(node.switches(b""))) for node in (compiled.node(b"/chat"), compiled.node(b"/head")) if node] == [
        1,
        1,
    ]


def test_a_table_holds_what_workers_need() -> None:
    """Number, configuration, targets, and the header fields that anything reads."""
    made = revision(
        [
            {
                "name": "r",
                "unit": ["header:X-User", "cookie:uid", "query:q", "client_ip"],
                "attributes": {"tier": "header:X-Tier", "device": "json:/device"},
                "match": {"headers": {"X-Key": "1"}},
            }
        ]
    )
    compiled = compile_table(made)
    assert compiled.number == 7
    assert compiled.config is made.config
    assert list(compiled.targets) == ["t0", "t1", "t2", "t3"]
    assert compiled.fields == {b"x-user", b"cookie", b"x-tier", b"x-key"}


def test_a_path_that_no_request_can_have_is_refused() -> None:
    """A mistake that the loader should have found is an error, not a route that never matches."""
    with pytest.raises(ValueError, match=r'route "lost": no request can have the path /a/\.\.%2fb'):
        table([route("lost", path="/a/..%2fb")])


# --- Against a matcher that is as slow as it is obvious -----------------------------------------------------------

PATHS = st.lists(st.sampled_from(["/", "a", "b", "/a", "/a/b", "%61", "..", "//", "."]), max_size=5).map(
    lambda pieces: "/" + "".join(pieces)
)
PLAIN = st.lists(st.sampled_from(["a", "b", "/"]), max_size=4).map(lambda pieces: "/" + "".join(pieces))
HOSTS = ("a.x.org", "b.x.org", "x.org", "a.b.x.org", "other")
MATCHES = st.fixed_dictionaries(
    {},
    optional={
        "hosts": st.lists(st.sampled_from([*HOSTS, "*.x.org", "*.org", "*.b.x.org"]), max_size=2),
        "methods": st.lists(st.sampled_from(["GET", "POST"]), max_size=2, unique=True),
        "headers": st.dictionaries(st.sampled_from(["x-a", "x-b"]), st.sampled_from("12"), max_size=2),
        "json": st.dictionaries(st.sampled_from(["/m", "/n/0"]), st.sampled_from([1, "1", True]), max_size=2),
    },
)
ROUTES = st.lists(
    st.tuples(MATCHES, st.sampled_from(["path", "exact", "none"]), PLAIN, st.sampled_from([0, 30, 1000])),
    min_size=1,
    max_size=12,
).map(
    lambda drawn: [
        {"name": f"r{index}", "inspect_bytes": limit, "match": match if kind == "none" else {**match, kind: path}}
        for index, (match, kind, path, limit) in enumerate(drawn)
    ]
)
BODIES = (
    st.none()
    | st.just(b"")
    | st.builds(
        lambda m, n, pad: json.dumps({"m": m, "n": [n], "pad": pad}).encode(),
        st.sampled_from([1, "1", True, None]),
        st.sampled_from([1, "1", True]),
        st.sampled_from(["", "x" * 50]),
    )
)
REQUESTS = st.builds(
    lambda path, host, method, headers, body: request(path, host=host, method=method, headers=headers, body=body),
    PATHS,
    st.sampled_from(HOSTS).map(str.encode),
    st.sampled_from([b"GET", b"POST"]),
    st.dictionaries(st.sampled_from(["x-a", "x-b"]), st.sampled_from("12")),
    BODIES,
)


def host_rank(patterns: list[str], host: str) -> int | None:
    """Return how much the best fitting pattern says; None when none fits."""
    if not patterns:
        return 0
    ranks = [1000 if host == pattern else len(pattern) for pattern in patterns if fits_host(pattern, host)]
    return max(ranks, default=None)


def fits_host(pattern: str, host: str) -> bool:
    """Return whether a host fits a pattern."""
    return host == pattern or (pattern.startswith("*.") and host.endswith(pattern[1:]) and host != pattern[1:])


def meets(item: dict[str, Any], asked: Request) -> bool | None:
    """Return whether a request meets the conditions of a route; None when the body must tell."""
    match = item["match"]
    if match.get("methods") and asked.method.decode() not in match["methods"]:
        return False
    if any(asked.fields.get(name.encode()) != value.encode() for name, value in match.get("headers", {}).items()):
        return False
    if not match.get("json"):
        return True
    if item["inspect_bytes"] == 0:
        return False
    if asked.body is None:
        return None
    if not asked.body or len(asked.body) > item["inspect_bytes"]:
        return False
    document = json.loads(asked.body)
    values = {"/m": document["m"], "/n/0": document["n"][0]}
    return all((type(values[at]), values[at]) == (type(wanted), wanted) for at, wanted in match["json"].items())


def expected(routes: list[dict[str, Any]], asked: Request) -> str | None:
    """Return the route of a request by sorting all routes."""
    spelled = canonical(asked.path)
    ranked = []
    for order, item in enumerate(routes):
        match = item["match"]
        start = canonical_text(match.get("exact", match.get("path", "")))
        exact = "exact" in match
        host = host_rank(match.get("hosts", []), asked.host.decode())
        if (
            spelled is None
            or start is None
            or host is None
            or (spelled != start if exact else not spelled.startswith(start))
        ):
            continue
        conditions = bool(match.get("methods")) + len(match.get("headers", {})) + len(match.get("json", {}))
        ranked.append((not exact, -len(start), -host, -conditions, order, item))
    for *_, item in sorted(ranked, key=lambda entry: entry[:5]):
        met = meets(item, asked)
        if met is not False:
            return str(item["name"]) if met else "body"
    return None


@settings(max_examples=500)
@given(ROUTES, REQUESTS)
def test_the_table_agrees_with_the_obvious_matcher(routes: list[dict[str, Any]], asked: Request) -> None:
    """For any table and request, the compiled index finds what sorting and trying every route finds."""
    assert found(table(routes), asked) == expected(routes, asked)


@given(ROUTES, REQUESTS)
def test_find_answers_once_the_body_is_there(routes: list[dict[str, Any]], asked: Request) -> None:
    """With a body, even an empty one, there is a route or none."""
    asked.body = asked.body or b""
    assert isinstance(table(routes).find(asked), RoutePlan | None)


def test_a_route_that_was_found_before_is_found_again() -> None:
    """Only a route that depends on nothing but the path is kept for it, few of them, and of short paths."""
    compiled = table([route("plain", path="/p"), route("post", path="/c", methods=["POST"]), route("rest", path="/c")])
    for _ in range(2):
        assert found(compiled, request("/p/1")) == "plain"
        assert found(compiled, request("/c/1", method=b"POST")) == "post"
        assert found(compiled, request("/c/1", method=b"GET")) == "rest"
    for number in range(2 * FOUND_PATHS):
        assert found(compiled, request(f"/p/{number}")) == "plain"
        assert len(compiled._found) <= FOUND_PATHS
    long = "/p/" + "x" * FOUND_BYTES
    assert found(compiled, request(long)) == "plain"
    assert long.encode() not in compiled._found
