"""The rows of a scorecard as a table that folds to a list of cards where there is no room for one.

Roles are spelled out because a table whose cells are laid out as a grid loses them in some browsers.
"""

from __future__ import annotations

from itertools import groupby
from math import isnan
from typing import TYPE_CHECKING

from validate.report.markup import Content, element
from validate.report.words import MARKS, number

if TYPE_CHECKING:
    from collections.abc import Iterator
    from xml.etree.ElementTree import Element

    from validate.scorecard import Row, Scorecard

FAMILIES = {"A": "Servers", "B": "Rooms", "C": "Users", "D": "Load", "E": "Composition, overlap and mixing"}
"""By the first letter of the names of their rows."""

_COLUMNS = ("row", "statistic", "distance", "floor", "ratio", "detectable", "p", "verdict")
_NUMBERS = ("distance", "floor", "detectable", "p")
_FULL = 2.0
"""The ratio at which a bar is full; its mark stands at 1."""


def scorecard(card: Scorecard) -> Element:
    """All rows, by family."""
    head = element("tr", *map(_head, _COLUMNS), role="row")
    bodies = (
        element("tbody", _family(letter), *map(_line, rows), role="rowgroup")
        for letter, rows in groupby(card.rows, key=lambda row: row.name[:1])
    )
    return element(
        "table",
        element("caption", "Distance of the generated from the measured federation, row by row"),
        element("thead", head, role="rowgroup"),
        *bodies,
        class_="rows",
        role="table",
    )


def _head(name: str) -> Element:
    kind = "number" if name in _NUMBERS else "words"
    return element("th", name, scope="col", role="columnheader", class_=kind)


def _family(letter: str) -> Element:
    words = f"{letter} · {FAMILIES.get(letter, 'Others')}"
    cell = element("th", words, colspan=str(len(_COLUMNS)), scope="rowgroup", role="rowheader")
    return element("tr", cell, class_="family", role="row")


def _line(row: Row) -> Element:
    return element(
        "tr",
        element("th", row.name, scope="row", role="rowheader", class_="name"),
        element("td", *_statistic(row), role="cell", class_="statistic"),
        _number("distance", row.distance),
        _number("floor", row.floor),
        element("td", *_ratio(row), role="cell", class_="ratio", data_label="ratio"),
        _number("detectable", row.detectable),
        _number("p", row.p),
        element("td", f"{MARKS.get(row.verdict, '•')} {row.verdict}", role="cell", class_="verdict"),
        role="row",
        class_=row.verdict.replace(" ", "-"),
    )


def _number(name: str, value: float) -> Element:
    return element("td", number(value), role="cell", class_=f"number {name}", data_label=name)


def _statistic(row: Row) -> Iterator[Content]:
    yield row.statistic
    yield element("small", f"{row.measure}; null: {row.null}")
    if not isnan(row.measured):
        yield element("small", f"measured {number(row.measured)}, generated {number(row.generated)}")
    if not isnan(row.iid_floor):
        yield element("small", f"floor if servers were resampled: {number(row.iid_floor)}")
    if row.note:
        yield element("small", row.note, class_="note")


def _ratio(row: Row) -> Iterator[Content]:
    yield element("span", number(row.ratio))
    if not isnan(row.ratio):
        filled = element("i", style=f"width:{100 * min(row.ratio / _FULL, 1.0):.1f}%")
        kind = "bar over" if row.ratio > _FULL else "bar"
        yield element("span", filled, class_=kind, aria_hidden="true")
