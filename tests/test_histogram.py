"""Histograms against a plain count."""

from collections import Counter
from random import Random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fitting.histogram import Histogram

# Small values, which are counted one by one, and large ones, which are sorted: below 2^53 all integers are doubles.
INTEGERS = st.lists(st.one_of(st.integers(1, 9), st.integers(65_530, 65_540), st.integers(1, 2**53)), max_size=60)
FLOATS = st.lists(st.one_of(st.sampled_from([0.25, 0.5, 7.0]), st.floats(1e-300, 1e300)), max_size=60)


def plain(sample: list[int] | list[float]) -> list[tuple[float, int]]:
    return sorted((float(value), number) for value, number in Counter(sample).items())


def columns(histogram: Histogram) -> list[tuple[float, int]]:
    return list(zip(histogram.values.tolist(), histogram.number.tolist(), strict=True))


class TestOf:
    @given(INTEGERS)
    def test_integers(self, sample: list[int]) -> None:
        assert columns(Histogram.of(np.array(sample, dtype=np.int64))) == plain(sample)

    @given(FLOATS)
    def test_floats(self, sample: list[float]) -> None:
        assert columns(Histogram.of(np.array(sample, dtype=np.float64))) == plain(sample)

    @given(INTEGERS, st.randoms())
    def test_order_does_not_matter(self, sample: list[int], random: Random) -> None:
        shuffled = sample.copy()
        random.shuffle(shuffled)
        assert columns(Histogram.of(np.array(sample, dtype=np.int64))) == columns(
            Histogram.of(np.array(shuffled, dtype=np.int64))
        )

    @pytest.mark.parametrize("dtype", [np.int32, np.uint32, np.int64, np.uint64, np.float32, np.float64])
    def test_any_dtype(self, dtype: type) -> None:
        found = Histogram.of(np.array([3, 1, 3, 70_000], dtype=dtype))
        assert columns(found) == [(1, 1), (3, 2), (70_000, 1)]
        assert (found.values.dtype, found.number.dtype) == (np.float64, np.int64)

    def test_the_dense_part_grows_with_the_sample(self) -> None:
        """At 100,000 values everything below 400,000 is counted one by one; at 10 only what is below 65,536."""
        for size in (10, 100_000):
            sample = np.concatenate((np.arange(size), [65_535, 65_536, 65_537, 399_999, 400_000, 400_000])) + 1
            assert columns(Histogram.of(sample)) == plain(sample.tolist())

    def test_empty(self) -> None:
        for sample in (np.array([], dtype=np.int64), np.array([])):
            empty = Histogram.of(sample)
            assert (columns(empty), empty.n, empty.upto.tolist()) == ([], 0, [0])

    def test_huge(self) -> None:
        found = Histogram.of(np.array([2**62, 1, 2**62, 2**61]))
        assert columns(found) == [(1, 1), (2.0**61, 1), (2.0**62, 2)]

    def test_huge_values_that_are_the_same_double(self) -> None:
        found = Histogram.of(np.array([2**62 - 1, 2**62]))
        assert columns(found) == [(2.0**62, 2)]


class TestParts:
    @given(INTEGERS)
    def test_upto_and_n(self, sample: list[int]) -> None:
        found = Histogram.of(np.array(sample, dtype=np.int64))
        assert found.n == len(sample)
        assert found.upto.tolist() == [*(sum(x < v for x in sample) for v in found.values), len(sample)]

    @given(INTEGERS, st.one_of(st.integers(0, 12), st.integers(0, 2**53)))
    def test_tail(self, sample: list[int], xmin: int) -> None:
        tail = Histogram.of(np.array(sample, dtype=np.int64)).tail(xmin)
        assert columns(tail) == plain([x for x in sample if x >= xmin])

    @given(FLOATS, st.floats(1e-300, 1e300))
    def test_tail_of_floats(self, sample: list[float], xmin: float) -> None:
        assert columns(Histogram.of(np.array(sample)).tail(xmin)) == plain([x for x in sample if x >= xmin])

    @given(INTEGERS, st.integers(0, 60))
    def test_without_largest(self, sample: list[int], count: int) -> None:
        count = min(count, len(sample))
        kept = Histogram.of(np.array(sample, dtype=np.int64)).without_largest(count)
        assert columns(kept) == plain(sorted(sample)[: len(sample) - count])
        assert kept.n == len(sample) - count
