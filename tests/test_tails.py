"""Fitted tails: against `powerlaw` itself, published fits and known exponents; every branch of the rule."""

import csv
import warnings
from collections.abc import Callable
from pathlib import Path

import mpmath  # type: ignore[import-untyped]
import numpy as np
import powerlaw
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fitting.laws import Law
from fitting.tails import LILLIEFORS, LawFit, _standard_error, fit_tail


def drawn(law: Law, count: int, seed: int) -> np.ndarray:
    return law.inverse_survival(1.0 - np.random.default_rng(seed).random(count))


def zeta(alpha: float, xmin: int = 1) -> Law:
    return Law("power law", {"alpha": alpha}, xmin)


def quiet(values: np.ndarray, xmin: int | None = None) -> powerlaw.Fit:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        fit = powerlaw.Fit(values.astype(float), discrete=True, xmin=xmin, estimate_discrete=False, verbose=0)
        fit.power_law.D  # noqa: B018 - fitted when asked for
        return fit


class TestAgainstPowerlaw:
    @pytest.mark.parametrize(("alpha", "xmin"), [(1.7, 1), (2.3, 1), (2.5, 6), (2.8, 2)])
    def test_same_xmin_alpha_and_distance(self, alpha: float, xmin: int) -> None:
        values = drawn(zeta(alpha, xmin), 800, seed=1)
        ours, theirs = fit_tail("x", values), quiet(values)
        assert ours.law == "power law"
        assert ours.xmin == theirs.xmin
        assert ours.parameters["alpha"] == pytest.approx(theirs.power_law.alpha, rel=1e-9)
        assert ours.ks == pytest.approx(theirs.power_law.D, rel=1e-9)
        assert ours.tail == theirs.n_tail == np.count_nonzero(values >= ours.xmin)

    def test_distance_is_the_distance(self) -> None:
        fit = fit_tail("x", values := drawn(zeta(2.2), 500, seed=2))
        tail = values[values >= fit.xmin]
        law = fit.tail_law
        assert law is not None
        seen = np.unique(tail)
        measured = np.array([np.mean(tail <= x) for x in seen])
        assert fit.ks == pytest.approx(np.abs(measured - (1 - law.survival(seen + 1))).max(), rel=1e-3)


class TestPublished:
    @pytest.mark.parametrize("name", ["words", "terrorism"])
    def test_clauset_shalizi_newman(self, name: str, data_file: Callable[[str], Path]) -> None:
        with data_file("csn/csn2009.csv").open() as table:
            published = next(row for row in csv.DictReader(table) if row["name"] == name)
        values = np.loadtxt(data_file(f"csn/{name}.txt")).astype(np.int64)
        fit = fit_tail(name, values)
        assert fit.n == int(published["n"])
        assert fit.law == "power law"
        assert fit.xmin == int(published["xmin"])
        assert fit.tail == pytest.approx(int(published["ntail"]), abs=1)
        digits = len(published["alpha"].split(".")[1])
        assert round(fit.parameters["alpha"], digits) == float(published["alpha"])
        # The published error holds that of xmin as well, so that it is the larger one.
        assert 0 < fit.errors["alpha"] < 1.5 * float(published["alpha_se"])


class TestRecovery:
    """Three standard errors: each test would fail by chance at 0.3 % of all seeds; these are fixed."""

    @pytest.mark.parametrize("alpha", [1.6, 2.0, 2.5, 2.8])
    @pytest.mark.parametrize("xmin", [1, 5])
    def test_known_exponent(self, alpha: float, xmin: int) -> None:
        fit = fit_tail("x", drawn(zeta(alpha, xmin), 2000, seed=3))
        assert fit.law == "power law"
        assert abs(fit.parameters["alpha"] - alpha) <= 3 * fit.errors["alpha"]

    @pytest.mark.parametrize(("alpha", "xmin"), [(1.2, 1), (2.0, 1), (3.0, 1), (4.5, 1), (2.5, 8)])
    def test_standard_error_is_fisher_information(self, alpha: float, xmin: int) -> None:
        information = mpmath.diff(lambda a: mpmath.log(mpmath.zeta(a, xmin)), alpha, 2)
        assert _standard_error(alpha, xmin, 400) == pytest.approx(float(1 / mpmath.sqrt(400 * information)), rel=1e-4)

    def test_standard_error_is_the_spread_of_the_estimate(self) -> None:
        found = [quiet(drawn(zeta(2.5), 1000, seed), xmin=1).power_law.alpha for seed in range(60)]
        error = _standard_error(2.5, 1, 1000)
        # The spread of 60 estimates is within 30 % of the true one but in 0.1 % of all choices of seeds.
        assert np.std(found) == pytest.approx(error, rel=0.3)
        assert abs(np.mean(found) - 2.5) < 4 * error / np.sqrt(60)

    def test_exponents_end_at_three(self) -> None:
        """From 3 on a variance is finite: `powerlaw` seeks no such exponent, the measured probabilities stand."""
        assert fit_tail("x", drawn(zeta(4.0), 2000, seed=3)).law is None


