r"""Dealing values to groups whose totals are given: which server gets which rooms-per-user.

Users' values are drawn for all servers of a kind together, so that their distribution is right; each server's must
sum to its own total. Drawing per server and scaling to the total would shift every value of a light-tailed
distribution. So the values are *dealt*: the largest first, each to a server drawn in proportion to what it still
lacks, among those that lack that much and have a user left. The small ones that come last fill what is left; few
sums miss by a little, and :func:`gen.apportion.apportion` mends them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numba import njit

from fedgen.ragged import offsets_of
from gen.draws import draw_below

if TYPE_CHECKING:
    from fedgen.federation import Integers

TRIES = 64
"""Servers drawn for one value before it waits for the end."""


def deal(
    values: Integers,
    value_offsets: Integers,
    kind: Integers,
    totals: Integers,
    members: Integers,
    caps: Integers,
    seed: int,
    ones_at_once: bool = False,
) -> Integers:
    """Deal values to the members of groups.

    Args:
        values: (N,) >= 0, one per member, kind after kind, in any order.
        value_offsets: (K + 1,) the values of kind k are ``value_offsets[k]:value_offsets[k + 1]``.
        kind: (G,) the kind of each group, in [0, K).
        totals: (G,) what the values of each group should sum to.
        members: (G,) how many members it has, >= 1; those of a kind sum to its number of values.
        caps: (G,) the largest value a member may get.
        seed: of the draws.
        ones_at_once: the many ones are dealt in one go, in proportion to what is lacked: much faster, as good.

    Returns:
        (N,) in the order of groups. Every kind keeps its values; sums come near to ``totals``.
    """
    top = values.max(initial=0) + 1
    of_kind = np.repeat(np.arange(len(value_offsets) - 1), np.diff(value_offsets))
    # Sorted as numbers, which is much faster than the positions of two keys.
    falling = (of_kind + 1) * top - 1 - np.sort(of_kind * top + (top - 1 - values))
    begins = np.concatenate(([0], np.cumsum(members)))[:-1]
    return np.asarray(
        _deal(
            falling,
            value_offsets,
            np.argsort(kind, kind="stable"),
            offsets_of(np.bincount(kind, minlength=len(value_offsets) - 1)),
            totals.astype(np.int64),
            members.astype(np.int64),
            begins,
            caps,
            np.uint64(seed),
            ones_at_once,
        )
    )


@njit(cache=True, nogil=True)
def _deal(
    values: Integers,
    value_offsets: Integers,
    groups: Integers,
    group_offsets: Integers,
    totals: Integers,
    members: Integers,
    begins: Integers,
    caps: Integers,
    seed: np.uint64,
    ones_at_once: bool,
) -> Integers:
    dealt = np.zeros(len(values), dtype=np.int64)
    lacks, free, place = totals.copy(), members.copy(), begins.copy()
    counter = 0
    for k in range(len(value_offsets) - 1):
        mine = groups[group_offsets[k] : group_offsets[k + 1]]
        upto = np.cumsum(totals[mine])
        rest = values[value_offsets[k] : value_offsets[k + 1]].copy()
        waiting = 0
        for i in range(len(rest)):
            value = rest[i]
            if ones_at_once and value == 1:  # to whoever lacks (systematic sampling)
                ones = np.int64(np.searchsorted(-rest[i:], 0, side="left"))
                able: Any = np.int64(0)
                for g in mine:
                    able += max(min(lacks[g], free[g]), 0) if caps[g] >= 1 else 0
                taken, before = min(ones, able), np.int64(0)
                offset = draw_below(seed, counter, max(able, 1))
                counter += 2
                for g in mine:
                    could = max(min(lacks[g], free[g]), 0) if caps[g] >= 1 else 0
                    if could > 0:
                        got = ((before + could) * taken + offset) // able - (before * taken + offset) // able
                        before += could
                        dealt[place[g] : place[g] + got] = 1
                        place[g] += got
                        free[g] -= got
                        lacks[g] -= got
                rest[waiting : waiting + ones - taken] = 1
                rest[waiting + ones - taken : waiting + len(rest) - i - taken] = 0
                break
            done = False
            if value > 0 and len(mine) > 1 and upto[-1] > 0:
                for _ in range(TRIES):
                    g = mine[np.searchsorted(upto, draw_below(seed, counter, upto[-1]), side="right")]
                    enough = lacks[g] >= value and caps[g] >= value and free[g] > 0
                    counter += 2
                    if enough and draw_below(seed, counter - 1, totals[g]) < lacks[g]:
                        dealt[place[g]] = value
                        place[g] += 1
                        free[g] -= 1
                        lacks[g] -= value
                        done = True
                        break
            if not done:
                rest[waiting] = value
                waiting += 1
        i = 0
        for g in mine[np.argsort(-lacks[mine], kind="mergesort")]:
            while free[g] > 0:
                dealt[place[g]] = rest[i]
                place[g] += 1
                free[g] -= 1
                i += 1
    return dealt
