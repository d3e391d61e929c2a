"""The vocabulary of statistics: known answers by hand, slow twins, words, and what is refused."""

from itertools import pairwise
from math import inf, isclose, isnan, nan
from pathlib import Path
from statistics import mean, median
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedgen.errors import StatisticError, UsageError
from fedgen.federation import Federation
from fedgen.statistics.load import ranking
from fedgen.statistics.margins import MARGINS, ranked
from fedgen.statistics.vocabulary import VOCABULARY, Statistic, Where, measure_all
from fedgen.traffic.equations import load
from tests.strategies import federations


@pytest.fixture(scope="module")
def small() -> Federation:
    """Server 0 has users 0, 1, 2; server 1 has user 3; server 2 has user 4.

    Room 0 holds 0, 1, 3; room 1 holds 0, 4; room 2 holds 1, 2; room 3 holds 3 alone. So n = 3 1 1, m = 3 2 1,
    e = 5 2 1, k = 2 2 1 1, u = 3 2 2 1, d = 2 2 1 2 1; tx = 1/2 + 1/2 (room 0) + 1/2 (room 1), 1/2, 1;
    rx = 1/2 + 1, 1, 1/2.
    """
    pairs = [(0, 0), (1, 0), (3, 0), (0, 1), (4, 1), (1, 2), (2, 2), (3, 3)]
    return Federation.from_pairs([0, 0, 0, 1, 2], [user for user, _ in pairs], [room for _, room in pairs])


KNOWN = [
    (Statistic("number", of="users"), 5, "number of users"),
    (Statistic("number", of="memberships"), 8, "number of memberships"),
    (Statistic("number", of="presences"), 6, "number of presences"),
    (Statistic("count", of="users_per_room", least=2), 3, "rooms with users per room >= 2"),
    (Statistic("count", of="users_per_room", least=2, most=2), 2, "rooms with users per room = 2"),
    (
        Statistic("share", of="rooms_per_user", least=1, most=2),
        1,
        "share of users with rooms per user from 1 to 2",
    ),
    (Statistic("share", of="servers_per_room", most=1), 0.5, "share of rooms with servers per room <= 1"),
    (
        Statistic("count", of="users_per_room", least=3, where=Where("servers_per_room", most=1)),
        0,
        "rooms with users per room >= 3 where servers per room <= 1",
    ),
    (Statistic("rank", of="memberships_per_server", rank=1), 5, "largest memberships per server"),
    (Statistic("rank", of="memberships_per_server", rank=2), 2, "2nd largest memberships per server"),
    (Statistic("rank", of="memberships_per_server", rank=4), nan, "4th largest memberships per server"),
    (Statistic("min", of="users_per_room"), 1, "smallest users per room"),
    (Statistic("min", of="users_per_server_of_room"), 1, "smallest users per server of room"),
    (Statistic("max", of="users_per_server_of_room"), 2, "largest users per server of room"),
    (Statistic("median", of="users_per_room"), 2, "median users per room"),
    (Statistic("mean", of="rooms_per_server"), 2, "mean rooms per server"),
    (Statistic("max", of="users_per_room", where=Where("servers_per_room", least=3)), nan, None),
    (Statistic("share", of="users_per_room", most=9, where=Where("servers_per_room", least=3)), nan, None),
    (Statistic("count", of="users_per_room", most=9, where=Where("servers_per_room", least=3)), 0, None),
    (
        Statistic("mean", of="users_per_room", where=Where("servers_per_room", largest=(1, 1))),
        3,
        "mean users per room where servers per room is largest",
    ),
    (
        Statistic("mean", of="users_per_room", where=Where("servers_per_room", largest=(3, 3))),
        2,
        "mean users per room where servers per room is 3rd largest",
    ),
    (
        Statistic("mean", of="users_per_room", where=Where("servers_per_room", lowest=(1, 2))),
        1.5,
        "mean users per room where servers per room ranks 1 to 2 from the lowest",
    ),
    (Statistic("sum", of="users_per_server", ranks=(2, None)), 2, "sum of users per server: servers 2 on"),
    (Statistic("sum", of="users_per_server", ranks=(1, 2)), 4, "sum of users per server: servers 1 to 2"),
    (Statistic("sum", of="users_per_server", ranks=(4, None)), nan, None),
    (
        Statistic("sum_share", of="users_per_server", ranks=(1, 1)),
        0.6,
        "share of the sum of users per server: server 1",
    ),
    (Statistic("gini", of="servers_per_room"), 1 / 6, "Gini of servers per room"),
    (Statistic("hhi", of="users_per_server"), 0.44, "HHI of users per server"),
    (Statistic("transactions"), 3, "transactions"),
    (Statistic("transactions_per_user"), 0.6, "transactions per user"),
    (Statistic("load_share", of="tx", ranks=(1, 1)), 0.5, "share of all tx: server 1"),
    # Servers 1 and 2 have one user each; server 2 sends more and comes first.
    (Statistic("load_share", of="rx", ranks=(2, 2)), 1 / 6, "share of all rx: server 2"),
    (Statistic("load_share", of="both", ranks=(2, None)), 0.5, "share of all tx + rx: servers 2 on"),
    (Statistic("load_share", of="both", ranks=(4, 5)), nan, None),
    # The curve 1.5, 2, 3 of rx against its chord 1.5, 2.25, 3, and 3, 4, 5 of users, which is straight.
    (Statistic("load_bend", of="rx", ranks=(1, 3)), 0.25 / 1.5, "bend of cumulative rx: servers 1 to 3"),
    (Statistic("load_bend", of="users", ranks=(1, None)), 0, "bend of cumulative users: servers 1 on"),
    (Statistic("load_bend", of="tx", ranks=(2, 2)), 0, None),
    (Statistic("load_bend", of="tx", ranks=(4, 9)), nan, None),
    (Statistic("foreign_fan_out", ranks=(1, 1)), 1, "fan-out of foreign messages: server 1"),
    (Statistic("imbalance"), 0, "imbalance of tx and rx"),
    (Statistic("well_formed"), 1, "well-formed (1) or not (0)"),
    (Statistic("servers_within_users"), 1, "share of rooms with servers <= users"),
    (Statistic("butterflies"), 0, "butterflies"),
    (Statistic("butterflies_per_membership"), 0, "butterflies per membership"),
    # d 2 2 2 2 1 2 1 2 against u 3 3 3 2 2 2 2 1: mid-ranks 5.5 or 1.5 (users 4 and 2), and 7, 3.5 or 1.
    (Statistic("rank_correlation", of="memberships"), 0.2760262, "rank correlation over memberships"),
    # n 3 1 3 1 3 1 against k 2 2 2 2 1 1: mid-ranks 5 or 2, and 4.5 or 1.5.
    (Statistic("rank_correlation", of="presences"), 0, "rank correlation over presences"),
]


