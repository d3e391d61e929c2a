"""Replicates: drawn right, the same for any number of threads, and as a plain bootstrap would have them.

Statistical tests run on fixed seeds and reject right code at one seed in a thousand (ERROR_RATE).
"""

import time
from collections.abc import Callable

import numpy as np
import pytest
import scipy.special
import scipy.stats

import fitting.bootstrap
from fitting.bootstrap import CHUNK, _multinomial, draw_zeta, goodness, p_value, redrawn, resampled
from fitting.histogram import Histogram
from fitting.laws.cutoff import PowerLawWithCutoff
from fitting.laws.power import PowerLaw
from fitting.laws.rounded import Lognormal
from fitting.scan import scan
from fitting.zeta import exponent_error

ERROR_RATE = 1e-3


def seeded(seed: int) -> np.random.SeedSequence:
    return np.random.SeedSequence(seed)


def sample_with_a_body(seed: int = 1) -> np.ndarray:
    """A power law from 5 on, 120 values; as many below that are none."""
    rng = np.random.default_rng(seed)
    return np.concatenate((PowerLaw(2.2, xmin=5).draw(120, rng), rng.integers(1, 5, 120)))


def chi_square(values: np.ndarray, number: np.ndarray, alpha: float, xmin: int) -> float:
    """The p-value of a histogram of draws from the zeta law; cells of less than ten expected values are pooled."""
    x = np.unique(np.concatenate((xmin + np.arange(200), np.geomspace(xmin + 200, 1e12, 200).astype(int)))).astype(
        float
    )
    survival = scipy.special.zeta(alpha, x) / scipy.special.zeta(alpha, xmin)
    n = number.sum()
    cell = (n * (1 - survival)).astype(int) // 10
    first = np.unique(cell, return_index=True)[1]
    if n * survival[first[-1]] < 10:
        first = first[:-1]
    expected = n * -np.diff(np.append(survival[first], 0.0))
    seen = np.bincount(np.searchsorted(x[first], values, side="right") - 1, weights=number, minlength=len(first))
    return float(scipy.stats.chisquare(seen, expected).pvalue)


