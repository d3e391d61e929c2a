"""The scan against a slow plain twin: every value as xmin, every integer looked at, nothing left out; what fits."""

import warnings
from typing import NamedTuple

import numpy as np
import powerlaw
import pytest
import scipy.optimize
import scipy.special
import scipy.stats
from hypothesis import assume, given, settings
from hypothesis import strategies as st

import fitting.scan
from fitting.acceptance import FEWEST, LILLIEFORS, fits
from fitting.histogram import Histogram
from fitting.laws.continuous import ContinuousPowerLaw
from fitting.laws.power import PowerLaw
from fitting.laws.rounded import Exponential
from fitting.scan import Candidate, accepted, choose, distance, exponent, scan, suffixes
from fitting.zeta import scaled_zeta, zeta_exponent

# Ties, few distinct values, gaps; up to 150 distinct values, so that candidates are looked at in two rounds.
INTEGERS = st.one_of(
    st.lists(st.integers(1, 6), min_size=1, max_size=30),
    st.lists(st.one_of(st.integers(1, 5), st.integers(1, 300)), min_size=1, max_size=150),
    st.lists(st.integers(30, 200), min_size=1, max_size=60),
)
REALS = st.one_of(
    st.lists(st.sampled_from([0.25, 0.5, 1.0, 1.25, 4.0, 17.0]), min_size=1, max_size=30),
    st.lists(st.floats(1e-3, 1e4), min_size=1, max_size=60),
)


class Plain(NamedTuple):
    """One candidate of the twin."""

    xmin: float
    alpha: float
    distance: float
    tail: int


def integer_distance(tail: np.ndarray, xmin: float, alpha: float) -> float:
    """The largest |share of values >= x - S(x)| over every integer x from xmin to one beyond the largest value."""
    x = np.arange(xmin, tail.max() + 2)
    terms = (x / xmin) ** -alpha
    terms[-1] *= scaled_zeta(alpha, x[-1])
    survival = np.cumsum(terms[::-1])[::-1]
    survival /= survival[0]
    measured = 1 - np.searchsorted(np.sort(tail), x) / len(tail)
    return float(np.abs(measured - survival).max())


def real_distance(tail: np.ndarray, xmin: float, alpha: float) -> float:
    """The largest |1 - S(x_(i)) - (i - 1) / n| over the tail in rising order."""
    tail = np.sort(tail)
    survival = (tail / xmin) ** (1 - alpha)
    return float(np.abs(1 - survival - np.arange(len(tail)) / len(tail)).max())


def candidates(sample: list[int] | list[float] | np.ndarray, *, discrete: bool = True) -> list[Plain]:
    x = np.array(sample, dtype=float)
    found = []
    for xmin in np.unique(x)[:-1]:
        tail = x[x >= xmin]
        mean_log = float(np.log(tail / xmin).mean())
        alpha = zeta_exponent(mean_log, float(xmin)) if discrete else 1 + 1 / mean_log
        if alpha < np.inf:
            d = (integer_distance if discrete else real_distance)(tail, float(xmin), alpha)
            found.append(Plain(float(xmin), alpha, d, len(tail)))
    return found


def smallest(wanted: list[Plain]) -> list[Plain]:
    """Those of the smallest distance; several where rounding cannot tell them apart."""
    least = min((c.distance for c in wanted), default=0.0)
    return [c for c in wanted if c.distance <= least * (1 + 1e-9)]


def check(found: Candidate, histogram: Histogram, allowed: list[Plain]) -> None:
    """``found`` is one of ``allowed``; none where there is none."""
    if not allowed:
        assert found.index == -1
        return
    mine = {c.xmin: c for c in allowed}[histogram.values[found.index]]
    assert (found.alpha, found.distance) == (
        pytest.approx(mine.alpha, rel=1e-9),
        pytest.approx(mine.distance, rel=1e-9),
    )


def heavy(alpha: float, xmin: int, count: int, seed: int) -> np.ndarray:
    return PowerLaw(alpha, xmin=xmin).draw(count, np.random.default_rng(seed))


