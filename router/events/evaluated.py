"""What an offline check of a target found, as frozen data: the document that ``router evaluate --out`` writes.

Responsible for: names, types and units of its fields.
Does not know: how anything is measured (``router.evaluate``), what a release makes of it (``router.guardrail``).

Rules: those of ``router.events.model``. A number that could not be computed is None, and ``reason`` says why.
"""

from typing import Literal

from msgspec import Struct

Verdict = Literal["pass", "fail", "inconclusive"]


class Measured(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A number and how sure it is.

    Attributes:
        name: ``accuracy``, ``recall(spam)``, ``p99``, …
        value: The estimate; a share, a loss, or seconds. None with too little data.
        low: Lower end of its interval.
        high: Upper end.
        n: Requests that it was computed from.
        method: How the interval was made.
        reason: Why there is no value, or no interval.
    """

    name: str
    value: float | None
    low: float | None = None
    high: float | None = None
    n: int
    method: str = ""
    reason: str = ""


class Compared(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The same number of target and baseline, over the requests that both were sent.

    Attributes:
        name: As in ``Measured``.
        candidate: Of the target.
        baseline: Of the baseline.
        difference: The first less the second.
        low: Lower end of the interval of the difference.
        high: Upper end.
        ratio: The first over the second; None where the second is 0.
        ratio_low: Lower end of its interval.
        ratio_high: Upper end.
        p: Exact McNemar test of no difference, where the number is a share of requests that are right.
        only_candidate: Requests that only the target was right about, of that test.
        only_baseline: Requests that only the baseline was right about.
        n: Requests.
        method: How intervals were made.
        reason: Why there are none.
    """

    name: str
    candidate: float | None
    baseline: float | None
    difference: float | None = None
    low: float | None = None
    high: float | None = None
    ratio: float | None = None
    ratio_low: float | None = None
    ratio_high: float | None = None
    p: float | None = None
    only_candidate: int | None = None
    only_baseline: int | None = None
    n: int
    method: str = ""
    reason: str = ""


class Bin(Struct, frozen=True, kw_only=True):
    """Answers whose confidence lies in one of ten ranges.

    Attributes:
        low: Where the range begins.
        high: Where it ends.
        n: Answers.
        confidence: Mean of what they say.
        right: Share of them that is so.
        right_low: Lower end of its interval (Wilson).
        right_high: Upper end.
    """

    low: float
    high: float
    n: int
    confidence: float
    right: float
    right_low: float
    right_high: float


class Required(Struct, frozen=True, kw_only=True):
    """A requirement and what came of it.

    Attributes:
        text: As it was asked for.
        verdict: Whether the whole interval is on the right side, on the wrong one, or neither.
        reason: The numbers, in a sentence.
    """

    text: str
    verdict: Verdict
    reason: str


class Evaluated(Struct, frozen=True, kw_only=True):
    """An offline check.

    Attributes:
        format: Of this document.
        time: When it ended, in unix seconds.
        seconds: How long it took.
        target: Name or URL of what was asked.
        version: Its version, where a configuration names one.
        baseline: What it was compared with; None without.
        requests: File with the recorded requests.
        digest: SHA-256 of that file.
        lines: Requests in it.
        asked: Requests that were sent.
        methods: How many of them, by method.
        labelled: Requests with a label.
        expected: Requests with a recorded answer to compare with.
        units: Different units, where lines name them; intervals are then over units.
        causes: Requests by why there was no usable answer.
        baseline_causes: Likewise of the baseline.
        agreement_with: What ``agreement`` is with: ``recorded`` answers or those of the ``baseline``.
        confidence: Level of the intervals.
        seed: Of whatever was drawn.
        measured: Numbers of the target.
        compared: Numbers of both.
        calibration: Confidence beside what is so.
        required: Requirements.
        verdict: ``fail`` if any requirement failed, else ``inconclusive`` if any was, else ``pass``.
        notes: What a reader has to know.
    """

    format: int = 1
    time: float
    seconds: float
    target: str
    version: str | None
    baseline: str | None
    requests: str
    digest: str
    lines: int
    asked: int
    methods: dict[str, int]
    labelled: int
    expected: int
    units: int | None
    causes: dict[str, int]
    baseline_causes: dict[str, int]
    agreement_with: str | None
    confidence: float
    seed: int
    measured: tuple[Measured, ...]
    compared: tuple[Compared, ...]
    calibration: tuple[Bin, ...]
    required: tuple[Required, ...]
    verdict: Verdict
    notes: tuple[str, ...]


class Checked(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What came of an attempt at an offline check.

    Attributes:
        evaluated: The document; None when there is none.
        problem: Why not.
    """

    evaluated: Evaluated | None = None
    problem: str | None = None
