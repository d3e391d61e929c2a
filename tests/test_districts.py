"""Districts: a large federation divided, drawn part by part, and laid side by side."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import gen.districts
from fedgen.ragged import offsets_of
from fitting.fit import fit
from gen.decentralization import Decentralization
from gen.districts import REGIONS, Districts, district, divide, join
from gen.growth import Growth
from gen.plan import make_plan
from gen.sample import draw, draw_district
from gen.scenario import Scenario

if TYPE_CHECKING:
    from fedgen.federation import Federation
    from fitting.model import Model
    from gen.plan import Plan


pytestmark = pytest.mark.usefixtures("small_districts")


@pytest.fixture(scope="module")
def model(teams: Federation) -> Model:
    return fit(teams)


@pytest.fixture(scope="module")
def plan(model: Model) -> Plan:
    return make_plan(model, servers=24 * 930, users=58_000, rooms=12_801, seed=3)


def is_a_partition(plan: Plan) -> None:
    """The plans of the districts have all that the whole plan has, and can be met each."""
    districts = divide(plan)
    parts = [district(plan, districts, c) for c in range(len(districts))]
    heads = len(plan.head_users)
    assert districts.heads == heads
    assert sum(part.servers - heads for part in parts) == plan.servers - heads
    for name in ("users", "rooms", "memberships", "presences"):
        assert sum(getattr(part, name) for part in parts) == getattr(plan, name)
    assert np.array_equal(sum(part.head_users for part in parts), plan.head_users)
    assert np.allclose(sum(part.head_memberships for part in parts), plan.head_memberships)
    for c, part in enumerate(parts):
        assert part.district == (c if len(parts) > 1 else plan.district)
        assert part.servers > heads
        assert part.head_users.min(initial=1) >= 1
        assert part.users - part.head_users.sum() >= part.servers - heads
        assert part.rooms >= 1
    if len(parts) > 1:
        assert np.diff(districts.regions).min() >= REGIONS
        assert districts.regions[-1] == plan.regions


class TestDivide:
    @given(st.floats(1, 80), st.none() | st.floats(1, 4), st.none() | st.floats(0.3, 3))
    def test_partitions(self, model: Model, factor: float, users: float | None, rooms: float | None) -> None:
        servers = round(930 * factor)
        is_a_partition(
            make_plan(
                model,
                servers=servers,
                users=None if users is None else round(servers * users),
                rooms=None if rooms is None else round(532 * factor * rooms),
            )
        )

    @given(st.integers(14_000, 80_000), st.integers(0, 2000))
    @settings(max_examples=300)
    def test_hardly_more_users_than_servers(self, model: Model, servers: int, more: int) -> None:
        is_a_partition(make_plan(model, servers=servers, users=servers + more))

    @given(st.integers(16, 200), st.lists(st.integers(1, 40), max_size=4))
    @settings(max_examples=300)
    def test_every_head_server_has_users_everywhere(self, model: Model, factor: int, heads: list[int]) -> None:
        plan = make_plan(model, servers=930 * factor)
        is_a_partition(
            replace(plan, head_users=np.array(heads, dtype=np.int64), head_memberships=np.array(heads) * 2.0)
        )

    @pytest.mark.parametrize("users", [184_911, 184_913, 184_917])
    def test_as_many_users_of_the_body_as_servers_but_for_a_few(self, model: Model, users: int) -> None:
        plan = make_plan(model, servers=89_034, users=users)
        assert 0 < plan.users - plan.head_users.sum() - (plan.servers - len(plan.head_users)) < 10
        is_a_partition(plan)

    def test_they_can_be_drawn(self, model: Model) -> None:
        plan = make_plan(model, servers=89_034, users=184_911)
        drawn = draw(model, plan)
        drawn.check()
        assert (drawn.n_servers, drawn.n_users) == (plan.servers, plan.users)

    def test_by_memberships(self, plan: Plan, monkeypatch: pytest.MonkeyPatch) -> None:
        assert len(divide(plan)) == 24 // REGIONS
        monkeypatch.setattr(gen.districts, "MEMBERSHIPS", plan.memberships // 2)
        assert len(divide(plan)) == 2
        monkeypatch.setattr(gen.districts, "MEMBERSHIPS", plan.memberships)
        assert len(divide(plan)) == 1

    def test_seed_plays_no_part(self, plan: Plan) -> None:
        one, other = divide(plan), divide(replace(plan, seed=99))
        for name in ("regions", "servers", "rooms", "head_users", "body_users"):
            assert np.array_equal(getattr(one, name), getattr(other, name))

    @pytest.mark.parametrize(
        "scenario",
        [
            Scenario(growth=Growth(locality=0.01)),
            Scenario(growth=Growth(reach="natural")),
            Scenario(growth=Growth(reach="proportional")),
            Scenario(growth=Growth(hub_users=0.0, hub_number=1.0)),
            Scenario(decentralize=Decentralization(move_hub_users=0.1)),
        ],
        ids=["locality", "natural reach", "proportional reach", "hubs replicated", "users move"],
    )
    def test_one_where_regions_hang_together(self, model: Model, scenario: Scenario) -> None:
        plan = make_plan(model, servers=24 * 930, scenario=scenario)
        districts = divide(plan)
        assert len(districts) == 1
        assert district(plan, districts, 0) is plan

    def test_one_as_measured(self, model: Model) -> None:
        assert len(divide(make_plan(model, margins="measured"))) == 1
        assert len(divide(make_plan(model))) == 1


@st.composite
def divisions(draw: st.DrawFn) -> Districts:
    """Any: of up to four head servers and up to five districts."""
    count, heads = draw(st.integers(1, 5)), draw(st.integers(0, 4))

    def parts() -> list[int]:
        return draw(st.lists(st.integers(1, 6), min_size=count, max_size=count))

    servers, rooms, users, *of_heads = (offsets_of(np.array(parts())) for _ in range(3 + heads))
    head_users = np.array(of_heads, dtype=np.int64).reshape(heads, count + 1)
    return Districts(np.arange(count + 1), servers, rooms, head_users, users)


class TestIds:
    @given(divisions())
    def test_users_of_all_are_all(self, districts: Districts) -> None:
        """Once each; those of a server stand together, of a head server those of one district after the other's."""
        ids = [districts.users(c).tolist() for c in range(len(districts))]
        users = districts.of_heads + int(districts.body_users[-1])
        assert sorted(user for mine in ids for user in mine) == list(range(users))
        assert all(mine == sorted(mine) for mine in ids)
        home = np.full(users, -1)
        for c, mine in enumerate(ids):
            begin = 0
            for h, of in enumerate(np.diff(districts.head_users[:, c : c + 2])[:, 0].tolist()):
                home[mine[begin : begin + of]] = h
                begin += of
            home[mine[begin:]] = districts.heads + c
        assert np.all(np.diff(home) >= 0)

    @given(divisions())
    def test_servers(self, districts: Districts) -> None:
        heads = list(range(districts.heads))
        ids = [districts.server_ids(c).tolist() for c in range(len(districts))]
        assert all(mine[: len(heads)] == heads for mine in ids)
        body = [server for mine in ids for server in mine[len(heads) :]]
        assert heads + body == list(range(len(heads) + int(districts.servers[-1])))


