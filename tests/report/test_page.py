"""The page and the JSON of a report: complete, escaped, and the same each time."""

import json
import re
from html.parser import HTMLParser

import pytest
from msgspec import structs

from router.analysis.aggregates import Cell, Place
from router.analysis.result import Series
from router.config.schema import Decide, Guardrail, Measured, Notes
from router.report.compose import compose
from router.report.document import report_document
from router.report.page import page
from router.report.plots import plots
from router.report.report import Report
from router.report.scene import Evidence
from tests.report.build import CTR, NOW, draw, evidence, experiment

HOSTILE = "<script>alert(1)</script>&"
ARMS = {"control": 0.10, "treatment": 0.12}


def made(length: int = 7) -> tuple[Report, Evidence]:
    """Give a report with slices, so many days, guardrails and a criterion, of an experiment with hostile names."""
    measured = Measured(
        primary="ctr",
        secondary=("revenue",),
        guardrails=(Guardrail(metric="errors", ratio=1.5), Guardrail(metric="revenue", relative=-0.05, action="warn")),
        oec={"ctr": 0.6, "revenue": 0.4},
    )
    one = experiment(
        measured, decide=Decide(mde=0.1), hypothesis=HOSTILE, notes=Notes(learned="clicks <rise>", next="more")
    )
    days = {
        Place(1, 1, arm, ("day",), (str(19_675 + day),)): draw(10 * day + place, 1000, chance)
        for day in range(length)
        for place, (arm, chance) in enumerate(ARMS.items())
    }
    whole = {arm: Cell() for arm in ARMS}
    for place, each in days.items():
        whole[place.arm] = whole[place.arm].merge(each)
    slices: dict[tuple[tuple[str, str], ...], dict[str, Cell]] = {
        (("country", value),): {arm: draw(seed + at, 3500, chance) for at, (arm, chance) in enumerate(ARMS.items())}
        for seed, value in ((100, HOSTILE), (200, "EU"))
    }
    found = evidence(one, whole, slices)
    traffic = {place: each.exchanges for place, each in days.items()}
    found = found._replace(result=structs.replace(found.result, series=Series(days=days, traffic=traffic)))
    return compose(one, found, NOW), found


class Tags(HTMLParser):
    """Checks that tags are closed in order, and that identifiers are unique."""

    VOID = frozenset({"meta", "link", "br", "path", "use", "rect"})

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: set[str] = set()
        self.titles = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Remember an opened tag."""
        if tag not in self.VOID:
            self.open.append(tag)
        for name, value in attrs:
            if name == "id" and value is not None:
                assert value not in self.seen
                self.seen.add(value)
        self.titles += tag == "desc"

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Take a tag that closes itself."""
        if tag not in self.VOID:
            self.handle_starttag(tag, attrs)
            self.open.pop()

    def handle_endtag(self, tag: str) -> None:
        """Close the last tag that was opened."""
        if tag not in self.VOID:
            assert self.open.pop() == tag


def test_the_page_is_whole_and_loads_nothing() -> None:
    """One file: well formed, each plot with a name for who does not see it, no address and no script."""
    report, found = made()
    drawn = plots(report, CTR)
    text = page(report, found.result, ["data quality: all checks are fine"], drawn)
    tags = Tags()
    tags.feed(text)
    assert tags.open == []
    assert tags.titles == len(drawn) == 5
    assert "<script" not in text
    assert not re.search(r"https?:|url\(['\"]?[^#]|@import", text)
    for part in ("Ship: treatment", "Guardrails", "Overall criterion", "Checklist", "Slices", "clicks &lt;rise&gt;"):
        assert part in text


def test_the_same_report_gives_the_same_page() -> None:
    """So a page may be kept, and compared with the one before."""
    report, found = made()
    one, other = (page(report, found.result, (), plots(report, CTR)) for _ in range(2))
    assert one == other


def test_the_document_is_json_and_says_everything() -> None:
    """Strict JSON; effects and what cannot be said are told apart by their type."""
    report, _ = made()
    text = json.dumps(report_document(report), allow_nan=False)
    found = json.loads(text)
    measure = found["phases"][0]["arms"][0]["measures"][0]
    assert (measure["role"], measure["direction"], measure["effect"]["type"]) == ("primary", "better", "effect")
    assert found["decision"]["checklist"][0].keys() == {"name", "status", "hard", "evidence"}


def test_a_number_that_is_none_is_refused() -> None:
    """A method that returned nan would be wrong; its nan is not passed on."""
    report, _ = made()
    broken = structs.replace(report, time=float("nan"))
    with pytest.raises(ValueError, match=r"report\.time is nan"):
        report_document(broken)


def test_an_empty_report_has_a_page() -> None:
    """Nobody was exposed yet."""
    one = experiment()
    found = Evidence(structs.replace(evidence(one, {"control": Cell()}).result, stages=(), cells={}))
    report = compose(one, found, NOW)
    assert "nobody was exposed yet" in page(report, found.result, (), plots(report, CTR))


@pytest.mark.parametrize("length", [1, 2, 30])
def test_plots_over_time_show_any_number_of_days(length: int) -> None:
    """The first day of an experiment has its interval as well, and the axis holds the days and no years around them."""
    report, _ = made(length)
    drawn = plots(report, CTR)
    over_time = [plot for plot in drawn if "by country" not in plot.title]
    assert len(over_time) == 4
    for plot in over_time:
        assert "day, until 2023-11-" in plot.svg or "day, until 2023-12-" in plot.svg
        assert len(re.findall(r"\b\d\d-\d\d<", plot.svg)) <= 8
