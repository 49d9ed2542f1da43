"""What is read out of an answer, and put into it, without reading the rest: ranked lists, and single values.

Responsible for: the items of a list at a JSON pointer with their ids, a value at a pointer, and an answer with another
value there.
Does not know: where answers come from, what is made of several of them.

Rules: pure. What is not looked at keeps the text that it came in, and so do the items of a list (``msgspec.Raw``); of
repeated keys the last counts. An id is the text of a scalar, a string without its quotes, as for units. What cannot be
read is None, never an error.
"""

from collections.abc import Iterator, Sequence
from typing import Annotated, Any, Final, NamedTuple

from msgspec import Meta, Raw, defstruct
from msgspec.json import Decoder, encode

from router.routing.request import opened, scalar_text, value_at

MOST_ITEMS: Final = 1000  # of a list that is merged; beyond it somebody sends a catalogue
MAX_ID_BYTES: Final = 128  # of an id in UTF-8: it is kept in the event of every exchange

_ITEMS: Final[Decoder[list[Raw]]] = Decoder(Annotated[list[Raw], Meta(max_length=MOST_ITEMS)])


class Ids(NamedTuple):
    """Where the id of an item is, and what reads those of a whole list at once, where all are of one kind.

    Attributes:
        at: Pointer to the id within an item; empty when the item is its own id.
        texts: Reads ids that are strings; None where a pointer may go through a list.
        numbers: Reads ids that are integers.
    """

    at: tuple[str, ...]
    texts: Decoder[list[Any]] | None = None
    numbers: Decoder[list[Any]] | None = None

    def read(self, found: Raw) -> list[str] | None:
        """Return the ids of a list's items; None when they are not all of one kind, and have to be read one by one."""
        if self.texts is None or self.numbers is None:
            return None
        for decoder in (self.texts, self.numbers):
            try:
                items = decoder.decode(found)
            except (ValueError, RecursionError):
                continue
            for _ in self.at:
                items = [item.inner for item in items]
            return [str(item) for item in items]
        return None


def compile_ids(at: tuple[str, ...]) -> Ids:
    """Compile a pointer to the id within an item."""
    if not at or any(token.isdigit() for token in at):  # the token of a list, or of an object
        return Ids(at)

    def decoder(kind: type) -> Decoder[list[Any]]:
        for token in reversed(at):
            kind = defstruct("Item", [("inner", kind)], rename={"inner": token})
        return Decoder(list[kind])  # type: ignore[valid-type]

    return Ids(at, decoder(str), decoder(int))


def read_list(body: bytes, at: tuple[str, ...], ids: Ids) -> dict[str, Raw] | None:
    """Return the items of a list by their ids, in order; of those with the same id the first.

    Args:
        body: A JSON document.
        at: Pointer to the list.
        ids: Where the ids are.

    Returns:
        None when there is no list, an item has no id, or one of both is too long.
    """
    found = value_at(body, at)
    if found is None:
        return None
    try:
        items = _ITEMS.decode(found)
    except (ValueError, RecursionError):
        return None
    named: dict[str, Raw] = {}
    for text, item in zip(ids.read(found) or _one_by_one(items, ids.at), items, strict=True):
        if not text or len(text.encode()) > MAX_ID_BYTES:
            return None
        named.setdefault(text, item)
    return named


def _one_by_one(items: Sequence[Raw], at: tuple[str, ...]) -> Iterator[str | None]:
    """Yield the id of each item; None where it has none."""
    for item in items:
        ident = value_at(item, at) if at else item
        yield None if ident is None else scalar_text(ident)


def with_value(body: bytes | Raw, at: tuple[str, ...], value: Any) -> bytes:
    """Return a document with another value at a pointer.

    Args:
        body: A JSON document in which the pointer leads somewhere, as ``value_at`` says.
        at: The pointer.
        value: What is to stand there; text that came from elsewhere as ``msgspec.Raw``.

    Raises:
        ValueError: If it leads nowhere.
    """
    if not at:
        return encode(value)
    contents = opened(body)
    below = value_at(body, at[:1])
    if below is None or isinstance(contents, Raw):
        raise ValueError("the pointer leads nowhere")
    changed = Raw(with_value(below, at[1:], value))
    if isinstance(contents, dict):
        return encode({**contents, at[0]: changed})
    contents[int(at[0])] = changed
    return encode(contents)
