"""A data plane in memory for each test."""

from collections.abc import Iterator

import pytest

from tests.proxy.memory import Plane


@pytest.fixture
def plane() -> Iterator[Plane]:
    """A data plane with one target."""
    with Plane() as made:
        yield made
