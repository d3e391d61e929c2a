"""The load from presences as they come, by pairs, by drawn messages, batched, and where activity is not uniform."""

from __future__ import annotations

from collections import defaultdict
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import fedgen
from fedgen.errors import FormatError, UsageError
from fedgen.federation import Federation
from fedgen.io.hosting import read_hosting
from fedgen.io.parts import write
from fedgen.traffic.activity import Activity, membership_weights, spoken
from fedgen.traffic.batching import batched_load, simulate_batches
from fedgen.traffic.equations import Stretch, load, pair_load, streamed_load, whole_rooms
from fedgen.traffic.monte_carlo import monte_carlo
from gen.activity import draw_activity, read_law
from tests.strategies import federations

CLOSE: dict[str, Any] = {"rtol": 1e-12, "atol": 1e-12}
EXAMPLE = Path(__file__).parents[1] / "configs" / "debian_teams.csv.gz"


@pytest.fixture(scope="module")
def teams() -> Federation:
    return fedgen.read(EXAMPLE)


def cut(federation: Federation, at: list[int]) -> list[Stretch]:
    """The presences in pieces."""
    p = federation.presences
    ends = sorted({0, len(p), *(min(a, len(p)) for a in at)})
    return [Stretch(p.server[a:b], p.room[a:b], p.weight[a:b]) for a, b in pairwise(ends)]


def pairs(federation: Federation, activity: Activity | None = None) -> dict[tuple[int, int], float]:
    """Equation 1 for every ordered pair of servers, by loops over rooms and users."""
    home = federation.user_server.tolist()
    rate = [1.0] * federation.n_users if activity is None else (activity.user / activity.user.mean()).tolist()
    lively = [1.0] * federation.n_rooms if activity is None else activity.room.tolist()
    members, rooms = defaultdict(list), defaultdict(list)
    for user, room in zip(federation.membership_user.tolist(), federation.membership_room.tolist(), strict=True):
        members[room].append(user)
        rooms[user].append(room)
    found: dict[tuple[int, int], float] = defaultdict(float)
    for room, users in members.items():
        for b in {home[u] for u in users}:
            for u in users:
                if home[u] != b:
                    found[home[u], b] += rate[u] * lively[room] / sum(lively[r] for r in rooms[u])
    return found


class TestStreamed:
    @given(federations(), st.lists(st.integers(0, 60), max_size=8), st.floats(0.01, 100))
    def test_however_it_comes(self, federation: Federation, at: list[int], rate: float) -> None:
        whole, pieces = load(federation, rate), streamed_load(cut(federation, at), federation.n_servers, rate)
        np.testing.assert_allclose(pieces.tx, whole.tx, **CLOSE)
        np.testing.assert_allclose(pieces.rx, whole.rx, **CLOSE)

    @given(federations(), st.lists(st.integers(0, 60), max_size=8))
    def test_rooms_stay_whole_and_nothing_is_lost(self, federation: Federation, at: list[int]) -> None:
        found = list(whole_rooms(cut(federation, at)))
        rooms = [set(one.room.tolist()) for one in found]
        assert sum(map(len, rooms)) == len(set().union(*rooms)) == federation.n_rooms
        for i, column in enumerate(("server", "room", "weight")):
            joined = np.concatenate([one[i] for one in found])
            assert np.array_equal(joined, getattr(federation.presences, column))

    @given(federations(), st.lists(st.integers(0, 60), max_size=4), st.data())
    def test_pairs(self, federation: Federation, at: list[int], data: st.DataObject) -> None:
        chosen = data.draw(st.lists(st.integers(0, federation.n_servers - 1), min_size=1, unique=True))
        found, wanted = pair_load(cut(federation, at), np.array(chosen), 2.5), pairs(federation)
        for i, a in enumerate(chosen):
            for j, b in enumerate(chosen):
                assert found[i, j] == pytest.approx(2.5 * wanted.get((a, b), 0.0), rel=1e-12, abs=1e-12)

    @given(federations())
    @settings(max_examples=20)
    def test_from_a_directory(self, federation: Federation) -> None:
        import tempfile

        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "fed"
            write(federation, path)
            hosting = read_hosting(path)
            found = streamed_load(hosting.presences(), len(hosting.users))
        np.testing.assert_allclose(found.tx, load(federation).tx, **CLOSE)
        np.testing.assert_allclose(found.rx, load(federation).rx, **CLOSE)
        assert np.array_equal(hosting.users, federation.users_per_server)
        assert np.array_equal(hosting.rooms, federation.rooms_per_server)

    def test_a_damaged_part_is_refused(self, teams: Federation, tmp_path: Path) -> None:
        path = tmp_path / "fed"
        write(teams, path)
        part = path / "presences" / "part-00000.parquet"
        part.write_bytes(part.read_bytes()[:-9] + b"123456789")
        hosting = read_hosting(path)
        with pytest.raises(FormatError, match=r"presences/part-00000.parquet is missing or damaged"):
            list(hosting.presences())


