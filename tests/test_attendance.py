"""The attendance: its invariants, its file, and its completion to a federation."""

import gzip
import json
from collections import Counter
from dataclasses import replace
from itertools import pairwise
from math import comb
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import jsonschema
import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy.stats import chisquare

import fedgen
from fedgen.attendance import Attendance
from fedgen.errors import FedgenWarning, FormatError, InfeasibleError, InvariantError, NoUsersError, UsageError
from fedgen.federation import Federation
from fedgen.io import read, write
from fedgen.io.attendance import read_attendance, read_attendance_snapshot
from fedgen.io.attendance import write as written
from fedgen.io.output import write_file
from fedgen.io.recognise import recognise
from fedgen.ragged import offsets_of
from fitting.analogues import Sizes, borrow
from fitting.completion import UNMEASURED, complete
from fitting.dealing import deal
from fitting.fit import fit
from fitting.model import Model
from fitting.shares import expected_beyond, inclination, share, split
from tests.strategies import federations

SCHEMA = json.loads((Path(__file__).parents[1] / "fedgen" / "schemas" / "model.schema.json").read_text())

SMALL = Attendance(3, np.array([0, 2, 3, 6]), np.array([0, 1, 0, 0, 1, 2]), np.array([5, 1, 4]))


@pytest.fixture(scope="module")
def donor() -> Model:
    return Model.builtin()


def rng() -> np.random.Generator:
    return np.random.default_rng(7)


class TestType:
    @given(federations())
    def test_of_a_federation(self, federation: Federation) -> None:
        attendance = Attendance.of(federation)
        attendance.check()
        assert attendance.n_memberships == federation.n_memberships
        assert np.array_equal(attendance.rooms_per_server, federation.rooms_per_server)
        assert np.array_equal(attendance.servers_per_room, federation.servers_per_room)
        assert np.array_equal(attendance.presence_room, federation.presences.room)
        fewest, most = attendance.users_range
        assert fewest <= federation.n_users <= most

    @pytest.mark.parametrize(
        ("changed", "message"),
        [
            ({"n_servers": 0}, "server: an attendance has at least one server"),
            ({"n_servers": 2}, "presence 5 is of a server that does not exist"),
            ({"n_servers": 4}, "server 3 is in no room"),
            ({"presence_server": np.array([0, 1, 0, -1, 1, 2])}, "presence 3 is of a server that does not exist"),
            ({"presence_server": np.array([0, 1, 0, 0, 0, 2])}, "presence 4 stands twice"),
            ({"presence_server": np.array([1, 0, 0, 0, 1, 2])}, "presence 1 breaks the order by server in its room"),
            ({"room_offsets": np.array([0, 2, 2, 6])}, "room 1 has no server"),
            ({"room_offsets": np.array([0, 2, 3, 5])}, "room: offsets do not span the presences"),
            ({"users_per_room": np.array([5, 1])}, "room: offsets do not span the presences"),
            ({"users_per_room": np.array([5, 1, 2])}, "room 2 has fewer users than servers"),
        ],
    )
    def test_each_invariant(self, changed: dict[str, Any], message: str) -> None:
        SMALL.check()
        with pytest.raises(InvariantError) as caught:
            replace(SMALL, **changed).check()
        assert str(caught.value) == message

    def test_nothing_is_none(self) -> None:
        nothing = Attendance(1, np.zeros(1, dtype=int), np.zeros(0, dtype=int), np.zeros(0, dtype=int))
        with pytest.raises(InvariantError, match="server 0 is in no room"):
            nothing.check()

    def test_in_words(self) -> None:
        assert repr(SMALL) == "Attendance(3 servers, 3 rooms, 6 presences, 10 memberships unseen)"

    def test_alike(self) -> None:
        assert SMALL.same_as(replace(SMALL))
        assert not SMALL.same_as(replace(SMALL, users_per_room=np.array([5, 1, 5])))


def document(nodes: list[dict[str, Any]], edges: list[Any], **more: Any) -> bytes:
    return json.dumps({"nodes": nodes, "edges": edges, **more}).encode()


SERVER, OTHER = {"kind": "Server", "id": "a.org"}, {"kind": "server", "id": "b.org"}
ROOM = {"kind": "Room", "id": 7, "users": 3}


def refusal(content: bytes) -> str:
    with TemporaryDirectory() as folder:
        path = Path(folder) / "a.json"
        path.write_bytes(content)
        with pytest.raises(FormatError) as caught:
            read_attendance(path)
        return str(caught.value).removeprefix(f"{path}: ")


