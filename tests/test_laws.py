"""Tail laws: known values from mpmath, what any law obeys, inversion, draws by chi-square, kernels beside plain twins.

Statistical tests run on fixed seeds and reject a right law at one seed in ten thousand.
"""

import math
from collections.abc import Callable

import mpmath as mp  # type: ignore[import-untyped]
import numpy as np
import pytest
import scipy.integrate
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st

from fitting.histogram import Histogram
from fitting.laws.bell import log_mills
from fitting.laws.continuous import (
    ContinuousExponential,
    ContinuousLognormal,
    ContinuousPowerLaw,
    ContinuousPowerLawWithCutoff,
    ContinuousStretchedExponential,
)
from fitting.laws.cutoff import BoundedPowerLaw, PowerLawWithCutoff
from fitting.laws.families import CONTINUOUS, DISCRETE, make
from fitting.laws.law import Law
from fitting.laws.power import PowerLaw
from fitting.laws.rounded import Exponential, Lognormal, StretchedExponential
from fitting.laws.sums import gram_rules, moments, sums_from

ERROR_RATE = 1e-4
FEWER = settings(max_examples=60)
POWERS = [PowerLaw(alpha, xmin=xmin) for alpha in (1.01, 1.5, 2.0, 3.3, 6.0) for xmin in (1, 7, 10_000)]
CUTOFFS = [
    PowerLawWithCutoff(1.5, 1e-3, xmin=1),
    PowerLawWithCutoff(2.3, 1e-9, xmin=7),
    PowerLawWithCutoff(5.9, 1e-6, xmin=10_000),
    PowerLawWithCutoff(-1.6, 0.02, xmin=3),
    PowerLawWithCutoff(0.4, 1.2, xmin=40),
]
BOUNDED = [
    BoundedPowerLaw(1.01, 1e9, xmin=1),
    BoundedPowerLaw(1.0, 1e5, xmin=6),
    BoundedPowerLaw(-2.0, 1e7, xmin=10),
    BoundedPowerLaw(2.7, 300_000.0, xmin=10_000),
    BoundedPowerLaw(0.3, 40.0, xmin=2),
]
LOGNORMALS = [
    Lognormal(1.0, 1.5, xmin=1),
    Lognormal(5.0, 0.5, xmin=1),
    Lognormal(-8.0, 4.0, xmin=12),
    Lognormal(-3000.0, 60.0, xmin=10_000),
    Lognormal(12.0, 1.0, xmin=1),
    Lognormal(0.0, 0.3, xmin=1),
]
STRETCHED = [
    StretchedExponential(0.3, 0.4, xmin=1),
    StretchedExponential(2.0, 0.2, xmin=30),
    StretchedExponential(1e-3, 0.9, xmin=10_000),
    StretchedExponential(0.01, 1.5, xmin=1),
]
EXPONENTIALS = [Exponential(0.02, xmin=1), Exponential(1.3, xmin=40), Exponential(1e-8, xmin=9)]
INTEGER: list[Law] = [*POWERS, *CUTOFFS, *BOUNDED, *LOGNORMALS, *STRETCHED, *EXPONENTIALS]
REAL: list[Law] = [
    ContinuousPowerLaw(1.3, xmin=0.2),
    ContinuousPowerLaw(3.0, xmin=50.0),
    ContinuousPowerLawWithCutoff(1.5, 1e-3, xmin=0.7),
    ContinuousPowerLawWithCutoff(3.2, 1e-7, xmin=3.0),
    ContinuousPowerLawWithCutoff(-1.5, 0.2, xmin=0.05),
    ContinuousPowerLawWithCutoff(2.0, 2.0, xmin=11.0),
    ContinuousLognormal(1.0, 1.5, xmin=0.3),
    ContinuousLognormal(-30.0, 6.0, xmin=12.0),
    ContinuousLognormal(4.0, 0.4, xmin=1.0),
    ContinuousStretchedExponential(0.3, 0.4, xmin=1.0),
    ContinuousStretchedExponential(0.01, 1.5, xmin=0.2),
    ContinuousExponential(0.02, xmin=4.0),
]


