"""Hubs: found where there are some, seldom where there are none; the test itself written out in another way.

False alarms: 400 samples with fixed seeds; more than the stated rate and three standard errors of it is a failure. A
test that keeps its rate would fail at one seed in 700.
"""

import numpy as np
import pytest
import scipy.optimize
import scipy.special
from hypothesis import given
from hypothesis import strategies as st

from fitting.histogram import Histogram
from fitting.hubs import MOST, RATE, Hubs, find_hubs
from fitting.laws.cutoff import BoundedPowerLaw, PowerLawWithCutoff
from fitting.laws.law import Law
from fitting.laws.power import PowerLaw
from fitting.laws.rounded import Exponential, Lognormal, StretchedExponential
from fitting.scan import choose

# The largest servers of the measured federation, beside bodies that end near 1,000.
TWO = [76_271, 37_751]
BODIES = [PowerLawWithCutoff(1.9, 1e-3, xmin=1), BoundedPowerLaw(1.9, 1000, xmin=1), BoundedPowerLaw(2.0, 1000, xmin=1)]


def hubs(law: Law, size: int, seed: int, *more: int) -> Hubs:
    drawn = law.draw(size, np.random.default_rng(seed))
    return find_hubs(Histogram.of(np.concatenate((drawn, np.array(more, dtype=np.int64)))))


class TestFound:
    @pytest.mark.parametrize("body", BODIES, ids=["cut-off", "bounded", "steeper"])
    def test_two(self, body: Law) -> None:
        found = [hubs(body, 2001, seed, *TWO) for seed in range(100)]
        assert sum(h.count == 2 for h in found[:20]) >= 19
        assert sum(h.count == 2 for h in found) >= 93
        # The others: a test at 5 % finds more at times, and misses two beside a body that happens to reach far.
        assert sum(h.count < 2 for h in found) <= 3
        assert all(h.p is not None and h.p < RATE for h in found if h.count)

    @pytest.mark.parametrize(("count", "least"), [(1, 10**6), (3, 30_000), (7, 30_000)])
    def test_as_many_as_there_are(self, count: int, least: int) -> None:
        more = np.geomspace(least, 3 * least, count).astype(int)
        found = [hubs(BODIES[1], 2001, seed, *more).count for seed in range(40)]
        assert sum(c == count for c in found) >= 34
        assert min(found) >= count

    def test_one_that_a_power_law_reaches_is_none(self) -> None:
        """30,000 beside 2,001 values of exponent 1.9: a fifth of all samples reaches as far."""
        assert sum(hubs(BODIES[1], 2001, seed, 30_000).count > 0 for seed in range(40)) <= 6

    def test_two_of_the_same_size(self) -> None:
        found = [hubs(BODIES[1], 2001, seed, 50_000, 50_000).count for seed in range(20)]
        assert sum(c == 2 for c in found) >= 19

    def test_none_stands_out_alone(self) -> None:
        """Where the largest are equal there is no gap between them, so that all of them are hubs or none."""
        for seed in range(20):
            assert hubs(BODIES[1], 500, seed, *[40_000] * 6).count in (0, *range(6, MOST + 1))

    def test_more_than_are_suspected(self) -> None:
        assert hubs(BODIES[1], 3000, 1, *range(10**6, 10**6 + 200)).count == 0


class TestFalseAlarms:
    @pytest.mark.parametrize(
        ("law", "size"),
        [
            (PowerLaw(1.7, xmin=1), 2000),
            (PowerLaw(1.9, xmin=1), 2001),
            (PowerLaw(2.5, xmin=1), 300),
            (PowerLaw(2.0, xmin=100), 200),
            (PowerLaw(2.0, xmin=1), 20),
            (Lognormal(1.0, 1.5, xmin=1), 2000),
            (Exponential(0.1, xmin=1), 1000),
            (StretchedExponential(0.2, 0.4, xmin=1), 500),
        ],
        ids=["1.7", "1.9", "2.5", "from 100 on", "of 20", "lognormal", "geometric", "stretched"],
    )
    def test_at_the_stated_rate(self, law: Law, size: int) -> None:
        alarms = np.mean([hubs(law, size, seed).count > 0 for seed in range(1000, 1400)])
        assert alarms <= RATE + 3 * np.sqrt(RATE * (1 - RATE) / 400)

    def test_power_laws_give_some(self) -> None:
        """The rate is used: less than 1 % in 400 samples has a probability of less than 1e-6 were it 5 %."""
        assert np.mean([hubs(PowerLaw(1.9, xmin=1), 2001, seed).count > 0 for seed in range(1000, 1400)]) > 0.01


