"""Distances against slow twins and known answers."""

from itertools import pairwise
from math import inf, isclose, log10

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import wasserstein_distance

from validate.distances import (
    curve_distance,
    difference,
    kolmogorov_smirnov,
    log_ratio,
    log_wasserstein,
    total_variation,
    wasserstein,
)

samples = st.lists(st.integers(0, 12), min_size=1, max_size=15)


def pooled(a: list[int], b: list[int]):
    """Both samples as masses on their sorted pooled values, ties left in."""
    x = np.array(a + b, dtype=float)
    order = np.argsort(x, kind="stable")
    p = np.r_[np.full(len(a), 1 / len(a)), np.zeros(len(b))][order]
    q = np.r_[np.zeros(len(a)), np.full(len(b), 1 / len(b))][order]
    return x[order], p, q


def share_below(sample, x):
    return sum(value <= x for value in sample) / len(sample)


@given(samples, samples)
def test_ks_is_the_largest_gap_of_the_cumulative_distributions(a, b):
    twin = max(abs(share_below(a, x) - share_below(b, x)) for x in a + b)
    assert isclose(kolmogorov_smirnov(*pooled(a, b)), twin, abs_tol=1e-12)


@given(samples, samples)
def test_wasserstein_is_the_area_between_them(a, b):
    points = sorted(set(a + b))
    twin = sum((right - left) * abs(share_below(a, left) - share_below(b, left)) for left, right in pairwise(points))
    assert isclose(wasserstein(*pooled(a, b)), twin, abs_tol=1e-12)


@given(samples, samples)
def test_log_wasserstein_agrees_with_scipy(a, b):
    twin = wasserstein_distance(np.log10(1 + np.array(a)), np.log10(1 + np.array(b)))
    assert isclose(log_wasserstein(np.array(a), np.array(b)), twin, abs_tol=1e-12)


@given(samples, samples)
def test_total_variation_is_the_largest_difference_of_any_event(a, b):
    values = sorted(set(a + b))
    p = np.array([a.count(v) / len(a) for v in values])
    q = np.array([b.count(v) / len(b) for v in values])
    twin = sum(max(x - y, 0) for x, y in zip(p, q, strict=True))
    assert isclose(total_variation(p, q), twin, abs_tol=1e-12)


@given(
    st.lists(st.integers(0, 9), min_size=1, max_size=7),
    st.lists(st.integers(0, 9), min_size=1, max_size=7),
)
def test_curve_distance_is_no_less_than_any_point_and_is_attained(a, b):
    first, second = np.cumsum([0, *a]) / max(sum(a), 1), np.cumsum([0, *b]) / max(sum(b), 1)
    fine = np.linspace(0, 1, 421)  # holds every knot of up to seven pieces: 420 = lcm(1..7)

    def at(curve):
        return np.interp(fine, np.arange(len(curve)) / (len(curve) - 1), curve)

    twin = np.abs(at(first) - at(second)).max()
    assert isclose(curve_distance(first, second), twin, abs_tol=1e-9)


def test_known_answers():
    assert kolmogorov_smirnov(np.array([1, 2]), np.array([1.0, 0]), np.array([0, 1.0])) == 1
    assert wasserstein(np.array([1.0, 4.0]), np.array([1.0, 0]), np.array([0, 1.0])) == 3
    assert isclose(log_wasserstein(np.array([0, 9]), np.array([9, 99])), 1)
    assert total_variation(np.array([0.5, 0.5, 0]), np.array([0, 0.5, 0.5])) == 0.5
    assert curve_distance(np.array([0, 1.0, 1.0]), np.array([0, 0.5, 1.0])) == 0.5
    assert difference(0.2, 0.5) == pytest.approx(0.3)
    assert log_ratio(20, 2) == pytest.approx(1)


def test_log_ratio_of_nothing():
    assert log_ratio(0, 0) == 0
    assert log_ratio(0, 1) == inf
    assert log_ratio(1, 0) == inf


@given(samples, samples, samples)
def test_triangle_inequality(a, b, c):
    """The bound on detectable errors rests on it."""
    for distance in (
        lambda s, t: kolmogorov_smirnov(*pooled(s, t)),
        lambda s, t: log_wasserstein(np.array(s), np.array(t)),
    ):
        assert distance(a, c) <= distance(a, b) + distance(b, c) + 1e-12


@given(samples, st.integers(1, 4))
def test_repeating_a_sample_changes_nothing(a, times):
    assert log_wasserstein(np.array(a * times), np.array(a)) == pytest.approx(0, abs=1e-12)
    assert kolmogorov_smirnov(*pooled(a * times, a)) == pytest.approx(0, abs=1e-12)


@given(st.floats(0.01, 100), st.floats(0.01, 100))
def test_log_ratio_twin(a, b):
    assert log_ratio(a, b) == pytest.approx(abs(log10(a / b)), abs=1e-9)