@pytest.mark.parametrize(("statistic", "value", "words"), KNOWN)
def test_by_hand(statistic: Statistic, value: float, words: str | None, small: Federation) -> None:
    assert statistic.measure(small) == pytest.approx(value, nan_ok=True)
    assert words is None or str(statistic) == words


def test_the_examples_cover_every_name() -> None:
    assert {statistic.name for statistic, _, _ in KNOWN} == set(VOCABULARY)


def test_all_at_once_is_one_by_one(small: Federation) -> None:
    statistics = [statistic for statistic, _, _ in KNOWN]
    np.testing.assert_array_equal(measure_all(statistics, small), [each.measure(small) for each in statistics])


def test_whole_numbers_and_ranges(small: Federation) -> None:
    for statistic, _, _ in KNOWN:
        value = statistic.measure(small)
        low, high = statistic.range
        assert isnan(value) or low <= value <= high + 1e-12
        assert not statistic.whole or isnan(value) or value == round(value)
    whole = {"number", "count", "rank", "min", "max", "sum", "well_formed", "butterflies"}
    assert {statistic.name for statistic, _, _ in KNOWN if statistic.whole} == whole
    assert not Statistic("max", of="users_per_server_of_room").whole
    assert Statistic("count", of="users_per_server_of_room", most=1).whole
    assert Statistic("share", of="rooms_per_user", most=1).range == (0, 1)
    assert Statistic("rank_correlation", of="presences").range == (-1, 1)
    assert Statistic("transactions").range == (0, inf)


