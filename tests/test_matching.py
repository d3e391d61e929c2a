"""Matching: kernels against their plain twins, and what a matching promises."""

from collections import Counter
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedgen.ragged import offsets_of
from gen.draws import draw_below
from gen.matching import DENSE, Matching, _substitute, _unrepeat, match, shuffled_order
from gen.presences import _settle


class Case(NamedTuple):
    blocks: np.ndarray
    block_group: np.ndarray
    stub_owner: np.ndarray
    group_slots: np.ndarray
    group_owners: np.ndarray
    slot_order: np.ndarray
    stub_order: np.ndarray
    weight: np.ndarray | None
    seed: int

    def match(self) -> Matching:
        return match(
            blocks=self.blocks,
            block_group=self.block_group,
            slot_order=self.slot_order,
            stub_order=self.stub_order,
            stub_owner=self.stub_owner,
            group_slots=self.group_slots,
            group_owners=self.group_owners,
            seed=self.seed,
            stub_weight=self.weight,
        )

    @property
    def slot_group(self) -> np.ndarray:
        return np.repeat(self.block_group, np.diff(self.blocks))


def case(groups: list[tuple[list[int], list[int]]], seed: int, weighted: bool = False) -> Case:
    """From (degrees of the owners, sizes of the blocks) of each group; both sums are equal."""
    rng = np.random.default_rng(seed)
    slots = offsets_of(np.array([sum(sizes) for _, sizes in groups]))
    owners = offsets_of(np.array([len(degrees) for degrees, _ in groups]))
    degrees = np.array([d for group, _ in groups for d in group], dtype=np.int64)

    def shuffled() -> np.ndarray:
        return np.concatenate([rng.permutation(np.arange(a, b)) for a, b in pairwise(slots)])

    return Case(
        blocks=offsets_of(np.array([size for _, sizes in groups for size in sizes], dtype=np.int64)),
        block_group=np.repeat(np.arange(len(groups)), [len(sizes) for _, sizes in groups]),
        stub_owner=np.repeat(np.arange(len(degrees)), degrees),
        group_slots=slots,
        group_owners=owners,
        slot_order=shuffled(),
        stub_order=shuffled(),
        weight=rng.integers(1, 4, size=int(slots[-1])) if weighted else None,
        seed=seed,
    )


@st.composite
def cases(draw: st.DrawFn) -> Case:
    """Any: sparse, dense, full, and with owners of more stubs than there are blocks."""

    def group() -> tuple[list[int], list[int]]:
        width = draw(st.integers(1, 8))
        sizes = draw(st.lists(st.integers(1, width), min_size=1, max_size=8))
        seats = draw(st.lists(st.integers(0, width - 1), min_size=sum(sizes), max_size=sum(sizes)))
        return [seats.count(i) for i in range(width)], sizes

    groups = [group() for _ in range(draw(st.integers(1, 4)))]
    return case(groups, draw(st.integers(0, 2**32)), draw(st.booleans()))


def promises(given_case: Case, matching: Matching) -> None:
    c, m = given_case, matching
    assert sorted(m.stub.tolist()) == list(range(len(c.stub_owner)))
    stub_group = np.searchsorted(c.group_slots, np.arange(len(c.stub_owner)), side="right") - 1
    assert np.array_equal(stub_group[m.stub], c.slot_group)
    owner_group = np.searchsorted(c.group_owners, m.owner, side="right") - 1
    assert np.array_equal(owner_group, c.slot_group)
    for begin, end in zip(c.blocks[:-1], c.blocks[1:], strict=True):
        held = m.owner[begin:end].tolist()
        assert len(set(held)) == len(held)
    differs = np.flatnonzero(m.owner != c.stub_owner[m.stub])
    assert np.array_equal(differs, m.replaced)


def gale_ryser(degrees: list[int], sizes: list[int]) -> bool:
    """Whether some assignment without repetition has these degrees and block sizes."""
    tall = sorted(degrees, reverse=True)
    return all(sum(tall[: i + 1]) <= sum(min(size, i + 1) for size in sizes) for i in range(len(tall)))