class TestMonteCarlo:
    def test_agrees_within_its_errors(self, teams: Federation) -> None:
        """Fixed seeds; 100,000 messages. T within 3.5 standard errors; servers that expect ten messages or more within
        4.5 (637 of them: 1 in 250 by chance), and for tx, where servers speak by themselves, the mean square is 1.
        """
        for seed, activity in ((1, None), (2, draw_activity(teams, read_law("lognormal:mu=0,sigma=1"), None, 3))):
            exact = streamed_load([spoken(teams, activity)], teams.n_servers)
            found = monte_carlo(teams, 100_000, seed, activity=activity)
            assert abs(found.load.total - exact.total) < 3.5 * found.total_error
            often = exact.tx * 100_000 / teams.n_users > 10 * teams.servers_per_room.max()
            z = (found.load.tx - exact.tx)[often] / found.tx_error[often]
            assert np.abs(z).max() < 4.5
            assert abs(np.mean(z**2) - 1) < 5 * np.sqrt(2 / len(z))
            often = exact.rx * 100_000 / teams.n_users > 10
            assert np.abs((found.load.rx - exact.rx)[often] / found.rx_error[often]).max() < 4.5
            assert np.all(found.load.tx[exact.tx == 0] == 0)

    def test_all_that_is_sent_is_received(self, teams: Federation) -> None:
        found = monte_carlo(teams, 1000, 5, rate=3.0)
        assert found.load.rx.sum() == pytest.approx(found.load.tx.sum(), rel=1e-12)

    def test_no_messages(self, teams: Federation) -> None:
        with pytest.raises(UsageError, match="messages: 0 is not a number of messages"):
            monte_carlo(teams, 0)