def test_a_federation_that_sends_nothing() -> None:
    lone = Federation.from_pairs([0], [0], [0])
    for statistic, value in (
        (Statistic("transactions"), 0),
        (Statistic("imbalance"), 0),
        (Statistic("load_share", of="tx", ranks=(1, 1)), nan),
        (Statistic("load_bend", of="both", ranks=(1, None)), 0),
        (Statistic("foreign_fan_out", ranks=(1, 1)), nan),
    ):
        assert statistic.measure(lone) == pytest.approx(value, nan_ok=True)


def test_what_is_not_well_formed() -> None:
    doubled = Federation(1, np.array([0, 0]), np.array([0, 2]), np.array([1, 1]))
    assert Statistic("well_formed").measure(doubled) == 0


def test_numbers_beyond_everything_select_nothing(small: Federation) -> None:
    huge = 2**62
    assert Statistic("count", of="users_per_room", least=huge).measure(small) == 0
    assert isnan(Statistic("sum", of="users_per_room", ranks=(huge, None)).measure(small))
    assert isnan(
        Statistic("max", of="users_per_room", where=Where("servers_per_room", lowest=(huge, huge))).measure(small)
    )


# Twins: the definitions, one unit after the other.


class Plain:
    """A federation as lists and sets."""

    def __init__(self, federation: Federation) -> None:
        self.home = federation.user_server.tolist()
        users = federation.membership_user.tolist()
        self.members = [users[a:b] for a, b in pairwise(federation.room_offsets.tolist())]
        self.servers = [sorted({self.home[user] for user in room}) for room in self.members]
        self.rooms = [sum(user in room for room in self.members) for user in range(len(self.home))]
        self.size = federation.n_servers

    def margin(self, name: str) -> list[float]:
        servers, users = range(self.size), range(len(self.home))
        return {
            "users_per_server": lambda: [self.home.count(s) for s in servers],
            "rooms_per_server": lambda: [sum(s in hosts for hosts in self.servers) for s in servers],
            "memberships_per_server": lambda: [sum(self.rooms[u] for u in users if self.home[u] == s) for s in servers],
            "servers_per_room": lambda: [len(hosts) for hosts in self.servers],
            "users_per_room": lambda: [len(room) for room in self.members],
            "users_per_server_of_room": lambda: [
                len(room) / len(hosts) for room, hosts in zip(self.members, self.servers, strict=True)
            ],
            "rooms_per_user": lambda: self.rooms,
        }[name]()

    def ranked(self, name: str) -> list[int]:
        keys = [self.margin(key) for key in (name, *MARGINS[name].ties)]
        return sorted(range(len(keys[0])), key=lambda unit: [-key[unit] for key in keys])

    def messages(self) -> list[tuple[int, int, int, float]]:
        """Every transaction: from server, to server, servers of the room less one, rate."""
        return [
            (self.home[user], other, len(hosts) - 1, 1 / self.rooms[user])
            for room, hosts in zip(self.members, self.servers, strict=True)
            for user in room
            for other in hosts
            if other != self.home[user]
        ]


def agree(found: float, plain: float) -> bool:
    return (isnan(found) and isnan(plain)) or isclose(found, plain, rel_tol=1e-9, abs_tol=1e-9)


margins = st.sampled_from(sorted(MARGINS))
bounds = st.tuples(st.none() | st.integers(0, 6), st.none() | st.integers(0, 6)).filter(
    lambda pair: pair != (None, None) and (None in pair or pair[0] <= pair[1])
)
spans = st.tuples(st.integers(1, 9), st.integers(0, 9)).map(lambda pair: (pair[0], pair[0] + pair[1]))
open_spans = spans | st.integers(1, 9).map(lambda first: (first, None))


def inside(value: float, least: int | None, most: int | None) -> bool:
    return (least is None or value >= least) and (most is None or value <= most)


@given(federations(), margins)
def test_margins_and_their_rankings(federation: Federation, name: str) -> None:
    plain = Plain(federation)
    values = MARGINS[name].of(federation)
    assert values.tolist() == plain.margin(name)
    # Units that tie in every margin may change places.
    keys = [MARGINS[key].of(federation) for key in (name, *MARGINS[name].ties)]
    for key in keys:
        assert key[ranked(federation, name)].tolist() == [key[unit] for unit in plain.ranked(name)]


