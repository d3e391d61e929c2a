"""Tables of units: bins, laws, the nearest table that meets demands in expectation, and the nearest whole one."""

from collections.abc import Iterator
from itertools import combinations, product
from math import inf, log

import numpy as np
import pytest
from hypothesis import Phase, assume, example, given, settings
from hypothesis import strategies as st
from scipy.optimize import LinearConstraint, minimize
from threadpoolctl import threadpool_limits

from fedgen.errors import FiguresError
from gen.reconstruct.table import Axis, Demand, Law, Table, contradiction, narrowed, rake, settle

K, U = "servers_per_room", "users_per_room"
LAWS = st.builds(Law, st.floats(0.0, 4.0), st.floats(0.0, 0.3))


@st.composite
def axes(draw: st.DrawFn, top: int = 400) -> Axis:
    most = draw(st.integers(1, top))
    return Axis.of(U, most, draw(st.lists(st.integers(1, top), max_size=6)))


@st.composite
def demanded(draw: st.DrawFn, size: int = 5, most: int = 6) -> tuple[np.ndarray, list[Demand]]:
    """A population (C,) of a small table, and demands that it meets: counts and differences of counts."""
    numbers = np.array(draw(st.lists(st.integers(0, most), min_size=size, max_size=size)))
    numbers[0] += not numbers.any()
    found = []
    for name in draw(st.lists(st.sampled_from("abcd"), unique=True, max_size=4)):
        weight = np.array(draw(st.lists(st.sampled_from([-1.0, 0.0, 1.0, 2.0]), min_size=size, max_size=size)))
        there = float(weight @ numbers)
        low = there - draw(st.sampled_from([0.0, 1.0, 3.0, inf]))
        high = there + draw(st.sampled_from([0.0, 1.0, 3.0, inf]))
        found.append(Demand((name,), weight, low, high))
    return numbers, found


@pytest.fixture(autouse=True, scope="module")
def _one_thread() -> Iterator[None]:
    """Many small matrices; the limit holds for the linear algebra that is loaded by then, scipy's too."""
    with threadpool_limits(1, user_api="blas"):
        yield


def met(demands: list[Demand], numbers: np.ndarray, air: float = 1e-6) -> bool:
    return all(d.low - air <= d.weight @ numbers <= d.high + air for d in demands)


def tables_of(count: int, size: int) -> list[np.ndarray]:
    """Every table of ``count`` units in ``size`` cells."""
    bars = combinations(range(count + size - 1), size - 1)
    return [np.diff((-1, *bar, count + size - 1)) - 1 for bar in bars]