def exact(law: Law) -> Callable[[float], mp.mpf]:
    """P(X >= x), up to a factor, of a law at a whole number (integers) or at any x (reals); in mpmath's numbers."""
    p = [mp.mpf(value) for value in law.parameters.values()]
    half = mp.mpf(1) / 2 if law.discrete else 0
    match law.family:
        case "power law" if law.discrete:
            return lambda x: mp.zeta(p[0], int(x))
        case "power law":
            return lambda x: mp.mpf(x) ** (1 - p[0])
        case "power law with cut-off" if law.discrete:
            return lambda x: cut_off_sum(p[0], p[1], int(x))
        case "power law with cut-off":
            return lambda x: mp.gammainc(1 - p[0], p[1] * mp.mpf(x))
        case "bounded power law":
            return lambda x: bounded_sum(p[0], int(x), int(p[1]))
        case "lognormal":
            return lambda x: mp.erfc((mp.log(x - half) - p[0]) / (p[1] * mp.sqrt(2)))
        case "stretched exponential":
            return lambda x: mp.exp(-((p[0] * (x - half)) ** p[1]))
        case _:
            return lambda x: mp.exp(-p[0] * x)


def cut_off_sum(alpha: mp.mpf, rate: mp.mpf, first: int) -> mp.mpf:
    """The sum of x^-alpha e^(-rate x) from x = first on.

    Bernoulli's way: the integral from first on, corrected by the derivatives of f there, after terms one by one.
    """
    start = max(first, 60)
    total = mp.fsum(mp.mpf(x) ** -alpha * mp.exp(-rate * x) for x in range(first, start))
    # f(start + h) as a Taylor series: its logarithm's coefficients are known, those of f follow (Leibniz).
    slopes = [-(rate + alpha / start), *(alpha * (-1) ** k / mp.mpf(start) ** k for k in range(2, 60))]  # k times k-th
    taylor = [mp.mpf(start) ** -alpha * mp.exp(-rate * start)]
    for k in range(1, 40):
        taylor.append(mp.fsum(slopes[j - 1] * taylor[k - j] for j in range(1, k + 1)) / k)
    integral = rate ** (alpha - 1) * mp.gammainc(1 - alpha, rate * start)
    return (
        total
        + integral
        + taylor[0] / 2
        - mp.fsum(mp.bernoulli(2 * j) / (2 * j) * taylor[2 * j - 1] for j in range(1, 20))
    )


def bounded_sum(alpha: mp.mpf, first: int, last: int) -> mp.mpf:
    """The sum of x^-alpha over first..last."""
    if first > last:
        return mp.mpf(0)
    if alpha == 1:
        return mp.harmonic(last) - mp.harmonic(first - 1)
    return mp.zeta(alpha, first) - mp.zeta(alpha, last + 1)


def grid(law: Law) -> np.ndarray:
    """Values from xmin to 10^9: the first ones, those about the end of the table, and in between."""
    if not law.discrete:
        return law.xmin * np.concatenate(([1.0], 1.0 + np.geomspace(1e-3, 1e8, 40)))
    about = np.concatenate((np.arange(30), np.arange(8189, 8195), np.geomspace(1, 1e9, 30).astype(int)))
    inside = law.xmin + np.unique(about)[:: 3 if law.family == "power law with cut-off" else 1]  # mpmath takes long
    return np.asarray(inside[inside <= law.parameters.get("xmax", 1e18)], dtype=np.float64)


