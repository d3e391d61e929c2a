"""What a scorecard says, in plain words, and its numbers as text."""

from __future__ import annotations

from math import isinf, isnan
from typing import TYPE_CHECKING

from validate.verdict import LEVEL

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from validate.scorecard import Row, Scorecard

MARKS = {"indistinguishable": "✓", "above floor": "△", "rejected": "✗", "copied": "≡", "not applicable": "–"}
"""A sign for each verdict, so that colour is not the only one."""

LEGEND = (
    ("distance", "How far the generated federation is from the measured one; 0 where they agree."),
    (
        "floor",
        "The noise floor: what resampling the measured federation alone gives in 95 % of draws. Two measurements of "
        "one federation would be about so far apart.",
    ),
    ("ratio", "Distance over floor. Up to 1, the two cannot be told apart by this row. The mark of the bar is at 1."),
    (
        "detectable",
        "The true difference from which on 95 % of comparisons would exceed the floor: smaller ones may hide.",
    ),
    ("p", f"Adjusted for all rows together. From {LEVEL:.0%} down the row is rejected."),
    ("✓ indistinguishable", "The distance is within its floor."),
    ("△ above floor", "Beyond its floor, but so may a row of a right federation be: the rows are many."),
    ("✗ rejected", "So far that chance is no explanation. One such row rejects the federation."),
    (
        "≡ copied",
        "Closer to the measurement than an independent federation would come: something of it may have been copied.",
    ),
    ("– not applicable", "There is no such distance here; the note says why."),
)
"""The words of the table, and what they mean."""


def headline(card: Scorecard) -> str:
    """The verdict in one sentence."""
    if card.rejected:
        return "Rejected: the generated federation can be told from the measured one."
    if card.copied or any(kind.too_close for kind in card.memorisation):
        return "Not rejected, but closer in places than an independent federation would come."
    if card.judged < len(card.rows):
        return "Not rejected: as far as rows apply, the generated federation passes for a draw of the measured one."
    return "Not rejected: the generated federation passes for another draw of the measured one."


def findings(card: Scorecard) -> tuple[str, ...]:
    """What the verdict rests on, a sentence each."""
    rejecting = [row for row in card.rows if row.verdict == "rejected"]
    beyond = [row for row in card.rows if row.judged and row.ratio > 1 and row not in rejecting]
    close = [row for row in card.rows if row.verdict == "copied"]
    idle = [row for row in card.rows if not row.judged]
    told = [f"{card.within} of {card.judged} judged rows are within their noise floor."]
    if rejecting:
        told.append(f"Rejected at a family-wise level of {LEVEL:.0%} by {_with_ratios(rejecting)}.")
    else:
        told.append(f"No row is rejected at a family-wise level of {LEVEL:.0%}.")
    if beyond:
        told.append(f"Beyond the floor, but not rejected: {_with_ratios(beyond)}.")
    if close:
        told.append(f"Too close, as a copy would be: {_names(close)}.")
    else:
        told.append("No row is closer than an independent federation would come.")
    told += [
        f"Memorised (E7, {kind.records}): {number(kind.share)} of the generated records lie closer to measured ones "
        "than the closest 5 % of other measured ones do; independence gives 0.05, copying about 0.5."
        for kind in card.memorisation
        if kind.too_close
    ]
    if idle:
        told.append(f"Not applicable: {_names(idle)}.")
    return tuple(told)


def sizes(counts: Mapping[str, int]) -> str:
    """How large a federation is: 2,430 users on 930 servers in 532 rooms."""
    users, servers, rooms = (_counted(counts[name], name) for name in ("users", "servers", "rooms"))
    return f"{users} on {servers} in {rooms}"


def number(value: object) -> str:
    """As a person reads it: 12,345; 0.0123; ∞; 1.2 to 1.4; – for none."""
    if isinstance(value, tuple):
        return " to ".join(number(part) for part in value)
    if value is None:
        return "–"
    if isinstance(value, float):
        if isnan(value):
            return "–"
        if isinf(value):
            return "∞" if value > 0 else "−∞"
        return f"{value:,.0f}" if abs(value) >= 1e4 else f"{value:.3g}"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:,}" if isinstance(value, int) else str(value)


def _with_ratios(rows: Sequence[Row]) -> str:
    return "; ".join(f"{row.name} {row.statistic} ({number(row.ratio)} times its floor)" for row in rows)


def _names(rows: Iterable[Row]) -> str:
    return "; ".join(f"{row.name} {row.statistic}" for row in rows)


def _counted(count: int, name: str) -> str:
    return f"{count:,} {name if count != 1 else name.removesuffix('s')}"