class TestScan:
    @given(INTEGERS)
    def test_integers(self, sample: list[int]) -> None:
        histogram = Histogram.of(np.array(sample))
        check(scan(histogram), histogram, smallest(candidates(sample)))

    @given(REALS)
    def test_reals(self, sample: list[float]) -> None:
        assume(min(np.diff(np.unique(np.log(sample))), default=1) > 1e-6)
        histogram = Histogram.of(np.array(sample))
        check(scan(histogram, discrete=False), histogram, smallest(candidates(sample, discrete=False)))

    @pytest.mark.parametrize(("alpha", "xmin", "seed"), [(1.9, 1, 1), (2.4, 6, 2), (1.7, 40, 3)])
    def test_many_distinct_values(self, alpha: float, xmin: int, seed: int) -> None:
        rng = np.random.default_rng(seed)
        sample = np.concatenate((heavy(alpha, xmin, 1500, seed), rng.integers(1, xmin + 4, 800)))
        sample = sample[sample < 20_000]
        histogram, best = Histogram.of(sample), smallest(candidates(sample))
        assert len(histogram.values) > 60
        assert len(best) == 1
        check(scan(histogram), histogram, best)

    @pytest.mark.parametrize("seed", [4, 5])
    def test_many_reals(self, seed: int) -> None:
        rng = np.random.default_rng(seed)
        sample = np.concatenate((10 * (1 - rng.random(700)) ** (-1 / 1.3), rng.random(500) * 12 + 1e-3))
        histogram, best = Histogram.of(sample), smallest(candidates(sample, discrete=False))
        assert len(best) == 1
        found = scan(histogram, discrete=False)
        check(found, histogram, best)
        law = ContinuousPowerLaw(found.alpha, xmin=best[0].xmin)
        assert law.distance(histogram.tail(best[0].xmin)) == pytest.approx(found.distance, rel=1e-9)

    def test_nothing_of_our_own(self) -> None:
        """Exponents by scipy's optimiser on scipy's zeta function, distances over every integer."""
        sample = heavy(2.3, 3, 300, seed=6)
        sample = np.concatenate((sample[sample < 5000], [1, 1, 1, 1, 2, 2, 2]))
        best = (np.inf, 0.0, 0.0)
        for xmin in np.unique(sample)[:-2]:
            tail = sample[sample >= xmin]

            def minus(s: float, tail: np.ndarray = tail, xmin: int = xmin) -> float:
                return float(np.log(scipy.special.zeta(s, xmin)) + s * np.log(tail).mean())

            alpha = scipy.optimize.minimize_scalar(minus, bounds=(1.01, 30), options={"xatol": 1e-9}).x
            x = np.arange(xmin, tail.max() + 2)
            survival = scipy.special.zeta(alpha, x) / scipy.special.zeta(alpha, xmin)
            measured = 1 - np.searchsorted(np.sort(tail), x) / len(tail)
            best = min(best, (float(np.abs(measured - survival).max()), float(xmin), alpha))
        found = scan(histogram := Histogram.of(sample))
        assert histogram.values[found.index] == best[1]
        assert found.alpha == pytest.approx(best[2], rel=1e-5)
        assert found.distance == pytest.approx(best[0], abs=1e-5)

    def test_reals_against_powerlaw(self) -> None:
        sample = 3 * (1 - np.random.default_rng(7).random(400)) ** (-1 / 1.4)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            theirs = powerlaw.Fit(sample, verbose=0)
        found = scan(histogram := Histogram.of(sample), discrete=False)
        assert histogram.values[found.index] == theirs.xmin
        assert found.alpha == pytest.approx(theirs.power_law.alpha, rel=1e-9)
        assert found.distance == pytest.approx(theirs.power_law.D, rel=1e-9)

    @pytest.mark.parametrize("sample", [[], [7], [7] * 40, [2**62] * 3])
    def test_no_candidate(self, sample: list[int]) -> None:
        found = scan(Histogram.of(np.array(sample, dtype=np.int64)))
        assert (found.index, found.distance) == (-1, np.inf)
        assert np.isnan(found.alpha)

    def test_two_distinct_values(self) -> None:
        found = scan(Histogram.of(np.array([4, 4, 4, 9])))
        assert (found.index, found.alpha) == (0, pytest.approx(zeta_exponent(np.log(9 / 4) / 4, 4.0)))

    @pytest.mark.parametrize("sample", [[1, 2**62], [2**62 - 2**20, 2**62 - 2**30, 2**62, 3], [1, 2, 3, 10**15]])
    def test_huge_values(self, sample: list[int]) -> None:
        found = scan(Histogram.of(np.array(sample)))
        assert found.index >= 0
        assert 1 < found.alpha < np.inf
        assert 0 < found.distance < 1

    def test_reals_of_any_unit(self) -> None:
        sample = (1 - np.random.default_rng(8).random(300)) ** (-1 / 1.2)
        one, other = (scan(Histogram.of(unit * sample), discrete=False) for unit in (1.0, 2.0**-40))
        assert one.index == other.index
        assert one.alpha == pytest.approx(other.alpha, rel=1e-9)


