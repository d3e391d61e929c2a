"""Published figures as data: a TOML file of intervals that statistics of one federation are held against.

The form is in docs/figures.md, its schema in ``fedgen/schemas/figures.schema.json``. The reader refuses whatever no
federation could be held against, with the line: unknown names, empty intervals, figures that contradict each other.
"""

from __future__ import annotations

import hashlib
import json
import stat
import tomllib
from dataclasses import dataclass
from datetime import date
from itertools import combinations
from math import ceil, floor, inf, isclose, isfinite, isnan
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, cast, get_args

from fedgen.errors import FiguresError, StatisticError
from fedgen.shipped import shipped
from fedgen.statistics.toml_lines import Lines, syntax_error
from fedgen.statistics.vocabulary import VOCABULARY, Statistic, Where

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

Kind = Literal["exact", "rounded", "qualitative", "inferred"]
KINDS: tuple[Kind, ...] = get_args(Kind)
END = "end"
"""The last rank, in a file: ``ranks = [2, "end"]``."""

SLACK = 1e-9
"""How far, relatively, a number may lie off the end of an interval: its own rounding."""

# What each key must be, by the words of _FORMS.
_HEAD = {"title": "text", "authors": "text", "reference": "text", "snapshot": "text or a date"}
_FIGURE = {
    "id": "text",
    "statistic": "text",
    "of": "text",
    "least": "a whole number",
    "most": "a whole number",
    "rank": "a whole number",
    "ranks": f'two whole numbers, or one and "{END}"',
    "where": "a table",
    "value": "a number",
    "interval": "two numbers",
    "kind": "text",
    "place": "text",
    "note": "text",
    "set_aside": "text",
}
_WHERE = {
    "of": "text",
    "least": "a whole number",
    "most": "a whole number",
    "largest": "two whole numbers",
    "lowest": "two whole numbers",
}


@dataclass(frozen=True)
class Figure:
    """One published figure.

    Attributes:
        id: its name, unique in its file.
        statistic: what it is a figure of; None only where it is set aside.
        low, high: the interval that it stands for, both ends within.
        kind: ``exact`` (an integer in print), ``rounded`` (a printed number, as its rounding interval), ``qualitative``
            (a sentence, as an interval) or ``inferred`` (follows from other figures; told, but decides nothing).
        place: where it is published.
        note: what else is to be known.
        set_aside: why it is held against nothing; empty where it is held.
        line: of the file.
    """

    id: str
    statistic: Statistic | None
    low: float
    high: float
    kind: Kind
    place: str = ""
    note: str = ""
    set_aside: str = ""
    line: int = 0

    def met_by(self, value: float) -> bool:
        """Whether the value lies in the interval, give or take rounding; NaN never does."""
        if self.low <= value <= self.high:
            return True
        rounded = self.statistic is None or not self.statistic.whole
        return rounded and any(isclose(value, end, rel_tol=SLACK) for end in (self.low, self.high) if isfinite(end))


@dataclass(frozen=True)
class Figures:
    """A file of published figures.

    Attributes:
        path: of the file.
        title: of the publication.
        source: its reference, as "arXiv 1910.06295".
        authors: who published it.
        snapshot: when the federation was measured.
        figures: in the order of the file.
        digest: sha256 of the file.
    """

    path: str
    title: str
    source: str
    authors: str
    snapshot: str
    figures: tuple[Figure, ...]
    digest: str

    @property
    def held(self) -> tuple[Figure, ...]:
        """The figures that are not set aside."""
        return tuple(figure for figure in self.figures if not figure.set_aside)

    def __getitem__(self, name: str) -> Figure:
        """The figure of that id."""
        for figure in self.figures:
            if figure.id == name:
                return figure
        raise KeyError(f"no figure {name!r} in {self.path}: it has {', '.join(f.id for f in self.figures)}")

    def __repr__(self) -> str:
        return f"Figures({self.source}, {len(self.held)} held, {len(self.figures) - len(self.held)} set aside)"