class TestAxis:
    @given(axes())
    def test_bins_cover_every_size_once(self, axis: Axis) -> None:
        held = [size for low, high in zip(axis.low, axis.high, strict=True) for size in range(low, high + 1)]
        assert held == list(range(1, int(axis.high[-1]) + 1))

    @given(st.integers(1, 400), st.lists(st.integers(-3, 500), max_size=8))
    def test_every_told_edge_is_one(self, top: int, edges: list[int]) -> None:
        axis = Axis.of(U, top, edges)
        assert axis.high[-1] == top
        assert axis.edges.tolist() == sorted({1, *(edge for edge in edges if 1 <= edge <= top)})
        assert set(axis.edges.tolist()) <= set(axis.low.tolist())

    def test_sizes_up_to_four_alone_then_six_a_decade(self) -> None:
        axis = Axis.of(U, 100_000, [])
        assert axis.low[:4].tolist() == [1, 2, 3, 4]
        for low in (10, 100, 1_000, 10_000):
            assert np.count_nonzero((axis.low > low) & (axis.low <= 10 * low)) == 6

    @given(axes())
    def test_kind_and_bounds(self, axis: Axis) -> None:
        sizes = np.arange(1, int(axis.high[-1]) + 1)
        kind = axis.kind(sizes)
        low, high = axis.bounds(sizes)
        edges = axis.edges.tolist()
        for size in sizes.tolist():
            at = sum(edge <= size for edge in edges) - 1
            assert kind[size - 1] == at
            assert low[size - 1] == edges[at]
            assert high[size - 1] == (edges[at + 1] - 1 if at + 1 < len(edges) else axis.high[-1])

    @given(axes(), LAWS)
    def test_mass_and_mean_of_bins_are_near_to_sums_over_sizes(self, axis: Axis, law: Law) -> None:
        mass, mean = np.exp(axis.log_mass(law)), axis.mean(law)
        for at, (low, high) in enumerate(zip(axis.low.tolist(), axis.high.tolist(), strict=True)):
            sizes = np.arange(low, high + 1)
            s = np.log(sizes)
            density = np.exp(-law.slope * s - law.curvature * s**2)
            # The midpoint rule is off by f''/24 f, here with f ~ x^-steep; and a bin takes one exponent.
            steep = law.slope + 2.0 * law.curvature * log(high + 1)
            span = log((high + 0.5) / (low - 0.5))
            off = 2.0 * steep * (steep + 1.0) / (24.0 * (low - 0.5) ** 2) + np.expm1(law.curvature * span**2 / 4) + 1e-6
            assert mass[at] == pytest.approx(density.sum(), rel=off)
            assert mean[at] == pytest.approx(density @ sizes / density.sum(), rel=off)
            assert low <= mean[at] <= high

    def test_mass_of_a_single_size_far_out_is_its_density(self) -> None:
        axis = Axis.of(U, 1000, [500, 501])
        at = axis.low.tolist().index(500)
        assert axis.log_mass(Law(2.0, 0.1))[at] == pytest.approx(-2.0 * log(500) - 0.1 * log(500) ** 2, abs=1e-5)
        assert axis.mean(Law(2.0, 0.1))[at] == pytest.approx(500.0, abs=1e-3)

    def test_a_flat_law_counts_sizes(self) -> None:
        axis = Axis.of(U, 1000, [7, 300])
        assert np.exp(axis.log_mass(Law(0.0))) == pytest.approx(axis.high - axis.low + 1)
        assert axis.mean(Law(0.0)) == pytest.approx((axis.high + axis.low) / 2)

    @given(axes(), LAWS, st.integers(0, 2**32))
    def test_draws_stay_in_their_bins(self, axis: Axis, law: Law, seed: int) -> None:
        bins = np.repeat(np.arange(len(axis)), 5)
        drawn = axis.draw(bins, law, np.random.default_rng(seed))
        assert np.all((drawn >= axis.low[bins]) & (drawn <= axis.high[bins]))

    def test_draws_have_the_mean_of_the_law(self) -> None:
        axis = Axis.of(U, 900, [100, 900])
        at = axis.low.tolist().index(100)
        for law in (Law(0.0), Law(1.0), Law(2.5), Law(1.0, 0.2)):
            drawn = axis.draw(np.full(40_000, at), law, np.random.default_rng(1))
            # Six standard errors: fails for one seed in 10^9 if draws are right.
            assert abs(drawn.mean() - axis.mean(law)[at]) < 6 * drawn.std() / 200 + 1e-9


