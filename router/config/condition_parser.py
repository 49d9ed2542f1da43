"""Reads the text of a condition, such as ``error_rate > 5% for 5m``.

Responsible for: the grammar, units that fit a quantity, mistakes with their column.
Does not know: which metrics there are (``guardrail_references``), what follows from a condition.

    condition   = every { "or" every }
    every       = term { "and" term }
    term        = ( comparison | "(" condition ")" ) { modifier }
    modifier    = "for" duration | "with" "confidence" [">" | ">="] share
    comparison  = [ quantity ] (">" | ">=" | "<" | "<=") limit
    quantity    = [ "control." ] ( "error_rate" | "p99" … | "rate" | "exchanges" | "inflight" | metric )
                | [ metric ] ( "drop" | "rise" )
    limit       = number [ unit ] | number "per" number | [ number "*" ] "control"

A modifier after parentheses is one of every comparison in them that has none of its own and can have it. Rules: pure;
the text is bounded, and so is how deep parentheses go, so that no text is expensive.
"""

import difflib
from collections.abc import Mapping
from typing import Final

from msgspec import structs

from router.config.condition import (
    QUANTILE,
    RESERVED,
    Comparison,
    Condition,
    Every,
    Limit,
    Operator,
    Quantity,
    Some,
    Unit,
    name_of,
)
from router.config.condition_tokens import ConditionError, Token, tokens
from router.config.mistake import show
from router.config.scalars import format_duration, parse_duration

MOST_LETTERS: Final = 500
MOST_DEPTH: Final = 8
SHORTEST_S: Final = 10.0
"""Of ``for``: how finely counts are kept (``router.guardrail.windows``)."""
LONGEST_S: Final = 3 * 86400.0
"""Of ``for``: how long counts are kept."""

_OPERATORS: Final[Mapping[str, Operator]] = {">": ">", ">=": ">=", "≥": ">=", "<": "<", "<=": "<=", "≤": "<="}
_TIMES: Final = "\N{MULTIPLICATION SIGN}"
_SECONDS: Final = frozenset({"ms", "s", "m", "h", "d"})
_PER: Final[Mapping[str, float]] = {"s": 1.0, "m": 60.0, "h": 3600.0}
_MODIFIED: Final[Mapping[str, tuple[str, ...]]] = {
    "for": ("error_rate", "quantile", "rate", "inflight", "metric"),
    "with": ("error_rate", "quantile", "metric"),
}
_FITS: Final[Mapping[str, tuple[tuple[Unit, ...], str]]] = {
    "error_rate": (("share",), "a share such as 5%, or 2 * control"),
    "quantile": (("seconds",), "a duration such as 250ms, or 2 * control"),
    "rate": (("rate",), "a rate such as 1000/s or 60/m"),
    "exchanges": (("number",), "a number such as 1000"),
    "inflight": (("number",), "a number such as 1000"),
    "metric": (("share", "seconds", "number"), "a number, a share such as 5%, a duration, or 2 * control"),
    "change": (("share",), "a share such as 10%"),
}


def parse(text: str) -> Condition:
    """Read a condition.

    Raises:
        ConditionError: If it is none; a ``ValueError`` that says where, and what to write instead.
    """
    if len(text) > MOST_LETTERS:
        raise ConditionError(text, MOST_LETTERS + 1, f"has {len(text)} characters; the most is {MOST_LETTERS}")
    reader = _Reader(text)
    condition = reader.condition(0)
    reader.end()
    return condition


def parse_bound(text: str) -> Limit:
    """Read a fixed value: ``2%``, ``250ms``, ``3 per 10000``, ``0.004``.

    Raises:
        ConditionError: If it is none.
    """
    if len(text) > MOST_LETTERS:
        raise ConditionError(text, MOST_LETTERS + 1, f"has {len(text)} characters; the most is {MOST_LETTERS}")
    reader = _Reader(text)
    limit = reader.limit()
    reader.end("the end")
    if limit.of_control or limit.unit == "rate":
        raise ConditionError(text, 1, "is no fixed value such as 2%, 250ms, 3 per 10000 or 0.004")
    return limit


def parse_difference(text: str) -> float:
    """Read a difference of two values: ``2%``, ``-2%``, ``250ms``, ``0.004``; in shares of 1, seconds, or as it is.

    Raises:
        ConditionError: If it is none.
    """
    stripped = text.strip()
    value = parse_bound(stripped[1:] if stripped[:1] in ("-", "+") else stripped).value
    return -value if stripped.startswith("-") else value


