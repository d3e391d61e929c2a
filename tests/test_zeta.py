"""The zeta function's moments against mpmath and scipy; exponents against likelihoods written out."""

from functools import cache

import mpmath  # type: ignore[import-untyped]
import numpy as np
import pytest
import scipy.optimize
import scipy.special
from hypothesis import given
from hypothesis import strategies as st

from fitting.zeta import censored_exponent, exponent_error, log_moments, scaled_zeta, zeta_exponent

EXPONENTS = (1.001, 1.01, 1.5, 2.0, 2.9, 6.0)
STEEP = (8.0, 13.9, 14.1, 20.0, 45.0)
STARTS = (1.0, 2.0, 13.0, 14.0, 15.0, 20.0, 45.0, 1e3, 1e6, 1e9)
GRID = [(s, q) for s in EXPONENTS for q in STARTS]


@cache
def exact(s: float, q: float) -> tuple[float, float, float]:
    """w_0, mean and variance of ln(x/q)."""
    # mpmath counts digits from 1, and the sums are as small as q^-s.
    with mpmath.workdps(40 + int(s * np.log10(q))):
        zeta, first, second = (mpmath.zeta(mpmath.mpf(s), int(q), k) for k in range(3))
        mean = -first / zeta
        return float(zeta * mpmath.mpf(q) ** s), float(mean - mpmath.log(q)), float(second / zeta - mean**2)


def check(s: float, q: float, of_total: float, of_mean: float, of_variance: float) -> None:
    total, mean, variance = exact(s, q)
    found_mean, found_variance = log_moments(s, q)
    assert scaled_zeta(s, q) == pytest.approx(total, rel=of_total, abs=0)
    assert found_mean == pytest.approx(mean, rel=of_mean, abs=0)
    assert found_variance == pytest.approx(variance, rel=of_variance, abs=0)


class TestMoments:
    @pytest.mark.parametrize(("s", "q"), GRID)
    def test_against_mpmath(self, s: float, q: float) -> None:
        check(s, q, 1e-14, 1e-14, 1e-11)

    @pytest.mark.parametrize("s", STEEP)
    @pytest.mark.parametrize("q", STARTS)
    def test_steep_laws_against_mpmath(self, s: float, q: float) -> None:
        check(s, q, 1e-14, 5e-14, 1e-11)

    @given(st.floats(1.01, 20), st.integers(1, 10**6))
    def test_against_scipy(self, s: float, q: int) -> None:
        # scipy's own result is off by a few units of the last digits, and underflows far out.
        total = scipy.special.zeta(s, q)
        if total > 1e-300:
            assert scaled_zeta(s, float(q)) * float(q) ** -s == pytest.approx(total, rel=1e-12, abs=0)

    @given(st.floats(1.001, 900), st.floats(1, 2.0**62))
    def test_one_term_less(self, s: float, q: float) -> None:
        """w_0(s, q) = 1 + (1 + 1/q)^-s w_0(s, q + 1), however large s and q."""
        rest = np.exp(-s * np.log1p(1 / q)) * scaled_zeta(s, q + 1)
        assert scaled_zeta(s, q) == pytest.approx(1 + rest, rel=1e-11)

    def test_the_continuous_law_far_out(self) -> None:
        mean, variance = log_moments(2.5, 2.0**62)
        assert mean == pytest.approx(1 / 1.5, rel=1e-12, abs=0)
        assert variance == pytest.approx(1 / 1.5**2, rel=1e-11, abs=0)


