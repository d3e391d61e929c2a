"""What speaks for a law and against it, in words that may be printed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fitting.acceptance import FEWEST

if TYPE_CHECKING:
    from collections.abc import Iterator

    from fitting.comparison import Comparison
    from fitting.tails import LawFit

PREFERRED_AT = 0.1  # for all rivals of the power law together
DOUBTFUL_AT = 0.1  # Clauset, Shalizi and Newman 2009, section 4
SMALL_TAIL = 50  # below, they find estimates biased (section 3.3)


def evidence(fit: LawFit) -> str:
    """The case for ``fit.law``."""
    return "; ".join(_words(fit))


def _words(fit: LawFit) -> Iterator[str]:
    scan = fit.scan
    if scan is not None and scan.xmin != fit.xmin:
        p = "" if scan.p is None else f", p = {scan.p:.2g}"
        why = "no power law" if scan.tail >= FEWEST else f"no tail, {scan.tail} values,"
        yield f"{why} from {scan.xmin} on (the smallest D{p}), one from {fit.xmin} on"
    against = {c.second: c for c in fit.comparisons if c.first == "power law"}
    if fit.law == "power law":
        yield _power_law(against, fit.runner_up)
    elif fit.law is not None:
        clearest = min((c for c in against.values() if c.better == c.second), key=lambda c: c.p)
        yield f"{clearest.second} is better than power law, p = {clearest.p:.2g}"
        if fit.runner_up is not None and fit.runner_up != "power law":
            yield _rivals(fit.law, fit.against(fit.runner_up))
    if fit.tail < SMALL_TAIL:
        yield f"weak: {fit.tail} values"
    if fit.p is not None and fit.p < DOUBTFUL_AT:
        yield f"doubtful itself, p = {fit.p:.2g}"


def _rivals(law: str, comparison: Comparison) -> str:
    other = comparison.second if comparison.first == law else comparison.first
    if comparison.p >= PREFERRED_AT:
        return f"{law} and {other} are not distinguishable here, p = {comparison.p:.2g}"
    if comparison.better == law:
        return f"{law} is better than {other}, p = {comparison.p:.2g}"
    # Possible where the other one has more parameters, or does not fit itself.
    return f"{other} is likelier than {law}, p = {comparison.p:.2g}, but has more parameters or does not fit"


def _power_law(against: dict[str, Comparison], runner_up: str | None) -> str:
    if runner_up is None:
        return "no other family has a fit of its own"
    rival = against[runner_up]
    if rival.p >= PREFERRED_AT:
        return f"power law and {runner_up} are not distinguishable here, p = {rival.p:.2g}"
    if rival.better == "power law":
        return f"power law is better than {runner_up}, p = {rival.p:.2g}"
    if rival.p >= PREFERRED_AT / len(against):
        return f"{runner_up} may be better, p = {rival.p:.2g}: not certain among {len(against)} rivals, power law kept"
    return f"{runner_up} is likelier, p = {rival.p:.2g}, but does not fit; power law kept"
