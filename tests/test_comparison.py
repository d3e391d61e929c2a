"""Likelihood ratios against `powerlaw`, and written out value by value."""

import itertools
import warnings

import numpy as np
import powerlaw
import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st

from fitting.comparison import Comparison, compare, compare_all
from fitting.histogram import Histogram
from fitting.laws.cutoff import BoundedPowerLaw, PowerLawWithCutoff
from fitting.laws.families import DISCRETE, make
from fitting.laws.law import Law
from fitting.laws.power import PowerLaw
from fitting.laws.rounded import Exponential, Lognormal, StretchedExponential

LAWS: tuple[Law, ...] = (
    PowerLaw(2.2, xmin=2),
    PowerLawWithCutoff(1.8, 0.01, xmin=2),
    BoundedPowerLaw(2.1, 10**6, xmin=2),
    Lognormal(0.5, 1.4, xmin=2),
    StretchedExponential(0.7, 0.5, xmin=2),
    Exponential(0.1, xmin=2),
)
NESTED = {
    ("power law", "power law with cut-off"): 1,
    ("power law", "bounded power law"): 2,
    ("exponential", "power law with cut-off"): 1,
    ("exponential", "stretched exponential"): 1,
}
PAIRS = [(first, second) for first, second in itertools.permutations(LAWS, 2)]
SAMPLES = st.lists(st.one_of(st.integers(2, 6), st.integers(2, 10**4)), min_size=1, max_size=60)


def freedom(first: Law, second: Law) -> int | None:
    pair = (first.family, second.family)
    return NESTED.get(pair) or NESTED.get(pair[::-1])


class TestAgainstPowerlaw:
    """With the parameters that `powerlaw` finds: the same R, and the same p, for it knows of one degree of freedom."""

    @pytest.fixture(scope="class")
    @staticmethod
    def fitted() -> powerlaw.Fit:
        values = Lognormal(2.0, 1.0, xmin=3).draw(100, np.random.default_rng(1))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return powerlaw.Fit(values, discrete=True, xmin=3, estimate_discrete=False, verbose=0)

    @pytest.mark.parametrize(
        ("family", "name", "parameters"),
        [
            ("power law with cut-off", "truncated_power_law", ("alpha", "Lambda")),
            ("lognormal", "lognormal", ("mu", "sigma")),
            ("stretched exponential", "stretched_exponential", ("Lambda", "beta")),
            ("exponential", "exponential", ("Lambda",)),
        ],
    )
    def test_same_ratio_and_p(self, family: str, name: str, parameters: tuple[str, ...], fitted: powerlaw.Fit) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            rival = getattr(fitted, name)
            ratio, p = fitted.distribution_compare("power_law", name)
            normalised, _ = fitted.distribution_compare("power_law", name, normalized_ratio=True)
        values = {key.lower(): float(getattr(rival, key)) for key in parameters}
        tail = Histogram.of(fitted.data.astype(np.int64))
        found = compare(PowerLaw(float(fitted.power_law.alpha), xmin=3), make(family, values, 3), tail)
        assert found.ratio == pytest.approx(ratio, rel=1e-6, abs=1e-6)
        assert found.p == pytest.approx(p, abs=1e-6)
        assert found.nested == (family == "power law with cut-off")
        if not found.nested:
            assert found.normalised == pytest.approx(normalised, rel=1e-6, abs=1e-6)


class TestVuong:
    @pytest.mark.parametrize(("first", "second"), [pair for pair in PAIRS if freedom(*pair) is None])
    @settings(max_examples=30)
    @given(sample=SAMPLES)
    def test_value_by_value(self, first: Law, second: Law, sample: list[int]) -> None:
        difference = np.array([first.log_pmf(x) - second.log_pmf(x) for x in sample])
        found = compare(first, second, Histogram.of(np.array(sample)))
        assert not found.nested
        assert found.ratio == pytest.approx(difference.sum(), rel=1e-9, abs=1e-9)
        sigma = difference.std()
        if sigma > 1e-6:
            z = difference.sum() / (sigma * np.sqrt(len(sample)))
            assert found.normalised == pytest.approx(z, rel=1e-6, abs=1e-6)
            p = max(2 * scipy.stats.norm.sf(abs(z)), scipy.stats.chi2.sf(2 * abs(difference.sum()), 1))
            assert found.p == pytest.approx(p, rel=1e-5, abs=1e-12)

    def test_identical_laws(self) -> None:
        tail = Histogram.of(np.array([2, 2, 3, 9]))
        for law in LAWS:
            assert compare(law, law, tail) == Comparison(law.family, law.family, 0.0, None, 1.0, nested=False)

    def test_nothing_varies(self) -> None:
        found = compare(LAWS[0], LAWS[3], Histogram.of(np.array([5] * 20)))
        assert (found.normalised, found.p) == (None, 1.0)

    def test_wide_apart(self) -> None:
        tail = Histogram.of(PowerLaw(2.0, xmin=2).draw(3000, np.random.default_rng(2)))
        found = compare(PowerLaw(2.0, xmin=2), Exponential(0.05, xmin=2), tail)
        assert found.better == "power law"
        assert found.p < 0.01


