"""Statistics of one federation against slow twins and known answers."""

from itertools import pairwise
from math import isclose, isnan, sqrt

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedgen.federation import Federation
from fedgen.statistics.composition import largest_count
from fedgen.statistics.load import hub_share, load_curve, load_per_user, ranking
from fedgen.statistics.mixing import edge_rank_correlation, server_room_correlation, user_room_correlation
from fedgen.statistics.structure import concentration, gini, half_decade, hhi, size_class, spike_bin, top_share
from fedgen.statistics.subset import with_rooms
from fedgen.traffic.equations import load

sizes = st.lists(st.integers(1, 30), min_size=1, max_size=15)


@st.composite
def federations(draw: st.DrawFn) -> Federation:
    """Small ones, sound by construction."""
    homes = draw(st.lists(st.integers(0, 3), min_size=1, max_size=8))
    seen = sorted(set(homes))
    homes = [seen.index(home) for home in homes]
    members = st.sets(st.integers(0, len(homes) - 1), min_size=1)
    rooms = draw(st.lists(members, min_size=1, max_size=6))
    rooms += [{user} for user in range(len(homes)) if not any(user in room for room in rooms)]
    pairs = [(user, room) for room, users in enumerate(rooms) for user in users]
    federation = Federation.from_pairs(homes, [user for user, _ in pairs], [room for _, room in pairs])
    federation.check()
    return federation


def rooms_of(federation: Federation) -> list[list[int]]:
    offsets, users = federation.room_offsets, federation.membership_user
    return [users[a:b].tolist() for a, b in pairwise(offsets)]


def spearman(x, y) -> float:
    """By mid-ranks counted one by one."""

    def ranks(values):
        return [sum(v < w for v in values) + (sum(v == w for v in values) + 1) / 2 for w in values]

    a, b = ranks(x), ranks(y)
    mean = (len(a) + 1) / 2
    top = sum((s - mean) * (t - mean) for s, t in zip(a, b, strict=True))
    bottom = sum((s - mean) ** 2 for s in a) * sum((t - mean) ** 2 for t in b)
    return top / sqrt(bottom) if bottom else float("nan")


def same(a: float, b: float) -> bool:
    return (isnan(a) and isnan(b)) or isclose(a, b, abs_tol=1e-9)


@given(federations())
def test_user_room_correlation(federation):
    rooms = rooms_of(federation)
    degree = [sum(user in room for room in rooms) for user in range(federation.n_users)]
    pairs = [(degree[user], len(room)) for room in rooms for user in room]
    assert same(user_room_correlation(federation), spearman(*zip(*pairs, strict=True)))


@given(federations())
def test_server_room_correlation(federation):
    home = federation.user_server.tolist()
    hosts = [{home[user] for user in room} for room in rooms_of(federation)]
    pairs = [(home.count(server), len(servers)) for servers in hosts for server in servers]
    assert same(server_room_correlation(federation), spearman(*zip(*pairs, strict=True)))


def test_rank_correlation_known_answers():
    ends = np.arange(3)
    assert edge_rank_correlation(np.array([1, 5, 9]), np.array([2, 3, 4]), ends, ends) == pytest.approx(1)
    assert edge_rank_correlation(np.array([1, 5, 9]), np.array([4, 3, 2]), ends, ends) == pytest.approx(-1)
    # A hub costs no more memory than any other server.
    assert edge_rank_correlation(np.array([1, 5, 10**15]), np.array([2, 3, 4]), ends, ends) == pytest.approx(1)
    assert isnan(edge_rank_correlation(np.array([1, 1, 1]), np.array([4, 3, 2]), ends, ends))


@given(federations())
def test_largest_count_of_a_room(federation):
    home = federation.user_server.tolist()
    counts = [[[home[u] for u in room].count(s) for s in range(federation.n_servers)] for room in rooms_of(federation)]
    assert largest_count(federation).tolist() == [max(count) for count in counts]


@given(federations(), st.data())
def test_a_subset_is_the_federation_of_its_rooms(federation, data):
    rooms = rooms_of(federation)
    keep = data.draw(st.lists(st.booleans(), min_size=len(rooms), max_size=len(rooms)).filter(any))
    part = with_rooms(federation, np.array(keep))
    part.check()
    kept = [room for room, kept in zip(rooms, keep, strict=True) if kept]
    users = sorted({user for room in kept for user in room})
    home = federation.user_server.tolist()
    servers = sorted({home[user] for user in users})
    assert rooms_of(part) == [[users.index(user) for user in room] for room in kept]
    assert part.user_server.tolist() == [servers.index(home[user]) for user in users]
    assert part.n_servers == len(servers)
    assert part.membership_user.dtype == federation.membership_user.dtype