class TestGivingUp:
    """What is left out changes nothing."""

    @given(INTEGERS, st.booleans(), st.floats(1e-3, 1))
    def test_a_distance_below_the_limit_is_exact(self, sample: list[int], discrete: bool, limit: float) -> None:
        values, logs, count, total = suffixes(*columns(sample))
        for at in range(len(values) - 1):
            alpha = exponent(values, logs, count, total, at, discrete)
            if alpha == np.inf:
                continue
            full = distance(values, count, at, alpha, discrete, np.inf)
            found = distance(values, count, at, alpha, discrete, limit)
            assert found == full if full < limit else limit <= found <= full

    @given(st.lists(st.sampled_from([0.1, 0.2, 0.25, 0.3, 0.9]), min_size=1, max_size=150).map(lambda d: d * 4))
    def test_ties_go_to_the_smallest(self, distances: list[float]) -> None:
        """The order of the candidates does not matter; given made-up distances, the first of the smallest is found."""

        def made_up(*arguments: object) -> float:
            at, limit = arguments[2], arguments[5]
            assert isinstance(at, int)
            assert isinstance(limit, float)
            return distances[at] if distances[at] < limit else limit

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(fitting.scan, "distance", made_up)
            patch.setattr(fitting.scan, "exponent", lambda *arguments: 2.0 + arguments[4])
            none = np.zeros(len(distances) + 1)
            at, alpha, d = fitting.scan.smallest_distance.py_func(none, none, none, none, True)
        assert (at, alpha, d) == (np.argmin(distances), 2.0 + np.argmin(distances), min(distances))


def columns(sample: list[int]) -> tuple[np.ndarray, np.ndarray]:
    histogram = Histogram.of(np.array(sample))
    return histogram.values, histogram.number.astype(float)


class TestSuffixes:
    @given(INTEGERS)
    def test_of_the_values_from_each_one_on(self, sample: list[int]) -> None:
        x = np.array(sample)
        values, logs, count, total = suffixes(*columns(sample))
        np.testing.assert_allclose(logs, np.log(values))
        assert count.tolist() == [*(np.count_nonzero(x >= v) for v in values), 0]
        np.testing.assert_allclose(total, [*(np.log(x[x >= v]).sum() for v in values), 0], rtol=1e-12)