class TestFile:
    @given(federations(), st.none() | st.dictionaries(st.text(max_size=5), st.integers(0, 9), max_size=2))
    @settings(max_examples=50)
    def test_comes_back(self, federation: Federation, provenance: dict[str, Any] | None) -> None:
        attendance = Attendance.of(federation)
        with TemporaryDirectory() as folder:
            path = Path(folder) / "a.json.gz"
            write_file(path, written(attendance, provenance), force=False)
            snapshot = read_attendance_snapshot(path)
            held = json.loads(gzip.decompress(path.read_bytes()))
        assert snapshot.attendance.same_as(attendance)
        assert snapshot.remarks == ()
        assert held.get("provenance") == provenance

    def test_the_bytes(self) -> None:
        assert b"".join(written(SMALL, {"by": "me"})).decode() == (
            '{"nodes":[{"kind":"Server","id":0},{"kind":"Server","id":1},{"kind":"Server","id":2},'
            '{"kind":"Room","id":0,"users":5},{"kind":"Room","id":1,"users":1},{"kind":"Room","id":2,"users":4}],'
            '"node_holes":[],"edge_property":"undirected",'
            '"edges":[[0,3,null],[1,3,null],[0,4,null],[0,5,null],[1,5,null],[2,5,null]],"provenance":{"by":"me"}}'
        )

    def test_what_is_odd_is_mended_and_told(self, tmp_path: Path) -> None:
        few = {"kind": "Room", "id": 5, "users": 1}
        empty, idle = {"kind": "Room", "id": 6, "users": 9}, {"kind": "Server", "id": "c.org"}
        edges = [[2, 0, 1.5], [0, 2, None], None, [1, 3, 0], [0, 3, 0], [0, 1, 0]]
        path = tmp_path / "a.json"
        path.write_bytes(document([SERVER, OTHER, ROOM, few, empty, idle], edges, edge_property="directed", more=1))
        snapshot = read_attendance_snapshot(path)
        assert snapshot.remarks == (
            "edge directions ignored",
            "1 server-server edge left out",
            "1 repeated server-room pair left out",
            "1 server in no room left out, first server 'c.org'",
            "1 room with no server left out, first room 6",
            "1 room with fewer users than servers given one user a server, first room 5",
        )
        # Rooms by id: 5, then 7.
        expected = Attendance(2, np.array([0, 2, 3]), np.array([0, 1, 0]), np.array([2, 3]))
        assert snapshot.attendance.same_as(expected)
        with pytest.warns(FedgenWarning):
            read_attendance(path)

    def test_what_cannot_be_trusted_is_refused(self, tmp_path: Path, teams: Federation) -> None:
        unsaid = {"kind": "Room", "id": 8}
        assert refusal(document([SERVER, ROOM, unsaid], [[0, 1, None]])) == (
            'room 8 does not say how many users it has; give every room a number "users"'
        )
        assert refusal(document([SERVER, ROOM], [])) == (
            "holds no server-room pair; an attendance has at least one server in one room"
        )
        assert "ends at node 2" in refusal(document([SERVER, ROOM], [[0, 2, None]]))
        assert "wrong shape" in refusal(document([SERVER, {**ROOM, "users": -1}], [[0, 1, None]]))
        assert "wrong shape" in refusal(document([SERVER, {**ROOM, "users": 1.5}], [[0, 1, None]]))
        assert "is a folder" in refused_place(tmp_path)
        write(teams, tmp_path / "teams.csv")
        assert "no attendance but a federation (csv)" in refused_place(tmp_path / "teams.csv")

    def test_is_told_from_a_federation_by_its_content(self, tmp_path: Path, teams: Federation) -> None:
        assert recognise(document([SERVER, ROOM], [[0, 1, None]])) == "attendance"
        assert recognise(document([SERVER, {"kind": "Room", "id": 'not "users":'}], [[0, 1, None]])) == "petgraph"
        assert recognise(document([SERVER, ROOM, {"kind": "User", "id": 1}], [])) == "petgraph"
        path = tmp_path / "a.json"
        write_file(path, written(Attendance.of(teams)), force=False)
        with pytest.raises(NoUsersError, match=r"no users; only fedgen fit takes it: fedgen fit .*a\.json"):
            read(path)


def refused_place(path: Path) -> str:
    with pytest.raises(FormatError) as caught:
        read_attendance(path)
    return str(caught.value)


