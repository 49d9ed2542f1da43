"""Whether an experiment's data can be trusted: one finding for each way in which it could not.

Responsible for: the checks of an experiment's phase, their thresholds, the sentences that people read.
Does not know: where counts come from (``router.analysis.observed``), what follows from a finding
(``router.analysis.promotion``).

Rules: pure. A finding has a value, a threshold and a status; where there is too little data it is ``Insufficient``
instead, which is neither good nor bad and has no value that could be taken for one. Only the sample ratio makes an
experiment invalid: it alone is a test of what randomisation promised, and it may be looked at continuously. The others
warn. Thresholds are the constants below; one that others use names them.
"""

from typing import Final, Literal

from msgspec import Struct

from router.analysis.balance import balance
from router.analysis.finding import COUNTED, Finding, Insufficient, Status, duration, percent, share, worst
from router.analysis.sample_ratio import Block, SampleRatio, deviations, sample_ratio

# Fabijan et al. 2019, "Diagnosing Sample Ratio Mismatch in Online Controlled Experiments": few enough false alarms that
# each is worth stopping for.
SAMPLE_RATIO_P: Final = 0.001
SAMPLE_RATIO_UNITS: Final = 1000  # fewer say nothing of a mismatch below a third (docs/data-quality.md)
EXPECTED_UNITS: Final = 5.0  # of each arm that has a weight
DUPLICATES: Final = 0.01
CROSSED: Final = 0.01  # GrowthBook's default for its warning of multiple exposures
EARLY: Final = 0.01
BOTS: Final = 0.2
OVERRIDES: Final = 0.05
UNKNOWN_WEIGHTS: Final = 0.01


class Lags(Struct, frozen=True):
    """How long after its exposure the outcomes of a phase's units came.

    Attributes:
        units: Units with an outcome at or after their first exposure.
        median_s: Median over these units of first exposure to first outcome.
        p90_s: The 90th percentile of the same.
        keyed: Outcomes that name an exchange or an assignment of the phase, and so cannot precede it.
        early: Those of them that are dated before the unit's first exposure.
    """

    units: int = 0
    median_s: float = 0.0
    p90_s: float = 0.0
    keyed: int = 0
    early: int = 0


class Observed(Struct, frozen=True, kw_only=True):
    """What the log holds of one phase of an experiment.

    Attributes:
        experiment: Name of the experiment.
        run: Number of its run.
        phase: Phase of the run.
        control: The arm that is the baseline.
        exposures: Exchanges of assigned units, all of them.
        overridden: Those of them whose arm was forced.
        bots: Those that a bot sent and that were not forced.
        analysed: Those that count: not forced.
        requests: Different request ids among those that count.
        units: Different units among those that count.
        crossed: Units in more than one arm.
        blocks: Units by epoch and arm of their first exposure, epochs in order.
        unplaced: Units whose epoch's weights are not known any more.
        strata: Declared column to level to blocks, as above; a level of None holds units without the attribute.
        lags: When outcomes came.
    """

    experiment: str
    run: int
    phase: int
    control: str
    exposures: int = 0
    overridden: int = 0
    bots: int = 0
    analysed: int = 0
    requests: int = 0
    units: int = 0
    crossed: int = 0
    blocks: tuple[Block, ...] = ()
    unplaced: int = 0
    strata: dict[str, dict[str | None, tuple[Block, ...]]] = {}
    lags: Lags = Lags()


class Quality(Struct, frozen=True, kw_only=True):
    """What is known of one phase of an experiment.

    Attributes:
        experiment: Name of the experiment.
        run: Number of its run.
        phase: Phase of the run.
        sample_ratio: The test in full.
        findings: One for each check.
    """

    experiment: str
    run: int
    phase: int
    sample_ratio: SampleRatio
    findings: tuple[Finding | Insufficient, ...]

    @property
    def status(self) -> Status:
        """Return the worst of all findings."""
        return worst(finding.status for finding in self.findings)

    @property
    def invalid(self) -> Finding | None:
        """Return the finding that makes the experiment invalid, if one does."""
        return next((each for each in self.findings if isinstance(each, Finding) and each.status == "invalid"), None)


