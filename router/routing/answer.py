"""What is read out of an answer, and put into it, without reading the rest: ranked lists, and single values.

Responsible for: the items of a list at a JSON pointer with their ids, a value at a pointer, and an answer with another
value there.
Does not know: where answers come from, what is made of several of them.

Rules: pure. What is not looked at keeps the text that it came in, and so do the items of a list (``msgspec.Raw``); of
repeated keys the last counts. An id is the text of a scalar, a string without its quotes, as for units. What cannot be
read is None, never an error.
"""

from typing import Annotated, Any, Final

from msgspec import Meta, Raw
from msgspec.json import Decoder, encode

from router.routing.request import opened, scalar_text, value_at

MOST_ITEMS: Final = 1000  # of a list that is merged; beyond it somebody sends a catalogue
MAX_ID_BYTES: Final = 128  # of an id in UTF-8: it is kept in the event of every exchange

_ITEMS: Final[Decoder[list[Raw]]] = Decoder(Annotated[list[Raw], Meta(max_length=MOST_ITEMS)])


def read_list(body: bytes, at: tuple[str, ...], id_at: tuple[str, ...]) -> dict[str, Raw] | None:
    """Return the items of a list by their ids, in order; of those with the same id the first.

    Args:
        body: A JSON document.
        at: Pointer to the list.
        id_at: Pointer to the id within an item; empty when the item is its own id.

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
    for item in items:
        ident = value_at(item, id_at) if id_at else item
        text = None if ident is None else scalar_text(ident)
        if not text or len(text.encode()) > MAX_ID_BYTES:
            return None
        named.setdefault(text, item)
    return named


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
