"""What an offline check is asked to do, as frozen data.

Responsible for: names, units and defaults of its options; it travels as JSON to a process of its own.
Does not know: files, targets at work.
"""

from msgspec import Struct, field

from router.config.schema import Config, Endpoint, Target, TargetTls


class Asked(Struct, frozen=True, kw_only=True):
    """Who is asked.

    Attributes:
        name: Name of the target, or its URL.
        version: Its version, as far as known.
        endpoints: Where it is.
        tls: How its certificates are verified.
    """

    name: str
    version: str | None = None
    endpoints: tuple[Endpoint, ...]
    tls: TargetTls = field(default_factory=TargetTls)


class Job(Struct, frozen=True, kw_only=True):
    """An offline check.

    Attributes:
        candidate: Who is judged.
        baseline: Who it is compared with.
        requests: File with recorded requests.
        label: JSON pointer to the label in a line.
        prediction: JSON pointer to the prediction in an answer; None when answers are only compared.
        probability: JSON pointer to how sure it is.
        positive: Class that a single probability is of.
        kind: ``class``, ``number`` or ``auto``.
        tolerance: Of numbers in answers that are compared.
        ignore: JSON pointers under which nothing is compared.
        concurrency: Requests under way at once.
        timeout: Seconds that one may take.
        limit: Most requests that are sent; more are drawn from.
        seconds: Most that all may take; the rest is not sent.
        seed: Of whatever is drawn.
        confidence: Level of intervals.
        require: Requirements.
        no_worse: How much worse than the baseline it may be.
    """

    candidate: Asked
    baseline: Asked | None = None
    requests: str
    label: str = "/label"
    prediction: str | None = None
    probability: str | None = None
    positive: str = "1"
    kind: str = "auto"
    tolerance: float = 1e-6
    ignore: tuple[str, ...] = ()
    concurrency: int = 8
    timeout: float = 10.0
    limit: int = 100_000
    seconds: float = 3600.0
    seed: int = 1
    confidence: float = 0.95
    require: tuple[str, ...] = ()
    no_worse: float | None = None


def asked_of(config: Config, name: str) -> Asked:
    """Return a target of a configuration.

    Raises:
        LookupError: If there is none of that name.
    """
    for target in config.targets:
        if target.name == name:
            return asked(target)
    raise LookupError(f"there is no target {name!r}; there are {', '.join(each.name for each in config.targets)}")


def asked(target: Target) -> Asked:
    """Return a target as it is asked."""
    return Asked(name=target.name, version=target.version, endpoints=target.endpoints, tls=target.tls)