class TestKnownValues:
    @pytest.mark.parametrize("law", [*INTEGER, *REAL], ids=str)
    def test_survival(self, law: Law) -> None:
        with mp.workdps(50):  # at 15 digits mpmath itself is off by 1e-11
            wanted_of = exact(law)
            first = wanted_of(law.xmin)
            wanted = np.array([float(wanted_of(x) / first) for x in grid(law)])
        seen = wanted > 1e-250
        assert seen.sum() > 3
        np.testing.assert_allclose(law.survival(grid(law))[seen], wanted[seen], rtol=2e-12)

    @pytest.mark.parametrize("law", INTEGER, ids=str)
    def test_log_pmf(self, law: Law) -> None:
        with mp.workdps(150):  # a cell at 10^9 is a small difference
            p = [mp.mpf(value) for value in law.parameters.values()]
            wanted_of = exact(law)
            if law.family in ("lognormal", "stretched exponential"):
                first = wanted_of(law.xmin)
                wanted = [float(mp.log((wanted_of(x) - wanted_of(x + 1)) / first)) for x in grid(law)]
            else:
                with mp.workdps(40):
                    log_first = mp.log(wanted_of(law.xmin))
                rate = p[1] if law.family == "power law with cut-off" else p[0] if law.family == "exponential" else 0
                alpha = 0 if law.family == "exponential" else p[0]
                if law.family == "exponential":
                    log_first -= mp.log(1 - mp.exp(-rate))
                wanted = [float(-alpha * mp.log(x) - rate * mp.mpf(x) - log_first) for x in grid(law)]
        close = np.array(wanted) > -600
        np.testing.assert_allclose(law.log_pmf(grid(law))[close], np.array(wanted)[close], rtol=1e-12, atol=1e-12)

    @pytest.mark.parametrize("law", REAL, ids=str)
    def test_density_is_the_slope_of_survival(self, law: Law) -> None:
        with mp.workdps(50):
            wanted_of = exact(law)
            first = wanted_of(law.xmin)
            x = grid(law)[1::4]
            wanted = np.array([float(-mp.diff(wanted_of, mp.mpf(float(v))) / first) for v in x])
        seen = wanted > 1e-250
        assert seen.sum() > 3
        np.testing.assert_allclose(law.log_pmf(x)[seen], np.log(wanted[seen]), rtol=1e-11, atol=1e-11)


def positive(low: float, high: float) -> st.SearchStrategy[float]:
    return st.floats(math.log(low), math.log(high)).map(math.exp)


def laws(discrete: bool = True) -> st.SearchStrategy[Law]:
    """Any law within what a fit may find."""
    xmin: st.SearchStrategy[float] = st.integers(1, 10_000) if discrete else positive(1e-3, 1e4)
    alphas = st.floats(-2, 6)
    ranges: dict[str, tuple[st.SearchStrategy[float], ...]] = {
        "power law": (st.floats(1.01, 8),),
        "power law with cut-off": (alphas, positive(1e-12, 3)),
        "lognormal": (st.floats(-20, 10), st.floats(0.3, 8)),
        "stretched exponential": (positive(1e-4, 5), st.floats(0.1, 2)),
        "exponential": (positive(1e-6, 5),),
    }
    kinds = DISCRETE if discrete else CONTINUOUS
    some = [
        st.tuples(st.just(kinds[family]), st.tuples(*parameters), xmin).map(lambda of: of[0](*of[1], xmin=of[2]))
        for family, parameters in ranges.items()
    ]
    if discrete:
        some.append(
            st.builds(
                lambda alpha, xmin, more: BoundedPowerLaw(alpha, float(xmin + more), xmin=xmin),
                alphas,
                st.integers(1, 10_000),
                st.one_of(st.integers(0, 100), st.integers(8_000, 10**9)),
            )
        )
    return st.one_of(some)