class TestWrittenOut:
    """Gaps, exponent and levels by scipy, on values in falling order."""

    @pytest.mark.parametrize("more", [[], TWO, [5000, 5000, 90_000]])
    @pytest.mark.parametrize("seed", [1, 2])
    def test_count_and_p(self, more: list[int], seed: int) -> None:
        sample = np.concatenate((BODIES[0].draw(1500, np.random.default_rng(seed)), np.array(more, dtype=np.int64)))
        x = np.sort(sample)[::-1].astype(float)
        found = find_hubs(Histogram.of(sample))
        body = Histogram.of(x[found.tested :].astype(np.int64))
        xmin = body.values[choose(body).index]
        known = x[found.tested :][x[found.tested :] >= xmin]
        r = len(known)
        assert r >= 10 * found.tested

        def minus(s: float) -> float:
            beyond = scipy.special.zeta(s, known[0] + 1) / scipy.special.zeta(s, xmin)
            total = np.log(scipy.special.zeta(s, xmin))
            return float(s * np.log(known).sum() + r * total - found.tested * np.log(beyond))

        s = scipy.optimize.minimize_scalar(minus, bounds=(1.01, 10), method="bounded", options={"xatol": 1e-10}).x
        p, levels = [], []
        for j in range(1, found.tested + 1):
            if x[j] == x[j - 1]:
                p.append(1.0)
            else:
                gap = j * np.log(scipy.special.zeta(s, x[j] + 1) / scipy.special.zeta(s, x[j - 1]))
                p.append(float((1 + gap / r) ** -r))
            levels.append(0.75 * RATE / j / sum(1 / i for i in range(1, found.tested + 1)))
        assert sum(levels) == pytest.approx(0.75 * RATE)
        rejected = [j for j in range(found.tested) if p[j] <= levels[j]]
        assert found.count == (rejected[-1] + 1 if rejected else 0)
        shown = rejected[-1] if rejected else int(np.argmin(np.array(p) / levels))
        assert found.p == pytest.approx(p[shown], rel=1e-4)


class TestDegenerate:
    """No exception, no warning (warnings are errors here)."""

    @pytest.mark.parametrize(
        "values",
        [
            [],
            [7],
            [7] * 100,
            [1, 2],
            [1] * 50 + [2] * 50,
            [1] * 99 + [10**9],
            [1, 2, 3] * 30 + [2**62],
            [2**62] * 30,
            list(range(1, 20)),
        ],
    )
    def test_no_hubs(self, values: list[int]) -> None:
        found = find_hubs(Histogram.of(np.array(values, dtype=np.int64)))
        assert found.count == 0
        assert found.rate == RATE

    @given(
        st.lists(
            st.one_of(st.integers(1, 5), st.integers(1, 50), st.integers(1, 10**6), st.integers(1, 2**62)), max_size=60
        ),
        st.integers(1, 4),
    )
    def test_anything(self, values: list[int], often: int) -> None:
        found = find_hubs(Histogram.of(np.repeat(np.array(values, dtype=np.int64), often)))
        assert 0 <= found.count <= found.tested <= min(MOST, len(values) * often // 10)
        assert (found.p is None) == (found.tested == 0)
        assert found.p is None or 0 <= found.p <= 1

    def test_one_giant_beside_a_tail(self) -> None:
        assert hubs(PowerLaw(2.5, xmin=1), 300, 1, 2**62).count == 1