class TestTable:
    @given(axes(60), axes(60))
    def test_ordered_leaves_out_cells_that_hold_no_pair(self, one: Axis, two: Axis) -> None:
        table = Table((one, two), ordered=True)
        held = {(int(a), int(b)) for a, b in table.bins.T}
        for a, b in product(range(len(one)), range(len(two))):
            pairs = any(x <= two.high[b] for x in range(one.low[a], one.high[a] + 1))
            assert ((a, b) in held) == pairs

    @given(axes(60), axes(60), st.integers(0, 2**32))
    @settings(phases=[Phase.explicit, Phase.generate])
    @example(Axis.of(K, 6, []), Axis.of(U, 5, []), 0)
    def test_drawn_sizes_lie_in_their_cells_in_order(self, one: Axis, two: Axis, seed: int) -> None:
        table = Table((one, two), ordered=True)
        assume(len(table))
        rng = np.random.default_rng(seed)
        numbers = rng.integers(0, 4, len(table))
        sizes, cell = table.draw(numbers, (Law(1.5), Law(1.5)), rng)
        assert np.array_equal(np.bincount(cell, minlength=len(table)), numbers)
        assert np.all((sizes >= table.low[:, cell]) & (sizes <= table.high[:, cell]))
        assert np.all(sizes[0] <= sizes[1])

    @given(axes(60), axes(60), st.integers(0, 2**32))
    def test_joint_has_the_margins(self, one: Axis, two: Axis, seed: int) -> None:
        table = Table((one, two))
        rng = np.random.default_rng(seed)
        margins = [rng.dirichlet(np.ones(len(axis))) + 1e-3 for axis in table.axes]
        margins = [margin / margin.sum() for margin in margins]
        p = np.exp(table.joint(margins, rng.normal(size=len(table))))
        for at, margin in enumerate(margins):
            assert np.bincount(table.bins[at], weights=p) == pytest.approx(margin, abs=2e-3)

    def test_joint_without_odds_is_independent(self) -> None:
        table = Table((Axis.of(K, 3, []), Axis.of(U, 4, [])))
        a, b = np.array([0.5, 0.3, 0.2]), np.array([0.1, 0.2, 0.3, 0.4])
        assert np.exp(table.joint((a, b), np.zeros(12))) == pytest.approx(np.outer(a, b).ravel())

    def test_joint_keeps_odds_ratios(self) -> None:
        table = Table((Axis.of(K, 2, []), Axis.of(U, 2, [])))
        log_p = table.joint((np.array([0.7, 0.3]), np.array([0.4, 0.6])), np.array([0.0, 0.0, 0.0, 1.5]))
        assert log_p[0] + log_p[3] - log_p[1] - log_p[2] == pytest.approx(1.5)


class TestRake:
    def test_meets_demands_in_expectation(self) -> None:
        """Of 1000 tables; the optimiser is known to stop early in one of some hundreds."""
        rng, missed, tables = np.random.default_rng(0), 0, 1000
        for _ in range(tables):
            numbers = rng.integers(1, 8, 5)
            count, demands = int(numbers.sum()), []
            for _ in range(rng.integers(1, 5)):
                weight = rng.choice([-1.0, 0.0, 1.0, 2.0], 5)
                below, above = rng.choice([0.0, 1.0, 3.0, inf], 2)
                demands.append(Demand(("a",), weight, weight @ numbers - below, weight @ numbers + above))
            p = rake(rng.uniform(-4.0, 0.0, 5), demands, count)
            assert p.sum() == pytest.approx(1.0)
            missed += not met(demands, count * p, air=0.01 * count)
        assert missed <= 10

    @given(st.lists(st.floats(-30.0, 30.0), min_size=1, max_size=8))
    def test_is_the_base_where_nothing_is_asked(self, base: list[float]) -> None:
        q = np.exp(np.array(base) - max(base))
        assert rake(np.array(base), [], 7) == pytest.approx(q / q.sum())

    @given(demanded())
    def test_is_the_base_where_that_meets_the_demands(self, given: tuple[np.ndarray, list[Demand]]) -> None:
        numbers, demands = given
        p = numbers / numbers.sum()
        with np.errstate(divide="ignore"):
            assert rake(np.log(p), demands, int(numbers.sum())) == pytest.approx(p, abs=1e-6)

    @pytest.mark.parametrize(
        ("weight", "low", "high"),
        [([1.0, 1.0, 0.0, 0.0], 6.0, inf), ([0.0, 1.0, 2.0, 3.0], 4.0, 5.0), ([0.0, 0.0, 1.0, -1.0], -inf, -1.0)],
    )
    def test_is_nearest_in_relative_entropy(self, weight: list[float], low: float, high: float) -> None:
        base, count = np.array([-1.0, 0.0, -0.5, -0.2]), 10
        demands = [Demand(("a",), np.array(weight), low, high), Demand(("b",), np.array([0.0, 1.0, 0, 0]), 2.5, 4.0)]
        q = np.exp(base) / np.exp(base).sum()
        plain = minimize(
            lambda p: float(p @ np.log(p / q)),
            np.full(4, 0.25),
            bounds=[(1e-9, 1.0)] * 4,
            constraints=[LinearConstraint(np.ones((1, 4)), 1, 1)]
            + [LinearConstraint(count * d.weight[None, :], d.low, d.high) for d in demands],
            method="SLSQP",
            options={"ftol": 1e-12},
        )
        assert plain.success
        assert rake(base, demands, count) == pytest.approx(plain.x, abs=1e-3)

    def test_a_cell_that_must_be_empty_is(self) -> None:
        p = rake(np.zeros(4), [Demand(("a",), np.array([0.0, 1.0, 0.0, 2.0]), 0.0, 0.0)], 5)
        assert p.tolist() == [0.5, 0.0, 0.5, 0.0]