def plainly_fits(sample: np.ndarray, xmin: float, alpha: float) -> bool | None:
    """The two tests of :mod:`fitting.acceptance` by their docstring; None where rounding decides."""
    tail = sample[sample >= xmin]
    root = integer_distance(tail, xmin, alpha) * len(tail) ** 0.5
    edges = [xmin]
    while edges[-1] <= tail.max():
        edges.append(max(edges[-1] + 1, edges[-1] * 3 // 2))
    expected = len(tail) * PowerLaw(alpha, xmin=xmin).survival(edges)
    cells, start = [], 0
    for i in range(1, len(edges)):
        if expected[start] - expected[i] >= 5 and expected[i] >= 5:
            cells.append((np.sum((tail >= edges[start]) & (tail < edges[i])), expected[start] - expected[i]))
            start = i
    cells.append((np.sum(tail >= edges[start]), expected[start]))
    statistic = sum((seen - mean) ** 2 / mean for seen, mean in cells)
    freedom = len(cells) - 2
    largest = scipy.stats.chi2.isf(0.05, freedom) if freedom > 0 else np.inf
    close = np.abs(expected - 5).min() < 1e-9 or abs(root - LILLIEFORS) < 1e-9 or abs(statistic - largest) < 1e-9
    return None if close else bool(len(tail) >= FEWEST and root <= LILLIEFORS and statistic <= largest)


class TestAcceptance:
    @settings(max_examples=200)
    @given(INTEGERS, st.integers(1, 5))
    def test_the_two_tests(self, sample: list[int], often: int) -> None:
        x = np.repeat(sample, often).astype(float)
        histogram = Histogram.of(x.astype(np.int64))
        values, _, count, _ = suffixes(histogram.values, histogram.number.astype(float))
        for c in candidates(x):
            wanted, at = plainly_fits(x, c.xmin, c.alpha), int(np.searchsorted(values, c.xmin))
            if wanted is not None:
                assert fits(PowerLaw(c.alpha, xmin=c.xmin), histogram.tail(c.xmin)) == wanted
                assert accepted(values, count, at, c.alpha, c.distance, True) == wanted

    @pytest.mark.parametrize(
        ("alpha", "xmin", "size", "share"),
        [
            (1.8, 1, 3000, 0.955),
            (2.5, 1, 300, 0.955),
            (2.5, 1, 30_000, 0.95),
            (2.2, 9, 500, 0.94),
            (2.2, 500, 500, 0.915),
        ],
    )
    def test_a_true_power_law_fits_nine_times_in_ten(self, alpha: float, xmin: int, size: int, share: float) -> None:
        """Shares of 2,000 samples; of 400 less or more by 3.3 standard errors in one case in a thousand."""
        law, rng, passed = PowerLaw(alpha, xmin=xmin), np.random.default_rng(9), 0
        for _ in range(400):
            histogram = Histogram.of(law.draw(size, rng))
            fitted = PowerLaw.fit(histogram, xmin)
            assert fitted is not None
            passed += fits(fitted, histogram)
        assert abs(passed / 400 - share) <= 3.3 * np.sqrt(share * (1 - share) / 400)

    def test_others_do_not(self) -> None:
        """Few values hold most of the sample: the distance alone would let the first pass."""
        for sample, near in ((np.random.default_rng(1).geometric(0.75, 400), True), (np.arange(1, 300), False)):
            histogram = Histogram.of(sample)
            law = PowerLaw.fit(histogram, 1)
            assert law is not None
            assert (law.distance(histogram) * np.sqrt(histogram.n) <= LILLIEFORS) == near
            assert not fits(law, histogram)

    def test_other_families(self) -> None:
        histogram = Histogram.of(np.random.default_rng(10).geometric(0.1, 2000))
        law = Exponential.fit(histogram, 1)
        assert law is not None
        assert fits(law, histogram)
        assert not fits(Exponential(law.rate * 1.1, xmin=1), histogram)


class TestChoose:
    @given(INTEGERS)
    def test_the_rule(self, sample: list[int]) -> None:
        histogram, wanted = Histogram.of(np.array(sample)), candidates(sample)
        accepts = [plainly_fits(np.array(sample), c.xmin, c.alpha) for c in wanted]
        assume(None not in accepts)
        within = [c for c, fit in zip(wanted, accepts, strict=True) if fit]
        best = smallest(wanted)
        # Usually one of the two; both where the smallest distance is that of several, and only some are accepted.
        allowed = [c for c in best if c in within] + (within[:1] if set(best) - set(within) else [])
        check(choose(histogram), histogram, allowed)

    def test_the_best_has_a_large_distance(self) -> None:
        # Many values up to 30 that look like a law, too many to be one; a true one of few values from 40 on.
        steps = np.repeat(np.arange(1, 31), (30_000 * np.arange(1, 31.0) ** -2.5).astype(int) + 60)
        histogram = Histogram.of(np.concatenate((steps, heavy(2.0, 40, 60, seed=5))))
        best, found = scan(histogram), choose(histogram)
        assert (histogram.values[best.index], histogram.values[found.index]) == (1, 40)
        assert found.distance > best.distance

    def test_the_best_has_a_short_tail(self) -> None:
        sample = heavy(2.0, 1, 120, seed=3)
        histogram = Histogram.of(np.concatenate((sample[sample < 150], [200] * 8, [201])))
        best, found = scan(histogram), choose(histogram)
        assert histogram.n - histogram.upto[best.index] == 9 < FEWEST
        assert found.distance > best.distance
        assert histogram.n - histogram.upto[found.index] >= FEWEST

    def test_reals(self) -> None:
        sample = 3 * (1 - np.random.default_rng(10).random(200)) ** (-1 / 1.4)
        histogram = Histogram.of(sample)
        assert choose(histogram, discrete=False) == scan(histogram, discrete=False)
        assert choose(Histogram.of(np.repeat([0.5, 0.75, 1.0], 200)), discrete=False).index == -1

    @pytest.mark.parametrize("sample", [[], [7], [7] * 40, [1, 2, 3, 4, 5, 6, 7, 8, 9]])
    def test_no_candidate(self, sample: list[int]) -> None:
        assert choose(Histogram.of(np.array(sample, dtype=np.int64))).index == -1
