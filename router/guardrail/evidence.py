"""What the shared counters say of the arms of an experiment in its present phase.

Responsible for: the sums that guardrails are computed from, as frozen data that adds up.
Does not know: shared memory, files (``router.control``), tests.

Rules: pure. Everything is counted since the phase began, over all workers and over restarts. A bucket is one of 256 by
the hash of the unit: requests of one unit are not independent, units are, so variance is that between buckets.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from msgspec import Struct

Histograms = Sequence[Sequence[int]] | npt.NDArray[np.int64]
"""Counts by cluster and bucket."""

BUCKETS = 256
CLUSTERS = 32
"""Unit hash buckets of latency: each has a histogram of its own (bucket modulo 32)."""


class ArmEvidence(Struct, frozen=True, kw_only=True):
    """What is known of one arm.

    Attributes:
        exchanges: Exchanges of each of the 256 buckets.
        failures: Those of them whose first attempt failed.
        latency: For each of the 32 clusters the counts of a histogram (``router.histogram``, 240 buckets) of how long
            exchanges took; empty where that is not counted.
        first_byte: The same for their first byte out.
        inflight: Exchanges that its target is working on; None when that is not known.
    """

    exchanges: tuple[int, ...] = (0,) * BUCKETS
    failures: tuple[int, ...] = (0,) * BUCKETS
    latency: Histograms = ()
    first_byte: Histograms = ()
    inflight: int | None = None


class Evidence(Struct, frozen=True, kw_only=True):
    """What is known of an experiment at a moment.

    Attributes:
        time: The moment, in unix seconds.
        run: Run of the experiment.
        phase: Phase of it, in which everything was counted.
        arms: Arm to what is known of it.
        problem: Why it could not be measured; None when it was.
    """

    time: float
    run: int
    phase: int
    arms: dict[str, ArmEvidence]
    problem: str | None = None