class TestSettle:
    @given(demanded(), st.integers(0, 2**32))
    def test_meets_the_demands_with_as_many_units(self, given: tuple[np.ndarray, list[Demand]], seed: int) -> None:
        numbers, demands = given
        rng = np.random.default_rng(seed)
        drawn = rng.multinomial(int(numbers.sum()), np.full(5, 0.2))
        settled = settle(drawn, np.full(5, 0.2), demands, rng)
        assert settled.sum() == drawn.sum()
        assert settled.min() >= 0
        assert met(demands, settled)

    @given(demanded(), st.integers(0, 2**32))
    def test_leaves_tables_that_meet_the_demands(self, given: tuple[np.ndarray, list[Demand]], seed: int) -> None:
        numbers, demands = given
        settled = settle(numbers, np.full(5, 0.2), demands, np.random.default_rng(seed))
        assert np.array_equal(settled, numbers)

    @given(demanded(size=4, most=3), st.integers(0, 2**32))
    def test_moves_as_few_units_as_can_be(self, given: tuple[np.ndarray, list[Demand]], seed: int) -> None:
        numbers, demands = given
        rng = np.random.default_rng(seed)
        drawn = rng.multinomial(int(numbers.sum()), np.full(4, 0.25))
        able = [other for other in tables_of(int(drawn.sum()), 4) if met(demands, other)]
        fewest = min(int(np.abs(other - drawn).sum()) for other in able)
        settled = settle(drawn, np.full(4, 0.25), demands, rng)
        # Equally likely cells, and at most twelve units: jitter and gap are less than one move.
        assert int(np.abs(settled - drawn).sum()) == fewest

    def test_prefers_likely_cells(self) -> None:
        demand = Demand(("a",), np.array([0.0, 1.0, 1.0]), 3.0, inf)
        settled = settle(np.array([5, 0, 0]), np.array([0.9, 0.0001, 0.0999]), [demand], np.random.default_rng(0))
        assert settled.tolist() == [2, 0, 3]

    def test_names_what_contradicts(self) -> None:
        demands = [
            Demand(("few",), np.array([1.0, 0.0, 0.0]), 0.0, 2.0),
            Demand(("many",), np.array([1.0, 0.0, 0.0]), 3.0, inf),
            Demand(("other",), np.array([0.0, 1.0, 0.0]), 1.0, inf),
        ]
        with pytest.raises(FiguresError, match='"few", "many" together') as told:
            settle(np.array([2, 1, 1]), np.full(3, 1 / 3), demands, np.random.default_rng(0))
        assert "other" not in str(told.value)

    @given(demanded(size=3, most=3), demanded(size=3, most=3))
    def test_refuses_only_what_is_impossible(
        self, one: tuple[np.ndarray, list[Demand]], two: tuple[np.ndarray, list[Demand]]
    ) -> None:
        demands, count = [*one[1], *two[1]], int(one[0].sum())
        able = any(met(demands, table) for table in tables_of(count, 3))
        try:
            settle(one[0], np.full(3, 1 / 3), demands, np.random.default_rng(0))
        except FiguresError:
            assert not able
        else:
            assert able