class TestRule:
    def test_accepted_where_the_distance_is_smallest(self) -> None:
        fit = fit_tail("x", drawn(zeta(2.4), 1500, seed=4))
        assert fit.law == "power law"
        assert "smallest D" not in fit.evidence
        assert fit.ks is not None
        assert fit.ks * np.sqrt(fit.tail) <= LILLIEFORS

    def test_the_smallest_distance_need_not_fit(self) -> None:
        # Many values up to 30 that look like a law, too many to be one; a true one of few values from 40 on.
        steps = np.repeat(np.arange(1, 31), (30_000 * np.arange(1, 31.0) ** -2.5).astype(int) + 60)
        values = np.concatenate((steps, drawn(zeta(2.0, 40), 60, seed=5)))
        scan = quiet(values).xmin_fitting_results
        tails = np.array([np.count_nonzero(values >= x) for x in scan["xmins"]])
        accepted = scan["xmins"][(scan["distances"] * np.sqrt(tails) <= LILLIEFORS) & (tails >= 10)]
        smallest = scan["xmins"][np.argmin(scan["distances"])]
        fit = fit_tail("x", values)
        assert smallest not in accepted
        assert fit.law is not None
        assert fit.xmin == accepted[0]
        assert f"not a power law from {int(smallest)} on (the smallest D), one from {fit.xmin} on" in fit.evidence

    @pytest.mark.parametrize(
        ("law", "count", "seed"),
        [
            (Law("lognormal", {"mu": 2.0, "sigma": 1.0}, 1), 600, 2),
            (Law("stretched exponential", {"lambda": 0.24, "beta": 0.54}, 3), 600, 1),
        ],
        ids=["lognormal", "stretched exponential"],
    )
    def test_a_rival_that_is_better(self, law: Law, count: int, seed: int) -> None:
        values = drawn(law, count, seed)
        fit = fit_tail("x", values)
        assert fit.law == law.family
        assert f"{fit.law} is better than power law, p = " in fit.evidence
        assert fit.runner_up == "power law"
        assert fit.errors == {}
        assert fit.ks is not None
        assert fit.ks * np.sqrt(fit.tail) <= LILLIEFORS
        power = quiet(values, fit.xmin).power_law
        assert fit.ks < power.D

    def test_a_power_law_that_is_better(self) -> None:
        fit = fit_tail("x", drawn(Law("lognormal", {"mu": 1.5, "sigma": 1.2}, 1), 60, seed=5))
        assert fit.law == "power law"
        assert fit.runner_up == "exponential"
        assert "power law is better than exponential, p = 0.06" in fit.evidence

    def test_neither_is_better(self) -> None:
        fit = fit_tail("x", drawn(zeta(1.8), 1500, seed=7))
        assert fit.law == "power law"
        assert fit.runner_up is not None
        assert f"power law and {fit.runner_up} are not distinguishable" in fit.evidence

    def test_no_rival_converges(self) -> None:
        rng = np.random.default_rng(1)
        body = rng.integers(1, 30, 3000)
        fit = fit_tail("x", np.concatenate((body, drawn(zeta(2.2, 30), 1000, seed=1))))
        assert (fit.law, fit.runner_up) == ("power law", None)
        assert fit.evidence == "no other family converged"

    @pytest.mark.parametrize(
        "values",
        [np.arange(1, 300), np.random.default_rng(8).geometric(0.3, 2000), 1000 + np.arange(300) % 7],
        ids=["uniform", "geometric", "narrow"],
    )
    def test_none(self, values: np.ndarray) -> None:
        fit = fit_tail("x", values)
        assert fit.law is None
        assert fit.tail_law is None
        assert fit.evidence == "no tail of ten values or more that a power law fits: measured probabilities alone"
        assert (fit.xmin, fit.tail, fit.ks, fit.parameters) == (0, 0, None, {})

    @settings(max_examples=20)
    @given(st.integers(2, 10), st.integers(0, 2**32))
    def test_order_does_not_matter(self, alpha10: int, seed: int) -> None:
        values = drawn(zeta(1.5 + alpha10 / 10), 40, seed)
        assert fit_tail("x", values) == fit_tail("x", np.random.default_rng(seed).permutation(values))


class TestDegenerate:
    """Never raises, never warns (warnings are errors here), says why in words."""

    @pytest.mark.parametrize(
        ("values", "why"),
        [
            ([], "too few values"),
            ([7], "too few values"),
            ([1, 2, 3, 4, 5, 6, 7, 8, 9], "too few values"),
            ([5] * 50, "fewer than four distinct values"),
            ([1, 2] * 20, "fewer than four distinct values"),
            ([1, 2, 3] * 20, "fewer than four distinct values"),
            ([1] * 99 + [10**9], "fewer than four distinct values"),
            ([1] * 50 + [2, 3, 10**18], "no tail of ten values or more"),
        ],
    )
    def test_no_law(self, values: list[int], why: str) -> None:
        fit = fit_tail("users", np.array(values, dtype=np.int64), heads=2)
        assert fit.law is None
        assert fit.evidence.startswith(why)
        assert fit.evidence.endswith("measured probabilities alone")
        assert (fit.quantity, fit.n, fit.heads) == ("users", len(values), 2)

    @given(
        st.lists(
            st.one_of(st.integers(1, 5), st.integers(1, 50), st.integers(1, 10**6), st.integers(1, 2**62)),
            max_size=40,
        )
    )
    def test_anything(self, values: list[int]) -> None:
        fit = fit_tail("x", np.array(values, dtype=np.int64))
        assert fit.evidence
        assert fit.n == len(values)
        law = fit.tail_law
        if law is None:
            return
        assert fit.tail == sum(v >= fit.xmin for v in values) >= 10
        assert all(np.isfinite(v) for v in (*fit.parameters.values(), *fit.errors.values()))
        assert all(v > 0 for v in fit.errors.values())
        ends = law.inverse_survival(np.array([1.0, 1e-9]))
        assert fit.xmin == ends[0] <= ends[1]

    def test_plain_values(self) -> None:
        fit = fit_tail("x", drawn(zeta(2.2), 200, seed=9))
        assert LawFit(**fit.to_dict()) == fit