class TestAnyLaw:
    @FEWER
    @given(laws(), st.lists(st.integers(1, 10**12), min_size=2, max_size=20).map(sorted))
    def test_survival_falls_from_one(self, law: Law, x: list[int]) -> None:
        survival = law.survival(np.array(x))
        assert np.all(np.diff(survival) <= 1e-12)
        np.testing.assert_allclose(survival[np.array(x) <= law.xmin], 1, rtol=1e-12)
        assert np.all((survival >= 0) & (survival <= 1 + 1e-12))

    @FEWER
    @given(laws(), st.integers(0, 10**6))
    def test_pmf_is_what_survival_loses(self, law: Law, more: int) -> None:
        x = law.xmin + more + np.arange(50.0)
        survival = law.survival(np.append(x, x[-1] + 1))
        np.testing.assert_allclose(law.pmf(x), survival[:-1] - survival[1:], rtol=0, atol=1e-11 * survival[0] + 1e-300)
        np.testing.assert_allclose(law.cdf(x), 1 - survival[1:], atol=1e-15)

    @FEWER
    @given(laws(discrete=False), st.floats(0, 3))
    def test_density_is_what_survival_loses(self, law: Law, more: float) -> None:
        nodes, weights = np.polynomial.legendre.leggauss(20)
        depth = 10.0**more / 1000.0
        a, b = np.log(law.inverse_survival(np.exp(-np.array([depth, depth + 0.05]))))
        log_x = (a + b) / 2 + (b - a) / 2 * nodes
        inside = (b - a) / 2 * weights @ np.exp(law.log_pmf(np.exp(log_x)) + log_x)
        lost = law.survival(np.exp(a)) - law.survival(np.exp(b))
        np.testing.assert_allclose(inside, lost, rtol=1e-7)
        np.testing.assert_allclose(law.cdf(np.exp(a)), 1 - law.survival(np.exp(a)))

    @FEWER
    @given(laws(), st.lists(st.tuples(st.integers(0, 10**6), st.integers(1, 50)), min_size=1, max_size=20))
    def test_log_likelihood_is_the_plain_sum(self, law: Law, drawn: list[tuple[int, int]]) -> None:
        sample = np.concatenate([np.full(times, law.xmin + more) for more, times in drawn])
        law_of_one = [float(law.log_pmf(x)) for x in sample]
        np.testing.assert_allclose(law.log_likelihood(Histogram.of(sample)), math.fsum(law_of_one), rtol=1e-12)

    @FEWER
    @given(laws(), st.lists(st.integers(0, 60), min_size=1, max_size=30))
    def test_distance_over_all_integers(self, law: Law, more: list[int]) -> None:
        sample = int(law.xmin) + np.array(more)
        x = law.xmin + np.arange(100)
        measured = (sample[:, None] >= x).mean(axis=0)
        found = law.distance(Histogram.of(sample))
        assert found == pytest.approx(np.abs(measured - law.survival(x)).max(), abs=1e-12)

    @FEWER
    @given(laws(discrete=False), st.lists(st.floats(0, 0.999), min_size=1, max_size=30))
    def test_distance_of_reals_is_that_of_the_reference(self, law: Law, levels: list[float]) -> None:
        sample = np.sort(law.inverse_survival(1 - np.array(levels)))
        found = law.distance(Histogram.of(sample))
        wanted = np.abs(1 - law.survival(sample) - np.arange(len(sample)) / len(sample)).max()
        assert found == pytest.approx(wanted, abs=1e-12)

    @pytest.mark.parametrize("law", [*INTEGER, *REAL], ids=str)
    def test_nothing_outside_the_support(self, law: Law) -> None:
        assert law.log_pmf(law.xmin * 0.5) == -np.inf
        assert law.pmf(law.xmin * 0.5) == 0
        assert law.survival(law.xmin * 0.5) == pytest.approx(1, abs=1e-12)
        assert law.survival(np.full((2, 3), law.xmin)).shape == (2, 3)
        assert law.inverse_survival(0.5).shape == ()

    def test_nothing_above_xmax(self) -> None:
        law = BoundedPowerLaw(1.5, 9.0, xmin=3)
        np.testing.assert_array_equal(law.survival([10, 11, 1e9]), 0)
        np.testing.assert_array_equal(law.log_pmf([10, 1e9]), -np.inf)
        assert law.pmf(np.arange(3, 10)).sum() == pytest.approx(1, abs=1e-14)


