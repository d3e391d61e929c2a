"""The report of ``fedgen validate --html``: one page that needs nothing but itself.

Style and figures lie within the page, which forbids itself to load anything; it is read on a phone, on a desk and on
paper, bright and dark.
"""

from __future__ import annotations

import shlex
from base64 import b64encode
from dataclasses import asdict
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from fedgen.figures.style import printable
from validate.report import lines, words
from validate.report.markup import document, element, items, section, table
from validate.report.plates import SHEETS, Plate, Sheet

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from xml.etree.ElementTree import Element

    from fedgen.figures.overlay import Pair
    from validate.report.markup import Content
    from validate.scorecard import Scorecard

_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"
_NOTE, _INTERVAL = "note", "_interval"
"""What the attributes of entries are called, or end in, that have no column of their own."""

_PARTS = (
    ("verdict", "Verdict"),
    ("figures", "Figures"),
    ("rows", "Rows"),
    ("reported", "Reported without verdict"),
    ("provenance", "Provenance"),
)


def page(card: Scorecard, pair: Pair, names: tuple[str, str], provenance: Mapping[str, Any]) -> str:
    """The report as HTML.

    Args:
        card: what ``generated`` was found to be like, held against ``measured``.
        pair: both federations.
        names: what to call the measured and the generated one.
        provenance: of the scorecard (:func:`fedgen.provenance.record`).
    """
    measured, generated = map(printable, names)
    title = f"{generated} against {measured}"
    return document(
        element(
            "html",
            element(
                "head",
                element("meta", charset="utf-8"),
                element("meta", http_equiv="Content-Security-Policy", content=_POLICY),
                element("meta", name="viewport", content="width=device-width, initial-scale=1"),
                element("meta", name="color-scheme", content="light dark"),
                element("title", f"fedgen: {title}"),
                element("style", (files(__package__) / "page.css").read_text(encoding="utf-8")),
            ),
            element(
                "body",
                element("header", element("p", "fedgen · scorecard"), element("h1", title), _contents()),
                element(
                    "main",
                    _verdict(card, measured, generated),
                    section("figures", "Figures", *(_sheet(sheet, pair) for sheet in SHEETS)),
                    _rows(card),
                    _reported(card),
                    _provenance(card, provenance),
                ),
            ),
            lang="en",
        )
    )


def _contents() -> Element:
    links = (element("a", heading, href=f"#{name}") for name, heading in _PARTS)
    return element("nav", items(links), aria_label="Contents")


def _verdict(card: Scorecard, measured: str, generated: str) -> Element:
    compared = (
        f"{generated} ({words.sizes(card.generated)}) is held against {measured} ({words.sizes(card.measured)}): "
        f"{len(card.rows)} statistics, each beside what resampling the measured federation alone would give."
    )
    mood = "bad" if card.rejected else "doubtful" if card.copied else "good"
    return section(
        "verdict",
        "Verdict",
        element("p", words.headline(card), class_=f"headline {mood}"),
        element("p", compared),
        items(words.findings(card)),
        element(
            "p", "Not rejected is not proven right: differences below the detectable ones may hide.", class_="aside"
        ),
        _sizes(card),
    )


def _sizes(card: Scorecard) -> Element:
    rows = (
        (name, f"{card.generated[name]:,}", f"{count:,}", words.number(card.generated[name] / max(count, 1)))
        for name, count in card.measured.items()
    )
    return element("div", table("Sizes", ("", "generated", "measured", "ratio"), rows), class_="box")


def _sheet(sheet: Sheet, pair: Pair) -> Element:
    shown = element("div", *(_plate(plate, pair) for plate in sheet.plates), class_="plates")
    return element("section", element("h3", sheet.heading), element("p", sheet.text), shown)


def _plate(plate: Plate, pair: Pair) -> Element:
    from fedgen.figures.pages import encoded

    drawn = b64encode(encoded(plate.draw(pair), "svg", "a report of fedgen validate")).decode()
    alt = f"{plate.title}: the curves of both sides, whose numbers follow."
    numbers = plate.numbers(pair)
    return element(
        "figure",
        element("img", src=f"data:image/svg+xml;base64,{drawn}", alt=alt),
        element("figcaption", element("b", f"{plate.title}."), f" {numbers[0].upper()}{numbers[1:]}."),
    )


def _rows(card: Scorecard) -> Element:
    meanings = (part for word, text in words.LEGEND for part in (element("dt", word), element("dd", text)))
    box = element("div", lines.scorecard(card), class_="box", tabindex="0", role="region", aria_label="Rows")
    return section("rows", "Rows", box, element("h3", "How to read them"), element("dl", *meanings))


def _reported(card: Scorecard) -> Element:
    tables = (
        _entries("Memorisation (E7): independence gives 0.05, copying about 0.5", card.memorisation),
        _entries("Statistics of both sides that no verdict rests on", card.reported),
    )
    return section("reported", "Reported without verdict", *(element("div", part, class_="box") for part in tables))


def _entries(caption: str, entries: Sequence[Any]) -> Element:
    """A line per entry, a column per attribute; notes stand below the first, intervals beside what they are of."""
    told = [asdict(entry) for entry in entries]
    if not told:
        return element("p", f"{caption}: none.")
    first, *others = (name for name in told[0] if name != _NOTE and not name.endswith(_INTERVAL))
    rows: list[list[Content]] = [[_noted(line, first), *(_spread(line, name) for name in others)] for line in told]
    return table(caption, [name.replace("_", " ") for name in (first, *others)], rows)


def _noted(line: Mapping[str, Any], name: str) -> Element:
    note = line.get(_NOTE)
    return element("span", words.number(line[name]), *([element("small", note)] if note else []))


def _spread(line: Mapping[str, Any], name: str) -> str:
    interval = line.get(name + _INTERVAL)
    return words.number(line[name]) + (f" ({words.number(interval)})" if interval else "")


def _provenance(card: Scorecard, provenance: Mapping[str, Any]) -> Element:
    versions = ", ".join(f"{name} {version}" for name, version in provenance["versions"].items())
    told = (
        ("command", element("code", printable(shlex.join(provenance["command"])))),
        ("seed", f"{card.seed}, {card.replicates} draws of each null"),
        *((f"input {printable(name)}", element("code", digest)) for name, digest in provenance["inputs"].items()),
        ("fedgen", provenance["fedgen"]),
        ("versions", versions),
        ("time", provenance["time"]),
        ("platform", f"{provenance['platform']}, {provenance['processor']}"),
    )
    pairs = (part for name, value in told for part in (element("dt", name), element("dd", value)))
    return section("provenance", "Provenance", element("dl", *pairs, class_="provenance"))
