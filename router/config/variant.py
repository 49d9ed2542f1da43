"""The part of the schema about regions and clusters that are told apart request by request.

Responsible for: the key ``layered_by``, and what the configuration of another region or cluster has of its own.
Does not know: files; how variants are found (``router.config.sites``).

Rules: those of ``schema``, where readers import it from. Workers use it too.
"""

from typing import TYPE_CHECKING, Annotated, TypeVar

from msgspec import Meta, Struct
from msgspec.structs import replace

from router.config.experiment import Experiment, Override
from router.config.route import Route
from router.config.terms import Name

if TYPE_CHECKING:
    from router.config.schema import Config


class LayeredBy(Struct, frozen=True, kw_only=True):
    """Attributes that say whose configuration a request gets."""

    region: Annotated[
        Name | None,
        Meta(description="attribute of the routes that holds the region, as in `regions/`"),
    ] = None
    cluster: Annotated[
        Name | None, Meta(description="attribute of the routes that holds the cluster, as in `clusters/`")
    ] = None


class Variant(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What the configuration of a region and cluster has of its own.

    Attributes:
        region: the region; None is the process's own.
        cluster: the cluster; likewise.
        routes: routes that differ.
        experiments: experiments that differ.
        overrides: all overrides, where they differ.
    """

    region: str | None = None
    cluster: str | None = None
    routes: tuple[Route, ...] = ()
    experiments: tuple[Experiment, ...] = ()
    overrides: tuple[Override, ...] | None = None

    @property
    def label(self) -> str:
        """Write it as events name it: ``REGION``, ``REGION/CLUSTER`` or ``/CLUSTER``."""
        return f"{self.region or ''}/{self.cluster}" if self.cluster else self.region or ""


def applied(config: "Config", variant: Variant) -> "Config":
    """Give a configuration as it is for a region and cluster."""
    return replace(
        config,
        routes=_replaced(config.routes, variant.routes),
        experiments=_replaced(config.experiments, variant.experiments),
        overrides=config.overrides if variant.overrides is None else variant.overrides,
    )


Named = TypeVar("Named", Route, Experiment)


def _replaced(items: tuple[Named, ...], own: tuple[Named, ...]) -> tuple[Named, ...]:
    """Give a list with some things in the place of those of the same names."""
    by_name = {item.name: item for item in own}
    return tuple(by_name.get(item.name, item) for item in items)
