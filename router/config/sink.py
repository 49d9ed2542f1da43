"""``events.sinks``: where else events go.

Responsible for: the key.
Does not know: which sinks there are (``sink_references``), or what they do (``router.archive.sink``).
"""

from typing import Annotated

from msgspec import Meta

from router.config.terms import Json

Sinks = Annotated[
    tuple[dict[str, Json], ...],
    Meta(
        description="where else events go: `{use: stdout}`, `{use: kafka, servers: …, topic: …}`, or a sink of your "
        "own, `{use: my_package.sinks:Mine, …}`, each with its options beside `use`; see docs/operations.md"
    ),
]
