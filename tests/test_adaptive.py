"""The adaptive mechanism: against linear programmes and brute force on tiny federations, and what its results obey."""

from __future__ import annotations

from itertools import product
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from fedgen.errors import FedgenError, InfeasibleError, UsageError
from fedgen.federation import Federation, Presences
from fedgen.traffic.adaptive import DEFAULT, Adapted, Adaptive, Objective, adapt, load_relayed
from fedgen.traffic.equations import load
from fedgen.traffic.gossip import InfectAndDie, Push, PushPull
from fedgen.traffic.levelling import bound, level, relayed
from fedgen.traffic.mechanisms import MECHANISMS, load_under
from fedgen.traffic.overlay import Gossipsub, Plumtree
from fedgen.traffic.trees import Broadcast, Multicast, Relays, SharedRelay, Tree
from tests.strategies import federations

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fedgen.traffic.spread import Mechanism

FIXED: tuple[Mechanism, ...] = (Broadcast(), Tree(2), Relays())
Columns = list[NDArray[np.float64]]


def columns(federation: Federation, room: int, mechanism: Mechanism) -> Columns:
    """What a room may put on the servers with one mechanism: a column of loads, or one per server that relays."""
    p = federation.presences
    members = slice(int(p.offsets[room]), int(p.offsets[room + 1]))
    server, weight = p.server[members], p.weight[members]
    n, total = len(server), weight.sum()
    if n == 1:
        return [np.zeros(federation.n_servers)]
    found = []
    if isinstance(mechanism, SharedRelay):
        for relay in range(n):
            column = np.zeros(federation.n_servers)
            column[server] = weight + (total - weight)
            column[server[relay]] += total * (n - 2)
            found.append(column)
        return found
    s = mechanism.spread(n)
    column = np.zeros(federation.n_servers)
    column[server] = weight * (s.origin_tx + s.origin_rx) + (total - weight) * (s.other_tx + s.other_rx)
    return [column]


def best_mixture(federation: Federation, mechanisms: Sequence[Mechanism], capacities: NDArray[np.float64]) -> float:
    """The least largest load per capacity, rooms free to mix mechanisms and relays: by linear programming."""
    from scipy.optimize import linprog

    blocks = [
        [column for m in mechanisms for column in columns(federation, room, m)] for room in range(federation.n_rooms)
    ]
    loads = np.array([column for block in blocks for column in block]).T
    one = np.zeros((len(blocks), loads.shape[1] + 1))
    at = 0
    for room, block in enumerate(blocks):
        one[room, at : at + len(block)] = 1
        at += len(block)
    cost = np.append(np.zeros(loads.shape[1]), 1.0)
    done = linprog(
        cost,
        np.column_stack([loads, -capacities]),
        np.zeros(len(capacities)),
        one,
        np.ones(len(blocks)),
        method="highs",
    )
    assert done.status == 0
    return float(done.fun)


def largest(result: Adapted, capacities: NDArray[np.float64]) -> float:
    return float(((result.load.tx + result.load.rx) / capacities).max())


@st.composite
def cases(draw: st.DrawFn, **sizes: int) -> tuple[Federation, NDArray[np.float64]]:
    federation = draw(federations(**sizes))
    some = st.lists(st.sampled_from([0.5, 1, 2, 10]), min_size=federation.n_servers, max_size=federation.n_servers)
    return federation, np.array(draw(some), dtype=float)