class TestPromises:
    @given(cases())
    def test_any(self, drawn: Case) -> None:
        matching = drawn.match()
        promises(drawn, matching)
        for g, (a, b) in enumerate(zip(drawn.group_slots[:-1], drawn.group_slots[1:], strict=True)):
            degrees = Counter(drawn.stub_owner[a:b].tolist())
            sizes = np.diff(drawn.blocks)[drawn.block_group == g].tolist()
            if not gale_ryser(list(degrees.values()), sizes):
                assert np.any(drawn.slot_group[matching.replaced] == g)

    @pytest.mark.parametrize("weighted", [False, True])
    @pytest.mark.parametrize(
        ("owners", "degree", "blocks", "size"),
        [(200, 3, 120, 5), (40, 10, 40, 10), (30, 20, 60, 10), (20, 20, 40, 10), (1000, 2, 500, 4), (600, 1, 6, 100)],
        ids=["loose", "quarter full", "third full", "half full", "sparse", "few large"],
    )
    def test_easy_ones_keep_every_degree(
        self, owners: int, degree: int, blocks: int, size: int, weighted: bool
    ) -> None:
        for seed in range(5):
            drawn = case([([degree] * owners, [size] * blocks)] * 2, seed, weighted)
            matching = drawn.match()
            promises(drawn, matching)
            assert len(matching.replaced) == 0

    def test_heavy_tails_keep_nearly_every_degree(self) -> None:
        rng = np.random.default_rng(1)
        degrees = np.minimum((rng.pareto(1.3, 2000) + 1).astype(int), 300).tolist()
        sizes = [4] * (sum(degrees) // 4) + [1] * (sum(degrees) % 4)
        drawn = case([(degrees, sizes)], seed=1)
        matching = drawn.match()
        promises(drawn, matching)
        assert len(matching.replaced) == 0

    def test_full_blocks_hold_everybody(self) -> None:
        drawn = case([([6] * 5, [5] * 6), ([1] * 3, [1] * 3)], seed=2)
        matching = drawn.match()
        promises(drawn, matching)
        assert np.bincount(matching.owner).tolist() == [6] * 5 + [1] * 3

    def test_an_owner_of_too_many_stubs_gives_some_away(self) -> None:
        drawn = case([([9, 1, 1, 1], [3, 3, 3, 3])], seed=3)
        matching = drawn.match()
        promises(drawn, matching)
        # Of nine stubs in four blocks five at least must go.
        assert len(matching.replaced) >= 5
        assert np.count_nonzero(matching.owner == 0) <= 4

    def test_stubs_of_equal_weight_swap_first(self) -> None:
        for seed in range(5):
            drawn = case([([3] * 300, [6] * 150)], seed, weighted=True)
            assert drawn.weight is not None
            zipped = np.empty_like(drawn.stub_order)
            zipped[drawn.slot_order] = drawn.stub_order
            matching = drawn.match()
            moved = np.count_nonzero(matching.stub != zipped)
            assert moved > 0
            assert np.array_equal(drawn.weight[matching.stub], drawn.weight[zipped])

    def test_nothing_moves_without_need(self) -> None:
        drawn = case([([1] * 50, [5] * 10)], seed=4)
        zipped = np.empty_like(drawn.stub_order)
        zipped[drawn.slot_order] = drawn.stub_order
        assert np.array_equal(drawn.match().stub, zipped)

    @given(cases())
    def test_same_seed_same_matching(self, drawn: Case) -> None:
        one, other = drawn.match(), drawn.match()
        assert np.array_equal(one.stub, other.stub)
        assert np.array_equal(one.owner, other.owner)


class TestTwins:
    def both(self, drawn: Case) -> None:
        stub = np.empty_like(drawn.stub_order)
        stub[drawn.slot_order] = drawn.stub_order
        weight = np.zeros(0, dtype=np.int64) if drawn.weight is None else drawn.weight
        rank = np.empty_like(drawn.slot_order)
        rank[drawn.slot_order] = np.arange(len(rank))
        fast, slow = stub.copy(), stub.copy()
        seed = np.uint64(drawn.seed)
        for kernel, result in ((_unrepeat, fast), (_unrepeat.py_func, slow)):
            kernel(
                result,
                drawn.stub_owner,
                weight,
                drawn.blocks,
                drawn.block_group,
                drawn.slot_order,
                rank,
                drawn.group_slots,
                drawn.group_owners,
                seed,
            )
        assert np.array_equal(fast, slow)
        owner = drawn.stub_owner[fast]
        for begin in (owner, drawn.stub_owner[stub]):  # mended first, and not
            fast_owner, slow_owner = begin.copy(), begin.copy()
            arguments = (drawn.blocks, drawn.block_group, drawn.group_slots, drawn.slot_order, drawn.group_owners, seed)
            replaced = _substitute(fast_owner, *arguments)
            assert np.array_equal(replaced, _substitute.py_func(slow_owner, *arguments))
            assert np.array_equal(fast_owner, slow_owner)

    @given(cases())
    def test_small(self, drawn: Case) -> None:
        self.both(drawn)

    @pytest.mark.parametrize("weighted", [False, True])
    def test_too_sparse_for_a_table(self, weighted: bool) -> None:
        sparse = ([1] * 600 + [9] * 40, [3] * 320)
        cells, slots = len(sparse[0]) * len(sparse[1]), sum(sparse[1])
        assert cells > DENSE * slots
        self.both(case([sparse, ([3] * 20, [6] * 10), sparse], 6, weighted))

    @given(st.integers(0, 2**64 - 1), st.integers(0, 2**40), st.integers(1, 2**40))
    def test_random_is_splitmix64(self, seed: int, counter: int, below: int) -> None:
        z = (seed + (counter + 1) * 0x9E3779B97F4A7C15) % 2**64
        z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9 % 2**64
        z = (z ^ (z >> 27)) * 0x94D049BB133111EB % 2**64
        z ^= z >> 31
        assert draw_below(np.uint64(seed), counter, below) == (z >> 1) % below
        with np.errstate(over="ignore"):
            assert draw_below.py_func(np.uint64(seed), counter, below) == (z >> 1) % below

    def test_splitmix64_as_published(self) -> None:
        # The first outputs of Vigna's splitmix64.c from the state 1234567.
        published = (6457827717110365317, 3203168211198807973, 9817491932198370423)
        assert [draw_below(np.uint64(1234567), i, 2**63 - 1) for i in range(3)] == [
            (z >> 1) % (2**63 - 1) for z in published
        ]


@st.composite
def placements(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """offsets, room, users, n, gap."""
    rooms = draw(st.integers(1, 8))
    servers = draw(st.lists(st.tuples(st.sets(st.integers(0, rooms - 1), min_size=1), st.integers(1, 9)), min_size=1))
    room = [r for seats, _ in servers for r in sorted(seats)]
    users = [draw(st.integers(1, n)) for seats, n in servers for _ in seats]
    gap = draw(st.lists(st.integers(-20, 20), min_size=rooms, max_size=rooms))
    offsets = offsets_of(np.array([len(seats) for seats, _ in servers]))
    return offsets, np.array(room), np.array(users), np.array([n for _, n in servers]), np.array(gap)


class TestSettle:
    @given(placements())
    def test_moves_users_within_servers(self, drawn: tuple[np.ndarray, ...]) -> None:
        offsets, room, before, n, gap = drawn
        users, left = before.copy(), gap.copy()
        _settle(offsets, room, users, n, left)
        twin, twin_left = before.copy(), gap.copy()
        _settle.py_func(offsets, room, twin, n, twin_left)
        assert np.array_equal(users, twin)
        assert np.array_equal(left, twin_left)

        server = np.repeat(np.arange(len(n)), np.diff(offsets))
        assert np.all((users >= 1) & (users <= n[server]))
        assert np.array_equal(np.bincount(server, users), np.bincount(server, before))
        assert np.array_equal(np.bincount(room, users - before, minlength=len(gap)), gap - left)
        assert np.all(np.abs(left) <= np.abs(gap))
        assert np.all(left * gap >= 0)
        # What is left cannot be moved: no server is in a room with too many and in one with too few, and free to move.
        gives = (left[room] < 0) & (users > 1)
        takes = (left[room] > 0) & (users < n[server])
        assert not np.any(np.bincount(server, gives, minlength=len(n)) * np.bincount(server, takes, minlength=len(n)))


class TestShuffledOrder:
    @given(st.lists(st.lists(st.integers(0, 4), max_size=8), max_size=6), st.integers(0, 2**63 - 1))
    def test_sorts_by_group_then_kind_like_its_plain_twin(self, kinds: list[list[int]], seed: int) -> None:
        groups = np.cumsum([0, *map(len, kinds)])
        kind = np.array([k for group in kinds for k in group], dtype=np.int8)
        order = shuffled_order(groups, kind, 5, np.uint64(seed))
        assert sorted(order.tolist()) == list(range(len(kind)))
        assert kind[order].tolist() == [k for group in kinds for k in sorted(group)]
        with np.errstate(over="ignore"):
            assert order.tolist() == shuffled_order.py_func(groups, kind, 5, np.uint64(seed)).tolist()

    def test_every_order_of_equals_is_as_likely(self) -> None:
        groups, kind = np.array([0, 1, 5]), np.array([0, 1, 1, 0, 1])
        seen = Counter(tuple(shuffled_order(groups, kind, 2, np.uint64(seed)).tolist()) for seed in range(6000))
        assert len(seen) == 6
        chi2 = sum((count - 1000) ** 2 / 1000 for count in seen.values())
        assert chi2 < 20.5  # 0.1 % of shuffles that are right exceed it (5 degrees of freedom)
