"""How published figures and what a federation has in their place are printed."""

from math import isfinite, isinf, isnan
from typing import TYPE_CHECKING

from fedgen.cli import terminal

if TYPE_CHECKING:
    from fedgen.statistics.published import Figure, Figures
    from validate.published import Findings


def print_findings(findings: "Findings") -> None:
    """Print a row per figure, those that are set aside, and the verdict."""
    header = ("figure", "statistic", "published", "measured", "kind", "met")
    rows = [
        (row.id, row.statistic, _published(row.figure), number_words(row.value), row.figure.kind, row.met)
        for row in findings.rows
    ]
    terminal.print_table(source_words(findings.figures), header, rows)
    if findings.set_aside:
        print("\nset aside, held against nothing:")
    for figure in findings.set_aside:
        print(f"  {figure.id} ({_published(figure)}): {' '.join(figure.set_aside.split())}")
    inferred = (
        f"; of {findings.inferred} inferred ones, told only, {findings.inferred_met}" if findings.inferred else ""
    )
    verdict = "rejected" if findings.rejected else "not rejected"
    print(f"\n{findings.met} of {findings.judged} figures met{inferred}; {verdict}")


def source_words(figures: "Figures") -> str:
    """Where figures are from, in one line."""
    snapshot = f", snapshot of {figures.snapshot}" if figures.snapshot else ""
    return f"{figures.title}, {figures.source}{snapshot}"


def _published(figure: "Figure") -> str:
    return interval_words(figure.low, figure.high)


def interval_words(low: float, high: float) -> str:
    """An interval in words: 76,271; 0.865 to 0.875; >= 25; any."""
    if low == high:
        return number_words(low)
    if isinf(high):
        return f">= {number_words(low)}" if not isinf(low) else "any"
    return f"<= {number_words(high)}" if isinf(low) else f"{number_words(low)} to {number_words(high)}"


def number_words(value: float) -> str:
    """With as many digits as tell whether it is within an interval: 76,271; 0.867331; - for none."""
    if isnan(value):
        return "-"
    whole = isfinite(value) and (value == round(value) or abs(value) >= 1e6)
    return f"{value:,.0f}" if whole else f"{value:,.6g}"