class TestLargest:
    @settings(max_examples=60)
    @given(cases())
    def test_shared_relays_are_optimal(self, case: tuple[Federation, NDArray[np.float64]]) -> None:
        federation, capacities = case
        result = adapt(federation, DEFAULT, "largest", capacities)
        assert result.value == pytest.approx(largest(result, capacities), rel=1e-12)
        assert result.value == pytest.approx(best_mixture(federation, DEFAULT, capacities), rel=1e-6, abs=1e-9)
        assert result.bound == pytest.approx(result.value, rel=1e-6, abs=1e-9)

    @settings(max_examples=30)
    @given(cases())
    def test_no_unicast_mechanism_beats_them(self, case: tuple[Federation, NDArray[np.float64]]) -> None:
        federation, capacities = case
        everything = (*DEFAULT, Push(1), Push(), PushPull(), Plumtree(), Gossipsub())
        alone = adapt(federation, [SharedRelay()], "largest", capacities)
        assert alone.value == pytest.approx(best_mixture(federation, everything, capacities), rel=1e-6, abs=1e-9)

    @given(cases(), st.integers(0, 2**32 - 1))
    def test_the_bound_holds_whatever_the_shares(self, case: tuple[Federation, NDArray[np.float64]], seed: int) -> None:
        federation, capacities = case
        p, own = federation.presences, load(federation)
        size = np.diff(p.offsets)
        spoken = np.where(size > 1, np.bincount(p.room, weights=p.weight), 0.0)
        amount = spoken * np.maximum(size - 2, 0)
        base = own.rx + np.bincount(p.server, weights=np.where(size[p.room] > 1, p.weight, 0.0), minlength=len(own.rx))
        # Few servers relay, so that the level sets hold whole rooms.
        share = np.random.default_rng(seed).random(len(p)) ** 9
        share /= np.bincount(p.room, weights=share)[p.room]
        proved = bound(p, base, amount, relayed(p, base, amount, share), capacities)
        optimum = best_mixture(federation, [SharedRelay()], capacities)
        assert proved <= optimum * (1 + 1e-6) + 1e-9
        level_loads = relayed(p, base, amount, level(p, base, amount, share, capacities))
        assert bound(p, base, amount, level_loads, capacities) == pytest.approx(optimum, rel=1e-6, abs=1e-9)

    @given(cases(max_rooms=5))
    def test_fixed_mechanisms_against_brute_force(self, case: tuple[Federation, NDArray[np.float64]]) -> None:
        federation, capacities = case
        result = adapt(federation, FIXED, "largest", capacities)
        options = [[columns(federation, room, m)[0] for m in FIXED] for room in range(federation.n_rooms)]
        distinct = [list({tuple(column.tolist()): column for column in room}.values()) for room in options]
        best = min(float((sum(chosen) / capacities).max()) for chosen in product(*distinct))
        assert result.value == pytest.approx(largest(result, capacities), rel=1e-12)
        assert best * (1 - 1e-9) <= result.value <= 1.25 * best + 1e-9
        assert result.bound <= best_mixture(federation, FIXED, capacities) * (1 + 1e-9) + 1e-9
        assert result.value <= result.broadcast_value * (1 + 1e-9)

    @given(federations())
    def test_multicast_is_taken_wherever_it_is_to_be_had(self, federation: Federation) -> None:
        result = adapt(federation, [*DEFAULT, Multicast()])
        reference = load_under(federation, Multicast())
        assert result.value == pytest.approx((reference.tx + reference.rx).max(), rel=1e-12)
        assert result.bound == pytest.approx(result.value, rel=1e-9, abs=1e-12)

    def test_a_hub_is_relieved(self) -> None:
        # A room of a hub with eight users and four servers with one each: broadcast has the hub send 8 * 4.
        federation = Federation.from_pairs([0] * 8 + [1, 2, 3, 4], range(12), [0] * 12)
        result = adapt(federation)
        # In all 12 events are sent 4 times and heard 4 times: 96 over five servers, but who has not spoken hears more.
        assert result.broadcast_value == 8 * 4 + 4
        assert result.value == pytest.approx(96 / 5)
        assert result.load.tx.sum() == pytest.approx(48)

    def test_relaying_goes_where_there_is_capacity(self) -> None:
        federation = Federation.from_pairs([0, 1, 2, 3], range(4), [0] * 4)
        result = adapt(federation, capacities=[1, 1, 1, 100])
        # Servers 0 to 2 send their own event once and hear three; server 3 relays for all.
        assert result.share.tolist() == pytest.approx([0, 0, 0, 1], abs=1e-9)
        assert (result.load.tx + result.load.rx).tolist() == pytest.approx([4, 4, 4, 12])


class TestTotal:
    @given(federations())
    def test_nothing_saves_transactions_but_multicast(self, federation: Federation) -> None:
        everything = (*DEFAULT, Push(), PushPull(), Gossipsub(), Plumtree())
        result = adapt(federation, everything, "total")
        assert result.value == pytest.approx(load(federation).total, rel=1e-12)
        assert all(everything[o].name == "broadcast" for o in result.choice.tolist())
        copied = adapt(federation, (*everything, Multicast()), "total")
        assert copied.value == pytest.approx(load_under(federation, Multicast()).total, rel=1e-12)

    @given(federations())
    def test_every_room_takes_its_least(self, federation: Federation) -> None:
        candidates = (PushPull(), Push(2), Gossipsub(3))
        result = adapt(federation, candidates, "total")
        p = federation.presences
        weight = np.bincount(p.room, weights=p.weight)
        least = [min(float(m.spread(int(k)).total[0]) for m in candidates) for k in np.diff(p.offsets)]
        assert result.value == pytest.approx(float(weight @ least), rel=1e-9)


