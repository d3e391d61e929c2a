"""Meeting: every slot a stub, equals of the finest kind first, then of each coarser one."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import numpy as np
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st

from gen.meeting import _pair, meet

if TYPE_CHECKING:
    from gen.meeting import Level

ERROR_RATE = 1e-4
"""Chance that a statistical test on its fixed seeds fails, over all choices of them."""

Kinds = list[tuple[int, int]]


@st.composite
def sides(draw: st.DrawFn) -> tuple[Kinds, Kinds]:
    """(finest, coarse) kinds of as many slots as stubs; the finest kind says the coarse one."""
    number = draw(st.integers(0, 40))
    fine = st.lists(st.integers(0, 8), min_size=number, max_size=number)
    return [(kind, kind // 3) for kind in draw(fine)], [(kind, kind // 3) for kind in draw(fine)]


def met(slots: Kinds, stubs: Kinds, seed: int) -> list[int]:
    ours, theirs = np.array(slots, dtype=int).reshape(-1, 2).T, np.array(stubs, dtype=int).reshape(-1, 2).T

    def levels(kinds: np.ndarray) -> list[Level]:
        return [lambda at, of=of: of[at] for of in (*kinds, kinds[0])]  # type: ignore[misc]

    return meet(len(slots), levels(ours), levels(theirs), np.random.default_rng(seed)).tolist()


class TestMeet:
    @given(sides(), st.integers(0, 2**32))
    def test_every_stub_has_one_slot(self, drawn: tuple[Kinds, Kinds], seed: int) -> None:
        assert sorted(met(*drawn, seed)) == list(range(len(drawn[0])))

    @given(sides(), st.integers(0, 2**32))
    def test_as_many_equals_as_there_can_be(self, drawn: tuple[Kinds, Kinds], seed: int) -> None:
        slots, stubs = drawn
        pairs = [(slots[slot], stubs[stub]) for slot, stub in enumerate(met(slots, stubs, seed))]
        for level in (0, 1):
            equal = Counter(ours[level] for ours, theirs in pairs if ours[level] == theirs[level])
            here, there = Counter(slot[level] for slot in slots), Counter(stub[level] for stub in stubs)
            # Coarse kinds are unions of finer ones, so pairs of the finer kinds cost none of theirs.
            assert equal == here & there

    @given(sides(), st.integers(0, 2**32))
    def test_the_rest_is_zipped_by_size(self, drawn: tuple[Kinds, Kinds], seed: int) -> None:
        slots, stubs = drawn
        pairs = [(slots[slot], stubs[stub]) for slot, stub in enumerate(met(slots, stubs, seed))]
        left = sorted((ours[0], theirs[0]) for ours, theirs in pairs if ours[1] != theirs[1])
        assert [theirs for _, theirs in left] == sorted(theirs for _, theirs in left)

    def test_random_among_equals(self) -> None:
        kinds = [(0, 0)] * 3
        found = Counter(tuple(met(kinds, kinds, seed)) for seed in range(3_000))
        assert len(found) == 6
        assert scipy.stats.chisquare(list(found.values())).pvalue > ERROR_RATE

    @given(sides(), st.integers(0, 2**32))
    def test_same_generator_same_pairs(self, drawn: tuple[Kinds, Kinds], seed: int) -> None:
        assert met(*drawn, seed) == met(*drawn, seed)


class TestPair:
    @given(st.lists(st.integers(0, 9), max_size=30), st.lists(st.integers(0, 9), max_size=30))
    def test_plain_twin(self, slot_kind: list[int], stub_kind: list[int]) -> None:
        slot_kind, stub_kind = sorted(slot_kind), sorted(stub_kind)
        slots, stubs = 100 + np.arange(len(slot_kind)), 200 + np.arange(len(stub_kind))
        found = np.full(200, -1)
        left = _pair(np.array(slot_kind, dtype=int), np.array(stub_kind, dtype=int), slots, stubs, found)
        wanted, free = {}, list(range(len(stub_kind)))
        for i, kind in enumerate(slot_kind):
            partner = next((j for j in free if stub_kind[j] == kind), None)
            if partner is not None:
                wanted[100 + i] = 200 + partner
                free.remove(partner)
        assert {slot: int(found[slot]) for slot in np.flatnonzero(found >= 0).tolist()} == wanted
        assert left[0].tolist() == [i for i in range(len(slot_kind)) if 100 + i not in wanted]
        assert left[1].tolist() == free
