"""How pages look: one style for all of them, and what every page begins with.

Responsible for: the style sheet, the opening of a page, plain tables, times and shares in words.
Does not know: what a page says.

Rules: no script, no request to anywhere. A status is a word and never a colour alone; wide tables scroll by themselves
on a phone; nothing is hidden in print. Imports nothing heavy: pages about releases are made without any extra.
"""

from collections.abc import Iterable
from datetime import UTC, datetime
from html import escape
from typing import Final

STYLE: Final = (
    ":root{color-scheme:light}*{box-sizing:border-box}"
    "body{font:16px/1.5 system-ui,sans-serif;max-width:62rem;margin:0 auto;padding:1.5rem 1rem;color:#1d1d1f;"
    "background:#fff;overflow-wrap:anywhere}"
    "h1{font-size:1.6rem;margin:.2em 0}h2{font-size:1.2rem;margin:2.2em 0 .4em;border-bottom:1px solid #ddd}"
    "h3{font-size:1rem;margin:1.4em 0 .3em}.scroll{overflow-x:auto}"
    "table{border-collapse:collapse;margin:.6em 0;font-size:.92rem;overflow-wrap:normal}"
    "th{text-align:left;font-weight:600;border-bottom:2px solid #bbb;vertical-align:bottom}"
    "td,th{padding:.3em .9em .3em 0}td{border-bottom:1px solid #eee;vertical-align:top}"
    ".t{min-width:16rem}.n{font-variant-numeric:tabular-nums;white-space:nowrap}.note,figcaption{color:#555;font-size:.88rem}"
    ".decision{border-left:.5rem solid;padding:.6rem 1rem;background:#f6f6f7;margin:1rem 0}"
    ".decision strong{font-size:1.35rem}.ship,.pass{color:#00633f}.stop,.fail{color:#a3240a}"
    ".run,.warn,.inconclusive{color:#7a4b00}.unknown,.error{color:#555}"
    ".decision p{color:#1d1d1f;margin:.3em 0}.status{font-weight:600;white-space:nowrap}"
    "figure{margin:1.2em 0;break-inside:avoid}svg{display:block;width:100%;max-width:38rem;height:auto}"
    ".plots{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,26rem),1fr));gap:0 1.5rem}"
    "summary{cursor:pointer;margin:1em 0}dt{font-weight:600}dd{margin:0 0 .6em}"
    ".ladder{display:flex;flex-wrap:wrap;gap:.3rem;padding:0;margin:.8rem 0;list-style:none}"
    ".ladder li{border:1px solid #bbb;border-radius:.3rem;padding:.15rem .6rem;color:#555}"
    ".ladder .past{background:#e6f2ec;border-color:#00633f;color:#00633f}"
    ".ladder .here{background:#1d1d1f;border-color:#1d1d1f;color:#fff;font-weight:600}"
    ".timeline{padding-left:0;list-style:none}.timeline li{border-left:.2rem solid #bbb;padding:.1rem 0 .5rem .8rem}"
    "@media print{body{max-width:none;font-size:11pt;padding:0}tr,figure{break-inside:avoid}.scroll{overflow:visible}}"
)
RELEASE: Final = "<!-- release -->"
"""Stands where a page about an experiment says where its release is; nothing that is escaped can look like it."""
LONG: Final = 48  # characters; longer cells are sentences, which may be broken


def opening(title: str) -> str:
    """Return what a page begins with.

    Args:
        title: Its title, as text.
    """
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>'
        f'<meta name="viewport" content="width=device-width,initial-scale=1"><style>{STYLE}</style></head>'
    )


def table(titles: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """Return a table of text, without the columns in which nothing stands."""
    named, found = tuple(titles), [tuple(row) for row in rows]
    kept = [place for place, _ in enumerate(named) if any(row[place] for row in found)]
    head = "".join(f"<th>{escape(named[place])}</th>" for place in kept)
    body = "".join("<tr>" + "".join(_cell(named[place], row[place]) for place in kept) + "</tr>" for row in found)
    return f"<div class=scroll><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>"


def _cell(title: str, text: str) -> str:
    if title == "status":
        word = escape(text)
        return f'<td class="status {word.partition(" ")[0]}">{word}</td>'
    if len(text) >= LONG:
        return f"<td class=t>{escape(text)}</td>"
    numeric = any(digit in text for digit in "0123456789")
    return f"<td{' class=n' if numeric else ''}>{escape(text)}</td>"


def clock(at: float) -> str:
    """Say a moment to the second, in UTC; in unix seconds where no calendar has it."""
    try:
        return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M:%S")
    except (ValueError, OverflowError, OSError):
        return f"{at:g}"


def span(seconds: float) -> str:
    """Say how long something took, in two units at most."""
    if seconds < 1:
        return f"{1000 * seconds:.0f} ms"
    if seconds < 120:
        return f"{seconds:.3g} s"
    units = (("d", 86400), ("h", 3600), ("min", 60), ("s", 1))
    place = next(index for index, (_, size) in enumerate(units) if seconds >= size)
    (first, size), (second, below) = units[place], units[min(place + 1, 3)]
    whole, rest = divmod(int(seconds), size)
    return f"{whole} {first}" + (f" {rest // below} {second}" if rest // below and below < size else "")


def percent(share: float) -> str:
    """Say a share."""
    return f"{100 * share:.4g} %"


def figure(value: float | None) -> str:
    """Say a number in four digits; nothing for one that is not known."""
    if value is None:
        return ""
    return f"{value:,.0f}" if abs(value) >= 1000 and value == int(value) else f"{value:.4g}"
