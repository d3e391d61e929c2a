r"""Stubs meet slots level by level: those of equal kind first, the rest by ever coarser kinds.

Slots wish for a kind of stub and stubs have one, at several levels from fine (type and count) to coarse (any). At
each level slots and stubs of equal kind that are still free are paired at random, as many as there are of both.
Totals of drawn slots and stubs differ a little at every level; zipping all in one sorted order would shift whatever
comes after a surplus away from its kind. What is left in the end is zipped in order of size, so that it goes to the
next best.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numba import njit

from fedgen.ragged import order_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from fedgen.federation import Integers

    Level = Callable[[Integers], Integers]


def meet(count: int, slots: Sequence[Level], stubs: Sequence[Level], rng: np.random.Generator) -> Integers:
    """Pair every slot with a stub.

    Args:
        count: N, of slots and of stubs.
        slots: the kind of slots at each level, finest first; by the last one those that are left are zipped in order.
            Each takes (L,) numbers of slots to their (L,) kinds, so that coarse ones are made for the few only that
            need them.
        stubs: likewise of stubs.
        rng: decides among equals.

    Returns:
        (N,) the stub of each slot.
    """
    stub_of = np.full(count, -1, dtype=np.int64)
    free_slots, free_stubs = np.arange(count), np.arange(count)
    for slot_kind, stub_kind in zip(slots[:-1], stubs[:-1], strict=True):
        ours, our_kind = _sorted(free_slots, slot_kind, rng)
        theirs, their_kind = _sorted(free_stubs, stub_kind, rng)
        left = _pair(our_kind, their_kind, ours, theirs, stub_of)
        free_slots, free_stubs = ours[left[0]], theirs[left[1]]
        if len(free_slots) == 0:
            return stub_of
    stub_of[_sorted(free_slots, slots[-1], rng)[0]] = _sorted(free_stubs, stubs[-1], rng)[0]
    return stub_of


def _sorted(free: Integers, kind: Level, rng: np.random.Generator) -> tuple[Integers, Integers]:
    """What is free, by kind, random among equals, and those kinds."""
    shuffled = rng.permutation(free)
    kinds = kind(shuffled)
    order = order_of(kinds)
    return shuffled[order], kinds[order]


@njit(cache=True)
def _pair(
    slot_kind: Integers, stub_kind: Integers, slots: Integers, stubs: Integers, stub_of: Integers
) -> tuple[Integers, Integers]:
    """Pair equals of two rising sequences; returns the positions that are left on either side."""
    lonely_slots, lonely_stubs = np.empty(len(slots), dtype=np.int64), np.empty(len(stubs), dtype=np.int64)
    a = b = i = j = 0
    while i < len(slots) or j < len(stubs):
        if j == len(stubs) or (i < len(slots) and slot_kind[i] < stub_kind[j]):
            lonely_slots[a] = i
            a += 1
            i += 1
        elif i == len(slots) or slot_kind[i] > stub_kind[j]:
            lonely_stubs[b] = j
            b += 1
            j += 1
        else:
            stub_of[slots[i]] = stubs[j]
            i += 1
            j += 1
    return lonely_slots[:a], lonely_stubs[:b]