class TestExponent:
    @pytest.mark.parametrize(("s", "q"), GRID)
    def test_of_the_mean_it_implies(self, s: float, q: float) -> None:
        assert zeta_exponent(exact(s, q)[1], q) == pytest.approx(s, rel=1e-11, abs=0)

    @given(st.lists(st.integers(0, 400), min_size=2, max_size=30), st.integers(1, 200))
    def test_is_the_maximum(self, excess: list[int], q: int) -> None:
        x = q + np.array(excess, dtype=float)
        s = zeta_exponent(float(np.log(x / q).mean()), float(q))

        def likelihood(s: float) -> float:
            return float(-s * np.log(x / q).mean() - np.log(scaled_zeta(s, float(q))))

        if max(excess) == 0:
            assert s == np.inf
        else:
            assert s > 1
            # The curvature is at least 1e-9 here, the likelihoods are exact to 1e-14.
            near = [likelihood(1 + (s - 1) * factor) for factor in (0.5, 0.9, 0.99, 1.01, 1.1, 2)]
            assert likelihood(s) >= max(near) - 1e-14

    @given(st.floats(1e-3, 40), st.floats(1, 2.0**62))
    def test_solves_its_equation(self, mean_log: float, q: float) -> None:
        s = zeta_exponent(mean_log, q)
        if s < np.inf:
            assert log_moments(s, q)[0] == pytest.approx(mean_log, rel=1e-9, abs=0)
        else:
            assert mean_log < log_moments(999.0, q)[0]

    @pytest.mark.parametrize("mean_log", [0.0, -1e-17])
    def test_infinite_where_all_are_equal(self, mean_log: float) -> None:
        assert zeta_exponent(mean_log, 3.0) == np.inf

    def test_infinite_beyond_a_thousand(self) -> None:
        assert zeta_exponent(1e-6, 1e6) == np.inf
        assert zeta_exponent(1.1e-3, 1e6) == pytest.approx(1 + 1 / 1.1e-3, rel=1e-3, abs=0)


class TestCensored:
    @pytest.mark.parametrize(
        ("q", "least", "known", "censored", "alpha"),
        [(1, 40, 500, 20, 1.7), (1, 3, 60, 6, 3.2), (7, 1000, 300, 1, 2.3)],
    )
    def test_against_the_likelihood(self, q: int, least: int, known: int, censored: int, alpha: float) -> None:
        level = np.arange(q, least)
        weights = level**-alpha
        x = np.random.default_rng(1).choice(level, known, p=weights / weights.sum())

        def minus(s: float) -> float:
            total = scipy.special.zeta(s, q)
            beyond = np.log(scipy.special.zeta(s, least) / total)
            return float(s * np.log(x).sum() + known * np.log(total) - censored * beyond)

        wanted = scipy.optimize.minimize_scalar(minus, bounds=(1.001, 20), method="bounded", options={"xatol": 1e-10})
        found = censored_exponent(float(np.log(x / q).mean()), float(q), known, float(least), censored)
        assert found == pytest.approx(wanted.x, abs=1e-6)
        assert minus(found) <= wanted.fun + 1e-9

    def test_nobody_censored_is_the_plain_exponent(self) -> None:
        assert censored_exponent(0.8, 2.0, 50, 1e9, 0) == pytest.approx(zeta_exponent(0.8, 2.0), rel=1e-9, abs=0)

    def test_censored_values_make_the_tail_heavier(self) -> None:
        found = [censored_exponent(0.8, 1.0, 100, 50.0, censored) for censored in (0, 1, 5, 20)]
        assert found == sorted(found, reverse=True)
        assert len(set(found)) == 4

    def test_ends_of_the_range(self) -> None:
        assert censored_exponent(0.01, 1.0, 10, 2.0, 10**6) == pytest.approx(1.001)
        assert censored_exponent(1e-9, 1e6, 10, 1e6 + 1, 0) > 500


class TestError:
    @pytest.mark.parametrize(("alpha", "q"), [(1.2, 1), (2.0, 1), (3.0, 1), (4.5, 1), (2.5, 8), (1.9, 1000)])
    def test_fisher_information(self, alpha: float, q: int) -> None:
        information = mpmath.diff(lambda a: mpmath.log(mpmath.zeta(a, q)), alpha, 2)
        wanted = float(1 / mpmath.sqrt(400 * information))
        assert exponent_error(alpha, float(q), 400) == pytest.approx(wanted, rel=1e-6)

    def test_the_continuous_law_far_out(self) -> None:
        assert exponent_error(2.5, 1e9, 100) == pytest.approx(1.5 / 10, rel=1e-6, abs=0)

    def test_a_fifth_more_than_the_continuous_law_at_one(self) -> None:
        assert exponent_error(3.0, 1.0, 100) == pytest.approx(2 / 10 * 1.25, rel=0.05, abs=0)
