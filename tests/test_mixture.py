"""Smooth truncated Poisson mixtures: known mixtures, known series, and all that may go wrong."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fitting.mixture import Mixture, fit_mixture

if TYPE_CHECKING:
    from fedgen.federation import Floats, Integers


def seen_of(rates: Floats, rng: np.random.Generator) -> Integers:
    """How often the units of these rates were seen that were seen at all."""
    x = rng.poisson(rates)
    return x[x > 0]


def fitted(x: Integers) -> Mixture:
    return fit_mixture(x, np.ones_like(x))


def good_toulmin(x: Integers, factor: float) -> float:
    number = np.bincount(x)[1:]
    signs = (-1.0) ** np.arange(len(number))
    return float((signs * (factor - 1.0) ** np.arange(1, len(number) + 1)) @ number)


class TestKnownMixtures:
    """20,000 units; forecasts of the mean over the true rates, errors within four standard deviations of its noise."""

    @pytest.mark.parametrize("factor", [1.5, 2.0, 4.0])
    @pytest.mark.parametrize(
        "law",
        [
            lambda rng, n: rng.gamma(2.0, 1.0, n),
            lambda rng, n: np.exp(rng.normal(-0.5, 1.2, n)),
            lambda rng, n: np.where(rng.random(n) < 0.7, 0.5, 6.0),
            lambda rng, n: np.minimum(0.2 * (1 - rng.random(n)) ** (-1 / 1.2), 1e4),
        ],
        ids=["gamma", "lognormal", "two points", "power law"],
    )
    def test_unseen(self, law: object, factor: float) -> None:
        rng = np.random.default_rng(1)
        assert callable(law)
        rates = law(rng, 20_000)
        truth = float((np.exp(-rates) - np.exp(-factor * rates)).sum())
        # Good and Toulmin's estimate has the standard deviation below; the mixture's is not larger.
        x = seen_of(rates, rng)
        number = np.bincount(x)[1:]
        noise = np.sqrt(((factor - 1.0) ** (2.0 * np.arange(1, len(number) + 1)))[:8] @ number[:8])
        allowed = 4.0 * noise if factor <= 2.0 else 0.1 * truth
        assert fitted(x).unseen(factor) == pytest.approx(truth, abs=allowed)

    def test_good_and_toulmin_up_to_twice_the_effort(self) -> None:
        x = seen_of(np.exp(np.random.default_rng(2).normal(0.0, 1.5, 50_000)), np.random.default_rng(3))
        mixture = fitted(x)
        for factor in (1.1, 1.3, 1.6):
            assert mixture.unseen(factor) == pytest.approx(good_toulmin(x, factor), rel=0.03)

    def test_the_law_at_twice_the_effort(self) -> None:
        rng = np.random.default_rng(4)
        rates = np.exp(rng.normal(0.0, 1.5, 20_000))
        first, second = rng.poisson(rates), rng.poisson(rates)
        both = (first + second)[first + second > 0]
        x = first[first > 0]
        mixture = fitted(x)
        new = mixture.times_of_new(2.0, rng.random(round(mixture.unseen(2.0))))
        forecast = np.concatenate((x + mixture.more(x, 2.0, rng.random(len(x))), new))
        top = np.arange(1, 1000)
        distance = np.abs(
            np.searchsorted(np.sort(forecast), top, side="right") / len(forecast)
            - np.searchsorted(np.sort(both), top, side="right") / len(both)
        ).max()
        assert distance < 1.63 * np.sqrt(1 / len(both) + 1 / len(forecast))  # two samples of one law: 1 %

    def test_the_mean_is_kept(self) -> None:
        rng = np.random.default_rng(5)
        x = seen_of(rng.gamma(0.7, 3.0, 20_000), rng)
        mixture = fitted(x)
        assert mixture.seen * float(mixture.weights @ (mixture.rates / -np.expm1(-mixture.rates))) == pytest.approx(
            x.sum(), rel=0.01
        )


class TestBounds:
    @settings(max_examples=40)
    @given(
        st.lists(st.tuples(st.integers(1, 300), st.integers(0, 50)), max_size=8),
        st.floats(1.0, 20.0),
    )
    def test_anything(self, units: list[tuple[int, int]], factor: float) -> None:
        x = np.array([unit[0] for unit in units], dtype=np.int64)
        number = np.array([unit[1] for unit in units], dtype=np.int64)
        mixture = fit_mixture(x, number)
        assert mixture.seen == number.sum()
        assert mixture.weights.sum() == pytest.approx(1.0)
        assert np.all(mixture.rates > 0)
        assert -1e-9 <= mixture.unseen(factor) <= (factor - 1.0) * mixture.seen + 1e-9
        assert mixture.unseen(1.0) == 0.0
        levels = np.linspace(0.001, 0.999, 7)
        new = mixture.times_of_new(factor, levels)
        assert np.all(new >= 1)
        assert np.all(np.diff(new) >= 0)
        if len(x):
            more = mixture.more(np.full(7, x[0]), factor, levels)
            assert np.all(more >= 0)
            assert np.all(np.diff(more) >= 0)
            rates = mixture.rates_at(np.full(7, x[0]), levels)
            assert np.all(np.diff(rates) >= 0)

    def test_no_effort_more_brings_nothing(self) -> None:
        mixture = fit_mixture(np.array([1, 5]), np.array([10, 2]))
        assert mixture.more(np.array([1, 5]), 1.0, np.array([0.5, 0.999])).tolist() == [0, 0]

    def test_seen_once_each_all_are_new(self) -> None:
        assert fit_mixture(np.array([1]), np.array([500])).unseen(2.0) == pytest.approx(500, rel=0.01)

    def test_quantiles_are_those_of_the_law(self) -> None:
        from scipy.special import pdtr

        mixture = Mixture(np.array([0.5, 400.0]), np.array([0.5, 0.5]), 10)
        x = np.array([3, 390])
        for level in (0.001, 0.3, 0.9, 0.999):
            more = mixture.more(x, 3.0, np.array([level, level]))
            posterior = mixture.posterior(x)
            for i, value in enumerate(more.tolist()):
                upto = [float(posterior[i] @ pdtr(value + step, 2.0 * mixture.rates)) for step in (0, -1)]
                assert upto[0] >= level - 1e-9
                assert value == 0 or upto[1] < level
