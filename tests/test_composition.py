"""Composition: which head servers are in a room, and what type it is of."""

from collections import Counter

import numpy as np
import pytest

from fedgen.federation import Federation
from fitting.fit import fit
from fitting.heads import smallest_share
from fitting.model import Model
from gen.composition import SMALL, Composition, compose
from gen.plan import Plan, make_plan
from gen.room_sizes import RoomSizes
from gen.rooms import draw_rooms


@pytest.fixture(scope="module")
def model(teams: Federation) -> Model:
    return fit(teams)


def measured_rows(model: Model) -> np.ndarray:
    """The row of every measured room."""
    return np.repeat(np.arange(len(model.rooms.number)), model.rooms.number)


def heads_of_row(model: Model, row: int) -> dict[int, int]:
    """Users of each head server in the rooms of a row."""
    r = model.rooms
    mine = r.row == row
    return dict(zip(r.head[mine].tolist(), r.head_users[mine].tolist(), strict=True))


def is_large(model: Model) -> np.ndarray:
    r, s = model.rooms, model.sizes
    share = smallest_share(s.rooms)
    return (r.users >= share * s.memberships) | (r.servers >= share * s.presences)


def composed(model: Model, plan: Plan, times: int, seed: int) -> tuple[np.ndarray, Composition]:
    """Every measured room so many times, in random order, and its company."""
    rows, r = measured_rows(model), model.rooms
    rng = np.random.default_rng(seed)
    start = rng.permutation(np.tile(np.arange(len(rows)), times))
    k, x = r.servers[rows[start]], (r.users - r.servers)[rows[start]]
    began = rows[start]
    return began, compose(model, plan, RoomSizes(k, x, began, np.zeros(len(began), dtype=bool)), rng)


def heads_in(company: Composition, room: int) -> list[int]:
    return company.head[company.offsets[room] : company.offsets[room + 1]].tolist()


def test_the_model_has_what_is_tested(model: Model) -> None:
    assert len(model.heads.users) >= 3
    large = is_large(model)
    assert 1 <= large.sum() < 20
    assert np.count_nonzero(~large & (model.rooms.users > SMALL)) > 50


@pytest.mark.parametrize("times", [1, 3])
@pytest.mark.parametrize("seed", range(3))
class TestCompose:
    def plan(self, model: Model, times: int) -> Plan:
        return make_plan(model, servers=model.sizes.servers * times)

    def test_large_rooms_keep_their_head_servers(self, model: Model, times: int, seed: int) -> None:
        row, company = composed(model, self.plan(model, times), times, seed)
        beyond, large = model.rooms.users - model.rooms.servers, is_large(model)
        for room in np.flatnonzero(large[row]).tolist():
            heads = heads_of_row(model, row[room])
            assert sorted(heads_in(company, room)) == sorted(heads)
            shares = company.share[company.offsets[room] : company.offsets[room + 1]].tolist()
            for head, share in zip(heads_in(company, room), shares, strict=True):
                assert share == pytest.approx((heads[head] - 1) / max(beyond[row[room]], 1))
            assert company.types.community[room] == model.rooms.community[row[room]]

    def test_no_head_twice_and_no_more_than_servers(self, model: Model, times: int, seed: int) -> None:
        row, company = composed(model, self.plan(model, times), times, seed)
        for room in range(len(row)):
            heads = heads_in(company, room)
            assert len(set(heads)) == len(heads) <= model.rooms.servers[row[room]]
        assert np.all((company.share >= 0) & (company.share <= 1))
        assert np.all((company.body_share >= 0) & (company.body_share <= 1))

    def test_tickets_are_used_evenly(self, model: Model, times: int, seed: int) -> None:
        """The sizes being the measured ones, every head is in as many rooms as it was, times the growth.

        A head that stands in for another where no exchange mends a repetition shifts two of them by one: by two rooms,
        or one in a hundred, at these seeds.
        """
        _, company = composed(model, self.plan(model, times), times, seed)
        found = np.bincount(company.head, minlength=len(model.heads.rooms))
        wanted = model.heads.rooms * times
        assert found.sum() == wanted.sum()
        assert np.all(np.abs(found - wanted) <= np.maximum(2, 0.01 * wanted))

    def test_types_are_used_evenly(self, model: Model, times: int, seed: int) -> None:
        _, company = composed(model, self.plan(model, times), times, seed)
        found = Counter(company.types.community.tolist())
        rooms = Counter(np.repeat(model.rooms.community, model.rooms.number).tolist())
        assert found == Counter({community: number * times for community, number in rooms.items()})

    def test_small_rooms_have_those_of_one_measured_room(self, model: Model, times: int, seed: int) -> None:
        row, company = composed(model, self.plan(model, times), times, seed)
        r = model.rooms
        known = {
            (int(r.community[i]), int(r.servers[i]), int(r.users[i]), tuple(sorted(heads_of_row(model, i))))
            for i in np.flatnonzero(r.users <= SMALL).tolist()
        }
        sets = {(c, heads) for c, _, _, heads in known}
        # Up to three servers a class of k is one k, so with the same sizes the measured room is small as well.
        for room in np.flatnonzero((r.users <= 3)[row]).tolist():
            assert (int(company.types.community[room]), tuple(sorted(heads_in(company, room)))) in sets

    def test_same_generator_same_company(self, model: Model, times: int, seed: int) -> None:
        one, other = (composed(model, self.plan(model, times), times, seed)[1] for _ in range(2))
        assert np.array_equal(one.head, other.head)
        assert np.array_equal(one.share, other.share)
        assert np.array_equal(one.types.region, other.types.region)


class TestRooms:
    """What the composition becomes in the first layer."""

    @pytest.mark.parametrize("servers", [60, 930, 2790])
    def test_heads(self, model: Model, servers: int) -> None:
        plan = make_plan(model, servers=servers, seed=servers)
        rooms = draw_rooms(model, plan)
        pairs = list(zip(rooms.head_room.tolist(), rooms.head.tolist(), strict=True))
        assert len(set(pairs)) == len(pairs)
        assert set(rooms.head.tolist()) == set(range(len(plan.head_users)))
        assert np.all(rooms.head_users >= 1)
        assert np.all(rooms.head_users <= plan.head_users[rooms.head])
        in_rooms = np.bincount(rooms.head, rooms.head_users)
        wanted = model.heads.memberships[: len(plan.head_users)] / model.heads.users[: len(plan.head_users)]
        assert np.all(in_rooms >= plan.head_users)
        assert in_rooms == pytest.approx(wanted * plan.head_users, rel=0.05, abs=2)

    def test_few_servers_keep_few_heads(self, model: Model) -> None:
        rooms = draw_rooms(model, make_plan(model, servers=3, users=50))
        assert set(rooms.head.tolist()) == {0}