class TestRounds:
    @given(federations(max_rooms=5), st.floats(0, 1))
    def test_within_the_load_and_near_the_fewest(self, federation: Federation, strictness: float) -> None:
        least, most = adapt(federation).value, adapt(federation).broadcast_value
        if most == 0:
            return
        allowed = least * (1 + 1e-6) + strictness * (most - least)
        result = adapt(federation, objective=Objective("rounds", max_load=allowed))
        ones = np.ones(federation.n_servers)
        assert largest(result, ones) <= allowed * (1 + 1e-6)
        assert result.broadcast_value == 1
        assert 1 <= result.bound <= result.value <= 2
        assert result.bound <= self.fewest(federation, allowed * (1 + 1e-6)) + 1e-5  # what the slack of the load allows

    def fewest(self, federation: Federation, allowed: float) -> float:
        """The fewest rounds that rooms can have which mix broadcast and relays, event by event: linear programming."""
        from scipy.optimize import linprog

        p = federation.presences
        loads, rounds, of_room = [], [], []
        for room in range(federation.n_rooms):
            members = slice(int(p.offsets[room]), int(p.offsets[room + 1]))
            weight = p.weight[members]
            loads += columns(federation, room, Broadcast())
            rounds.append(weight.sum() if len(weight) > 1 else 0.0)
            of_room.append(room)
            for relay, column in enumerate(columns(federation, room, SharedRelay())):
                loads.append(column)
                further = weight.sum() - weight[relay] if len(weight) > 2 else 0.0
                rounds.append((weight.sum() if len(weight) > 1 else 0.0) + further)
                of_room.append(room)
        one = (np.arange(federation.n_rooms)[:, None] == np.array(of_room)).astype(float)
        load, limit = np.array(loads).T, np.full(federation.n_servers, allowed)
        done = linprog(rounds, load, limit, one, np.ones(federation.n_rooms), method="highs")
        assert done.status == 0
        return float(
            done.fun / np.dot(rounds, np.isin(np.arange(len(rounds)), np.unique(of_room, return_index=True)[1]))
        )

    def test_without_a_limit_everybody_broadcasts(self) -> None:
        federation = Federation.from_pairs([0, 1, 2, 3], range(4), [0] * 4)
        result = adapt(federation, objective="rounds")
        assert result.value == 1
        assert result.load.tx.tolist() == load(federation).tx.tolist()

    def test_a_limit_that_cannot_be_met_is_told(self) -> None:
        federation = Federation.from_pairs([0, 1, 2, 3], range(4), [0] * 4)
        with pytest.raises(InfeasibleError, match=r"the least is 6,"):
            adapt(federation, objective=Objective("rounds", max_load=5))

    def test_one_round_leaves_broadcast(self) -> None:
        federation = Federation.from_pairs([0, 0, 0, 1, 2, 3], range(6), [0] * 6)
        result = adapt(federation, objective=Objective("largest", max_rounds=1))
        assert result.value == result.broadcast_value == pytest.approx(result.bound)


@given(cases(), st.floats(0.01, 100), st.sampled_from(["largest", "total", "rounds"]))
def test_in_any_unit(case: tuple[Federation, NDArray[np.float64]], factor: float, kind: str) -> None:
    federation, capacities = case
    one = adapt(federation, objective=Objective(kind), capacities=capacities)  # type: ignore[arg-type]
    more = adapt(federation, objective=Objective(kind), capacities=capacities * factor, rate=factor)  # type: ignore[arg-type]
    assert more.value == pytest.approx(one.value * (factor if kind == "total" else 1), rel=1e-6)