def beside(law: Law) -> tuple[np.ndarray, np.ndarray]:
    """Values from xmin on, and a level that lies between P(X >= x) and P(X >= x + 1) for each of them."""
    x = grid(law)[:-1]
    here, next_one = law.survival(x), law.survival(x + 1)
    # Where doubles, or the spline beyond the table, cannot tell the two apart there is nothing to ask.
    apart = (here - next_one > 1e-7 * here) & (next_one > 1e-290)
    return x[apart].astype(np.int64), (np.sqrt(here) * np.sqrt(next_one))[apart]


class TestInverse:
    @pytest.mark.parametrize("law", INTEGER, ids=str)
    def test_between_two_levels(self, law: Law) -> None:
        x, level = beside(law)
        found = law.inverse_survival(level)
        assert found.dtype == np.int64
        np.testing.assert_array_equal(found, x)

    @pytest.mark.parametrize(
        "law", [PowerLaw(3.3, xmin=1), BoundedPowerLaw(2.7, 1e5, xmin=20), Lognormal(-8e8, 2e4, xmin=3)], ids=str
    )
    def test_close_to_the_edge_of_a_cell(self, law: Law) -> None:
        x = np.arange(8300, 9000)
        level = law.survival(x)
        np.testing.assert_array_equal(law.inverse_survival(level * (1 - 1e-10)), x)
        np.testing.assert_array_equal(law.inverse_survival(level * (1 + 1e-10)), x - 1)

    @FEWER
    @given(laws(), st.lists(st.floats(1e-12, 1), min_size=1, max_size=30))
    def test_largest_value_that_likely(self, law: Law, levels: list[float]) -> None:
        q = np.array(levels)
        x = law.inverse_survival(q)
        assert np.all(x >= law.xmin)
        near = x < 2**52
        assert np.all(law.survival(x)[near] >= q[near] * (1 - 1e-9))
        assert np.all(law.survival(x + 1)[near] <= q[near] * (1 + 1e-9))

    @FEWER
    @given(laws(discrete=False), st.lists(st.floats(1e-12, 1), min_size=1, max_size=30))
    def test_reals(self, law: Law, levels: list[float]) -> None:
        q = np.array(levels)
        x = law.inverse_survival(q)
        near = x < 2.0**61
        np.testing.assert_allclose(law.survival(x)[near], q[near], rtol=1e-9)

    @FEWER
    @given(laws())
    def test_ends(self, law: Law) -> None:
        first, last = law.inverse_survival(np.array([1.0, 1e-300]))
        assert law.survival(first) == pytest.approx(1, abs=1e-9)
        assert law.xmin <= first <= last <= min(2**62, law.parameters.get("xmax", 2**62))

    def test_farthest_is_capped(self) -> None:
        far = [PowerLaw(1.05, xmin=1), PowerLawWithCutoff(1.01, 1e-30, xmin=1), Lognormal(10.0, 9.0, xmin=1)]
        for law in [*far, Exponential(1e-18, xmin=1), StretchedExponential(1.0, 0.05, xmin=1)]:
            assert law.inverse_survival(1e-300) == pytest.approx(2**62, rel=1e-12)

    @FEWER
    @given(laws(), st.lists(st.floats(1e-12, 1), min_size=2, max_size=30).map(sorted))
    def test_falls(self, law: Law, levels: list[float]) -> None:
        assert np.all(np.diff(law.inverse_survival(np.array(levels))) <= 0)


def fits(drawn: np.ndarray, survival: np.ndarray) -> float:
    """The chi-square p-value of integers against P(X >= first), P(X >= first + 1), ...; thin cells are pooled."""
    first = int(drawn.min())
    probability = np.append(survival[:-1] - survival[1:], survival[-1])
    seen = np.bincount(np.minimum(drawn - first, len(probability) - 1), minlength=len(probability))
    cell = np.cumsum(probability * len(drawn)) // 10
    _, cell = np.unique(cell, return_inverse=True)
    expected = np.bincount(cell, weights=probability) * len(drawn)
    return float(scipy.stats.chisquare(np.bincount(cell, weights=seen), expected * len(drawn) / expected.sum()).pvalue)


