"""What if users of the hubs move out: the curve, its ends, and what one user adds."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fedgen.errors import UsageError
from fedgen.federation import Federation
from fedgen.figures.mechanisms import LOOKS, ranked
from fedgen.figures.pages import encoded
from fedgen.figures.what_if import curves
from fedgen.statistics.structure import hhi
from fedgen.traffic.equations import load
from fedgen.traffic.mechanisms import MECHANISMS
from gen.decentralization import Decentralization, decentralize
from gen.what_if import hubs_of, what_if
from tests.strategies import federations

STEPS = {
    "share": [0.0, 0.5, 1.0],
    "load_per_user": [1.0, 2.0, 3.0],
    "hub_tx": [5.0, 9.0, 0.0],
    "largest_load": [6.0, 9.0, 2.0],
    "median_load": [1.0, 1.0, 1.0],
    "effective_servers": [2.0, 5.0, 90.0],
}
"""Columns of a curve."""


def increment(federation: Federation, user: int) -> float:
    """What T grows by if a user moves out, by loops: for each of his rooms in which his server keeps a user, the
    messages of all its users.
    """
    home = federation.user_server.tolist()
    rooms: dict[int, list[int]] = {}
    members: dict[int, list[int]] = {}
    for u, r in zip(federation.membership_user.tolist(), federation.membership_room.tolist(), strict=True):
        rooms.setdefault(u, []).append(r)
        members.setdefault(r, []).append(u)
    return sum(
        sum(1 / len(rooms[v]) for v in members[r])
        for r in rooms[user]
        if any(home[v] == home[user] for v in members[r] if v != user)
    )


def without(federation: Federation, user: int) -> Federation:
    """The federation with a user on a server of his own."""
    home = federation.user_server.copy()
    home[user] = federation.n_servers
    return Federation.from_pairs(home, federation.membership_user, federation.membership_room)


class TestCurve:
    def test_begins_with_the_federation_itself(self, teams: Federation) -> None:
        first, exact = what_if(teams, (0.0,))[0], load(teams)
        assert (first.moved, first.servers) == (0, teams.n_servers)
        assert first.transactions == pytest.approx(exact.total, rel=1e-12)
        assert first.load_per_user == pytest.approx(exact.total / teams.n_users, rel=1e-12)
        assert first.effective_servers == pytest.approx(1 / hhi(teams.users_per_server), rel=1e-12)
        assert first.hub_tx == pytest.approx(exact.tx[hubs_of(teams)[0]], rel=1e-12)
        assert first.largest_load == pytest.approx((exact.tx + exact.rx).max(), rel=1e-12)
        assert first.median_load == pytest.approx(np.median(exact.tx + exact.rx), rel=1e-12)

    @given(federations(), st.integers(0, 9))
    @settings(max_examples=30)
    def test_the_total_never_falls(self, federation: Federation, seed: int) -> None:
        steps = what_if(federation, (0.0, 0.1, 0.3, 0.5, 0.9, 1.0), seed)
        totals = np.array([step.transactions for step in steps])
        assert np.all(np.diff(totals) >= -1e-9 * totals[1:])
        assert np.all(np.diff([step.moved for step in steps]) >= 0)
        assert [step.servers - federation.n_servers for step in steps] == [step.moved for step in steps]

    def test_same_seed_same_curve(self, teams: Federation) -> None:
        assert what_if(teams, (0.3,), 1) == what_if(teams, (0.3,), 1) != what_if(teams, (0.3,), 2)
        assert what_if(teams, (0.3,), rate=2.0)[0].transactions == pytest.approx(
            2 * what_if(teams, (0.3,))[0].transactions
        )

    def test_hubs_may_be_given(self, teams: Federation) -> None:
        smallest = np.argsort(teams.users_per_server, kind="stable")[-5:-4]
        (step,) = what_if(teams, (1.0,), hubs=smallest)
        assert step.moved == teams.users_per_server[smallest[0]] - 1


class TestIncrement:
    @given(federations(), st.data())
    def test_of_one_user(self, federation: Federation, data: st.DataObject) -> None:
        user = data.draw(st.integers(0, federation.n_users - 1))
        if federation.users_per_server[federation.user_server[user]] == 1:
            return
        added = load(without(federation, user)).total - load(federation).total
        assert added == pytest.approx(increment(federation, user), rel=1e-9, abs=1e-9)

    def test_step_by_step(self, teams: Federation) -> None:
        """Users leave the largest server one after the other; the sum of what each adds is what the move adds."""
        hub = hubs_of(teams)[:1]
        moved = decentralize(teams, hub, Decentralization(move_hub_users=0.01), 4).federation
        now, total = teams, load(teams).total
        leaving = 7
        assert moved.n_servers - teams.n_servers == leaving
        rng = np.random.default_rng(4)
        for _ in range(leaving):
            user = int(rng.choice(np.flatnonzero(now.user_server == hub[0])))
            total += increment(now, user)
            now = without(now, user)
        assert load(now).total == pytest.approx(total, rel=1e-9)


class TestFigures:
    def test_what_if(self) -> None:
        figure = curves({"×1": STEPS, "×10": STEPS})
        assert [axes.get_title(loc="left") for axes in figure.axes] == [
            "transactions per user (T/U)", "what servers carry", "effective servers (1/HHI)",
        ]  # fmt: skip
        assert {text.get_text() for text in figure.axes[1].texts} == {
            "largest tx + rx", "tx of the hub", "median tx + rx",
        }  # fmt: skip
        assert encoded(figure, "svg", "test") == encoded(figure, "svg", "test")

    def test_what_if_refuses(self) -> None:
        with pytest.raises(UsageError, match="no federation"):
            curves({})
        with pytest.raises(UsageError, match="one: has no median_load"):
            curves({"one": {key: values for key, values in STEPS.items() if key != "median_load"}})

    def test_mechanisms(self) -> None:
        assert set(LOOKS) == set(MECHANISMS)
        assert len({str(look) for look in LOOKS.values()}) == len(LOOKS)
        figure = ranked("test", {"tree": np.array([0.0, 3.0, 9.0]), "broadcast": np.array([100.0, 1.0, 0.0])})
        (legend,) = figure.legends
        assert [text.get_text() for text in legend.get_texts()] == ["broadcast: 100", "tree: 9"]
        first, second = (line.get_ydata() for line in figure.axes[0].lines)
        assert (list(first), list(second)) == ([9.0, 3.0], [100.0, 1.0])
        with pytest.raises(UsageError, match="no mechanism"):
            ranked("none", {})

    def test_nothing_is_sent(self) -> None:
        figure = ranked("none", {"tree": np.zeros(3)})
        assert encoded(figure, "png", "test").startswith(b"\x89PNG")
        nothing = {key: [0.0] * 3 for key in STEPS} | {"share": [0.0, 0.5, 1.0]}
        assert encoded(curves({"none": nothing}), "png", "test").startswith(b"\x89PNG")
