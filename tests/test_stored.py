"""A federation that stays in its directory is the one in memory, to every row of the scorecard."""

import json
import math
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import fedgen
from fedgen.cli.commands import run
from fedgen.cli.info import describe
from fedgen.errors import FormatError
from fedgen.federation import Federation
from fedgen.io import columns, directory, parts, stored
from fedgen.io.soundness import prove
from fedgen.io.stored import Stored, homes, read_stored
from fedgen.progress import silent
from fedgen.statistics.subset import with_rooms
from fedgen.statistics.vocabulary import SIZES, Statistic, measure_all
from fedgen.tables import users_by_rooms
from tests.strategies import federations
from tests.test_halves import dense
from tests.test_io_directory import DAMAGE, FEDERATION, replace_table
from validate.measurement import CLUSTER_GROUPS
from validate.reported import told, untold
from validate.rows.load import ServerLoad
from validate.rows.rooms import ROOMS
from validate.rows.servers import SERVERS
from validate.rows.users import USERS
from validate.scorecard import validate

Part = tuple[np.ndarray, np.ndarray]
MARGINS = (
    "users_per_server",
    "rooms_per_server",
    "memberships_per_server",
    "users_per_room",
    "servers_per_room",
    "rooms_per_user",
)


@contextmanager
def kept(federation: Federation, rows: int = 3, at_once: int = 2) -> Iterator[Stored]:
    """In a directory of parts of so many rows, which split rooms, read so many rows at a time."""
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patched:
        patched.setattr(parts, "PART_ROWS", rows)
        patched.setattr(columns, "ROWS", at_once)
        patched.setattr(stored, "ROWS", at_once)
        path = Path(folder) / "federation"
        parts.write(federation, path)
        yield read_stored(path)


def crowd() -> Federation:
    """Some four hundred users who meet often; every server has one."""
    federation = dense()
    return with_rooms(federation, np.ones(federation.n_rooms, dtype=bool))


def whole(pieces: Iterator[Part]) -> list[list[int]]:
    """Both columns of all of them."""
    return [np.concatenate(column).tolist() for column in zip(*pieces, strict=True)]


@settings(max_examples=40, deadline=None)
@given(federations(), st.integers(1, 5), st.integers(1, 4))
def test_its_tables_are_those_in_memory(federation: Federation, rows: int, at_once: int) -> None:
    with kept(federation, rows, at_once) as found:
        assert found.remarks == ()
        for size in (f"n_{name}" for name in SIZES):
            assert getattr(found, size) == getattr(federation, size)
        for margin in MARGINS:
            assert getattr(found, margin).tolist() == getattr(federation, margin).tolist()
        ours, theirs = found.presences, federation.presences
        for column in ("server", "room", "users", "offsets"):
            assert getattr(ours, column).tolist() == getattr(theirs, column).tolist()
        assert ours.weight == pytest.approx(theirs.weight)
        assert whole(found.user_parts()) == whole(federation.user_parts())
        assert whole(found.membership_parts()) == whole(federation.membership_parts())
        assert users_by_rooms(found).tolist() == np.bincount(federation.rooms_per_user).tolist()


@settings(max_examples=40, deadline=None)
@given(federations(), st.integers(1, 5), st.integers(1, 4))
def test_its_statistics_are_those_in_memory(federation: Federation, rows: int, at_once: int) -> None:
    """All of them: so small a federation has no more encounters than are drawn, and they are counted."""
    with kept(federation, rows, at_once) as found:
        for units in (SERVERS, ROOMS, USERS):
            ours, theirs = units.count(found), units.count(federation)
            assert ours.values.tolist() == theirs.values.tolist()
            assert ours.number.tolist() == theirs.number.tolist()
        for clusters in CLUSTER_GROUPS:
            ours, theirs = clusters.statistic(found), clusters.statistic(federation)
            for name, value in vars(theirs).items():
                here = getattr(ours, name)
                if value is None or isinstance(value, int):
                    assert here == value
                else:
                    assert np.trim_zeros(np.atleast_1d(here), "b") == pytest.approx(
                        np.trim_zeros(np.atleast_1d(value), "b"), nan_ok=True
                    )
        ours, theirs = told(found), told(federation)
        left_out = untold(found)
        assert list(ours) == list(theirs)
        for name, figure in theirs.items():
            if name in left_out:
                assert math.isnan(ours[name].value)
            else:
                assert ours[name].value == pytest.approx(figure.value, nan_ok=True), name
        asked = [
            Statistic("well_formed"),
            Statistic("butterflies"),
            Statistic("median", of="rooms_per_user"),
            Statistic("sum_share", of="rooms_per_user", ranks=(1, 2)),
            Statistic("foreign_fan_out", ranks=(1, None)),
            Statistic("rank_correlation", of="memberships"),
        ]
        assert measure_all(asked, found) == pytest.approx(measure_all(asked, federation), nan_ok=True)
        assert describe(found)["counts"] == describe(federation)["counts"]
        assert describe(found)["largest"] == describe(federation)["largest"]
        assert describe(found)["load"] == pytest.approx(describe(federation)["load"], nan_ok=True)