def builtin_figures() -> Figures:
    """The figures of the measurement of Matrix in 2018 that come with fedgen."""
    return read_figures(shipped("matrix-2018.toml"))


def read_figures(path: str | Path) -> Figures:
    """Read a file of published figures.

    Raises:
        FiguresError: it is none, or broken, or contradicts itself; one line with the line of the file.
    """
    path = Path(path)
    content = _content(path)
    text = _text(path, content)
    document = _parsed(path, text)
    lines = Lines(text, "figure")
    head = _head(path, lines, document)
    figures = tuple(_figure(table, _Place(path, lines, i, table)) for i, table in enumerate(_tables(path, document)))
    _check_ids(path, figures)
    if all(figure.set_aside for figure in figures):
        raise FiguresError(f"{path}: holds no figure but those set aside; add one under [[figure]]")
    _check_agreement(path, figures)
    return Figures(
        path=str(path),
        title=head["title"],
        source=head["reference"],
        authors=head.get("authors", ""),
        snapshot=str(head.get("snapshot", "")),
        figures=figures,
        digest=f"sha256:{hashlib.sha256(content).hexdigest()}",
    )


# The file.


def _content(path: Path) -> bytes:
    try:
        mode = path.stat().st_mode
        if stat.S_ISDIR(mode):
            raise FiguresError(f"{path}: is a folder, not a file of figures; name the file")
        if not stat.S_ISREG(mode):
            raise FiguresError(f"{path}: is neither a file nor a folder; copy its content to a file first")
        return path.read_bytes()
    except FileNotFoundError:
        raise FiguresError(f"{path}: does not exist; check the name") from None
    except OSError as error:
        raise FiguresError(f"{path}: cannot be read ({error.strerror or error}); check the file") from None


def _text(path: Path, content: bytes) -> str:
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise FiguresError(f"{path}:{line}: is not UTF-8; convert the file to UTF-8") from None
    if not text.strip():
        raise FiguresError(f"{path}: is empty; write figures as docs/figures.md tells")
    return text


def _parsed(path: Path, text: str) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except RecursionError:
        raise FiguresError(f"{path}: is nested too deeply for figures; check where it comes from") from None
    except ValueError as error:  # a syntax error, or a number with too many digits
        line, what = syntax_error(str(error), text)
        raise FiguresError(f"{path}:{line}: is not TOML: {what}; mend the line") from None


def _head(path: Path, lines: Lines, document: Mapping[str, Any]) -> Mapping[str, Any]:
    """The table [source]."""
    for key in document:
        if key not in ("source", "figure"):
            where = f"{path}:{lines.top(key)}"
            raise FiguresError(f"{where}: unknown table or key {_shown(key)}; a file has [source] and [[figure]]")
    head = document.get("source")
    if not isinstance(head, dict):
        raise FiguresError(f"{path}: has no table [source]; add one with title and reference")

    def error(key: str, message: str) -> FiguresError:
        return FiguresError(f"{path}:{lines.top('source', key)}: source: {message}")

    _check_keys(head, _HEAD, error)
    for key in ("title", "reference"):
        if not head.get(key, "").strip():
            raise error(key, f"has no {key}; say what the figures are taken from")
    return head