class TestJoin:
    @pytest.mark.parametrize("factor", [16, 31, 40])
    def test_has_the_sizes_of_the_plan(self, model: Model, factor: int) -> None:
        plan = make_plan(model, servers=930 * factor + 1, users=2500 * factor + 3, rooms=532 * factor + 5, seed=factor)
        districts = divide(plan)
        assert len(districts) == factor // REGIONS
        drawn = join(districts, (draw_district(model, district(plan, districts, c)) for c in range(len(districts))))
        drawn.check()
        assert (drawn.n_servers, drawn.n_users, drawn.n_rooms) == (plan.servers, plan.users, plan.rooms)
        assert drawn.users_per_server[: len(plan.head_users)].tolist() == plan.head_users.tolist()
        assert drawn.n_memberships == pytest.approx(plan.memberships, rel=0.02)
        assert drawn.n_presences == pytest.approx(plan.presences, rel=0.02)
        assert drawn.same_as(draw(model, plan))

    def test_district_alone_is_the_district_within(self, model: Model, plan: Plan) -> None:
        whole, districts = draw(model, plan), divide(plan)
        assert len(districts) == 3
        for c in (2, 0):
            alone = draw_district(model, district(plan, districts, c))
            alone.check()
            user, server = districts.users(c), districts.server_ids(c)
            rooms = whole.room_offsets[districts.rooms[c] : districts.rooms[c + 1] + 1]
            assert np.array_equal(rooms - rooms[0], alone.room_offsets)
            assert np.array_equal(whole.membership_user[rooms[0] : rooms[-1]], user[alone.membership_user])
            assert np.array_equal(whole.user_server[user], server[alone.user_server])
            # Users of a district are in rooms of no other, so all that is theirs is as if it were alone.
            assert np.array_equal(whole.rooms_per_user[user], alone.rooms_per_user)
            body = slice(districts.heads, None)
            assert np.array_equal(whole.rooms_per_server[server][body], alone.rooms_per_server[body])

    def test_districts_differ(self, model: Model, plan: Plan) -> None:
        """Each is drawn from its own address."""
        whole, districts = draw(model, plan), divide(plan)
        sizes = [whole.users_per_room[a:b] for a, b in pairwise(districts.rooms)]
        assert not any(np.array_equal(a[:1000], b[:1000]) for a, b in pairwise(sizes))

    def test_means_are_those_of_one_district(self, model: Model, plan: Plan, monkeypatch: pytest.MonkeyPatch) -> None:
        divided = draw(model, plan)
        monkeypatch.setattr(gen.districts, "MEMBERSHIPS", plan.memberships)
        whole = draw(model, plan)
        assert not divided.same_as(whole)
        for name in ("rooms_per_user", "rooms_per_server", "servers_per_room", "users_per_room", "users_per_server"):
            assert getattr(divided, name).mean() == pytest.approx(getattr(whole, name).mean(), rel=0.02)

    def test_progress(self, model: Model, plan: Plan) -> None:
        heard: list[tuple[str, int, int]] = []
        draw(model, plan, lambda *step: heard.append(step))
        assert [(done, total) for _, done, total in heard] == [(c, 3) for c in range(4)]