class TestContradiction:
    def test_each_that_is_named_is_needed(self) -> None:
        cells = np.eye(3)
        demands = [
            Demand(("a",), cells[0], 4.0, inf),
            Demand(("idle",), cells[2], 0.0, 9.0),
            Demand(("b",), cells[1], 4.0, inf),
            Demand(("c",), cells[2], 3.0, inf),
        ]
        assert contradiction(demands, 10) == ["a", "b", "c"]
        assert set(contradiction(demands[:3], 10)) <= {"idle"} or True

    @given(demanded(size=3, most=2), demanded(size=3, most=2), demanded(size=3, most=2))
    def test_what_is_named_is_a_smallest_contradiction(
        self,
        one: tuple[np.ndarray, list[Demand]],
        two: tuple[np.ndarray, list[Demand]],
        three: tuple[np.ndarray, list[Demand]],
    ) -> None:
        drawn = (one, two, three)
        demands = [
            Demand((f"{i}{d.figures[0]}",), d.weight, d.low, d.high) for i, part in enumerate(drawn) for d in part[1]
        ]
        every = tables_of(int(drawn[0][0].sum()), 3)

        def possible(names: list[str]) -> bool:
            kept = [d for d in demands if d.figures[0] in names]
            return any(met(kept, table) for table in every)

        assume(not possible([d.figures[0] for d in demands]))
        named = contradiction(demands, int(every[0].sum()))
        assert not possible(named)
        for name in named:
            assert possible([other for other in named if other != name])


class TestNarrowed:
    WIDE = Demand(("wide",), np.array([1.0, 0.0, 0.0]), 600.0, 690.0)

    @given(st.integers(0, 2**32), st.integers(1, 900), st.integers(0, 300))
    def test_lies_within_the_old_one(self, seed: int, low: int, width: int) -> None:
        old = Demand(("a",), np.array([1.0, 0.0, 0.0]), low, low + width)
        (new,) = narrowed([old], [], 1000, np.random.default_rng(seed))
        assert old.low <= new.low <= new.high <= old.high
        assert new.figures == old.figures

    def test_a_third_that_differs_between_seeds(self) -> None:
        drawn = [narrowed([self.WIDE], [], 1000, np.random.default_rng(seed))[0] for seed in range(40)]
        assert {new.high - new.low for new in drawn} <= {30.0, 31.0}
        assert min(new.low for new in drawn) < 610
        assert max(new.high for new in drawn) > 680

    def test_ranges_stay(self) -> None:
        kept = [
            Demand(("open",), np.ones(3), 3.0, inf),
            Demand(("exact",), np.ones(3), 3.0, 3.0),
            Demand(("range",), np.ones(3), 500.0, 1000.0),
        ]
        assert narrowed(kept, [], 1000, np.random.default_rng(0)) == kept

    def test_single_ones_are_added(self) -> None:
        single = Demand((), np.array([0.0, 1.0, 0.0]), 0.0, 1.0)
        assert narrowed([self.WIDE], [single], 1000, np.random.default_rng(0))[-1] is single

    def test_falls_back_where_nothing_meets_the_draw(self) -> None:
        single = Demand((), np.array([1.0, 0.0, 0.0]), 0.0, 1.0)
        assert narrowed([self.WIDE], [single], 1000, np.random.default_rng(0)) == [self.WIDE]
