"""Federations from figures, as a whole: the built-in ones, other sizes, a measured federation's own, and refusals."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import scipy.optimize  # noqa: F401 - so that the limit of reconstruct holds for it

import fedgen
from fedgen.errors import FiguresError, UnmetError
from fedgen.federation import Federation
from fedgen.statistics.published import Figures, builtin_figures, read_figures
from fedgen.statistics.vocabulary import Statistic
from gen.reconstruct.reconstruct import reconstruct
from tests.small_figures import HEAD, HUB, ROOMS, SIZES, SMALL, figure
from validate.published import hold

EXAMPLE = Path(__file__).parents[1] / "configs" / "debian_teams.csv.gz"
Read = Callable[[str], Figures]


@pytest.fixture
def read(tmp_path: Path) -> Read:
    def of(text: str) -> Figures:
        path = tmp_path / "f.toml"
        path.write_text(text)
        return read_figures(path)

    return of


def sizes(users: int, servers: int, rooms: int) -> str:
    told = {"users": users, "servers": servers, "rooms": rooms}
    return HEAD + "".join(figure(size, "number", number, of=size) for size, number in told.items())


def unmet(federation: Federation, figures: Figures) -> list[str]:
    """The judged figures that are not met, in words; the federation is proven first."""
    federation.check()
    return [f"{row.id}: {row.value}" for row in hold(federation, figures).rows if row.judged and not row.met]


class TestBuiltin:
    def test_all_judged_figures_are_met(self) -> None:
        federation = reconstruct(builtin_figures(), seed=2)  # a quick one; all of 1..20 are in the slow test
        assert unmet(federation, builtin_figures()) == []
        assert (federation.n_users, federation.n_servers) == (131463, 2003)

    @pytest.mark.slow
    def test_of_twenty_seeds_eighteen_meet_all(self) -> None:
        met, digests = 0, set()
        for seed in range(1, 21):
            try:
                federation = reconstruct(builtin_figures(), seed=seed)
            except UnmetError:
                continue
            met += not unmet(federation, builtin_figures())
            digests.add(federation.membership_user.tobytes())
        assert met >= 18
        assert len(digests) == met


class TestSeeds:
    def test_same_seed_same_federation(self, read: Read) -> None:
        one, same, other = (reconstruct(read(SMALL), seed=seed) for seed in (5, 5, 6))
        assert one.same_as(same)
        assert not one.same_as(other)

    def test_what_is_left_open_is_drawn(self, read: Read) -> None:
        made = [reconstruct(read(SMALL), seed=seed) for seed in range(5)]
        assert len({f.n_memberships for f in made}) > 1
        assert len({f.n_presences for f in made}) > 1


class TestOtherSizes:
    @pytest.mark.xfail(reason="the first server is sent into every room of others", raises=UnmetError)
    @pytest.mark.parametrize("seed", [0])
    def test_without_hubs(self, read: Read, seed: int) -> None:
        """As of mail: many servers, none large, small rooms."""
        figures = read(
            sizes(3000, 800, 1500)
            + figure("largest", "max", 60, of="users_per_server")
            + figure("alone", "share", [0.45, 0.55], "rounded", of="users_per_server", most=1)
            + figure("wide", "max", 25, of="servers_per_room")
            + figure("pairs", "share", [0.5, 0.6], "rounded", of="servers_per_room", most=2)
            + figure("small", "share", [0.7, 0.9], "rounded", of="users_per_room", most=5)
        )
        assert unmet(reconstruct(figures, seed=seed), figures) == []

    @pytest.mark.parametrize(
        "more",
        [
            pytest.param("", id="sizes"),
            pytest.param(figure("m", "number", 900, of="memberships"), id="memberships"),
            pytest.param(figure("k", "mean", [2.0, 2.2], "rounded", of="servers_per_room"), id="mean"),
            pytest.param(
                figure("hub", "max", 200, of="users_per_server")
                + figure("load", "load_share", [0.45, 0.55], "rounded", of="tx", ranks=[1, 1]),
                id="load",
            ),
            pytest.param(
                figure("T", "transactions", [300, 400], "rounded")
                + figure("m", "number", [650, 750], "rounded", of="memberships"),
                id="transactions",
                marks=pytest.mark.xfail(reason="T so near to none is met by chance only", raises=UnmetError),
            ),
        ],
    )
    def test_few_figures(self, read: Read, more: str) -> None:
        figures = read(sizes(400, 40, 60) + more)
        for seed in range(2):
            assert unmet(reconstruct(figures, seed=seed), figures) == []

    @pytest.mark.parametrize(
        ("users", "servers", "rooms"),
        [
            (30, 8, 1),
            (5, 2, 9),
            *(pytest.param(*one) for one in ((1, 1, 1), (30, 1, 1), (30, 1, 12), (3, 1, 7))),
            *(pytest.param(*one) for one in ((8, 8, 5), (2, 2, 2))),
        ],
    )
    def test_hardly_anything(self, read: Read, users: int, servers: int, rooms: int) -> None:
        figures = read(sizes(users, servers, rooms))
        for seed in range(3):
            federation = reconstruct(figures, seed=seed)
            federation.check()
            assert (federation.n_users, federation.n_servers, federation.n_rooms) == (users, servers, rooms)


class TestRoundTrip:
    """Figures of a measured federation can be met: there is one that does."""

    @staticmethod
    def told(federation: Federation) -> str:
        text = HEAD
        for size in ("users", "servers", "rooms", "memberships"):
            text += figure(size, "number", getattr(federation, f"n_{size}"), of=size)
        for of in ("users_per_server", "servers_per_room", "users_per_room", "rooms_per_user"):
            text += figure(f"max {of}", "max", int(Statistic("max", of=of).measure(federation)), of=of)
            part = round(Statistic("share", of=of, most=1).measure(federation), 2)
            text += figure(f"ones {of}", "share", [part - 0.005, part + 0.005], "rounded", of=of, most=1)
        hub = round(Statistic("load_share", of="tx", ranks=(1, 1)).measure(federation), 3)
        return text + figure("hub", "load_share", [hub - 5e-4, hub + 5e-4], "rounded", of="tx", ranks=[1, 1])

    @pytest.mark.parametrize("seed", [1, 2])
    def test_of_the_example(self, read: Read, seed: int) -> None:
        measured = fedgen.read(EXAMPLE)
        figures = read(self.told(measured))
        assert unmet(measured, figures) == []
        made = reconstruct(figures, seed=seed)
        assert unmet(made, figures) == []
        assert not made.same_as(measured)


class TestRefused:
    def test_contradictions_are_named_and_nothing_else(self, read: Read) -> None:
        few = figure("few", "share", [0.1, 0.2], "rounded", of="servers_per_room", most=10)
        figures = read(SMALL + few)
        with pytest.raises(FiguresError) as told:
            reconstruct(figures)
        message = str(told.value)
        assert message.startswith(f"{figures.path}: no federation meets the figures")
        assert '"few"' in message
        assert '"small rooms"' in message
        for name in ("hub", "wide", "one room"):
            assert f'"{name}"' not in message

    def test_sizes_are_needed(self, read: Read) -> None:
        with pytest.raises(FiguresError, match="no figure tells how many users there are"):
            reconstruct(read(HEAD + HUB + ROOMS))

    def test_more_on_one_server_than_there_are(self, read: Read) -> None:
        with pytest.raises(FiguresError, match='"hub"'):
            reconstruct(read(HEAD + SIZES + HUB.replace("200", "380") + ROOMS))

    def test_out_of_reach_names_the_nearest_value(self, read: Read) -> None:
        figures = read(SMALL + figure("even", "gini", [0.0, 0.01], "rounded", of="users_per_server"))
        with pytest.raises(UnmetError) as told:
            reconstruct(figures, attempts=3)
        message = str(told.value)
        assert message.startswith(f"{figures.path}: no federation was found that meets all figures in ")
        assert 'figure "even" (Gini of users per server) asks for 0 to 0.01, nearest found ' in message
        nearest = float(message.rsplit(" ", 1)[1])
        assert 0.3 < nearest < 1.0

    def test_it_gives_up_early_where_one_figure_is_never_met(self, read: Read) -> None:
        figures = read(SMALL + figure("even", "gini", [0.0, 0.01], "rounded", of="users_per_server"))
        with pytest.raises(UnmetError, match="in 12 attempts"):
            reconstruct(figures, attempts=24)

    def test_inferred_figures_decide_nothing(self, read: Read) -> None:
        figures = read(SMALL + figure("even", "gini", [0.0, 0.01], "inferred", of="users_per_server"))
        federation = reconstruct(figures, attempts=3)
        assert unmet(federation, figures) == []
        assert not hold(federation, figures)["even"].met
        assert np.isfinite(hold(federation, figures)["even"].value)