class TestNested:
    @pytest.mark.parametrize(("first", "second"), [pair for pair in PAIRS if freedom(*pair) is not None])
    @settings(max_examples=30)
    @given(sample=SAMPLES)
    def test_chi_square_of_the_gain(self, first: Law, second: Law, sample: list[int]) -> None:
        found = compare(first, second, Histogram.of(np.array(sample)))
        assert (found.nested, found.normalised) == (True, None)
        assert found.ratio == pytest.approx(sum(first.log_pmf(x) - second.log_pmf(x) for x in sample), abs=1e-8)
        special_first = (first.family, second.family) in NESTED
        gain = -found.ratio if special_first else found.ratio
        # A special case that comes out likelier is no evidence against it.
        wanted = scipy.stats.chi2.sf(max(2 * gain, 0.0), freedom(first, second))
        assert found.p == pytest.approx(wanted, rel=1e-6, abs=1e-12)

    def test_a_true_cutoff_is_seen(self) -> None:
        tail = Histogram.of(PowerLawWithCutoff(1.5, 0.02, xmin=1).draw(500, np.random.default_rng(3)))
        power, cut = PowerLaw.fit(tail, 1), PowerLawWithCutoff.fit(tail, 1)
        assert power is not None
        assert cut is not None
        found = compare(power, cut, tail)
        assert found.better == "power law with cut-off"
        assert found.p < 1e-6


class TestBounded:
    """Under a power law P(p <= level) is the level at a given exponent, nearly so at fitted ones.

    Of 1,000 samples the share is within 3.3 standard errors of its mean but in 0.1 % of all seeds.
    """

    LEVELS = np.array([0.02, 0.05, 0.1, 0.3, 0.6])
    ERROR = np.sqrt(LEVELS * (1 - LEVELS) / 1000)

    def shares(self, size: int, *, fitted: bool) -> np.ndarray:
        rng, p = np.random.default_rng(4), []
        for _ in range(1000):
            tail = Histogram.of(PowerLaw(1.7, xmin=100).draw(size, rng))
            power, bounded = PowerLaw(1.7, xmin=100), BoundedPowerLaw(1.7, tail.values[-1], xmin=100)
            if fitted:
                one, other = PowerLaw.fit(tail, 100), BoundedPowerLaw.fit(tail, 100)
                assert one is not None
                assert other is not None
                power, bounded = one, other
            p.append(compare(power, bounded, tail).p)
        return np.array([np.mean(np.array(p) <= level) for level in self.LEVELS])

    def test_at_the_true_exponent(self) -> None:
        assert np.all(np.abs(self.shares(50, fitted=False) - self.LEVELS) <= 3.3 * self.ERROR)

    def test_at_the_fitted_exponents(self) -> None:
        assert np.all(np.abs(self.shares(300, fitted=True) - self.LEVELS) <= 3.3 * self.ERROR + 0.05 * self.LEVELS)

    def test_of_short_tails_half_as_often_again(self) -> None:
        """The exponent adapts to the bound: at 20 values 14 % of the samples have p <= 0.1."""
        assert np.all(self.shares(20, fitted=True) <= 1.5 * self.LEVELS + 3.3 * self.ERROR)


class TestComparison:
    @given(st.sampled_from(PAIRS), SAMPLES)
    def test_the_other_way_round(self, pair: tuple[Law, Law], sample: list[int]) -> None:
        tail = Histogram.of(np.array(sample))
        one, other = compare(*pair, tail), compare(*pair[::-1], tail)
        assert (one.first, one.second) == (other.second, other.first)
        assert (one.ratio, one.p) == (pytest.approx(-other.ratio, abs=1e-12), pytest.approx(other.p, rel=1e-9))
        assert one.nested == other.nested
        assert 0 <= one.p <= 1

    def test_better_is_the_likelier(self) -> None:
        assert Comparison("a", "b", 0.1, None, 0.9, nested=False).better == "a"
        assert Comparison("a", "b", -0.1, None, 0.9, nested=False).better == "b"

    def test_every_pair_once(self) -> None:
        tail = Histogram.of(np.array([2, 3, 3, 4, 10, 50]))
        found = compare_all(LAWS, tail)
        assert [(c.first, c.second) for c in found] == list(itertools.combinations(DISCRETE, 2))
        assert found[3] == compare(LAWS[0], LAWS[4], tail)
        assert compare_all(LAWS[:1], tail) == ()
