"""Our own estimates beside those of `powerlaw`: the same xmin, never less likely.

`powerlaw` climbs by the method of Nelder and Mead, which stops within 1e-4 of the maximum. Its exponents are therefore
held against ours to 1e-4, its distances at its own exponents to 1e-9.
"""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from fedgen.errors import UsageError
from fitting.acceptance import fits
from fitting.engine import Fast, Powerlaw, engine
from fitting.histogram import Histogram
from fitting.laws.power import PowerLaw
from fitting.laws.rounded import Lognormal
from fitting.scan import choose, scan
from tests.test_scan import candidates

FAST, REFERENCE = Fast(), Powerlaw()
SAMPLES = [(1.7, 1, 400, 1), (2.0, 1, 400, 2), (2.3, 1, 800, 3), (2.9, 1, 500, 4), (3.5, 1, 800, 5), (2.5, 6, 150, 6)]


def drawn(alpha: float, xmin: int, size: int, seed: int) -> Histogram:
    return Histogram.of(PowerLaw(alpha, xmin=xmin).draw(size, np.random.default_rng(seed)))


def same_scan(histogram: Histogram) -> None:
    ours, theirs = FAST.scan(histogram), REFERENCE.scan(histogram)
    assert ours.index == theirs.index
    assert ours.alpha == pytest.approx(theirs.alpha, abs=1e-4)
    assert ours.distance == pytest.approx(theirs.distance, abs=3e-5)
    tail = histogram.tail(histogram.values[theirs.index])
    law = PowerLaw(theirs.alpha, xmin=tail.values[0])
    assert law.distance(tail) == pytest.approx(theirs.distance, abs=1e-9)


def at_least_as_likely(tail: Histogram) -> None:
    """In every family that has a maximum of its own; there is no other in the reference either."""
    ours, theirs = FAST.laws(tail), REFERENCE.laws(tail)
    assert theirs["power law"] is not None
    for family, reference in theirs.items():
        law = ours[family]
        assert (reference is None) >= (law is None)
        if law is not None and reference is not None:
            assert law.log_likelihood(tail) >= reference.log_likelihood(tail) - 1e-6, family


class TestAgainstPowerlaw:
    @pytest.mark.parametrize("sample", SAMPLES)
    def test_same_scan(self, sample: tuple[float, int, int, int]) -> None:
        same_scan(drawn(*sample))

    @pytest.mark.parametrize("sample", SAMPLES)
    def test_at_least_as_likely(self, sample: tuple[float, int, int, int]) -> None:
        histogram = drawn(*sample)
        at_least_as_likely(histogram.tail(histogram.values[scan(histogram).index]))

    def test_at_least_as_likely_where_the_rival_is_true(self) -> None:
        tail = Histogram.of(Lognormal(2.0, 1.0, xmin=1).draw(200, np.random.default_rng(7)))
        at_least_as_likely(tail)
        ours, theirs = FAST.laws(tail)["lognormal"], REFERENCE.laws(tail)["lognormal"]
        assert ours is not None
        assert theirs is not None
        assert ours.parameters == pytest.approx(theirs.parameters, abs=1e-3)

    def test_terrorism(self, data_file: Callable[[str], Path]) -> None:
        histogram = Histogram.of(np.loadtxt(data_file("csn/terrorism.txt")).astype(np.int64))
        same_scan(histogram)
        at_least_as_likely(histogram.tail(12))

    def test_same_choice(self) -> None:
        # The smallest distance is that of a tail that does not fit.
        steps = np.repeat(np.arange(1, 31), (30_000 * np.arange(1, 31.0) ** -2.5).astype(int) + 60)
        true = PowerLaw(2.0, xmin=40).draw(60, np.random.default_rng(5))
        histogram = Histogram.of(np.concatenate((steps, true)))
        for found in (FAST.choose(histogram), REFERENCE.choose(histogram)):
            assert histogram.values[found.index] == 40
        assert FAST.scan(histogram).index == REFERENCE.scan(histogram).index == 0

    def test_same_choice_where_the_scan_is_right(self) -> None:
        histogram = drawn(2.3, 1, 800, 3)
        assert REFERENCE.choose(histogram) == REFERENCE.scan(histogram)
        assert REFERENCE.choose(histogram).index == FAST.choose(histogram).index

    def test_gaps(self) -> None:
        """`powerlaw` looks at the measured values alone, so that a distance is too small where it lies in a gap."""
        sample = np.random.default_rng(10).geometric(0.3, 1000)
        ours, theirs = FAST.scan(histogram := Histogram.of(sample)), REFERENCE.scan(Histogram.of(sample))
        assert (histogram.values[ours.index], histogram.values[theirs.index]) == (8, 12)
        by_hand = {c.xmin: c.distance for c in candidates(sample)}
        assert by_hand[8.0] == pytest.approx(ours.distance, rel=1e-9)
        assert by_hand[12.0] > by_hand[8.0] > theirs.distance


class TestFast:
    def test_is_scan_choose_and_every_family(self) -> None:
        histogram = drawn(2.1, 3, 500, 8)
        assert FAST.scan(histogram) == scan(histogram)
        assert FAST.choose(histogram) == choose(histogram)
        laws = FAST.laws(histogram)
        assert list(laws) == [
            "power law",
            "power law with cut-off",
            "bounded power law",
            "lognormal",
            "stretched exponential",
            "exponential",
        ]
        assert all(law is None or (law.family, law.xmin) == (family, 3) for family, law in laws.items())


class TestReference:
    def test_laws_are_of_the_tail(self) -> None:
        histogram = drawn(2.1, 3, 80, 9)
        laws = REFERENCE.laws(histogram)
        assert set(laws) == set(FAST.laws(histogram)) - {"bounded power law"}
        assert all(law is None or law.xmin == 3 for law in laws.values())
        assert laws["power law"] is not None

    @pytest.mark.parametrize("values", [[], [3], [3, 3, 3], [1, 2, 3] * 10])
    def test_too_few_distinct_values(self, values: list[int]) -> None:
        histogram = Histogram.of(np.array(values, dtype=np.int64))
        assert REFERENCE.scan(histogram).index == -1
        assert REFERENCE.choose(histogram).index == -1

    def test_no_tail_that_fits(self) -> None:
        histogram = Histogram.of(np.concatenate((np.arange(1, 60), [60] * 40)))
        assert REFERENCE.scan(histogram).index >= 0
        assert REFERENCE.choose(histogram).index == FAST.choose(histogram).index == -1

    def test_what_it_chooses_fits(self) -> None:
        histogram = drawn(2.6, 1, 400, 11)
        found = REFERENCE.choose(histogram)
        tail = histogram.tail(histogram.values[found.index])
        assert fits(PowerLaw(found.alpha, xmin=tail.values[0]), tail)


class TestNames:
    def test_known(self) -> None:
        assert isinstance(engine("fast"), Fast)
        assert isinstance(engine("powerlaw"), Powerlaw)

    def test_unknown(self) -> None:
        with pytest.raises(UsageError, match=r"no engine 'slow'.*fast and powerlaw"):
            engine("slow")