class TestDraws:
    @pytest.mark.parametrize(
        ("law", "survival"),
        [
            (PowerLaw(2.2, xmin=1), scipy.stats.zipf(2.2).sf(np.arange(2000))),
            (PowerLaw(1.8, xmin=9), scipy.stats.zipf(1.8).sf(np.arange(8, 3000)) / scipy.stats.zipf(1.8).sf(8)),
            (BoundedPowerLaw(1.3, 200.0, xmin=1), scipy.stats.zipfian(1.3, 200).sf(np.arange(200))),
            (PowerLawWithCutoff(0.0, 0.1, xmin=1), scipy.stats.planck(0.1).sf(np.arange(-1, 100))),
            (PowerLawWithCutoff(1.0, 0.01, xmin=1), scipy.stats.logser(np.exp(-0.01)).sf(np.arange(500))),
            (Lognormal(1.0, 1.5, xmin=1), scipy.stats.lognorm(s=1.5, scale=np.exp(1.0)).sf(np.arange(0.5, 400))),
            (
                StretchedExponential(0.3, 0.4, xmin=1),
                scipy.stats.weibull_min(0.4, scale=1 / 0.3).sf(np.arange(0.5, 400)),
            ),
            (Exponential(0.02, xmin=1), scipy.stats.expon(scale=50).sf(np.arange(0.5, 400))),
        ],
        ids=str,
    )
    def test_integers(self, law: Law, survival: np.ndarray) -> None:
        drawn = law.draw(20_000, np.random.default_rng(1))
        assert drawn.min() == law.xmin
        assert fits(drawn, survival / survival[0]) > ERROR_RATE
        assert fits(drawn + (drawn > law.xmin + 1), survival / survival[0]) < ERROR_RATE

    @pytest.mark.parametrize("law", REAL, ids=str)
    def test_reals(self, law: Law) -> None:
        drawn = law.draw(20_000, np.random.default_rng(2))
        assert drawn.min() >= law.xmin
        assert scipy.stats.kstest(drawn, law.cdf).pvalue > ERROR_RATE
        assert scipy.stats.kstest(law.inverse_survival(law.survival(drawn) ** 1.1), law.cdf).pvalue < ERROR_RATE


class TestFamilies:
    @pytest.mark.parametrize("law", INTEGER, ids=str)
    def test_made_again_from_their_parameters(self, law: Law) -> None:
        assert make(law.family, law.parameters, law.xmin) == law

    @pytest.mark.parametrize(
        ("family", "parameters", "xmin", "what"),
        [
            ("zipf", {"alpha": 2.0}, 1, "unknown family 'zipf'"),
            ("power law", {"beta": 2.0}, 1, "has the parameters alpha, not beta"),
            ("power law", {}, 1, "has the parameters alpha, not none"),
            ("power law", {"alpha": 1.0}, 1, "alpha is 1"),
            ("power law", {"alpha": math.nan}, 1, "alpha is nan"),
            ("power law", {"alpha": 2.0}, 0, "xmin is 0"),
            ("power law", {"alpha": 2.0}, 1.5, "xmin is 1.5"),
            ("power law with cut-off", {"alpha": 2.0, "lambda": 0.0}, 1, "lambda is 0"),
            ("lognormal", {"mu": math.inf, "sigma": 1.0}, 1, "mu is inf"),
            ("lognormal", {"mu": 1.0, "sigma": -1.0}, 1, "sigma is -1"),
            ("bounded power law", {"alpha": 1.0, "xmax": 4.0}, 5, "xmax is 4"),
            ("bounded power law", {"alpha": 1.0, "xmax": 8.5}, 5, "xmax is 8.5"),
        ],
    )
    def test_refused(self, family: str, parameters: dict[str, float], xmin: float, what: str) -> None:
        with pytest.raises(ValueError, match=what):
            make(family, parameters, xmin)