class TestProvenanceOfPetgraph:
    def test_only_where_it_is_asked_for(self, tmp_path: Path, teams: Federation) -> None:
        record = {"seed": 1}
        write(teams, tmp_path / "plain.json")
        write(teams, tmp_path / "same.json", provenance=record)
        write(teams, tmp_path / "signed.json", provenance=record, signed=True)
        plain, same, signed = ((tmp_path / f"{name}.json").read_bytes() for name in ("plain", "same", "signed"))
        assert plain == same
        assert signed == plain[:-1] + b',"provenance":{"seed":1}}'
        assert read(tmp_path / "signed.json").same_as(teams)


class TestShares:
    @given(federations())
    def test_every_presence_has_a_user_and_every_room_its_users(self, federation: Federation) -> None:
        attendance = Attendance.of(federation)
        users = share(attendance, rng())
        assert users.min() >= 1
        assert np.array_equal(np.add.reduceat(users, attendance.room_offsets[:-1]), attendance.users_per_room)

    @given(federations())
    def test_as_many_presences_are_expected_as_were_seen_but_for_half_an_absence(self, federation: Federation) -> None:
        attendance = Attendance.of(federation)
        x = np.outer(inclination(attendance), attendance.users_per_room)
        rooms = attendance.n_rooms
        expected = (x / (1 + x)).sum(axis=1)
        np.testing.assert_allclose(expected, attendance.rooms_per_server * rooms / (rooms + 0.5), rtol=1e-9)

    def test_without_users_beyond_the_servers_every_count_is_one(self) -> None:
        full = replace(SMALL, users_per_room=SMALL.servers_per_room)
        assert share(full, rng()).tolist() == [1] * 6

    def test_large_rooms_do_not_overflow(self) -> None:
        """A million servers in a room of a million million users: sums stay below 2^63."""
        servers = 1_000_000
        room = Attendance(servers, np.array([0, servers]), np.arange(servers), np.array([10**12]))
        users = share(room, rng())
        assert users.sum() == 10**12
        assert users.min() == users.max() == 10**6

    def test_servers_of_which_the_same_was_seen_have_the_same_to_expect(self) -> None:
        pair = Attendance(2, np.array([0, 2, 4]), np.array([0, 1, 0, 1]), np.array([6, 12]))
        np.testing.assert_allclose(expected_beyond(pair), [2, 2, 5, 5])

    def test_by_hand(self) -> None:
        """Two rooms of 3 and 4 users; server 0 in both, server 1 in the second."""
        attendance = Attendance(2, np.array([0, 1, 3]), np.array([0, 0, 1]), np.array([3, 4]))
        one, other = inclination(attendance)
        had = np.array([2 + 2 * one / (one + other), 2 * other / (one + other)])
        usual = 2 * had / np.array([4, 2])
        brought = usual * (1 + had) / (1 + np.array([2, 1]) * usual)
        np.testing.assert_allclose(expected_beyond(attendance), [2, *(2 * brought / brought.sum())])
        np.testing.assert_allclose(split(attendance, np.array([1.0, 3.0])), [2, 0.5, 1.5])

    def test_rounding_keeps_the_expected_shares(self) -> None:
        """A count's mean over 1,000 seeds within 5 standard errors (6e-7 each to fail, 6 counts)."""
        draws = np.array([share(SMALL, np.random.default_rng(seed)) for seed in range(1000)])
        expected = 1 + expected_beyond(SMALL)
        part = expected - np.floor(expected)
        errors = np.sqrt(np.maximum(part * (1 - part), 1e-12) / len(draws))
        assert np.all(np.abs(draws.mean(axis=0) - expected) <= 5 * errors + 1e-6)

    def test_finds_whose_users_they_are_where_the_assumption_holds(self) -> None:
        """Geometric counts of rate times size, three sizes of servers: sums of e within a tenth (fixed seed).

        Of presences drawn with the model's own law, sums over 100 servers have a relative error of about 2 %.
        """
        draw = rng()
        size = np.rint(np.exp(draw.normal(4, 1, 2000))).astype(int) + 1
        rate = np.repeat([0.3, 0.01, 0.001], [1, 20, 200])
        x = np.outer(size, rate)
        counts = draw.geometric(1 / (1 + x)) - 1
        counts[counts.sum(axis=1) == 0, 0] = 1
        present = counts > 0
        server = np.nonzero(present)[1]
        attendance = Attendance(len(rate), offsets_of(present.sum(axis=1)), server, counts.sum(axis=1))
        estimated = np.bincount(server, 1 + split(attendance, inclination(attendance)), minlength=len(rate))
        for group in np.unique(rate):
            truth = counts[:, rate == group].sum()
            assert abs(estimated[rate == group].sum() / truth - 1) < 0.1