@given(federations(), margins, bounds)
def test_counts_and_shares(federation: Federation, name: str, ends: tuple[int | None, int | None]) -> None:
    values = Plain(federation).margin(name)
    count = sum(inside(value, *ends) for value in values)
    asked: dict[str, Any] = {"of": name, "least": ends[0], "most": ends[1]}
    assert Statistic("count", **asked).measure(federation) == count
    assert agree(Statistic("share", **asked).measure(federation), count / len(values))


@given(federations(), margins, st.data())
def test_summaries_where(federation: Federation, name: str, data: st.DataObject) -> None:
    other = data.draw(st.sampled_from([key for key, margin in MARGINS.items() if margin.unit == MARGINS[name].unit]))
    plain = Plain(federation)
    values, by, order = plain.margin(name), plain.margin(other), plain.ranked(other)
    if data.draw(st.booleans()):
        least, most = data.draw(bounds)
        where = Where(other, least=least, most=most)
        chosen = [unit for unit in order if inside(by[unit], least, most)]
    else:
        first, last = data.draw(spans)
        largest = data.draw(st.booleans())
        where = Where(other, largest=(first, last)) if largest else Where(other, lowest=(first, last))
        chosen = (order if largest else order[::-1])[first - 1 : last]
    part = [values[unit] for unit in chosen]
    for word, summary in (("min", min), ("max", max), ("median", median), ("mean", mean)):
        found = Statistic(word, of=name, where=where).measure(federation)
        assert agree(found, summary(part) if part else nan)
    assert Statistic("count", of=name, most=2, where=where).measure(federation) == sum(v <= 2 for v in part)


@given(federations(), margins, open_spans)
def test_ranks_and_sums(federation: Federation, name: str, ranks: tuple[int, int | None]) -> None:
    values = sorted(Plain(federation).margin(name), reverse=True)
    first, last = ranks
    taken = values[first - 1 : last]
    rank = Statistic("rank", of=name, rank=first)
    assert agree(rank.measure(federation), values[first - 1] if first <= len(values) else nan)
    assert agree(rank.canonical.measure(federation), rank.measure(federation))
    total = sum(taken) if taken else nan
    assert agree(Statistic("sum", of=name, ranks=ranks).measure(federation), total)
    assert agree(Statistic("sum_share", of=name, ranks=ranks).measure(federation), total / sum(values))


@given(federations(), open_spans)
def test_loads(federation: Federation, ranks: tuple[int, int | None]) -> None:
    plain = Plain(federation)
    messages = plain.messages()
    total = sum(rate for *_, rate in messages)
    found = load(federation)
    order = ranking(federation.users_per_server, found.tx, found.rx).tolist()
    first, last = ranks
    asked = order[first - 1 : last]
    sent = {s: sum(rate for source, _, _, rate in messages if source == s) for s in order}
    got = {s: sum(rate for _, to, _, rate in messages if to == s) for s in order}
    both = {s: sent[s] + got[s] for s in order}
    users = {s: float(plain.home.count(s)) for s in order}
    assert agree(Statistic("transactions").measure(federation), total)
    assert agree(Statistic("transactions_per_user").measure(federation), total / len(plain.home))
    for of, each, whole in (("tx", sent, total), ("rx", got, total), ("both", both, 2 * total)):
        share = sum(each[s] for s in asked) / whole if asked and total else nan
        assert agree(Statistic("load_share", of=of, ranks=ranks).measure(federation), share)
    for of, each in (("tx", sent), ("rx", got), ("both", both), ("users", users)):
        curve = [sum(each[s] for s in order[:i]) for i in range(1, len(order) + 1)][first - 1 : last]
        bend = nan
        if curve:
            rise, steps = curve[-1] - curve[0], max(len(curve) - 1, 1)
            strays = [abs(y - curve[0] - rise * i / steps) for i, y in enumerate(curve)]
            bend = max(strays) / rise if rise > 1e-9 else 0.0
        assert agree(Statistic("load_bend", of=of, ranks=ranks).measure(federation), bend)
    reached = [(others, rate) for _, to, others, rate in messages if to in asked]
    weight = sum(rate for _, rate in reached)
    fan_out = sum(others * rate for others, rate in reached) / weight if reached else nan
    assert agree(Statistic("foreign_fan_out", ranks=ranks).measure(federation), fan_out)