def test_its_scorecard_is_that_in_memory() -> None:
    measured = crowd()
    few = fedgen.Federation.from_pairs(measured.user_server // 2, measured.membership_user, measured.membership_room)
    with kept(measured, rows=500, at_once=333) as found:
        ours, theirs = validate(found, few, replicates=99), validate(measured, few, replicates=99)
    for here, there in zip(ours.rows, theirs.rows, strict=True):
        for name in ("distance", "floor", "p", "iid_floor", "generated"):
            assert getattr(here, name) == pytest.approx(getattr(there, name), nan_ok=True, rel=1e-9), (here.name, name)
        assert (here.verdict, here.note) == (there.verdict, there.note)
    assert ours.memorisation == theirs.memorisation
    assert ours.generated == theirs.generated


@given(st.lists(st.integers(0, 5), min_size=1, max_size=9), st.integers(1, 4))
def test_homes(users: list[int], at_once: int) -> None:
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(stored, "ROWS", at_once)
        found = list(homes(np.array(users)))
    assert [server for _, part in found for server in part] == np.repeat(np.arange(len(users)), users).tolist()
    assert [start for start, _ in found] == list(range(0, sum(users), at_once))


class TestSoundness:
    @settings(max_examples=80, deadline=None)
    @given(federations(), st.data())
    def test_any_other_memberships_are_refused(self, federation: Federation, data: st.DataObject) -> None:
        """The proof against its plain twin: the memberships are these and no others."""
        pairs = list(zip(federation.membership_user.tolist(), federation.membership_room.tolist(), strict=True))
        i = data.draw(st.integers(0, len(pairs) - 1))
        other = data.draw(
            st.sampled_from(
                [
                    pairs[:i] + pairs[i + 1 :],
                    [*pairs[: i + 1], *pairs[i:]],
                    [*pairs[:i], (data.draw(st.integers(0, federation.n_users)), pairs[i][1]), *pairs[i + 1 :]],
                    [*pairs[:i], (pairs[i][0], data.draw(st.integers(0, federation.n_rooms - 1))), *pairs[i + 1 :]],
                    [*pairs[:i], *pairs[i:][::-1]],
                    pairs,
                ]
            )
        )
        cuts = sorted(data.draw(st.lists(st.integers(0, len(other)), max_size=3)))

        class Altered(Stored):
            def membership_parts(self) -> Iterator[Part]:
                for start, stop in pairwise([0, *cuts, len(other)]):
                    table = np.array(other[start:stop], dtype=np.int64).reshape(-1, 2)
                    yield table[:, 0], table[:, 1]

        with kept(federation) as found:
            altered = Altered(**{name: getattr(found, name) for name in Stored.__dataclass_fields__})
            if other == pairs:
                assert prove(altered, silent) == ()
            else:
                with pytest.raises(FormatError, match=r"memberships|user"):
                    prove(altered, silent)

    @pytest.mark.parametrize("damage", [damage for damage, _ in DAMAGE.values()], ids=DAMAGE.keys())
    def test_damage_is_refused_in_one_line(self, damage: Any, tmp_path: Path) -> None:
        path = tmp_path / "out"
        parts.write(FEDERATION, path)
        damage(path)
        with pytest.raises(FormatError) as caught:
            read_stored(path)
        assert str(caught.value).startswith(f"{path}: ")
        assert "\n" not in str(caught.value)

    @pytest.mark.parametrize(
        ("table", "column", "values", "message"),
        [
            ("users", "server", [0, 1, 1], "not in the order of their servers"),
            ("users", "rooms", [2, 1, 1], "is in another number of rooms than stated"),
            ("users", "rooms", [2, 3, 2], "in more than its server"),
            ("users", "rooms", [2, 0, 2], "one is in no room"),
            ("presences", "server", [1, 0, 0, 1], "not sorted"),
            ("presences", "server", [0, 7, 0, 1], "beyond the counts"),
            ("presences", "room", [0, 1, 1, 1], "stands twice"),
            ("presences", "users", [2, 1, 2, 1], "another size than its presences make"),
            ("presences", "users", [1, 2, 2, 1], "more users than its server has"),
            ("memberships", "user", [2, 0, 0, 1, 2], "that of user 2 in room 0 stands twice, out of order"),
        ],
    )
    def test_tables_that_do_not_fit(
        self, table: str, column: str, values: list[int], message: str, tmp_path: Path
    ) -> None:
        path = tmp_path / "out"
        parts.write(FEDERATION, path)
        names = {
            "users": ("user", "server", "rooms"),
            "presences": ("server", "room", "users", "weight"),
            "memberships": ("user", "room"),
        }[table]
        manifest = directory.read_manifest(path)
        held = next(columns.columns(path, manifest, table, names))
        replace_table(path, table, **dict(zip(names, held, strict=True)) | {column: np.array(values)})
        with pytest.raises(FormatError, match=message):
            read_stored(path)

    def test_weights_are_set_right(self, tmp_path: Path) -> None:
        path = tmp_path / "out"
        parts.write(FEDERATION, path)
        p = FEDERATION.presences
        wrong = p.weight.copy()
        wrong[1] += 1
        replace_table(path, "presences", server=p.server, room=p.room, users=p.users, weight=wrong)
        found = read_stored(path)
        assert found.presences.weight == pytest.approx(p.weight)
        assert found.remarks == ("1 presence states another weight than its memberships, which were used",)

    def test_users_in_many_rooms(self) -> None:
        """Where a byte is not enough for the rooms of a user."""
        rooms = 40_000
        federation = Federation.from_pairs(
            [0, 0, 0, 1],
            np.r_[np.zeros(rooms), np.ones(200), [2, 3]].astype(int),
            np.r_[np.arange(rooms), np.arange(200), [0, 0]],
        )
        with kept(federation, rows=10_000, at_once=7_000) as found:
            assert found.rooms_per_user.tolist() == [rooms, 200, 1, 1]
            assert found.rooms_per_user.dtype == np.int32


def test_numbers_of_servers_are_as_good_as_servers() -> None:
    rng = np.random.default_rng(1)
    users, tx, rx = rng.integers(1, 99, 30), rng.random(30), rng.random(30)
    number = rng.integers(1, 4, 30)
    counted = ServerLoad(users, tx, rx, number)
    spread = ServerLoad(*(np.repeat(column, number) for column in (users, tx, rx)))
    other = ServerLoad(users[:9], tx[:9], rx[:9])
    from validate.rows.load import LOAD

    assert counted.servers == spread.servers
    for metric in LOAD.metrics:
        assert metric.distance(counted, other) == pytest.approx(metric.distance(spread, other), nan_ok=True)
        assert metric.distance(other, counted) == pytest.approx(metric.distance(other, spread), nan_ok=True)


class TestCommands:
    @pytest.fixture
    def path(self, tmp_path: Path) -> Path:
        parts.write(crowd(), tmp_path / "d")
        return tmp_path / "d"

    def told(self, words: list[str], capsys: pytest.CaptureFixture[str]) -> tuple[dict[str, Any], str]:
        assert run([*words, "--json"]) in (0, 3)
        out, err = capsys.readouterr()
        return json.loads(out), err

    def test_info(self, path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
        in_memory, said = self.told(["info", str(path)], capsys)
        assert said == ""
        monkeypatch.setattr(stored, "MOST_IN_MEMORY", 9)
        streamed, said = self.told(["info", str(path)], capsys)
        assert "memberships are streamed, not read into memory" in said
        for section in ("counts", "largest", "concentration", "load"):
            assert streamed[section] == pytest.approx(in_memory[section])
        assert streamed["digest"] == in_memory["digest"]

    def test_validate(self, path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(stored, "MOST_IN_MEMORY", 9)
        data = Path(__file__).parents[1] / "configs" / "debian_teams.csv.gz"
        card, said = self.told(["validate", str(path), "--against", str(data)], capsys)
        assert len(card["rows"]) == 21
        assert "memberships are streamed, not read into memory" in said
        assert "not told, as all memberships had to be in memory: share of pairs of rooms" in said
        assert run(["validate", str(path), "--against", str(data), "--html", str(path.parent / "r.html")]) == 2
        assert "leave --html away" in capsys.readouterr().err

    def test_figures(self, path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
        figures = path.parent / "figures.toml"
        figures.write_text(
            '[source]\ntitle = "T"\nreference = "R"\n[[figure]]\nid = "B"\nstatistic = "butterflies"\n'
            'interval = [1, 1e9]\nkind = "exact"\n'
        )
        words = ["validate", str(path), "--against", str(figures)]
        in_memory, _ = self.told(words, capsys)
        monkeypatch.setattr(stored, "MOST_IN_MEMORY", 9)
        streamed, said = self.told(words, capsys)
        assert "its butterflies are estimated" in said
        assert streamed["rows"][0]["value"] == pytest.approx(in_memory["rows"][0]["value"])


def test_it_has_a_name() -> None:
    with kept(crowd(), rows=5000) as found:
        assert repr(found).startswith("Stored(399 users, 79 servers, 60 rooms, ")
        assert replace(found).digest == found.digest
        found.check()
