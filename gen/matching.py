r"""Stubs meet slots: exact degrees on both sides, no pair twice.

Slots lie in *blocks* that must hold distinct owners (the places of a room, distinct servers; the users of a presence,
distinct users) and blocks in *groups* within which stubs may move. Slots sorted by what they wish for and stubs
sorted by what they are, random among equals, are zipped: every slot gets the stub nearest to its wish that the totals
allow.

An owner that comes twice into one block is swapped out: partners are looked for near by in an order of likeness
first, so that what moves is alike, then ever farther, then everywhere. Swaps keep every degree. Where none exists
(the degrees themselves cannot be met without repetition) another owner of the group takes the slot: block sizes stay
exact, two degrees change by one; :class:`Matching` says where.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numba import njit

from fedgen.ragged import order_of
from gen.draws import draw_below

if TYPE_CHECKING:
    from fedgen.federation import Integers

TRIES = 128
"""Partners tried at random, near ones first."""
SEARCHED = 2_000
"""Neighbours tried one after the other when that failed."""
EFFORT = 64
"""Most tries per slot of a group, all repetitions together: where the degrees cannot be met, searching on is vain."""
DENSE = 128
"""Most bits per slot spent on a table of who is in which block."""


@dataclass(frozen=True, eq=False)
class Matching:
    """Which stub sits in each slot.

    Attributes:
        stub: (N,) the stub of each slot.
        owner: (N,) its owner; differs from the stub's where ``replaced``.
        replaced: (Q,) the slots that another owner of the group had to take.
    """

    stub: Integers
    owner: Integers
    replaced: Integers


def match(
    *,
    blocks: Integers,
    block_group: Integers,
    slot_order: Integers,
    stub_order: Integers,
    stub_owner: Integers,
    group_slots: Integers,
    group_owners: Integers,
    seed: int,
    stub_weight: Integers | None = None,
) -> Matching:
    """Zip slots and stubs and mend repetitions.

    Args:
        blocks: (B + 1,) slots of block b are ``blocks[b]:blocks[b + 1]``; none is larger than its group has owners.
        block_group: (B,) the group of each block; blocks of a group are consecutive.
        slot_order: (N,) slots sorted by group, then wish.
        stub_order: (N,) stubs sorted by group, then class.
        stub_owner: (N,) owner of each stub.
        group_slots: (G + 1,) the range of each group in both orders.
        group_owners: (G + 1,) the owners of group g are ``group_owners[g]:group_owners[g + 1]``.
        seed: of the swaps.
        stub_weight: (N,) what a stub brings with it, >= 0; stubs of equal weight swap first. Default: all are equal.
    """
    stub = np.empty_like(stub_order)
    stub[slot_order] = stub_order
    weight = np.zeros(0, dtype=np.int64) if stub_weight is None else stub_weight
    order = slot_order
    if stub_weight is not None:
        group = np.repeat(np.arange(len(group_slots) - 1), np.diff(group_slots))
        order = slot_order[order_of(group, weight[stub_order])]
    rank = np.empty_like(order)
    rank[order] = np.arange(len(order), dtype=order.dtype)
    key = np.uint64(seed)
    _unrepeat(stub, stub_owner, weight, blocks, block_group, order, rank, group_slots, group_owners, key)
    owner = stub_owner[stub]
    replaced = _substitute(owner, blocks, block_group, group_slots, order, group_owners, key)
    return Matching(stub, owner, replaced)


@njit(cache=True)
def shuffled_order(groups: Integers, kind: Integers, n_kinds: int, seed: np.uint64) -> Integers:
    """Items sorted by group, then kind, in random order among equals.

    Args:
        groups: (G + 1,) items of group g are ``groups[g]:groups[g + 1]``.
        kind: (N,) in [0, n_kinds).
        n_kinds: how many there are.
        seed: of the shuffles.

    Counting sort and Fisher-Yates inside each group: linear, where sorting random keys is not.
    """
    order = np.empty(len(kind), dtype=np.int64)
    begin = np.zeros(n_kinds + 1, dtype=np.int64)
    place = np.zeros(n_kinds + 1, dtype=np.int64)
    for group in range(len(groups) - 1):
        begin[:] = 0
        for item in range(groups[group], groups[group + 1]):
            begin[kind[item] + 1] += 1
        begin[0] = groups[group]
        for k in range(n_kinds):
            begin[k + 1] += begin[k]
        place[:] = begin
        for item in range(groups[group], groups[group + 1]):
            order[place[kind[item]]] = item
            place[kind[item]] += 1
        for k in range(n_kinds):
            for last in range(begin[k + 1] - 1, begin[k], -1):
                other = begin[k] + draw_below(seed, last, last - begin[k] + 1)
                order[last], order[other] = order[other], order[last]
    return order


@njit(cache=True)
def _unrepeat(
    stub: Integers,
    stub_owner: Integers,
    weight: Integers,
    blocks: Integers,
    block_group: Integers,
    order: Integers,
    rank: Integers,
    group_slots: Integers,
    group_owners: Integers,
    seed: np.uint64,
) -> None:
    """Swap repeated owners out of their blocks, in place, wherever a swap is found.

    Whether a block holds an owner is asked of a bit table (blocks x owners of the group) where the group is dense
    enough for one, and of the block itself, slot by slot, where it is not.
    """
    seen = np.full(group_owners[-1], -1, dtype=np.int64)
    alike = _runs(stub, weight, order, group_slots)
    bits = np.zeros(0, dtype=np.uint64)
    repeats = [0 for _ in range(0)]  # numba learns the type from the dead loop
    weighted = len(weight) > 0
    counter = 0
    last_block = 0
    while last_block < len(block_group):
        first_block = last_block
        group = block_group[first_block]
        while last_block < len(block_group) and block_group[last_block] == group:
            last_block += 1
        low, first_owner = group_slots[group], group_owners[group]
        size, width = group_slots[group + 1] - low, group_owners[group + 1] - first_owner
        cells = width * (last_block - first_block)
        dense = cells <= DENSE * size
        if dense:
            words = (cells + 63) >> 6
            if words > len(bits):
                bits = np.zeros(words, dtype=np.uint64)
            bits[:words] = 0
            for block in range(first_block, last_block):
                for slot in range(blocks[block], blocks[block + 1]):
                    _set(bits, (block - first_block) * width + stub_owner[stub[slot]] - first_owner)
        budget = EFFORT * size
        for block in range(first_block, last_block):
            repeats.clear()
            for slot in range(blocks[block], blocks[block + 1]):
                owner = stub_owner[stub[slot]]
                if seen[owner] == block:
                    repeats.append(slot)
                else:
                    seen[owner] = block
                    if dense:  # a copy that has left cleared the bit of the one that stayed
                        _set(bits, (block - first_block) * width + owner - first_owner)
            for slot in repeats:
                owner = stub_owner[stub[slot]]
                start = np.int64(rank[slot])
                # Among stubs of equal weight first, then among all.
                among: Any = np.int64(low)
                width_of: Any = np.int64(size)
                step: Any = 0
                if weighted:
                    among, width_of = alike[start, 0], alike[start, 1] - alike[start, 0]
                near = TRIES + min(width_of, SEARCHED) if width_of > 1 else 0
                for attempt in range(min(budget, near + (TRIES if weighted else 0))):
                    budget -= 1
                    if attempt >= near:
                        among, width_of = np.int64(low), np.int64(size)
                        step = draw_below(seed, counter, size)
                        counter += 1
                    elif attempt < TRIES:
                        window = min(np.int64(8) << min(attempt // 3, 40), width_of)
                        step = draw_below(seed, counter, 2 * window + 1) - window
                        counter += 1
                    else:
                        step = attempt - TRIES + 1
                    partner = order[among + (start - among + step) % width_of]
                    other = stub_owner[stub[partner]]
                    if seen[other] == block:
                        continue
                    if weighted and attempt < near and weight[stub[partner]] != weight[stub[slot]]:
                        continue
                    theirs = np.searchsorted(blocks, partner, side="right") - 1
                    row = (theirs - first_block) * width - first_owner
                    if dense:
                        if _has(bits, row + owner):
                            continue
                        _set(bits, row + owner)
                        _clear(bits, row + other)
                        _set(bits, (block - first_block) * width + other - first_owner)
                    elif _holds(stub_owner, stub, blocks[theirs], blocks[theirs + 1], owner):
                        continue
                    stub[slot], stub[partner] = stub[partner], stub[slot]
                    seen[other] = block
                    break


@njit(cache=True)
def _runs(stub: Integers, weight: Integers, order: Integers, group_slots: Integers) -> Integers:
    """Where the stubs of equal weight about each position of the order begin and end, (N, 2); none without weights."""
    runs = np.zeros((len(order) if len(weight) else 0, 2), dtype=np.int64)
    if len(weight) == 0:
        return runs
    for group in range(len(group_slots) - 1):
        begin = group_slots[group]
        for at in range(group_slots[group], group_slots[group + 1]):
            if at + 1 == group_slots[group + 1] or weight[stub[order[at + 1]]] != weight[stub[order[at]]]:
                runs[begin : at + 1, 0] = begin
                runs[begin : at + 1, 1] = at + 1
                begin = at + 1
    return runs


@njit(cache=True)
def _holds(stub_owner: Integers, stub: Integers, begin: int, end: int, owner: int) -> bool:
    for slot in range(begin, end):  # noqa: SIM110 - a generator does not compile
        if stub_owner[stub[slot]] == owner:
            return True
    return False


@njit(cache=True)
def _has(bits: Integers, cell: int) -> bool:
    return (bits[cell >> 6] >> np.uint64(cell & 63)) & np.uint64(1) == 1


@njit(cache=True)
def _set(bits: Integers, cell: int) -> None:
    bits[cell >> 6] |= np.uint64(1) << np.uint64(cell & 63)


@njit(cache=True)
def _clear(bits: Integers, cell: int) -> None:
    bits[cell >> 6] &= ~(np.uint64(1) << np.uint64(cell & 63))


@njit(cache=True)
def _substitute(
    owner: Integers,
    blocks: Integers,
    block_group: Integers,
    group_slots: Integers,
    order: Integers,
    group_owners: Integers,
    seed: np.uint64,
) -> Integers:
    """Give each slot that still repeats an owner to one that its block does not hold, in place; returns those slots.

    The owner of a slot drawn at random, so that owners of many stubs, for whom one more is little, take most of them.
    """
    seen = np.full(group_owners[-1], -1, dtype=np.int64)
    replaced = [0 for _ in range(0)]
    counter = 0
    for block in range(len(block_group)):
        begin = len(replaced)
        for slot in range(blocks[block], blocks[block + 1]):
            if seen[owner[slot]] == block:
                replaced.append(slot)
            else:
                seen[owner[slot]] = block
        group = block_group[block]
        low, size = group_slots[group], group_slots[group + 1] - group_slots[group]
        first, width = group_owners[group], group_owners[group + 1] - group_owners[group]
        for i in range(begin, len(replaced)):
            candidate = first
            for attempt in range(TRIES + width):
                if attempt < TRIES:
                    candidate = owner[order[low + draw_below(seed, counter, size)]]
                    counter += 1
                else:
                    candidate = first + attempt - TRIES
                if seen[candidate] != block:
                    break
            owner[replaced[i]] = candidate
            seen[candidate] = block
    return np.array(replaced, dtype=np.int64)
