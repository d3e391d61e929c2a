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

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fedgen.federation import Integers


def meet(
    slots: Sequence[Integers], stubs: Sequence[Integers], order: tuple[Integers, Integers], rng: np.random.Generator
) -> Integers:
    """Pair every slot with a stub.

    Args:
        slots: the kind of each slot at each level, finest first, (N,) integers >= 0 each.
        stubs: likewise of each stub.
        order: by which those that are left are zipped, (N,) of the slots and (N,) of the stubs.
        rng: decides among equals.

    Returns:
        (N,) the stub of each slot.
    """
    stub_of = np.full(len(slots[0]), -1, dtype=np.int64)
    free_slots, free_stubs = np.arange(len(stub_of)), np.arange(len(stub_of))
    for slot_kind, stub_kind in zip(slots, stubs, strict=True):
        ours = free_slots[_sorted(slot_kind[free_slots], rng)]
        theirs = free_stubs[_sorted(stub_kind[free_stubs], rng)]
        left = _pair(slot_kind[ours], stub_kind[theirs], ours, theirs, stub_of)
        free_slots, free_stubs = ours[left[0]], theirs[left[1]]
        if len(free_slots) == 0:
            return stub_of
    ours = free_slots[_sorted(order[0][free_slots], rng)]
    stub_of[ours] = free_stubs[_sorted(order[1][free_stubs], rng)]
    return stub_of


def _sorted(kind: Integers, rng: np.random.Generator) -> Integers:
    """The order by kind, random among equals."""
    shuffled = rng.permutation(len(kind))
    return shuffled[np.argsort(kind[shuffled], kind="stable")]


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