@given(cases(), st.sampled_from(["largest", "total"]))
def test_by_hand(case: tuple[Federation, NDArray[np.float64]], kind: str) -> None:
    """Every event of every presence under every relay it may get, booked send by send."""
    federation, capacities = case
    result, p = adapt(federation, objective=kind, capacities=capacities), federation.presences  # type: ignore[arg-type]
    tx, rx, rounds = np.zeros(federation.n_servers), np.zeros(federation.n_servers), np.zeros(federation.n_rooms)
    for room in range(federation.n_rooms):
        servers = range(int(p.offsets[room]), int(p.offsets[room + 1]))
        relayed = isinstance(result.mechanisms[result.choice[room]], SharedRelay)
        for origin, relay in product(servers, servers):
            chance = float(result.share[relay]) if relayed else float(relay == origin)
            sends = [(origin, relay)] if relay != origin else []
            sends += [(relay, other) for other in servers if other not in (origin, relay)]
            for a, b in sends:
                tx[p.server[a]] += chance * p.weight[origin]
                rx[p.server[b]] += chance * p.weight[origin]
            hops = 0 if len(servers) == 1 else 1 if len(sends) == 1 or relay == origin else 2
            rounds[room] += chance * hops * p.weight[origin] / p.weight[servers.start : servers.stop].sum()
    np.testing.assert_allclose(result.load.tx, tx, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(result.load.rx, rx, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(result.rounds, rounds, rtol=1e-9, atol=1e-12)


@given(federations())
def test_the_limit_is_in_the_unit_of_the_load(federation: Federation) -> None:
    allowed = adapt(federation).value * 1.01 + 1e-3
    one = adapt(federation, objective=Objective("rounds", max_load=allowed))
    ten = adapt(federation, objective=Objective("rounds", max_load=10 * allowed), rate=10)
    assert ten.value == pytest.approx(one.value, rel=1e-6)


@given(cases())
def test_relays_in_proportion_to_capacity(case: tuple[Federation, NDArray[np.float64]]) -> None:
    federation, capacities = case
    result, p = load_relayed(federation, capacities, rate=2.0), federation.presences
    tx = np.zeros(federation.n_servers)
    for begin, end in zip(p.offsets[:-1].tolist(), p.offsets[1:].tolist(), strict=True):
        room = p.server[begin:end]
        for origin, relay in product(range(end - begin), range(end - begin)):
            weight = 2.0 * p.weight[begin + origin] * capacities[room[relay]] / capacities[room].sum()
            tx[room[origin]] += weight if origin != relay else 0
            tx[room[relay]] += weight * (end - begin - (1 if origin == relay else 2))
    np.testing.assert_allclose(result.tx, tx, rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(result.rx, load(federation, 2.0).rx, rtol=1e-12, atol=1e-12)
    equal = load_relayed(federation, np.ones(federation.n_servers))
    np.testing.assert_allclose(equal.tx, load_under(federation, SharedRelay()).tx, rtol=1e-12, atol=1e-12)


def test_no_rooms_at_all() -> None:
    nothing = np.zeros(0, dtype=np.int64)
    empty = Presences(nothing, nothing, nothing, np.zeros(0), np.zeros(1, dtype=np.int64))
    for name in MECHANISMS:
        result = load_under(empty, name, n_servers=3)
        assert result.tx.tolist() == result.rx.tolist() == [0.0] * 3
    assert adapt(empty, objective="rounds", n_servers=3).value == 0


@given(cases())
def test_shares_and_sums(case: tuple[Federation, NDArray[np.float64]]) -> None:
    federation, capacities = case
    result, p = adapt(federation, capacities=capacities), federation.presences
    assert np.all(result.share >= 0)
    per_room = np.bincount(p.room, weights=result.share)
    relayed = np.array([isinstance(m, SharedRelay) for m in result.mechanisms])[result.choice]
    np.testing.assert_allclose(per_room, relayed.astype(float), rtol=1e-9)
    assert result.load.tx.sum() == pytest.approx(result.load.rx.sum(), rel=1e-9)
    assert result.load.total == pytest.approx(load(federation).total, rel=1e-9)
    assert result.bound <= result.value <= result.broadcast_value * (1 + 1e-9)


@given(federations())
def test_presences_are_enough(federation: Federation) -> None:
    assert adapt(federation.presences).load.tx.tolist() == adapt(federation).load.tx.tolist()
    assert (
        load_under(federation, Adaptive(Objective("total"))).tx.tolist()
        == adapt(federation, objective="total").load.tx.tolist()
    )


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"mechanisms": []}, "no mechanism to choose from"),
        ({"mechanisms": [Adaptive()]}, "no mechanism of a single room"),
        ({"mechanisms": [InfectAndDie(2)]}, "room 0 of 4 servers.*Broadcast"),
        ({"objective": "speed"}, "unknown 'speed'.*largest, total, rounds"),
        ({"capacities": [1.0]}, "1 for 4 servers"),
        ({"capacities": [1, 1, 0, 1]}, "server 2 has 0"),
    ],
)
def test_wrong_calls(arguments: dict[str, object], says: str) -> None:
    federation = Federation.from_pairs([0, 1, 2, 3], range(4), [0] * 4)
    with pytest.raises(UsageError, match=says):
        adapt(federation, **arguments)  # type: ignore[arg-type]


@pytest.mark.parametrize("arguments", [{"max_rounds": 0}, {"kind": "rounds", "max_load": -1}, {"max_load": 3}])
def test_wrong_objectives(arguments: dict[str, object]) -> None:
    with pytest.raises(FedgenError, match="max_"):
        Objective(**arguments)  # type: ignore[arg-type]


def test_the_example_that_comes_along(teams: Federation) -> None:
    result = adapt(teams)
    assert result.value == pytest.approx(result.bound, rel=1e-6)
    assert result.value < result.broadcast_value
    assert result.load.total == pytest.approx(load(teams).total)
