"""The conditions of one route, and runs of routes that differ in one value only.

Responsible for: saying whether a request, whose path and host fit already, meets a route's other conditions.
Does not know: paths and hosts (``router.routing.table``), what follows from a match.

Rules: cheap conditions are asked before the body is: a route whose method or headers do not fit never makes anybody
gather one. Gateways for many models have hundreds of routes that differ in ``json: {/model: …}`` or in one header
only; such a run of routes is one look-up in a dictionary, however long it is.
"""

from collections.abc import Iterable, Sequence
from itertools import groupby

from msgspec import Struct

from router.config.schema import Match
from router.routing.decide import RoutePlan
from router.routing.request import Key, Request, expected_key, pointer_tokens, scalar_key

Pointer = tuple[str, ...]


class NeedBody(Struct, frozen=True):
    """That the body decides about the route.

    Attributes:
        inspect_bytes: How much of it any route in question reads at most.
    """

    inspect_bytes: int


class Candidate(Struct, frozen=True):
    """A route with its conditions.

    Attributes:
        plan: The route.
        order: Place in the file.
        methods: Methods; empty is any.
        headers: Fields, in lower case, and the values they must have, in order of the fields.
        json: Pointers and the values they must lead to, in order of the pointers.
    """

    plan: RoutePlan
    order: int
    methods: frozenset[bytes]
    headers: tuple[tuple[bytes, bytes], ...]
    json: tuple[tuple[Pointer, Key], ...]

    @property
    def conditions(self) -> int:
        """Number of conditions: one for all methods together, one for each header and each pointer."""
        return bool(self.methods) + len(self.headers) + len(self.json)


class Switch(Struct, frozen=True):
    """Consecutive candidates with the same conditions, but for the value of the last.

    The last condition is on a JSON pointer, or, without any, on a header field.

    Attributes:
        methods: As in ``Candidate``.
        headers: Headers in common.
        json: Pointers in common.
        field: Header field whose value decides.
        pointer: Pointer whose value decides; when ``field`` is None too there is nothing to decide.
        plans: Value to route; the one that needs no value has None.
        inspect_bytes: Longest body that is read.
        need: What to answer when the body is not there yet.
    """

    methods: frozenset[bytes]
    headers: tuple[tuple[bytes, bytes], ...]
    json: tuple[tuple[Pointer, Key], ...]
    field: bytes | None
    pointer: Pointer | None
    plans: dict[Key | None, RoutePlan]
    inspect_bytes: int
    need: NeedBody

    def find(self, request: Request) -> RoutePlan | NeedBody | None:
        """Return the route whose conditions the request meets."""
        if self.methods and request.method not in self.methods:
            return None
        for field, value in self.headers:
            if request.fields.get(field) != value:
                return None
        if self.pointer is None:
            return self.plans.get(None if self.field is None else request.fields.get(self.field))
        if request.body is None:
            return self.need if self.inspect_bytes else None
        if len(request.body) > self.inspect_bytes:
            return None
        for pointer, wanted in self.json:
            if json_key(request, pointer) != wanted:
                return None
        return self.plans.get(json_key(request, self.pointer))


def json_key(request: Request, pointer: Pointer) -> Key | None:
    """Return the scalar at a pointer of the body for comparison; None when there is none."""
    raw = request.value(pointer)
    return None if raw is None else scalar_key(raw)


def compile_candidate(match: Match, plan: RoutePlan, order: int) -> Candidate:
    """Compile the conditions of a route other than path and hosts."""
    return Candidate(
        plan=plan,
        order=order,
        methods=frozenset(method.encode() for method in match.methods),
        headers=tuple(sorted((name.lower().encode(), value.encode()) for name, value in match.headers.items())),
        json=tuple((pointer_tokens(pointer), expected_key(match.json[pointer])) for pointer in sorted(match.json)),
    )


def rank(candidates: Iterable[Candidate]) -> list[Candidate]:
    """Return candidates in the order in which they are asked: more conditions first, then as in the file."""
    return sorted(candidates, key=lambda candidate: (-candidate.conditions, candidate.order))


def compile_switches(ranked: Sequence[Candidate], need: NeedBody) -> tuple[Switch, ...]:
    """Fold candidates, in the order in which they are asked, into as few look-ups as keep that order."""
    switches: list[Switch] = []
    for _, run in groupby(ranked, key=_shape):
        candidates = list(run)
        first = candidates[0]
        plans: dict[Key | None, RoutePlan] = {}
        for candidate in candidates:
            plans.setdefault(_deciding_value(candidate), candidate.plan)
        by_json = bool(first.json)
        by_header = bool(first.headers) and not by_json
        switches.append(
            Switch(
                methods=first.methods,
                headers=first.headers[:-1] if by_header else first.headers,
                json=first.json[:-1],
                field=first.headers[-1][0] if by_header else None,
                pointer=first.json[-1][0] if by_json else None,
                plans=plans,
                inspect_bytes=first.plan.inspect_bytes,
                need=need,
            )
        )
    return tuple(switches)


def _shape(candidate: Candidate) -> tuple[object, ...]:
    """Return what candidates of one switch have in common."""
    if candidate.json:
        deciding: object = candidate.json[-1][0]
        return candidate.methods, candidate.headers, candidate.json[:-1], deciding, candidate.plan.inspect_bytes
    if candidate.headers:
        return candidate.methods, candidate.headers[:-1], candidate.headers[-1][0]
    return (candidate.methods,)


def _deciding_value(candidate: Candidate) -> Key | None:
    if candidate.json:
        return candidate.json[-1][1]
    return candidate.headers[-1][1] if candidate.headers else None