class TestDeal:
    @given(federations(max_users=20, max_servers=3))
    def test_degrees_that_some_federation_has_are_met(self, federation: Federation) -> None:
        p = federation.presences
        order = np.lexsort((p.room, p.server))
        places = offsets_of(p.users[order])
        servers = offsets_of(federation.users_per_server)
        member = deal(servers, offsets_of(federation.rooms_per_server), places, federation.rooms_per_user, rng())
        dealt = Federation.from_pairs(federation.user_server, member, np.repeat(p.room[order], p.users[order]))
        dealt.check()
        assert np.array_equal(dealt.rooms_per_user, federation.rooms_per_user)
        assert Attendance.of(dealt).same_as(Attendance.of(federation))
        assert np.array_equal(dealt.presences.users, p.users)

    @given(st.data())
    def test_rooms_are_met_whatever_users_want_and_nobody_goes_without(self, data: st.DataObject) -> None:
        users = data.draw(st.integers(1, 12))
        counts = data.draw(st.lists(st.integers(1, users), min_size=1, max_size=8))
        counts[0] = users if sum(counts) < users else counts[0]
        rooms = np.ones(users, dtype=int)
        for _ in range(sum(counts) - users):
            rooms[data.draw(st.integers(0, users - 1))] += 1
        places = offsets_of(np.array(counts))
        member = deal(np.array([0, users]), np.array([0, len(counts)]), places, rooms, rng())
        for begin, end in pairwise(places.tolist()):
            assert len(set(member[begin:end].tolist())) == end - begin
        assert set(member.tolist()) == set(range(users))

    def test_every_table_is_equally_likely(self) -> None:
        """Four users in one room each, two rooms of two: six tables; chi-square at 1e-4 over 6,000 seeds, fixed."""
        places, rooms = np.array([0, 2, 4]), np.ones(4, dtype=int)
        found = Counter(
            tuple(sorted(deal(np.array([0, 4]), np.array([0, 2]), places, rooms, np.random.default_rng(seed))[:2]))
            for seed in range(6000)
        )
        assert len(found) == comb(4, 2)
        assert chisquare(list(found.values())).pvalue > 1e-4

    def test_every_table_is_equally_likely_where_users_differ(self) -> None:
        """d = 2, 1, 1 in rooms of two, one and one: user 0 in the first and another, or in the two small ones."""
        places, rooms = np.array([0, 2, 3, 4]), np.array([2, 1, 1])
        found = Counter(
            tuple(
                tuple(sorted(part))
                for part in np.split(
                    deal(np.array([0, 3]), np.array([0, 3]), places, rooms, np.random.default_rng(seed)), [2, 3]
                )
            )
            for seed in range(6000)
        )
        # {0, i} and, of the small rooms, 0 in either, the third user in the other: 4; {1, 2} and 0 in both: 1.
        assert len(found) == 5
        assert chisquare(list(found.values())).pvalue > 1e-4


class TestBorrow:
    def test_a_federation_that_borrows_of_itself_is_near_itself(self, teams: Federation) -> None:
        """Of its own tuples of m and e; what is left open are servers that are alike. Fixed seed, a tenth."""
        sizes = sizes_of(teams)
        users = borrow(sizes, fit(teams), rng())
        assert abs(users.number.sum() / teams.n_users - 1) < 0.1
        assert np.mean(users.number == 1) == pytest.approx(np.mean(teams.users_per_server == 1), abs=0.02)

    @given(federations(), st.sampled_from([None, 1.0, 1.5, 2.0]))
    def test_within_the_bounds(self, federation: Federation, mean: float | None) -> None:
        sizes = sizes_of(federation)
        try:
            users = borrow(sizes, fit(federation), rng(), mean)
        except InfeasibleError:
            assume(False)
        assert np.all((users.number >= sizes.least) & (users.number <= sizes.memberships))
        assert users.rooms.min() >= 1
        assert len(users.rooms) == users.number.sum()
        assert np.array_equal(np.add.reduceat(users.rooms, offsets_of(users.number)[:-1]), sizes.memberships)

    def test_the_mean_is_met(self, teams: Federation, donor: Model) -> None:
        """To the rounding of 930 servers: a standard error of 0.5 / sqrt(930) users a server, 1 % here."""
        for mean in (1.5, 2.0, 2.7):
            users = borrow(sizes_of(teams), donor, rng(), mean)
            assert len(users.rooms) * mean == pytest.approx(teams.n_memberships, rel=0.02)

    @pytest.mark.parametrize("mean", [0.5, 1000.0, float("nan"), float("inf"), -1.0])
    def test_a_mean_that_cannot_be_is_refused_with_the_range(
        self, teams: Federation, donor: Model, mean: float
    ) -> None:
        with pytest.raises(InfeasibleError, match=r"cannot be; .* allow 1\.\d+ to \d"):
            borrow(sizes_of(teams), donor, rng(), mean)