class TestKernels:
    def test_rules_are_exact_for_polynomials(self) -> None:
        nodes, weights = gram_rules()
        for row, exponent in ((0, 4), (1, 5), (6, 10)):
            length = 2**exponent
            x = (np.arange(length) - (length - 1) / 2) / (length / 2)
            for degree in range(0, 32, 2):
                assert weights[row] @ nodes[row] ** degree == pytest.approx((x**degree).mean(), rel=1e-13)
        legendre = np.polynomial.legendre.leggauss(16)
        np.testing.assert_allclose(nodes[-1], legendre[0], atol=1e-14)
        np.testing.assert_allclose(2 * weights[-1], legendre[1], atol=1e-14)

    @settings(max_examples=40)
    @given(
        st.floats(-4, 20),
        st.one_of(st.just(0.0), positive(1e-6, 3)),
        st.integers(1, 3000),
        st.integers(1, 20_000),
        st.floats(0, 3),
        st.floats(0, 3),
    )
    def test_moments_of_sums(self, alpha: float, rate: float, first: int, more: int, log_0: float, t_0: float) -> None:
        x = np.arange(first, first + more, dtype=np.float64)
        log_x, t = np.log(x / first) - log_0, x / first - 1 - t_0
        f = np.exp(-alpha * np.log(x / first) - rate * (x - first))
        terms = [f * g for g in (np.ones_like(x), log_x, t, log_x**2, log_x * t, t**2)]
        found = moments(float(first), float(first + more), alpha, rate, float(first), log_0, t_0, True)
        plain = moments.py_func(float(first), float(first + more), alpha, rate, float(first), log_0, t_0, True)
        np.testing.assert_allclose(found, plain, rtol=1e-13, atol=1e-13 * np.abs(plain).max())
        for one, term in zip(found, terms, strict=True):
            assert one == pytest.approx(math.fsum(term), rel=1e-12, abs=1e-12 * math.fsum(np.abs(term)))

    @pytest.mark.parametrize(("alpha", "rate", "xmin"), [(1.5, 1e-3, 0.7), (-2.0, 0.5, 3.0), (6.0, 1e-2, 10.0)])
    def test_moments_of_integrals(self, alpha: float, rate: float, xmin: float) -> None:
        found = moments(xmin, np.inf, alpha, rate, xmin, 0.3, 0.9, False)
        shapes = [(0, 0), (1, 0), (0, 1), (2, 0), (1, 1), (0, 2)]
        for one, (i, j) in zip(found, shapes, strict=True):
            # in y = ln(x / xmin), to where the exponential has ended
            wanted, _ = scipy.integrate.quad(
                lambda y, i=i, j=j: (
                    xmin * np.exp(y - alpha * y - rate * xmin * np.expm1(y)) * (y - 0.3) ** i * (np.expm1(y) - 0.9) ** j
                ),
                0,
                np.log(100 / rate / xmin),
                epsabs=0,
                epsrel=1e-12,
                limit=400,
            )
            assert one == pytest.approx(wanted, rel=1e-10)

    def test_sums_from(self) -> None:
        x = np.array([3.0, 4.0, 9.0, 700.0, 701.0])
        plain = [math.fsum(k**-1.7 * 3**1.7 * math.exp(-0.01 * (k - 3)) for k in range(int(v), 701)) for v in x]
        np.testing.assert_allclose(sums_from(x, 701.0, 1.7, 0.01, 3.0, True), plain, rtol=1e-13)
        np.testing.assert_allclose(sums_from.py_func(x, 701.0, 1.7, 0.01, 3.0, True), plain, rtol=1e-13)

    def test_mills_ratio(self) -> None:
        for z in (-40.0, -3.0, -1e-9, 0.0, 2.0, 9.99, 10.0, 10.01, 80.0, 1e5):
            with mp.workdps(60):
                wanted = mp.log(mp.sqrt(mp.pi / 2) * mp.erfc(z / mp.sqrt(2))) + mp.mpf(z) ** 2 / 2
            assert log_mills(z) == pytest.approx(float(wanted), rel=1e-13, abs=1e-13)
            assert log_mills.py_func(z) == pytest.approx(float(wanted), rel=1e-13, abs=1e-13)
