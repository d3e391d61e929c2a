"""Dealing: every kind keeps its values, and sums come near to what is asked."""

from collections import Counter

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from gen.dealing import _deal, deal

KINDS = st.lists(
    st.tuples(st.integers(-2, 2), st.lists(st.integers(0, 6), min_size=1, max_size=6)), min_size=1, max_size=8
)


@given(KINDS, st.integers(0, 2**63 - 1))
def test_every_kind_keeps_its_values(groups: list[tuple[int, list[int]]], seed: int) -> None:
    kind = np.array([k for k, _ in groups])
    members = np.array([len(v) for _, v in groups])
    kinds, kind = np.unique(kind, return_inverse=True)
    values = [[x for k, (_, v) in zip(kind, groups, strict=True) if k == one for x in v] for one in range(len(kinds))]
    offsets = np.cumsum([0, *map(len, values)])
    totals = np.array([sum(v) for _, v in groups])
    caps = np.full(len(groups), 6)
    dealt = deal(np.concatenate(values), offsets, kind, totals, members, caps, seed, ones_at_once=seed % 2 == 0)
    of_value = np.repeat(kind, members)
    for one, its in enumerate(values):
        assert Counter(dealt[of_value == one].tolist()) == Counter(its)


@given(KINDS, st.integers(0, 2**63 - 1))
def test_kernel_is_its_plain_twin(groups: list[tuple[int, list[int]]], seed: int) -> None:
    order = sorted(range(len(groups)), key=lambda g: groups[g][0])
    kinds = sorted({k for k, _ in groups})
    values = [sorted((x for k, v in groups if k == kind for x in v), reverse=True) for kind in kinds]
    members = np.array([len(v) for _, v in groups])
    arguments = (
        np.array([x for v in values for x in v]),
        np.cumsum([0, *map(len, values)]),
        np.array(order),
        np.cumsum([0, *(sum(k == kind for k, _ in groups) for kind in kinds)]),
        np.array([sum(v) for _, v in groups]),
        members,
        np.cumsum([0, *members])[:-1],
        np.full(len(groups), 6),
        np.uint64(seed),
        seed % 2 == 0,
    )
    with np.errstate(over="ignore"):
        assert _deal(*arguments).tolist() == _deal.py_func(*arguments).tolist()


def test_sums_come_near_their_totals() -> None:
    rng = np.random.default_rng(4)
    members = np.full(300, 20)
    values = rng.poisson(2, members.sum())
    totals = rng.permutation(values.reshape(300, 20).sum(axis=1))  # another server's total each
    dealt = deal(values, np.array([0, 6_000]), np.zeros(300, dtype=int), totals, members, np.full(300, 99), 1)
    missed = np.abs(dealt.reshape(300, 20).sum(axis=1) - totals).mean()
    by_chance = np.abs(values.reshape(300, 20).sum(axis=1) - totals).mean()
    assert missed < by_chance / 4
    assert sorted(dealt.tolist()) == sorted(values.tolist())