def sizes_of(federation: Federation) -> Sizes:
    p = federation.presences
    least = np.zeros(federation.n_servers, dtype=int)
    np.maximum.at(least, p.server, p.users)
    return Sizes(federation.rooms_per_server, federation.memberships_per_server, least)


ONE_ROOM = Attendance(3, np.array([0, 3]), np.array([0, 1, 2]), np.array([9]))
ONE_SERVER = Attendance(1, np.array([0, 1, 2]), np.array([0, 0]), np.array([4, 1]))
ONE_USER = Attendance(1, np.array([0, 1]), np.array([0]), np.array([1]))
FULL = replace(SMALL, users_per_room=SMALL.servers_per_room)


class TestComplete:
    @given(federations(), st.integers(0, 5))
    @settings(max_examples=50)
    def test_has_the_attendance_and_is_the_same_again(self, federation: Federation, seed: int) -> None:
        attendance, lender = Attendance.of(federation), fit(federation)
        completion = complete(attendance, donor=lender, seed=seed)
        completion.federation.check()
        assert Attendance.of(completion.federation).same_as(attendance)
        assert completion.federation.same_as(complete(attendance, donor=lender, seed=seed).federation)
        fewest, most = completion.users_range
        assert fewest <= completion.federation.n_users <= most
        counts = federation.presences.users
        assert np.array_equal(complete(attendance, donor=lender, users=counts).federation.presences.users, counts)

    @pytest.mark.parametrize("attendance", [SMALL, ONE_ROOM, ONE_SERVER, ONE_USER, FULL])
    def test_small_ones(self, attendance: Attendance, donor: Model) -> None:
        completion = complete(attendance, donor=donor)
        completion.federation.check()
        assert Attendance.of(completion.federation).same_as(attendance)
        model = fit(completion)
        assert model.unmeasured == UNMEASURED
        assert fedgen.sample(model, seed=1).n_servers == attendance.n_servers

    def test_another_seed_is_another_federation(self, teams: Federation, donor: Model) -> None:
        attendance = Attendance.of(teams)
        one, other = (complete(attendance, donor=donor, seed=seed).federation for seed in (1, 2))
        assert not one.same_as(other)

    def test_says_what_was_assumed(self, teams: Federation, donor: Model) -> None:
        told = complete(Attendance.of(teams), donor=donor, rooms_per_user=2.2).to_dict()
        assert told["unmeasured"] == ["n", "e", "d"]
        assert told["donor"] == donor.digest
        assert told["rooms_per_user_given"]
        assert told["fewest_users"] <= told["users"] <= told["most_users"] == teams.n_memberships

    def test_refuses_what_no_memory_holds(self, donor: Model) -> None:
        for users in (10**12, 2**61):
            with pytest.raises(InfeasibleError, match=r"memberships need about .* GiB of memory"):
                complete(replace(SMALL, users_per_room=np.array([users, 1, users])), donor=donor)

    def test_takes_nothing_else(self, teams: Federation) -> None:
        with pytest.raises(UsageError, match="takes an Attendance, not Federation"):
            complete(teams)  # type: ignore[arg-type]
        with pytest.raises(UsageError, match=r"fedgen\.fit\(fedgen\.complete\(attendance\)\)"):
            fit(SMALL)  # type: ignore[arg-type]
        with pytest.raises(InvariantError):
            complete(replace(SMALL, n_servers=9))


class TestModel:
    def test_names_what_was_not_measured_and_keeps_it(self, tmp_path: Path, donor: Model) -> None:
        model = fit(complete(SMALL, donor=donor))
        model.save(tmp_path / "model.json")
        again = Model.load(tmp_path / "model.json")
        assert again.unmeasured == ("n", "e", "d")
        assert again.digest == model.digest
        assert again.digest != replace(model, unmeasured=()).digest
        jsonschema.validate(again.to_dict(), SCHEMA, jsonschema.Draft202012Validator)

    def test_says_nothing_where_all_was_measured(self, teams: Federation) -> None:
        assert "unmeasured" not in fit(teams).to_dict()
