"""One data plane and one scripted target behind it, for each test."""

from collections.abc import Iterator

import pytest

from tests.harness import Proxy, Target, simple_yaml
from tests.hostile.wire import LOG_ALL


@pytest.fixture
def target() -> Iterator[Target]:
    """A target that waits to be told what to do."""
    with Target() as made:
        yield made


@pytest.fixture
def proxy(target: Target) -> Iterator[Proxy]:
    """A data plane that sends everything to that target, and logs every exchange."""
    with Proxy(simple_yaml(target.url) + LOG_ALL) as made:
        yield made
