"""The families of tail laws by name."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fitting.laws.continuous import (
    ContinuousExponential,
    ContinuousLognormal,
    ContinuousPowerLaw,
    ContinuousPowerLawWithCutoff,
    ContinuousStretchedExponential,
)
from fitting.laws.cutoff import BoundedPowerLaw, PowerLawWithCutoff
from fitting.laws.power import PowerLaw
from fitting.laws.rounded import Exponential, Lognormal, StretchedExponential

if TYPE_CHECKING:
    from collections.abc import Mapping

    from fitting.laws.law import Law

DISCRETE: dict[str, type[Law]] = {
    law.family: law
    for law in (PowerLaw, PowerLawWithCutoff, BoundedPowerLaw, Lognormal, StretchedExponential, Exponential)
}
CONTINUOUS: dict[str, type[Law]] = {
    law.family: law
    for law in (
        ContinuousPowerLaw,
        ContinuousPowerLawWithCutoff,
        ContinuousLognormal,
        ContinuousStretchedExponential,
        ContinuousExponential,
    )
}


def make(family: str, parameters: Mapping[str, float], xmin: float) -> Law:
    """The law on integers of a family, its parameters by name.

    Raises:
        ValueError: unknown family, other names than the family's, or values outside the domain.
    """
    if family not in DISCRETE:
        raise ValueError(f"unknown family {family!r}; known are {', '.join(DISCRETE)}")
    law = DISCRETE[family]
    if set(parameters) != set(law.names):
        raise ValueError(f"{family} has the parameters {', '.join(law.names)}, not {', '.join(parameters) or 'none'}")
    return law(*(float(parameters[name]) for name in law.names), xmin=xmin)
