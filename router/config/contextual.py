"""The part of the schema about policies that look at the request: their features.

Responsible for: its keys, as frozen data; the rules are those of ``schema``, where readers import them from.
Does not know: how features become numbers (``router.events.policy``), other keys of allocators.
"""

from typing import Annotated

from msgspec import Meta, Struct

from router.config.terms import Name

Value = Annotated[str, Meta(min_length=1, max_length=256)]


class Feature(Struct, frozen=True, kw_only=True):
    """An attribute of the route that a linear policy looks at."""

    category: Annotated[
        Name | None, Meta(description="attribute that is a category: one column for each value, others, absence")
    ] = None
    number: Annotated[
        Name | None, Meta(description="attribute that is a number: standardised, and a column for its absence")
    ] = None
    values: Annotated[
        tuple[Value, ...],
        Meta(
            max_length=50,
            description="of a category: values that are told apart; default the first 20 that the log has",
        ),
    ] = ()

    @property
    def name(self) -> str:
        """Name of the attribute."""
        return self.category or self.number or ""