class _Reader:
    """Reads one text.

    Per text: its tokens, and which of them is next.
    """

    def __init__(self, text: str) -> None:
        self._text = text
        self._tokens = tokens(text)
        self._next = 0

    def condition(self, depth: int) -> Condition:
        """Read terms joined by ``or``."""
        terms = [self._every(depth)]
        while self._take("or"):
            terms.append(self._every(depth))
        return terms[0] if len(terms) == 1 else Some(tuple(terms))

    def end(self, wanted: str = "and, or, for, with confidence, or the end") -> None:
        """Refuse what is left."""
        if self._here.kind != "end":
            raise self._expected(wanted)

    def _every(self, depth: int) -> Condition:
        terms = [self._term(depth)]
        while self._take("and"):
            terms.append(self._term(depth))
        return terms[0] if len(terms) == 1 else Every(tuple(terms))

    def _term(self, depth: int) -> Condition:
        if not self._take("("):
            return self._modified(self._comparison())
        if depth >= MOST_DEPTH:
            raise self._wrong(self._here.column - 1, f"parentheses within parentheses, more than {MOST_DEPTH} deep")
        inner = self.condition(depth + 1)
        if not self._take(")"):
            raise self._expected('")"')
        return self._modified(inner)

    def _modified(self, term: Condition) -> Condition:
        seen: set[str] = set()
        while (word := self._here).text in _MODIFIED:
            self._next += 1
            if word.text in seen:
                raise self._wrong(word.column, f'a second "{word.text}"; one is enough')
            seen.add(word.text)
            value = self._duration() if word.text == "for" else self._confidence()
            changed = _with(term, word.text, value)
            if changed == term:
                kinds = ", ".join(_MODIFIED[word.text]).replace("quantile", "p99 and its like")
                raise self._wrong(word.column, f'"{word.text}" has no effect here; it is for {kinds}')
            term = changed
        return term

    def _comparison(self) -> Comparison:
        start = self._here
        quantity = None if start.text in _OPERATORS else self._quantity()
        if self._here.text not in _OPERATORS:
            raise self._expected("one of > >= < <=" if quantity else "a comparison such as error_rate > 5%")
        operator = _OPERATORS[self._here.text]
        self._next += 1
        at = self._here.column
        limit = self.limit()
        if quantity is None:  # "p99 > 2 * control and > 1000 requests/s"
            if limit.unit != "rate":
                raise self._wrong(start.column, "what is compared? write error_rate, p99, rate or a metric before it")
            quantity = Quantity("rate")
        return Comparison(quantity, operator, self._fitting(quantity, limit, at))

    def _quantity(self) -> Quantity:
        token = self._here
        if token.kind not in ("word", "quoted"):
            raise self._expected("a comparison such as error_rate > 5%")
        self._next += 1
        if token.kind == "quoted":
            return self._changed(Quantity("metric", token.text))
        word = token.text
        of_control = word.startswith(("control.", "baseline."))
        if of_control:
            word = word.partition(".")[2]
        if word == "error" and self._take("rate"):
            word = "error_rate"
        if word in ("drop", "rise"):
            self._next -= 1
            return self._changed(Quantity("metric"))
        found = QUANTILE.fullmatch(word)
        if found and float(found[1]) > 0:
            return Quantity("quantile", percent=float(found[1]), of_control=of_control)
        if word in ("error_rate", "rate", "exchanges", "inflight"):
            return Quantity(word, of_control=of_control)  # type: ignore[arg-type]  # a literal, by the test
        if word in RESERVED or found:
            raise self._wrong(token.column, f"{show(word)} is no quantity; write error_rate, p99, rate or a metric")
        return self._changed(Quantity("metric", word, of_control=of_control))

    def _changed(self, quantity: Quantity) -> Quantity:
        for change in ("drop", "rise"):
            if self._take(change):
                if quantity.of_control:
                    raise self._wrong(self._here.column, f"a {change} is from control's value; leave control. out")
                return structs.replace(quantity, change=change)
        return quantity

    def limit(self) -> Limit:
        """Read what something is compared with."""
        if self._here.text in ("control", "baseline"):
            self._next += 1
            return Limit(1.0, of_control=True)
        value = self._number("a number such as 5%, 250ms or 1000/s, or 2 * control")
        if self._take("%"):
            return Limit(float(f"{value}e-2"), "share")
        if self._take("*") or self._take(_TIMES) or self._take("x"):
            if not (self._take("control") or self._take("baseline")):
                raise self._expected("control")
            return Limit(float(value), of_control=True)
        if self._take("per"):
            return self._share_of(value)
        if (self._take("requests") or self._take("req")) and self._here.text != "/":
            raise self._expected("/s, /m or /h")
        if self._take("/"):
            unit = self._here.text
            if unit not in _PER:
                raise self._expected("s, m or h")
            self._next += 1
            return Limit(float(value) / _PER[unit], "rate")
        if self._here.kind == "word" and self._here.text in _SECONDS:
            return Limit(self._seconds(value), "seconds")
        return Limit(float(value))

    def _share_of(self, value: str) -> Limit:
        at = self._here.column
        whole = float(self._number("how many, as in 3 per 10000"))
        if whole == 0:
            raise self._wrong(at, "0 has no parts; write a number above it, as in 3 per 10000")
        return Limit(float(value) / whole, "share")

    def _fitting(self, quantity: Quantity, limit: Limit, at: int) -> Limit:
        """Return the limit in the unit of the quantity."""
        units, wanted = _FITS["change" if quantity.change else quantity.kind]
        if limit.of_control and (quantity.of_control or "control" not in wanted):
            own = "control is compared with itself" if quantity.of_control else "it depends on the arms' shares"
            raise self._wrong(at, f"{name_of(quantity)} is not compared with control: {own}; write {wanted}")
        if limit.of_control:
            return limit
        if limit.unit == "number" and units == ("share",) and limit.value <= 1:
            return Limit(limit.value, "share")
        if limit.unit not in units:
            raise self._wrong(at, f"{name_of(quantity)} is compared with {wanted}")
        if quantity.kind == "error_rate" and limit.value > 1:
            raise self._wrong(at, "a share is at most 100%")
        return limit

    def _duration(self) -> float:
        at = self._here.column
        seconds = self._seconds(self._number("how long, as in for 5m"))
        if not SHORTEST_S <= seconds <= LONGEST_S:
            ends = f"{format_duration(SHORTEST_S)} to {format_duration(LONGEST_S)}"
            raise self._wrong(at, f'"for" takes {ends}, not {format_duration(seconds)}')
        return seconds

    def _seconds(self, value: str) -> float:
        unit = self._here
        if unit.text not in _SECONDS:
            raise self._expected("a unit: ms, s, m, h or d")
        self._next += 1
        try:
            return parse_duration(f"{value}{unit.text}")
        except ValueError as error:
            raise self._wrong(unit.column, str(error)) from error

    def _confidence(self) -> float:
        if not self._take("confidence"):
            raise self._expected("confidence")
        if self._here.text in (">", ">=", "≥"):
            self._next += 1
        at = self._here.column
        value = self._number("a share such as 95%")
        share = float(f"{value}e-2") if self._take("%") else float(value)
        if not 0.5 <= share <= 0.999999:
            raise self._wrong(at, "confidence is at least 50% and below 100%, as in with confidence > 95%")
        return share

    def _number(self, wanted: str) -> str:
        token = self._here
        if token.kind != "number":
            raise self._expected(wanted)
        self._next += 1
        return token.text

    @property
    def _here(self) -> Token:
        return self._tokens[self._next]

    def _take(self, text: str) -> bool:
        taken = self._here.text == text and self._here.kind in ("word", "mark")
        self._next += taken
        return taken

    def _expected(self, wanted: str) -> ConditionError:
        found = show(self._here.text) if self._here.text else "the end"
        near = difflib.get_close_matches(self._here.text, ("and", "or", "for", "with", "confidence", "control"), 1)
        hint = f"; did you mean {show(near[0])}?" if near and near[0] != self._here.text else ""
        return self._wrong(self._here.column, f"expected {wanted}, found {found}{hint}")

    def _wrong(self, column: int, message: str) -> ConditionError:
        return ConditionError(self._text, column, message)


def _with(term: Condition, word: str, value: float) -> Condition:
    """Return a condition whose comparisons have a modifier, where they can and have none of their own."""
    if not isinstance(term, Comparison):
        return structs.replace(term, terms=tuple(_with(each, word, value) for each in term.terms))
    key = "for_s" if word == "for" else "confidence"
    changes = term.quantity.change != "" and key == "for_s"
    if term.quantity.kind not in _MODIFIED[word] or changes or getattr(term, key) is not None:
        return term
    return structs.replace(term, for_s=value) if key == "for_s" else structs.replace(term, confidence=value)
