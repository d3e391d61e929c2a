"""Markdown tables."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence


def markdown(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table; columns whose head begins with a blank are of numbers."""
    rule = ["---:" if title.startswith(" ") else "---" for title in head]
    lines = [[title.strip() for title in head], rule, *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
