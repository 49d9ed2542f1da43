"""The official OpenFeature SDK with its OFREP provider, as a client of a running admin API."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from openfeature import api
from openfeature.client import OpenFeatureClient
from openfeature.contrib.provider.ofrep import OFREPProvider
from openfeature.evaluation_context import EvaluationContext

_METHODS = {
    "Boolean": "get_boolean_details",
    "String": "get_string_details",
    "Integer": "get_integer_details",
    "Float": "get_float_details",
    "Object": "get_object_details",
}


class Sdk:
    """A client of the SDK."""

    def __init__(self, client: OpenFeatureClient) -> None:
        self.client = client

    def ask(
        self, kind: str, flag: str, default: Any, unit: str | None = None, attributes: Mapping[str, Any] | None = None
    ) -> Any:
        """Return the evaluation details of a flag; the SDK's clients never raise."""
        ask: Callable[..., Any] = getattr(self.client, _METHODS[kind])
        return ask(flag, default, EvaluationContext(unit, dict(attributes or {})))


@contextmanager
def sdk(url: str, headers: Mapping[str, str] | None = None) -> Iterator[Sdk]:
    """Give a client of the SDK; only for a thread of its own, because it blocks."""
    provider = OFREPProvider(url, headers_factory=lambda: dict(headers or {}))
    api.set_provider_and_wait(provider, domain=url)
    try:
        yield Sdk(api.get_client(domain=url))
    finally:
        provider.session.close()
        api.clear_providers()