def test_a_subset_of_all_or_none():
    federation = Federation.from_pairs([0, 0, 1], [0, 1, 2], [0, 0, 1])
    assert with_rooms(federation, np.ones(2, dtype=bool)).same_as(federation)
    assert with_rooms(federation, np.zeros(2, dtype=bool)).n_memberships == 0


@given(federations())
def test_load_curve(federation):
    traffic = load(federation)
    users = federation.users_per_server
    order = sorted(range(federation.n_servers), key=lambda s: (-users[s], -traffic.tx[s], -traffic.rx[s]))
    assert [users[s] for s in ranking(users, traffic.tx, traffic.rx)] == [users[s] for s in order]
    curve = load_curve(users, traffic.tx, traffic.rx)
    total = 2 * traffic.total
    twin = [
        sum(traffic.tx[s] + traffic.rx[s] for s in order[:i]) / total if total else 0 for i in range(len(order) + 1)
    ]
    assert curve == pytest.approx(twin, abs=1e-12)
    share = hub_share(users, traffic.tx, traffic.rx)
    assert same(share, traffic.tx[order[0]] / traffic.total if total else float("nan"))
    assert load_per_user(users, traffic.tx) == pytest.approx(traffic.total / federation.n_users)


def test_servers_are_ranked_by_users_then_tx_and_never_by_id():
    users, tx, rx = np.array([3, 5, 5, 3]), np.array([9.0, 1.0, 2.0, 9.0]), np.array([1.0, 0, 0, 2.0])
    assert ranking(users, tx, rx).tolist() == [2, 1, 3, 0]


@given(sizes)
def test_gini_is_half_the_relative_mean_difference(values):
    count, total = len(values), sum(values)
    twin = sum(abs(a - b) for a in values for b in values) / (2 * count * total)
    assert gini(np.array(values)) == pytest.approx(twin, abs=1e-12)


@given(sizes, st.integers(1, 20))
def test_top_share_and_hhi(values, count):
    total = sum(values)
    assert top_share(np.array(values), count) == pytest.approx(sum(sorted(values)[::-1][:count]) / total)
    assert hhi(np.array(values)) == pytest.approx(sum((v / total) ** 2 for v in values))


def test_shares_of_nothing_are_undefined():
    nothing = np.zeros(3, dtype=int)
    assert isnan(gini(nothing))
    assert isnan(hhi(nothing))
    assert isnan(top_share(nothing, 1))


def test_concentration_names_what_the_paper_tells():
    told = concentration(Federation.from_pairs([0, 0, 0, 1], [0, 1, 2, 3], [0, 0, 0, 0]))
    assert told["top-1 share of users"] == 0.75
    assert told["top-2 share of users"] == 1
    assert told["HHI of users over servers"] == pytest.approx(0.625)


def test_classes_and_half_decades_at_their_edges():
    assert size_class(np.array([1, 2, 3, 4, 10, 11, 100, 101, 10**9])).tolist() == [0, 1, 2, 3, 3, 4, 4, 5, 5]
    assert half_decade(np.array([1, 3, 4, 9, 10, 31, 32, 99, 100, 999, 1000])).tolist() == [
        0,
        0,
        1,
        1,
        2,
        2,
        3,
        3,
        4,
        5,
        6,
    ]


@given(st.integers(1, 10**18))
def test_half_decade_is_exact(size):
    """In whole numbers: 10^b <= size^2 < 10^(b + 1)."""
    low = int(half_decade(np.array([size]))[0])
    assert 10**low <= size**2 < 10 ** (low + 1)


@given(st.integers(1, 10**6), st.integers(1, 10**6), st.integers(1, 10**6), st.integers(1, 10**6))
def test_spike_bins_tell_pairs_of_half_decades_apart(a, b, c, d):
    bins = spike_bin(np.array([a, c]), np.array([b, d]))
    pairs = [tuple(half_decade(np.array(pair)).tolist()) for pair in ((a, b), (c, d))]
    assert (bins[0] == bins[1]) == (pairs[0] == pairs[1])