def _tables(path: Path, document: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    tables = document.get("figure", [])
    if not isinstance(tables, list) or not all(isinstance(table, dict) for table in tables):
        raise FiguresError(f"{path}: figure is not an array of tables; begin each figure with [[figure]]")
    return tables


# One figure.


@dataclass(frozen=True)
class _Place:
    """Where a figure stands, for errors."""

    path: Path
    lines: Lines
    index: int
    table: Mapping[str, Any]

    def error(self, key: str, message: str) -> FiguresError:
        """What is wrong with a key of the figure; the figure's own line where the key is not there."""
        name = self.table.get("id")
        named = _shown(name) if isinstance(name, str) and name.strip() else f"{self.index + 1}"
        return FiguresError(f"{self.path}:{self.lines.key(self.index, key)}: figure {named}: {message}")


def _figure(table: Mapping[str, Any], place: _Place) -> Figure:
    _check_keys(table, _FIGURE, place.error)
    for key, advice in (("id", "name it"), ("kind", f"give one of {', '.join(KINDS)}")):
        if not table.get(key, "").strip():
            raise place.error(key, f"has no {key}; {advice}")
    if table["kind"] not in KINDS:
        raise place.error("kind", f"unknown kind {_shown(table['kind'])}; give one of {', '.join(KINDS)}")
    if "set_aside" in table and not table["set_aside"].strip():
        raise place.error("set_aside", "set_aside is empty; say why it is held against nothing, or leave set_aside out")
    low, high = _interval(table, place)
    statistic = _statistic(table, place)
    if statistic is not None and "set_aside" not in table:
        _check_possible(statistic, low, high, place)
    return Figure(
        id=table["id"],
        statistic=statistic,
        low=low,
        high=high,
        kind=cast("Kind", table["kind"]),
        place=table.get("place", ""),
        note=table.get("note", ""),
        set_aside=table.get("set_aside", ""),
        line=place.lines.table(place.index),
    )


def _interval(table: Mapping[str, Any], place: _Place) -> tuple[float, float]:
    if "value" in table and "interval" in table:
        raise place.error("interval", "has both value and interval; keep one")
    if "value" not in table and "interval" not in table:
        raise place.error("id", "has no value and no interval; give value = N or interval = [low, high]")
    key = "value" if "value" in table else "interval"
    low, high = map(float, (table["value"],) * 2 if key == "value" else table["interval"])
    if isnan(low) or isnan(high):
        raise place.error(key, f"{key} is not a number (nan); give one, or inf for no bound")
    if low > high:
        raise place.error(key, f"interval [{low:.12g}, {high:.12g}] is empty, its low end above its high; swap them")
    if low == inf or high == -inf:
        raise place.error(key, f"{key} holds no finite number, so that nothing meets it; give one")
    return low, high


def _statistic(table: Mapping[str, Any], place: _Place) -> Statistic | None:
    parts = {key: _tuple(table[key]) for key in ("of", "least", "most", "rank", "ranks") if key in table}
    if "statistic" not in table:
        if "set_aside" not in table:
            known = ", ".join(VOCABULARY)
            raise place.error("id", f"has no statistic; give one of {known}, or say in set_aside why not")
        if parts or "where" in table:
            raise place.error(next(iter({**parts, "where": 0})), "has no statistic that this belongs to; add it")
        return None
    try:
        where = _where(table["where"], place) if "where" in table else None
        return Statistic(table["statistic"], where=where, **parts)
    except StatisticError as error:
        raise place.error(error.key, str(error)) from None


def _where(table: Mapping[str, Any], place: _Place) -> Where:
    def error(_: str, message: str) -> FiguresError:
        return place.error("where", f"where: {message}")

    _check_keys(table, _WHERE, error)
    if "of" not in table:
        raise error("of", "has no of; say by which margin")
    return Where(**{key: _tuple(value) for key, value in table.items()})


def _tuple(value: Any) -> Any:
    """Two ranks of a file as the vocabulary has them; anything else as it is."""
    return tuple(None if rank == END else rank for rank in value) if isinstance(value, list) else value


# Keys and what they hold.


def _is_whole(value: object) -> bool:
    """No bool, which Python counts as a number, and nothing beyond what the files hold."""
    return isinstance(value, int) and not isinstance(value, bool) and -(2**63) <= value < 2**63


def _is_number(value: object) -> bool:
    return isinstance(value, float) or _is_whole(value)


def _is_pair(value: object, *of: Callable[[object], bool]) -> bool:
    return isinstance(value, list) and len(value) == 2 and all(fits(v) for fits, v in zip(of, value, strict=True))


_FORMS: dict[str, Callable[[object], bool]] = {
    "text": lambda value: isinstance(value, str),
    "text or a date": lambda value: isinstance(value, str | date),
    "a table": lambda value: isinstance(value, dict),
    "a number": _is_number,
    "a whole number": _is_whole,
    "two numbers": lambda value: _is_pair(value, _is_number, _is_number),
    "two whole numbers": lambda value: _is_pair(value, _is_whole, _is_whole),
    _FIGURE["ranks"]: lambda value: _is_pair(value, _is_whole, lambda last: last == END or _is_whole(last)),
}


def _check_keys(table: Mapping[str, Any], forms: Mapping[str, str], error: Callable[[str, str], FiguresError]) -> None:
    for key, value in table.items():
        if key not in forms:
            raise error(key, f"unknown key {_shown(key)}; the keys are {', '.join(forms)}")
        if not _FORMS[forms[key]](value):
            raise error(key, f"{key} must be {forms[key]}, not {_shown(value)}")


def _shown(value: object) -> str:
    """A value of a file as one short piece of a line."""
    try:
        text = json.dumps(value, ensure_ascii=False, default=str)
    except ValueError:  # a number of thousands of digits
        return "what is too long to show"
    return text if len(text) <= 60 else text[:56] + " ..."


# What no federation can meet.


def _check_possible(statistic: Statistic, low: float, high: float, place: _Place) -> None:
    key = "value" if "value" in place.table else "interval"
    least, most = statistic.range
    if high < least or low > most:
        ends = f"from {least:g} up" if most == inf else f"from {least:g} to {most:g}"
        share = "; write a share of 87 % as 0.87" if most == 1 else "; mend it"
        raise place.error(key, f"{statistic.name} lies {ends}, {_interval_words(low, high)} does not{share}")
    if not _meet(statistic, (low, high)):
        words = _interval_words(low, high)
        raise place.error(key, f"{statistic} is a whole number, and none lies in {words}; widen the interval")


def _check_ids(path: Path, figures: Iterable[Figure]) -> None:
    seen: dict[str, int] = {}
    for figure in figures:
        if figure.id in seen:
            where = f"{path}:{figure.line}: figure {_shown(figure.id)}"
            raise FiguresError(f"{where}: stands twice, first on line {seen[figure.id]}; give each its own id")
        seen[figure.id] = figure.line


def _check_agreement(path: Path, figures: Iterable[Figure]) -> None:
    """Two figures of one statistic must have a number in common; intervals that meet in pairs have one for all."""
    alike: dict[Statistic, list[Figure]] = {}
    for figure in figures:
        if figure.statistic is not None and not figure.set_aside:
            alike.setdefault(figure.statistic.canonical, []).append(figure)
    pairs = ((statistic, *pair) for statistic, group in alike.items() for pair in combinations(group, 2))
    for statistic, first, second in pairs:
        if not _meet(statistic, (first.low, first.high), (second.low, second.high)):
            raise FiguresError(
                f"{path}:{second.line}: figure {_shown(second.id)}: {_interval_words(second.low, second.high)} "
                f"contradicts {_interval_words(first.low, first.high)} of figure {_shown(first.id)} "
                f"(line {first.line}), which is of the same statistic; mend one or set it aside"
            )


def _meet(statistic: Statistic, *intervals: tuple[float, float]) -> bool:
    """Whether the intervals have a number in common that the statistic can be."""
    low, high = max(low for low, _ in intervals), min(high for _, high in intervals)
    if statistic.whole and isfinite(low) and isfinite(high):
        return ceil(low) <= floor(high)
    return low <= high


def _interval_words(low: float, high: float) -> str:
    return f"{low:.12g}" if low == high else f"{low:.12g} to {high:.12g}"