@given(federations())
def test_what_every_federation_has(federation: Federation) -> None:
    values = measure_all(map(Statistic, ("well_formed", "servers_within_users", "imbalance")), federation)
    assert values[:2] == (1, 1)
    assert values[2] < 1e-12
    for size in ("users", "servers", "rooms", "memberships", "presences"):
        assert Statistic("number", of=size).measure(federation) == getattr(federation, f"n_{size}")


# What is refused.


@pytest.mark.parametrize(
    ("make", "key", "told"),
    [
        (
            lambda: Statistic("shares"),
            "statistic",
            "unknown statistic 'shares'; give one of number, count, share, rank, ",
        ),
        (lambda: Statistic("max"), "statistic", "no of is given; give one of users_per_server, "),
        (lambda: Statistic("max", of="users"), "of", "unknown margin 'users'; give one of users_per_server, "),
        (lambda: Statistic("number", of="rx"), "of", "unknown size 'rx'; give one of users, servers, "),
        (
            lambda: Statistic("load_share", of="users", ranks=(1, 1)),
            "of",
            "unknown load 'users'; give one of tx, rx, both",
        ),
        (lambda: Statistic("gini", of="rooms_per_user", least=1), "least", "gini takes no least; it takes of"),
        (lambda: Statistic("transactions", of="tx"), "of", "transactions takes no of; it takes nothing"),
        (lambda: Statistic("share", of="rooms_per_user"), "statistic", "share needs bounds; give least, most or both"),
        (lambda: Statistic("rank", of="rooms_per_user"), "statistic", "rank needs rank; give a rank, 1 the largest"),
        (
            lambda: Statistic("sum", of="rooms_per_user"),
            "statistic",
            "sum needs ranks; give the first and the last rank",
        ),
        (lambda: Statistic("rank", of="rooms_per_user", rank=0), "rank", "rank is 0; ranks count from 1"),
        (
            lambda: Statistic("sum", of="rooms_per_user", ranks=(0, 2)),
            "ranks",
            "ranks 0 to 2 are none; they count from 1",
        ),
        (lambda: Statistic("sum", of="rooms_per_user", ranks=(3, 2)), "ranks", "ranks 3 to 2 are none"),
        (lambda: Statistic("sum", of="rooms_per_user", ranks=(0, None)), "ranks", "ranks 0 to the end are none"),
        (lambda: Statistic("count", of="rooms_per_user", least=3, most=2), "least", "least 3 is above most 2"),
        (
            lambda: Statistic("max", of="users_per_room", where=Where("rooms_per_user", least=1)),
            "where",
            "rooms_per_user is not a margin of rooms; where takes servers_per_room, users_per_room, ",
        ),
        (lambda: Where("rooms", least=1), "where", "unknown margin 'rooms'; give one of users_per_server, "),
        (lambda: Where("users_per_room"), "where", "where takes bounds (least, most), or largest, or lowest; give one"),
        (lambda: Where("users_per_room", least=1, largest=(1, 1)), "where", "where takes bounds"),
        (lambda: Where("users_per_room", lowest=(2, 1)), "where", "ranks 2 to 1 are none"),
        (lambda: Where("users_per_room", least=2, most=1), "where", "least 2 is above most 1"),
    ],
)
def test_errors(make: Any, key: str, told: str) -> None:
    with pytest.raises(StatisticError) as caught:
        make()
    assert caught.value.key == key
    assert str(caught.value).startswith(told)
    assert isinstance(caught.value, UsageError)


def test_the_page_has_the_vocabulary() -> None:
    page = (Path(__file__).parents[1] / "docs" / "figures.md").read_text()
    for name, entry in VOCABULARY.items():
        takes = ", ".join(f"`of` a {entry.noun}" if key == "of" else f"`{key}`" for key in entry.takes) or "nothing"
        assert f"| `{name}` | {takes} | {entry.meaning} |" in page
    for entry in VOCABULARY.values():
        assert all(f"`{of}`" in page for of in entry.of)
