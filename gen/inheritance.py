r"""What a drawn unit inherits: the company of the measured unit of its rank.

Sizes are drawn from laws, anew and independently. With whom a server, a room or a user keeps company is not a law
of sizes; it is inherited from a measured one. So drawn and measured units of a class are sorted by size, ties at
random, and the drawn one at a share q of its list inherits from the measured one at the same share of the other:
the largest drawn server goes to such rooms as the largest measured server went to. Every measured unit of a class
is inherited from about equally often, so that communities keep their weight.

In a federation that is several times as large so many drawn units inherit from one measured. They live in *regions*,
which are to one another as strangers are: else everyone would meet as many others as before, but spread over so many
more that nobody would meet anybody twice.

What is inherited is a handful of *tickets*, one for each of the measured unit's presences or memberships, that name
the type of the room. A unit that needs as many tickets as it inherits uses each once; one that needs more uses all
equally often, and what is missing to its number is chosen among them. That choice is free, and is used to bring the
use of each type near to how many places of that type there are: tickets are chosen in proportion to places over
use, in a few rounds of proportional fitting (Deming and Stephan 1940).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from fedgen.ragged import offsets_of, order_of
from gen.apportion import apportion

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fedgen.federation import Integers

SWEEPS = 4
"""Rounds of proportional fitting."""


def inherit(
    drawn: Sequence[Integers],
    measured: Sequence[Integers],
    regions: int | Integers,
    rng: np.random.Generator,
) -> tuple[Integers, Integers]:
    """Pair drawn units with measured ones of the same class and rank.

    Args:
        drawn: keys of the (N,) drawn units: their class, then what to sort by, first key first.
        measured: the same keys of the (P,) measured ones, P >= 1. A class that nobody measured is the next one below.
        regions: drawn units that inherit from the same measured one are spread over so many regions, or over regions in
            proportion to the numbers given.
        rng: breaks ties, and chooses regions.

    Returns:
        (N,) the measured unit of each, and (N,) its region.
    """
    theirs = _sorted(measured, rng)
    classes, begin = np.unique(measured[0][theirs], return_index=True)
    sizes = np.diff(begin, append=len(theirs))
    known = np.maximum(np.searchsorted(classes, drawn[0], side="right") - 1, 0)
    ours = _sorted((known, *drawn[1:]), rng)
    known = known[ours]
    there = np.bincount(known, minlength=len(classes))
    rank = np.arange(len(ours)) - np.searchsorted(known, known)
    share = rank * sizes[known] / there[known]
    like, region = np.empty(len(ours), dtype=np.int64), np.empty(len(ours), dtype=np.int64)
    like[ours] = theirs[begin[known] + share.astype(np.int64)]
    upto = np.cumsum(np.ones(regions) if isinstance(regions, int) else regions)
    where = (share + rng.random(len(theirs))[like[ours]]) % 1.0 * upto[-1]
    region[ours] = np.minimum(np.searchsorted(upto, where, side="right"), len(upto) - 1)
    return like, region


def use_tickets(
    number: Integers,
    unit: Integers,
    wanted: Integers,
    rng: np.random.Generator,
    place: Integers | None = None,
    places: Integers | None = None,
) -> Integers:
    """How often each kind of ticket is used.

    Args:
        number: (E,) how many tickets of a kind a unit inherits, >= 1.
        unit: (E,) the unit, rising; every unit has a ticket.
        wanted: (N,) how many tickets each unit uses: exact.
        rng: of the rounding.
        place: (E,) what the tickets are for, an index into ``places``.
        places: (T,) how many places there are of each kind: as near as can be. Default: all tickets are alike.

    Returns:
        (E,) integers >= 0.
    """
    often, more = np.divmod(wanted, np.bincount(unit, weights=number, minlength=len(wanted)).astype(np.int64))
    used = often[unit] * number
    if not more.any():
        return used
    weight = number.astype(np.float64)
    offsets = offsets_of(np.bincount(unit, minlength=len(wanted)))
    if place is None or places is None:
        return used + apportion(more, offsets, weight, number, rng)
    missing = np.maximum(places - np.bincount(place, weights=used, minlength=len(places)), 0.0)
    for _ in range(SWEEPS):
        weight *= (more / np.bincount(unit, weights=weight, minlength=len(wanted)))[unit]
        found = np.bincount(place, weights=weight, minlength=len(places))
        # A little is left of what nobody wants: some units have nothing else.
        weight *= np.divide(missing + 0.01 * found, found, out=np.ones_like(found), where=found > 0)[place]
        weight = np.maximum(weight, 1e-9 * number)
    return used + apportion(more, offsets, weight, number, rng)


def _sorted(keys: Sequence[Integers], rng: np.random.Generator) -> Integers:
    shuffled = rng.permutation(len(keys[0]))
    return shuffled[order_of(*(key[shuffled] for key in keys))]