def judge(observed: Observed) -> Quality:
    """Judge one phase of an experiment."""
    tested = sample_ratio(observed.blocks)
    findings = [
        _sample_ratio(observed, tested),
        share(
            "duplicates",
            (observed.analysed - observed.requests, observed.analysed),
            DUPLICATES,
            "{share} of the exposures repeat a request id: callers send requests again, or the log holds them twice",
        ),
        share(
            "multiple_exposure",
            (observed.crossed, observed.units),
            CROSSED,
            "{share} of the units were in more than one arm within this phase, and are left out of the analysis",
        ),
        share(
            "bots",
            (observed.bots, observed.exposures),
            BOTS,
            "{share} of the exposures are of bots (`exclude: [bots]` leaves them out)",
        ),
        share(
            "overrides",
            (observed.overridden, observed.exposures),
            OVERRIDES,
            "{share} of the exposures were forced by an override, and are left out of the analysis",
        ),
        _outcome_gap(observed.lags),
        *(balance(column, levels, observed.control) for column, levels in sorted(observed.strata.items())),
    ]
    return Quality(
        experiment=observed.experiment,
        run=observed.run,
        phase=observed.phase,
        sample_ratio=tested,
        findings=tuple(findings),
    )


def _sample_ratio(observed: Observed, tested: SampleRatio) -> Finding | Insufficient:
    if tested.impossible:
        sentence = f"{tested.impossible} units are in an arm that had no weight, which cannot be: the log is not whole"
        return Finding("sample_ratio", "invalid", 0.0, SAMPLE_RATIO_P, sentence)
    if tested.p < SAMPLE_RATIO_P:
        sentence = f"the arms do not have the units that their weights promise ({deviations(tested)})"
        return Finding("sample_ratio", "invalid", tested.p, SAMPLE_RATIO_P, sentence, _numbers(tested))
    due = [expected for expected in tested.expected.values() if expected > 0]
    forgotten = (
        f"the weights that {observed.unplaced} units came under are not in the journal: no longer, or a policy gave "
        "each request its own"
    )
    if len(due) < 2 and observed.unplaced:
        return Insufficient("sample_ratio", forgotten)
    if len(due) < 2:
        return Insufficient("sample_ratio", "fewer than two arms had units due, so there is no ratio")
    if tested.units < SAMPLE_RATIO_UNITS or min(due) < EXPECTED_UNITS:
        sentence = (
            f"{tested.units} units, of which the smallest arm was due {min(due):.1f}; {SAMPLE_RATIO_UNITS} and "
            f"{EXPECTED_UNITS:g} are needed before a ratio can be called right"
        )
        return Insufficient("sample_ratio", sentence)
    if observed.unplaced > UNKNOWN_WEIGHTS * (observed.unplaced + tested.units):
        return Finding("sample_ratio", "warn", tested.p, SAMPLE_RATIO_P, forgotten, _numbers(tested))
    sentence = f"{tested.units} units are spread over the arms as their weights promise"
    return Finding("sample_ratio", "ok", tested.p, SAMPLE_RATIO_P, sentence, _numbers(tested))


def _numbers(tested: SampleRatio) -> dict[str, float]:
    return {} if tested.chi_square is None else {"chi_square_p": tested.chi_square.p}


def _outcome_gap(lags: Lags) -> Finding | Insufficient:
    if lags.units < COUNTED:
        return Insufficient("outcome_gap", f"{lags.units} units have an outcome; {COUNTED} are needed")
    early = lags.early / lags.keyed if lags.keyed else 0.0
    sentence = f"outcomes come {duration(lags.median_s)} after exposure in the median, {duration(lags.p90_s)} at p90"
    if early > EARLY:
        sentence += f"; {percent(early)} of those that answer an exposure are dated before it, so clocks differ"
    status: Literal["ok", "warn"] = "warn" if early > EARLY else "ok"
    details = {"median_s": lags.median_s, "p90_s": lags.p90_s}
    return Finding("outcome_gap", status, early, EARLY, sentence, details)