class TestBatching:
    @given(federations(), st.floats(0, 10), st.floats(0.01, 10))
    def test_formula_pair_by_pair(self, federation: Federation, window: float, rate: float) -> None:
        (found,) = batched_load(federation, [window], rate)
        sent = np.zeros(federation.n_servers)
        received = np.zeros(federation.n_servers)
        for (a, b), nu in pairs(federation).items():
            sent[a] += rate * nu / (1 + rate * nu * window)
            received[b] += rate * nu / (1 + rate * nu * window)
        np.testing.assert_allclose(found.tx, sent, rtol=1e-9, atol=1e-12)
        np.testing.assert_allclose(found.rx, received, rtol=1e-9, atol=1e-12)

    @given(federations(), st.integers(0, 99))
    def test_formula_with_rates(self, federation: Federation, seed: int) -> None:
        rng = np.random.default_rng(seed)
        activity = Activity(rng.random(federation.n_users) + 0.01, rng.random(federation.n_rooms) + 0.01)
        (found,) = batched_load(federation, [0.7], activity=activity)
        sent = np.zeros(federation.n_servers)
        for (a, _), nu in pairs(federation, activity).items():
            sent[a] += nu / (1 + 0.7 * nu)
        np.testing.assert_allclose(found.tx, sent, rtol=1e-9, atol=1e-12)

    @given(federations(), st.floats(0.01, 10), st.floats(0, 10))
    def test_only_rate_times_window_counts(self, federation: Federation, rate: float, window: float) -> None:
        (one,), (many,) = batched_load(federation, [window * rate]), batched_load(federation, [window], rate)
        np.testing.assert_allclose(many.tx, rate * one.tx, rtol=1e-9, atol=1e-12)

    def test_agrees_with_simulation(self) -> None:
        """Seeds fixed. Twenty runs of a ring of small rooms; the mean within three of its standard errors."""
        home = np.repeat(np.arange(6), 3)
        user = np.concatenate([np.arange(18), np.arange(18)])
        room = np.concatenate([np.arange(18) // 6, (np.arange(18) + 3) // 6 % 3])
        federation = Federation.from_pairs(home, user, room, n_servers=6, n_rooms=3)
        windows, duration = [0.0, 0.1, 0.5, 2.0], 200.0
        counted = np.array([simulate_batches(federation, windows, duration, seed) for seed in range(20)]) / duration
        exact = np.array([one.total for one in batched_load(federation, windows)])
        error = counted.std(axis=0, ddof=1) / np.sqrt(20)
        # A window that is open in the end was counted as sent: less than one per pair and duration.
        assert np.all(np.abs(counted.mean(axis=0) - exact) < 3 * error + 30 / duration * (np.array(windows) > 0))
        assert exact[0] == pytest.approx(load(federation).total)

    def test_no_window(self, teams: Federation) -> None:
        with pytest.raises(UsageError, match="window: -1 is not a span of time"):
            batched_load(teams, [-1])


class TestActivity:
    @given(federations(), st.integers(0, 99))
    def test_equation_1_with_rates(self, federation: Federation, seed: int) -> None:
        rng = np.random.default_rng(seed)
        activity = Activity(rng.random(federation.n_users) + 0.01, rng.random(federation.n_rooms) + 0.01)
        found = streamed_load([spoken(federation, activity)], federation.n_servers)
        sent = np.zeros(federation.n_servers)
        for (a, _), nu in pairs(federation, activity).items():
            sent[a] += nu
        np.testing.assert_allclose(found.tx, sent, rtol=1e-9, atol=1e-12)
        assert found.rx.sum() == pytest.approx(found.tx.sum(), rel=1e-12)

    @given(federations(), st.floats(0.1, 10))
    def test_uniform_is_the_papers_case(self, federation: Federation, scale: float) -> None:
        uniform = Activity.uniform(federation)
        uniform = Activity(uniform.user * scale, uniform.room / scale)
        found = streamed_load([spoken(federation, uniform)], federation.n_servers)
        np.testing.assert_allclose(found.tx, load(federation).tx, rtol=1e-12, atol=1e-12)

    def test_weights_sum_to_the_users_rates(self, teams: Federation) -> None:
        activity = draw_activity(teams, read_law("power law:alpha=2.5"), read_law("exponential:lambda=0.5"), 1)
        weights = membership_weights(teams, activity)
        said = np.bincount(teams.membership_user, weights=weights)
        np.testing.assert_allclose(said, activity.user / activity.user.mean(), rtol=1e-12)

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ("zipf:alpha=2", "law: 'zipf' is not known; give power law"),
            ("power law", "give power law:alpha=NUMBER"),
            ("power law:beta=2", "lacks parameters, or has others; give power law:alpha=NUMBER"),
            ("power law:alpha=0.5", "alpha is 0.5, must lie between"),
            ("lognormal:mu=x,sigma=1", "give lognormal:mu=NUMBER,sigma=NUMBER"),
        ],
    )
    def test_no_law(self, text: str, message: str) -> None:
        with pytest.raises(UsageError) as caught:
            read_law(text)
        assert message in str(caught.value)

    def test_refused(self, teams: Federation) -> None:
        users, rooms = np.ones(teams.n_users), np.ones(teams.n_rooms)
        with pytest.raises(UsageError, match="activity of a user is negative"):
            Activity(-users, rooms)
        with pytest.raises(UsageError, match="somebody has to speak"):
            Activity(0 * users, rooms)
        with pytest.raises(UsageError, match="activity of a room is 0"):
            Activity(users, 0 * rooms)
        with pytest.raises(UsageError, match="activity of 3 users, the federation has 2430"):
            membership_weights(teams, Activity(np.ones(3), rooms))
