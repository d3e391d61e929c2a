"""Demands on tables: a population meets a figure's demands exactly if its own statistic lies in the interval."""

from collections.abc import Iterator
from math import inf, isnan, nan
from typing import NamedTuple

import numpy as np
import pytest
import scipy.optimize  # noqa: F401 - so that the limit below holds for it
from hypothesis import assume, given
from hypothesis import strategies as st
from threadpoolctl import threadpool_limits

from fedgen.statistics.vocabulary import Statistic, Where
from gen.reconstruct.demands import (
    demands_of,
    edges_of,
    most_of,
    own_demands,
    pinned_ranks,
    range_of,
    ranges_of,
    single_demands,
    total_demands,
    whole,
)
from gen.reconstruct.goal import Interval
from gen.reconstruct.table import Axis, Table
from gen.reconstruct.told import Told

SIZE = st.one_of(st.integers(1, 5), st.integers(1, 40))


class Population(NamedTuple):
    """Sizes of some units, by margin; the first is no larger than the second where ``ordered``."""

    sizes: dict[str, np.ndarray]
    ordered: bool = False

    @property
    def count(self) -> int:
        return len(next(iter(self.sizes.values())))

    def table(self, edges: dict[str, list[int]]) -> tuple[Table, np.ndarray]:
        """A table with these edges, and how many of the units are in each cell."""
        axes = [Axis.of(margin, int(sizes.max()) + 3, edges[margin]) for margin, sizes in self.sizes.items()]
        table = Table(tuple(axes), ordered=self.ordered)
        units = np.stack(list(self.sizes.values()))
        inside = (table.low[:, :, None] <= units[:, None, :]) & (units[:, None, :] <= table.high[:, :, None])
        return table, inside.all(axis=0).sum(axis=1)


@st.composite
def populations(draw: st.DrawFn) -> Population:
    """Rooms (k <= u), servers (n, m) or users (d)."""
    kind = draw(st.sampled_from(["rooms", "servers", "users"]))
    if kind == "users":
        return Population({"rooms_per_user": np.array(draw(st.lists(SIZE, min_size=1, max_size=15)))})
    pairs = np.array(draw(st.lists(st.tuples(SIZE, SIZE), min_size=1, max_size=15)))
    if kind == "rooms":
        return Population({"servers_per_room": pairs.min(axis=1), "users_per_room": pairs.max(axis=1)}, ordered=True)
    return Population({"users_per_server": pairs[:, 0], "rooms_per_server": pairs[:, 1]})


@st.composite
def bounds(draw: st.DrawFn) -> tuple[int | None, int | None]:
    low, high = sorted((draw(SIZE), draw(SIZE)))
    return draw(st.sampled_from([(low, high), (low, None), (None, high), (low, low)]))


@st.composite
def statistics(draw: st.DrawFn, population: Population) -> Statistic:
    of = draw(st.sampled_from(list(population.sizes)))
    name = draw(st.sampled_from(["count", "share", "rank", "max", "min", "median"]))
    if name == "rank":
        return Statistic(name, of=of, rank=draw(st.integers(1, population.count)))
    where = None
    if draw(st.booleans()):
        least, most = draw(bounds())
        where = Where(draw(st.sampled_from(list(population.sizes))), least=least, most=most)
    if name in ("count", "share"):
        least, most = draw(bounds())
        return Statistic(name, of=of, least=least, most=most, where=where)
    return Statistic(name, of=of, where=where)


def measured(statistic: Statistic, population: Population) -> float:
    """The plain twin: over lists of numbers."""

    def holds(x: int, least: int | None, most: int | None) -> bool:
        return (least is None or x >= least) and (most is None or x <= most)

    where = statistic.where
    units = list(range(population.count))
    if where is not None:
        units = [i for i in units if holds(population.sizes[where.of][i], where.least, where.most)]
    values = sorted(population.sizes[statistic.of or ""][i].item() for i in units)
    inside = sum(holds(x, statistic.least, statistic.most) for x in values)
    if statistic.name == "count":
        return inside
    if not values:
        return nan
    middle = (len(values) - 1) // 2, len(values) // 2
    return {
        "share": inside / len(values),
        "rank": values[-(statistic.rank or 1)] if statistic.name == "rank" else nan,
        "max": values[-1],
        "min": values[0],
        # Both of the two in the middle are asked for: as whole numbers, and what lies between them with them.
        "median": values[middle[0]] if values[middle[0]] == values[middle[1]] else nan,
    }[statistic.name]