class TestDraws:
    @pytest.mark.parametrize("alpha", [1.5, 2.0, 2.9, 4.5])
    @pytest.mark.parametrize("xmin", [1, 7, 5000])
    def test_many_at_once(self, alpha: float, xmin: int) -> None:
        values, number = draw_zeta(np.random.default_rng(1), 30_000, float(xmin), alpha)
        assert number.sum() == 30_000
        assert values.min() >= xmin
        assert np.all(np.diff(values) > 0)
        assert np.all(number >= 1)
        assert chi_square(values, number, alpha, xmin) > ERROR_RATE
        assert chi_square(values, number, 1.1 * alpha, xmin) < 1e-9

    @pytest.mark.parametrize(("alpha", "xmin"), [(1.6, 1), (2.9, 1), (4.5, 1), (1.6, 7), (2.9, 5000)])
    @pytest.mark.parametrize("n", [8, 32, 40])
    def test_few_at_a_time(self, alpha: float, xmin: int, n: int) -> None:
        """Up to 32 are drawn one by one, and so is what is left of 40."""
        rng = np.random.default_rng(2)
        drawn = [draw_zeta(rng, n, float(xmin), alpha) for _ in range(8000 // n)]
        assert {number.sum() for _, number in drawn} == {n}
        assert all(np.all(np.diff(values) > 0) for values, _ in drawn)
        assert chi_square(*(np.concatenate(part) for part in zip(*drawn, strict=True)), alpha, xmin) > ERROR_RATE

    @pytest.mark.parametrize(("alpha", "xmin"), [(1.05, 1), (1.5, 1), (2.9, 1), (6.0, 1), (1.7, 3), (3.5, 12)])
    def test_one_by_one_is_the_inverse(self, alpha: float, xmin: int) -> None:
        """The same uniform numbers give the same values, up to 10^8 exactly."""
        law = PowerLaw(alpha, xmin=xmin)
        for seed in range(200):
            values, number = draw_zeta(np.random.default_rng(seed), 32, float(xmin), alpha)
            ours, wanted = np.repeat(values, number.astype(int)), np.sort(law.draw(32, np.random.default_rng(seed)))
            assert np.array_equal(ours[wanted < 1e8], wanted[wanted < 1e8])
            np.testing.assert_allclose(ours, wanted, rtol=1e-6)

    def test_none(self) -> None:
        values, number = draw_zeta(np.random.default_rng(3), 0, 1.0, 2.0)
        assert (len(values), len(number)) == (0, 0)

    def test_the_farthest(self) -> None:
        values, number = draw_zeta(np.random.default_rng(4), 1000, 1e15, 1.05)
        assert number.sum() == 1000
        assert values[-1] == 2.0**62

    def test_small_exponents_take_no_longer(self) -> None:
        rng = np.random.default_rng(5)
        draw_zeta(rng, 10, 1.0, 2.0)
        start = time.perf_counter()
        draw_zeta(rng, 30, 1.0, 1.1)
        assert time.perf_counter() - start < 0.05


class TestMultinomial:
    @pytest.mark.parametrize("weights", [[5], [1, 1], [3, 1, 4, 1, 5], [1, 10**9], [2, 3] * 100])
    def test_sums_and_means(self, weights: list[int]) -> None:
        rng, shares = np.random.default_rng(6), np.array(weights, dtype=float)
        drawn = np.array([_multinomial(rng, 60, shares) for _ in range(2000)])
        assert np.all(drawn.sum(axis=1) == 60)
        assert np.all(drawn >= 0)
        p = shares / shares.sum()
        # Bonferroni over the weights; 1e-9 for where nothing varies.
        bound = scipy.stats.norm.isf(ERROR_RATE / 2 / len(weights))
        assert np.all(np.abs(drawn.mean(axis=0) - 60 * p) <= bound * np.sqrt(60 * p * (1 - p) / 2000) + 1e-6)
        assert drawn.var(axis=0) == pytest.approx(60 * p * (1 - p), rel=0.4, abs=1e-3)

    def test_covariance(self) -> None:
        rng = np.random.default_rng(7)
        drawn = np.array([_multinomial(rng, 30, np.array([1.0, 2.0, 3.0])) for _ in range(20_000)])
        p = np.array([1, 2, 3]) / 6
        # A covariance of 20,000 pairs is within 5 % of the variances.
        np.testing.assert_allclose(np.cov(drawn.T), 30 * (np.diag(p) - np.outer(p, p)), atol=0.35)

    def test_nothing(self) -> None:
        rng = np.random.default_rng(8)
        assert _multinomial(rng, 0, np.array([1.0, 2.0])).tolist() == [0, 0]
        assert _multinomial(rng, 0, np.empty(0)).tolist() == []


Runs = Callable[[np.random.SeedSequence, int], np.ndarray]


def replicates_of_goodness(seed: np.random.SeedSequence, count: int) -> np.ndarray:
    histogram = Histogram.of(sample_with_a_body())
    return goodness(histogram, 5.0, 2.2, count, seed)


def replicates_of_reals(seed: np.random.SeedSequence, count: int) -> np.ndarray:
    histogram = Histogram.of(sample_with_a_body() + np.random.default_rng(9).random(240))
    return goodness(histogram, float(histogram.values[120]), 2.2, count, seed, discrete=False)


def replicates_of_estimates(seed: np.random.SeedSequence, count: int) -> np.ndarray:
    return np.array(resampled(Histogram.of(sample_with_a_body()), count, seed)).T


def replicates_of_a_law(seed: np.random.SeedSequence, count: int) -> np.ndarray:
    distances, parameters = redrawn(Lognormal(1.0, 1.0, xmin=1), 100, count, seed)
    return np.column_stack((distances, parameters))


@pytest.mark.parametrize(
    "runs", [replicates_of_goodness, replicates_of_reals, replicates_of_estimates, replicates_of_a_law]
)
class TestStreams:
    def test_same_seed_same_result(self, runs: Runs) -> None:
        one, other, different = runs(seeded(1), 45), runs(seeded(1), 45), runs(seeded(2), 45)
        np.testing.assert_array_equal(one, other)
        assert len(one) == 45
        assert not np.array_equal(one, different)

    def test_the_seed_is_not_used_up(self, runs: Runs) -> None:
        seed = seeded(1)
        np.testing.assert_array_equal(runs(seed, 5), runs(seed, 5))

    def test_a_spawned_seed_is_another(self, runs: Runs) -> None:
        one, other = seeded(1).spawn(2)
        assert not np.array_equal(runs(one, 5), runs(other, 5))
        assert not np.array_equal(runs(one, 5), runs(seeded(1), 5))

    def test_any_number_of_threads(self, runs: Runs, monkeypatch: pytest.MonkeyPatch) -> None:
        found = []
        for threads in (1, 2, 7):
            monkeypatch.setattr(fitting.bootstrap.os, "cpu_count", lambda threads=threads: threads)
            found.append(runs(seeded(3), 3 * CHUNK + 5))
        np.testing.assert_array_equal(found[0], found[1])
        np.testing.assert_array_equal(found[0], found[2])

    def test_chunks_differ(self, runs: Runs) -> None:
        found = runs(seeded(4), 2 * CHUNK)
        assert not np.array_equal(found[:CHUNK], found[CHUNK:])

    def test_a_whole_chunk_is_a_part_of_more(self, runs: Runs) -> None:
        np.testing.assert_array_equal(runs(seeded(5), CHUNK), runs(seeded(5), 3 * CHUNK)[:CHUNK])


class TestProgress:
    def test_told_after_each_chunk(self) -> None:
        histogram = Histogram.of(sample_with_a_body())
        law = PowerLaw(2.0, xmin=1)
        for stage, run in {
            "goodness of fit": lambda p: (
                goodness(histogram, 5.0, 2.2, 45, seeded(1), progress=p),
                redrawn(law, 20, 45, seeded(1), progress=p),
            ),
            "uncertainty": lambda p: (resampled(histogram, 45, seeded(1), progress=p),),
        }.items():
            told: list[tuple[str, int, int]] = []
            done = run(lambda *words: told.append(words))  # noqa: B023 - called at once
            assert told == [(stage, 20, 45), (stage, 40, 45), (stage, 45, 45)] * len(done)

    def test_an_interrupt_ends_it(self) -> None:
        told = []

        def interrupt(stage: str, done: int, total: int) -> None:
            told.append((stage, done, total))
            raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            goodness(Histogram.of(sample_with_a_body()), 5.0, 2.2, 100_000, seeded(1), progress=interrupt)
        assert len(told) == 1


class TestPValue:
    def test_counts_itself(self) -> None:
        assert p_value(0.5, np.array([])) == 1.0
        assert p_value(0.5, np.zeros(99)) == 0.01
        assert p_value(0.5, np.ones(99)) == 1.0

    def test_ties_count(self) -> None:
        assert p_value(0.1, np.array([0.05, 0.1, 0.2])) == 3 / 4

    def test_the_last_bit_does_not_matter(self) -> None:
        assert p_value(0.3, np.array([np.nextafter(0.3, 0), 0.2])) == 2 / 3


def likely_the_same(one: np.ndarray, other: np.ndarray) -> bool:
    return bool(scipy.stats.ks_2samp(one, other).pvalue > ERROR_RATE)


class TestAgainstAPlainBootstrap:
    """Values drawn one by one, counted, scanned: the distributions are the same."""

    def test_semiparametric(self) -> None:
        sample, rng = sample_with_a_body(), np.random.default_rng(10)
        histogram = Histogram.of(sample)
        found = scan(histogram)
        xmin = histogram.values[found.index]
        tail, body = sample[sample >= xmin], sample[sample < xmin]
        assert 30 < len(body) < 200
        law, plain = PowerLaw(found.alpha, xmin=xmin), []
        for _ in range(400):
            in_tail = np.count_nonzero(rng.random(len(sample)) < len(tail) / len(sample))
            drawn = np.concatenate((law.draw(in_tail, rng), rng.choice(body, len(sample) - in_tail)))
            plain.append(scan(Histogram.of(drawn)).distance)
        ours = goodness(histogram, xmin, found.alpha, 2000, seeded(11))
        assert likely_the_same(ours, np.array(plain))
        assert not likely_the_same(ours * 1.15, np.array(plain))

    def test_semiparametric_on_the_reals(self) -> None:
        rng = np.random.default_rng(12)
        tail, body = 5 * (1 - rng.random(100)) ** (-1 / 1.3), 5 * rng.random(60)
        histogram = Histogram.of(np.concatenate((body, tail)))
        xmin, plain = float(tail.min()), []
        for _ in range(400):
            in_tail = np.count_nonzero(rng.random(160) < 100 / 160)
            drawn = np.concatenate((xmin * (1 - rng.random(in_tail)) ** (-1 / 1.3), rng.choice(body, 160 - in_tail)))
            plain.append(scan(Histogram.of(drawn), discrete=False).distance)
        ours = goodness(histogram, xmin, 2.3, 2000, seeded(13), discrete=False)
        assert likely_the_same(ours, np.array(plain))
        assert not likely_the_same(ours * 1.15, np.array(plain))

    def test_resampled(self) -> None:
        sample, rng, rows = sample_with_a_body(), np.random.default_rng(14), []
        for _ in range(400):
            histogram = Histogram.of(rng.choice(sample, len(sample)))
            found = scan(histogram)
            none = found.index < 0
            xmin = np.nan if none else histogram.values[found.index]
            rows.append((found.alpha, xmin, np.nan if none else histogram.tail(xmin).n))
        columns = np.array(rows).T
        ours = resampled(Histogram.of(sample), 2000, seeded(15))
        for mine, column in zip(ours, columns, strict=True):
            assert likely_the_same(mine[~np.isnan(mine)], column[~np.isnan(column)])
            assert not likely_the_same(mine[~np.isnan(mine)] * 1.2 + 0.5, column[~np.isnan(column)])
        # The share without a tail: a difference of proportions, three standard errors at most.
        share = np.isnan(columns[0]).mean()
        assert abs(np.isnan(ours.alpha).mean() - share) <= 3 * np.sqrt(0.25 / 400)

    def test_redrawn(self) -> None:
        law, rng = Lognormal(1.0, 1.2, xmin=2), np.random.default_rng(16)
        distances, parameters = redrawn(law, 150, 300, seeded(17))
        plain = []
        for _ in range(300):
            histogram = Histogram.of(law.draw(150, rng))
            again = Lognormal.fit(histogram, 2)
            if again is not None:
                plain.append((again.distance(histogram), again.mu, again.sigma))
        for mine, column in zip((distances, *parameters.T), np.array(plain).T, strict=True):
            assert likely_the_same(mine, column)
            assert not likely_the_same(mine * 1.3 + 0.01, column)


class TestGoodness:
    @pytest.mark.parametrize("discrete", [True, False])
    def test_a_replicate_is_as_large_as_the_sample(self, discrete: bool, monkeypatch: pytest.MonkeyPatch) -> None:
        """Its tail is binomial, its body has the measured values below xmin in their shares."""
        values, number = np.array([1.0, 2.0, 3.0, 9.0, 20.0]), np.array([10.0, 30.0, 20.0, 35.0, 5.0])
        samples: list[Histogram] = []

        def kept(*columns: np.ndarray) -> tuple[int, float, float]:
            samples.append(Histogram(columns[0], -np.diff(columns[2])))
            return 0, 2.0, 0.1

        monkeypatch.setattr(fitting.bootstrap, "smallest_distance", kept)
        rng = np.random.default_rng(28)
        fitting.bootstrap._semiparametric.py_func(rng, 2000, values, number, 3, 2.5, discrete)
        assert {sample.n for sample in samples} == {100}
        body = np.array([[sample.number[sample.values == v].sum() for v in (1, 2, 3)] for sample in samples])
        tail = np.array([sample.tail(9).n for sample in samples])
        assert np.all(body.sum(axis=1) + tail == 100)
        # Means of 2,000 within 3.3 standard errors, a variance within a tenth: each fails at 0.1 % of all seeds.
        p = np.array([0.1, 0.3, 0.2])
        assert np.all(np.abs(body.mean(axis=0) - 100 * p) <= 3.3 * np.sqrt(100 * p * (1 - p) / 2000))
        assert tail.var() == pytest.approx(100 * 0.4 * 0.6, rel=0.1)

    def test_every_replicate_is_a_distance(self) -> None:
        histogram = Histogram.of(sample_with_a_body())
        distances = goodness(histogram, 5.0, 2.2, 45, seeded(18))
        assert distances.shape == (45,)
        assert np.all((distances > 0) & (distances < 1))

    def test_without_a_body(self) -> None:
        histogram = Histogram.of(PowerLaw(2.2, xmin=5).draw(200, np.random.default_rng(19)))
        assert np.all(goodness(histogram, 5.0, 2.2, 20, seeded(20)) < 0.2)

    def test_true_power_laws_are_not_doubted_more_often_than_chance(self) -> None:
        """p <= 0.1 in one case of ten: of 60 in more than 14 with a probability of less than ERROR_RATE."""
        small = 0
        for seed in range(60):
            histogram = Histogram.of(PowerLaw(2.3, xmin=1).draw(300, np.random.default_rng(seed)))
            found = scan(histogram)
            distances = goodness(histogram, float(histogram.values[found.index]), found.alpha, 100, seeded(seed))
            small += p_value(found.distance, distances) <= 0.1
        assert small <= scipy.stats.binom.isf(ERROR_RATE, 60, 0.1)

    def test_others_are(self) -> None:
        histogram = Histogram.of(np.random.default_rng(21).poisson(30, 5000) + 1).tail(25)
        law = PowerLaw.fit(histogram, 25)
        assert law is not None
        assert p_value(law.distance(histogram), goodness(histogram, 25.0, law.alpha, 40, seeded(22))) == 1 / 41


class TestEstimates:
    def test_where_there_is_no_tail(self) -> None:
        found = resampled(Histogram.of(np.full(9, 4)), 25, seeded(23))
        assert all(column.shape == (25,) and np.isnan(column).all() for column in found)

    def test_all_of_a_replicate_is_of_one_tail(self) -> None:
        sample = sample_with_a_body()
        found = resampled(Histogram.of(sample), 40, seeded(24))
        assert np.all(np.isin(found.xmin, sample))
        assert np.all((found.tail >= 2) & (found.tail <= len(sample)))
        assert np.all(found.alpha > 1)


class TestRedrawn:
    def test_parameters_scatter_by_the_standard_error(self) -> None:
        _, parameters = redrawn(PowerLaw(2.4, xmin=3), 400, 400, seeded(25))
        error = exponent_error(2.4, 3.0, 400)
        assert parameters.shape == (400, 1)
        # A spread of 400 is within 12 % of the true one but in 0.1 % of all seeds.
        assert parameters.std() == pytest.approx(error, rel=0.12)
        assert abs(parameters.mean() - 2.4) < 4 * error / np.sqrt(400) + 0.005

    def test_replicates_without_a_fit_are_left_out(self) -> None:
        law = PowerLawWithCutoff(2.5, 1e-6, xmin=1)
        distances, parameters = redrawn(law, 40, 60, seeded(26))
        assert 0 < len(distances) == len(parameters) < 60
        assert parameters.shape[1] == 2

    def test_not_one_has_a_fit(self) -> None:
        distances, parameters = redrawn(PowerLawWithCutoff(2.5, 1e-6, xmin=1), 1, 5, seeded(27))
        assert (distances.shape, parameters.shape) == ((0,), (0, 2))
