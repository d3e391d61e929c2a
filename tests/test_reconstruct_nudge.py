"""Users who change places move a share of the load and nothing else; what figures ask of the load."""

from math import inf

import numpy as np
import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from fedgen.errors import FiguresError
from fedgen.federation import Federation
from fedgen.statistics.vocabulary import Statistic
from fedgen.traffic.equations import load
from gen.reconstruct.load import Share, actual_share, messages_asked, shares_asked
from gen.reconstruct.nudge import nudged
from gen.reconstruct.told import Told
from tests.strategies import federations


def margins(f: Federation) -> list[list[int]]:
    found = (f.users_per_server, f.rooms_per_server, f.servers_per_room, f.users_per_room, f.rooms_per_user)
    p = f.presences
    return [x.tolist() for x in (*found, p.server, p.room, p.users)]


def lively(seed: int = 3) -> Federation:
    """Three servers of 60, 30 and 10 users in 30 rooms, some of one server, some of all."""
    rng = np.random.default_rng(seed)
    home = np.repeat([0, 1, 2], [60, 30, 10])
    allowed = np.array([[True, r % 3 > 0, r % 3 > 1] for r in range(30)])
    pairs = set()
    for user, server in enumerate(home.tolist()):
        rooms = np.flatnonzero(allowed[:, server])
        pairs |= {(user, int(r)) for r in rng.choice(rooms, min(len(rooms), 1 + rng.geometric(0.3)), replace=False)}
    pairs |= {(0, r) for r in range(30)}
    user, room = np.array(sorted(pairs)).T
    return Federation.from_pairs(home, user, room, n_servers=3, n_rooms=30)


class TestNudge:
    @given(federations(), st.sampled_from(["tx", "both"]), st.floats(0.0, 1.0), st.integers(0, 2**32))
    @example(Federation.from_pairs([0, 0, 1, 2], [1, 2, 3, 0, 0], [0, 0, 0, 1, 2]), "both", 1.0, 0)
    def test_every_margin_stays(self, federation: Federation, of: str, aim: float, seed: int) -> None:
        share = Share(of, 0, 1, aim - 1e-3, aim + 1e-3)
        moved = nudged(federation, share, np.random.default_rng(seed))
        moved.check()
        assert margins(moved) == margins(federation)
        if load(federation).total > 0:
            before, after = (abs(actual_share(share, f) - share.middle) for f in (federation, moved))
            assert after <= before + 1e-9

    @given(st.sampled_from(["tx", "both"]), st.integers(0, 1), st.floats(-0.005, 0.005), st.integers(0, 9))
    @settings(max_examples=30)
    def test_the_share_comes_into_its_interval(self, of: str, first: int, off: float, seed: int) -> None:
        federation = lively(seed)
        at = actual_share(Share(of, first, first + 1, 0, 1), federation)
        share = Share(of, first, first + 1, at + off - 2e-4, at + off + 2e-4)
        moved = nudged(federation, share, np.random.default_rng(seed))
        assert share.low <= actual_share(share, moved) <= share.high
        assert margins(moved) == margins(federation)

    def test_what_is_met_stays(self) -> None:
        federation = lively()
        at = actual_share(Share("tx", 0, 1, 0, 1), federation)
        assert nudged(federation, Share("tx", 0, 1, at - 0.01, at + 0.01), np.random.default_rng(0)) is federation

    @given(federations(), st.data())
    def test_what_a_change_of_places_sends(self, federation: Federation, data: st.DataObject) -> None:
        """The docstring's formula against the load equations: (1/d_i - 1/d_j) (k_b - k_a)."""
        user, room = federation.membership_user.tolist(), federation.membership_room.tolist()
        held = set(zip(user, room, strict=True))
        home, d, k = federation.user_server, federation.rooms_per_user, federation.servers_per_room
        able = [
            (x, y)
            for x in range(len(user))
            for y in range(len(user))
            if home[user[x]] == home[user[y]] and (user[x], room[y]) not in held and (user[y], room[x]) not in held
        ]
        assume(able)
        x, y = data.draw(st.sampled_from(able))
        i, j, a, b = user[x], user[y], room[x], room[y]
        changed = [*user]
        changed[x], changed[y] = j, i
        after = Federation.from_pairs(home, changed, room, n_servers=federation.n_servers, n_rooms=federation.n_rooms)
        more = load(after).tx - load(federation).tx
        expected = np.zeros(federation.n_servers)
        expected[home[i]] = (1 / d[i] - 1 / d[j]) * (k[b] - k[a])
        assert more == pytest.approx(expected, abs=1e-9)