@st.composite
def intervals(draw: st.DrawFn, value: float, share: bool) -> tuple[float, float]:
    """Around a value, or away from it."""
    step = st.sampled_from([0.0, 0.05, 0.3] if share else [0.0, 1.0, 4.0])
    unit = 0.01 if share else 1.0
    low, high = value - draw(step), value + draw(step)
    least, most = (0.0, 1.0) if share else (-inf, inf)  # no share is beyond
    match draw(st.sampled_from(["around", "around", "above", "below", "open above", "open below"])):
        case "above":
            low, high = value + unit, high + 2 * unit
        case "below":
            low, high = low - 2 * unit, value - unit
        case "open above":
            high = most
        case "open below":
            low = least
    return low, high


@pytest.fixture(autouse=True, scope="module")
def _one_thread() -> Iterator[None]:
    """Many small matrices; the limit holds for the linear algebra that is loaded by then, scipy's too."""
    with threadpool_limits(1, user_api="blas"):
        yield


def met(demands: list, numbers: np.ndarray) -> bool:
    return all(d.low - 1e-6 <= d.weight @ numbers <= d.high + 1e-6 for d in demands)


class TestSoundness:
    @given(st.data(), populations())
    def test_demands_hold_exactly_if_the_statistic_lies_in_the_interval(
        self, data: st.DataObject, population: Population
    ) -> None:
        statistic = data.draw(statistics(population))
        value = measured(statistic, population)
        assume(not isnan(value))
        low, high = data.draw(intervals(value, statistic.name == "share"))
        figure = Told("f", statistic, low, high)
        table, numbers = population.table({margin: edges_of([figure], margin) for margin in population.sizes})
        assert numbers.sum() == population.count
        asked = demands_of(figure, table, population.count, {})
        inside = low <= value <= high
        # A share of no exact fraction of two is judged with its rounding.
        assert met(asked, numbers) == (inside or (statistic.name == "share" and low - 1e-9 <= value <= high + 1e-9))
        assert all(demand.figures == ("f",) for demand in asked)

    @given(st.data(), populations())
    def test_median_between_two_units(self, data: st.DataObject, population: Population) -> None:
        """Demands on the median of an even number ask for both in the middle: never less than the figure."""
        of = data.draw(st.sampled_from(list(population.sizes)))
        values = np.sort(population.sizes[of])
        low = data.draw(st.integers(1, 45))
        figure = Told("f", Statistic("median", of=of), low, data.draw(st.integers(low, 45)))
        table, numbers = population.table({margin: edges_of([figure], margin) for margin in population.sizes})
        middle = values[[(len(values) - 1) // 2, len(values) // 2]]
        held = met(demands_of(figure, table, population.count, {}), numbers)
        assert held == bool((figure.low <= middle).all() and (middle <= figure.high).all())
        if held:
            assert figure.low <= np.median(values) <= figure.high

    @given(st.data(), populations())
    def test_no_unit_has_no_largest(self, data: st.DataObject, population: Population) -> None:
        of = data.draw(st.sampled_from(list(population.sizes)))
        top = int(population.sizes[of].max())
        name = data.draw(st.sampled_from(["max", "min", "median"]))
        figure = Told("f", Statistic(name, of=of, where=Where(of, least=top + 1)), 1.0, inf)
        table, numbers = population.table({margin: edges_of([figure], margin) for margin in population.sizes})
        assert not met(demands_of(figure, table, population.count, {}), numbers)

    @given(st.data(), populations(), st.integers(1, 5))
    def test_several_figures_do_not_meet(self, data: st.DataObject, population: Population, number: int) -> None:
        """The edges of one figure do not change what another asks."""
        figures = []
        for at in range(number):
            statistic = data.draw(statistics(population))
            value = measured(statistic, population)
            if not isnan(value):
                figures.append(Told(str(at), statistic, *data.draw(intervals(value, statistic.name == "share"))))
        every = population.table({margin: edges_of(figures, margin) for margin in population.sizes})
        for figure in figures:
            alone = population.table({margin: edges_of([figure], margin) for margin in population.sizes})
            held = [met(demands_of(figure, t, population.count, {}), x) for t, x in (every, alone)]
            assert held[0] == held[1]

    @given(populations(), st.integers(-4, 4))
    def test_totals(self, population: Population, off: int) -> None:
        """Where every size is a bin of its own, demands on a total hold exactly if it is the total."""
        table, numbers = population.table({margin: list(range(1, 50)) for margin in population.sizes})
        for margin, sizes in population.sizes.items():
            total = int(sizes.sum()) + off
            assert met(total_demands(Interval(total, total, ("t",)), table, margin), numbers) == (off == 0)

    @given(populations())
    def test_totals_never_ask_too_much(self, population: Population) -> None:
        table, numbers = population.table({margin: [] for margin in population.sizes})
        for margin, sizes in population.sizes.items():
            assert met(total_demands(Interval(sizes.sum(), sizes.sum()), table, margin), numbers)


class TestWhatIsAsked:
    def test_nothing_of_other_margins(self) -> None:
        table = Table((Axis.of("rooms_per_user", 9, []),))
        assert demands_of(Told("f", Statistic("max", of="users_per_room"), 3, 3), table, 5, {}) == []
        assert edges_of([Told("f", Statistic("max", of="users_per_room"), 3, 3)], "rooms_per_user") == []

    def test_nothing_of_what_is_not_linear(self) -> None:
        table = Table((Axis.of("users_per_room", 9, []),))
        for statistic in (Statistic("gini", of="users_per_room"), Statistic("mean", of="users_per_room")):
            assert demands_of(Told("f", statistic, 0.5, 0.6), table, 5, {}) == []

    def test_own_demands_are_those_without_where(self) -> None:
        table = Table((Axis.of("users_per_room", 9, [3, 4]),))
        plain = Told("a", Statistic("max", of="users_per_room"), 3, 3)
        some = Told("b", Statistic("max", of="users_per_room", where=Where("servers_per_room", least=2)), 3, 3)
        assert {d.figures for d in own_demands([plain, some], table, 5)} == {("a",)}

    def test_the_whole_numbers_in_an_interval(self) -> None:
        statistic = Statistic("max", of="users_per_room")
        assert whole(Told("f", statistic, 2.5, 4.5)) == (3, 4)
        assert whole(Told("f", statistic, 2.2, 2.8)) == (2, 3)
        assert whole(Told("f", statistic, -inf, inf)) == (-inf, inf)

    def test_pinned_ranks_and_the_most(self) -> None:
        figures = [
            Told("a", Statistic("max", of="users_per_server"), 70, 75),
            Told("b", Statistic("rank", of="users_per_server", rank=3), 8, 8),
            Told("c", Statistic("max", of="users_per_server", where=Where("rooms_per_server", least=2)), 5, 5),
        ]
        assert pinned_ranks(figures, "users_per_server") == {1: 70, 3: 8}
        assert most_of(figures, "users_per_server", 100) == 75
        assert most_of(figures, "users_per_server", 60) == 60
        assert most_of(figures, "rooms_per_server", 60) == 60

    def test_a_largest_that_is_told_is_that_of_one(self) -> None:
        table = Table((Axis.of("users_per_room", 9, [5, 6]),))
        told = Told("a", Statistic("max", of="users_per_room"), 5, 5)
        (single,) = single_demands([told, Told("b", told.statistic, 4, 5)], table, {})
        assert (single.low, single.high) == (0.0, 1.0)
        assert single.weight.tolist() == (table.low[0] >= 5).astype(float).tolist()


class TestRanks:
    """Ranks of another size: rooms by servers, and the users that those ranks have."""

    @staticmethod
    def ranked(population: Population, where: Where) -> np.ndarray:
        """The units at the ranks, as fedgen ranks rooms: k, then u, largest first."""
        k, u = population.sizes["servers_per_room"].tolist(), population.sizes["users_per_room"].tolist()
        order = sorted(range(len(k)), key=lambda r: (-k[r], -u[r]))
        first, last = where.largest or where.lowest or (1, 1)
        return np.array((order if where.largest else order[::-1])[first - 1 : last], dtype=int)

    @given(st.data(), populations(), st.booleans(), st.booleans())
    def test_the_range_stands_for_the_ranks(
        self, data: st.DataObject, population: Population, largest: bool, wanted: bool
    ) -> None:
        """Where the demand holds the range holds the units at the ranks, or the end of its step is among them."""
        assume("servers_per_room" in population.sizes)
        first = data.draw(st.integers(1, population.count))
        ranks = (first, data.draw(st.integers(first, population.count)))
        where = Where("servers_per_room", **{"largest" if largest else "lowest": ranks})
        k, u = population.sizes["servers_per_room"], population.sizes["users_per_room"]
        sizes, number = np.unique(k, return_counts=True)
        exact = Axis("servers_per_room", sizes, np.append(sizes[1:] - 1, sizes[-1]), sizes)
        found = range_of(where, wanted, exact, number, {})
        table, numbers = population.table({margin: found.edges(margin) for margin in population.sizes})
        demand = found.demand("f", table)
        assert demand.figures == ("f",)
        held = met([demand], numbers)
        inside = np.flatnonzero((k >= (found.least or 0)) & (k <= (found.most or inf)))
        at_ranks = self.ranked(population, where)
        if not held:
            return
        if first == 1 and (largest or not wanted):
            assert sorted(inside.tolist()) == sorted(at_ranks.tolist())
            return
        assert len(inside)
        extreme = (u[inside].max() if wanted else u[inside].min()).item()
        assert any(k[r] == k[inside[0]] and u[r] == extreme for r in at_ranks.tolist())

    @given(st.lists(st.integers(1, 30), min_size=1, max_size=20), st.data())
    def test_a_step_that_ends_at_the_ranks_is_found(self, sizes: list[int], data: st.DataObject) -> None:
        k = np.sort(np.array(sizes))
        exact = Axis.of("servers_per_room", 33, list(range(1, 34)))
        number = np.array([np.count_nonzero(k == size) for size in exact.low], dtype=float)
        end = data.draw(st.sampled_from([int(np.count_nonzero(k <= size)) for size in set(sizes)]))
        found = range_of(Where("servers_per_room", lowest=(end, end)), True, exact, number, {})
        assert np.count_nonzero(k <= found.upto) == end
        assert found.numbers == (end, end)
        top = range_of(Where("servers_per_room", largest=(1, end)), True, exact, number, {end: 7})
        assert (top.fromon, top.least, top.most, top.numbers) == (7, 7, None, (end, end))

    def test_two_windows_do_not_take_one_step(self) -> None:
        figures = [
            Told("largest", Statistic("max", of="servers_per_room"), 20, 20),
            Told("few", Statistic("share", of="servers_per_room", most=9), 0.825, 0.875),
        ]
        for low in (55, 62):
            where = Where("servers_per_room", lowest=(low, low + 4))
            figures.append(Told(str(low), Statistic("max", of="users_per_room", where=where), 77, 247))
        found = ranges_of(figures, "servers_per_room", "users_per_room", 25, 100)
        assert set(found) == {"55", "62"}
        assert found["55"].most is not None
        assert found["55"].most < found["62"].least
        assert (found["55"].numbers, found["62"].numbers) == ((55, 59), (62, 66))