class TestShares:
    @given(federations())
    def test_actual_shares_are_those_of_the_vocabulary(self, federation: Federation) -> None:
        for of in ("tx", "both"):
            for first, last in ((1, 1), (2, 3), (1, None)):
                share = Share(of, first - 1, federation.n_servers if last is None else last, 0, 1)
                told = Statistic("load_share", of=of, ranks=(first, last)).measure(federation)
                if first > federation.n_servers:
                    continue
                assert actual_share(share, federation) == pytest.approx(told, nan_ok=True)

    @staticmethod
    def told(of: str, ranks: tuple[int, int | None], low: float, high: float) -> Told:
        return Told(f"{of} {ranks}", Statistic("load_share", of=of, ranks=ranks), low, high)

    def test_all_but_the_first_is_the_same_figure(self) -> None:
        figures = [self.told("tx", (1, 1), 0.86, 0.9), self.told("tx", (2, None), 0.05, 0.12)]
        (share,) = shares_asked(figures, 50)
        assert (share.of, share.first, share.last) == ("tx", 0, 1)
        assert (share.low, share.high) == pytest.approx((0.88, 0.9))

    def test_contradictions_are_named(self) -> None:
        figures = [self.told("tx", (1, 1), 0.86, 0.9), self.told("tx", (2, None), 0.15, 0.2)]
        with pytest.raises(FiguresError, match=r'"tx \(1, 1\)", "tx \(2, None\)" together'):
            shares_asked(figures, 50)

    def test_both_is_half_of_tx_and_rx(self) -> None:
        figures = [self.told("tx", (1, 1), 0.86, 0.9), self.told("rx", (1, 1), 0.0, 0.1)]
        assert [share.of for share in shares_asked([*figures, self.told("both", (1, 1), 0.4, 0.45)], 50)] == ["tx"]
        with pytest.raises(FiguresError, match="together"):
            shares_asked([*figures, self.told("both", (1, 1), 0.6, 0.65)], 50)

    def test_a_bound_on_lesser_servers_is_no_aim(self) -> None:
        assert shares_asked([self.told("tx", (2, 2), 0.0, 0.1)], 50) == []

    def test_nothing_sent(self) -> None:
        alone = Federation.from_pairs([0, 0], [0, 1], [0, 0])
        share = Share("tx", 0, 1, 0.5, 0.6)
        assert np.isnan(actual_share(share, alone))
        assert nudged(alone, share, np.random.default_rng(0)) is alone


class TestMessages:
    @given(st.integers(0, 2**32))
    def test_within_what_is_told(self, seed: int) -> None:
        rng = np.random.default_rng(seed)
        told = Told("t", Statistic("transactions"), 100.0, 200.0)
        messages = messages_asked([told], 10, 5, rng)
        assert messages.total is not None
        assert 100 <= messages.total <= 200
        assert messages.rho is None
        each = Told("t", Statistic("transactions_per_user"), 10.0, 20.0)
        total = messages_asked([each], 10, 5, rng).total
        assert total is not None
        assert 100 <= total <= 200

    @given(st.integers(0, 2**32))
    def test_what_the_first_server_hears_tells_all_messages(self, seed: int) -> None:
        rx = Told("rx", Statistic("load_share", of="rx", ranks=(1, 1)), 0.01, 0.02)
        messages = messages_asked([rx], 1000, 400, np.random.default_rng(seed))
        assert messages.rho is not None
        assert messages.total is not None
        assert 0.01 <= messages.rho <= 0.02
        assert 0.5 * 400 <= messages.rho * messages.total <= 400
        assert 0.01 <= messages.rho - messages.air <= messages.rho + messages.air <= 0.02

    def test_nothing_told(self) -> None:
        messages = messages_asked([], 10, 5, np.random.default_rng(0))
        assert (messages.total, messages.rho) == (None, None)
        lower = Told("t", Statistic("transactions"), 100.0, inf)
        assert messages_asked([lower], 10, 5, np.random.default_rng(0)).total is None
