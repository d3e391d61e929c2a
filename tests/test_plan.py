"""Plans: which sizes follow from which, what is refused, and the streams of random numbers."""

import json
import math
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import fedgen
from fedgen.errors import InfeasibleError, UsageError
from fedgen.federation import Federation
from fitting.fit import fit
from fitting.model import Model
from gen.plan import make_plan
from gen.streams import Stage, stream
from tests.strategies import federations

SCHEMA = json.loads((Path(__file__).parents[1] / "fedgen" / "schemas" / "plan.schema.json").read_text())


@pytest.fixture(scope="module")
def model() -> Model:
    return fit(fedgen.read(Path(__file__).parents[1] / "configs" / "debian_teams.csv.gz"))


class TestSizes:
    def test_as_measured(self, model: Model) -> None:
        plan, s = make_plan(model), model.sizes
        assert (plan.servers, plan.users, plan.rooms) == (s.servers, s.users, s.rooms)
        assert (plan.memberships, plan.presences) == (s.memberships, s.presences)
        assert np.array_equal(plan.head_users, model.heads.users)
        assert plan.model == model.digest

    @given(federations())
    @settings(max_examples=30)
    def test_measured_margins_have_the_measured_sizes(self, federation: Federation) -> None:
        model = fit(federation)
        plan, s = make_plan(model, margins="measured"), model.sizes
        assert (plan.servers, plan.users, plan.rooms) == (s.servers, s.users, s.rooms)
        assert (plan.memberships, plan.presences) == (s.memberships, s.presences)
        assert plan.head_users.tolist() == model.heads.users.tolist()
        assert plan.regions == 1
        assert plan.to_dict()["margins"] == "measured"

    @pytest.mark.parametrize(("factor", "regions"), [(0.2, 1), (1, 1), (1.4, 1), (3, 3), (20, 20)])
    def test_regions(self, model: Model, factor: float, regions: int) -> None:
        assert make_plan(model, servers=round(model.sizes.servers * factor)).regions == regions

    @pytest.mark.parametrize("factor", [0.01, 0.5, 3, 20])
    @pytest.mark.parametrize("given_size", ["servers", "users", "rooms"])
    def test_others_follow_in_proportion(self, model: Model, given_size: str, factor: float) -> None:
        size = round(getattr(model.sizes, given_size) * factor)
        plan = make_plan(model, **{given_size: size})
        assert getattr(plan, given_size) == size
        exact = size / getattr(model.sizes, given_size)
        for name in ("servers", "users", "rooms", "memberships", "presences"):
            assert getattr(plan, name) == pytest.approx(getattr(model.sizes, name) * exact, abs=12)

    def test_the_first_given_leads(self, model: Model) -> None:
        s = model.sizes
        plan = make_plan(model, servers=s.servers * 2, users=s.users * 5)
        assert (plan.servers, plan.users, plan.rooms) == (s.servers * 2, s.users * 5, s.rooms * 2)
        plan = make_plan(model, users=s.users * 5, rooms=7)
        assert (plan.servers, plan.users, plan.rooms) == (s.servers * 5, s.users * 5, 7)

    def test_heads_keep_their_share(self, model: Model) -> None:
        plan = make_plan(model, servers=model.sizes.servers * 10)
        assert plan.head_users.tolist() == (model.heads.users * 10).tolist()
        plan = make_plan(model, users=model.sizes.users * 4, servers=model.sizes.servers)
        assert plan.head_users.tolist() == (model.heads.users * 4).tolist()

    def test_few_servers_keep_few_heads(self, model: Model) -> None:
        kept = [len(make_plan(model, servers=servers, users=200).head_users) for servers in range(1, 10)]
        assert kept == [0, 1, 1, 2, 2, 3, 3, 4, 4]

    @given(federations(), st.data())
    @settings(max_examples=60)
    def test_any_can_be_met(self, federation: Federation, data: st.DataObject) -> None:
        model = fit(federation)
        servers = data.draw(st.none() | st.integers(1, 10**6))
        users = data.draw(st.none() | st.integers(servers or 1, 10**7))
        rooms = data.draw(st.none() | st.integers(1, 10**6))
        plan = make_plan(model, servers=servers, users=users, rooms=rooms, seed=3)
        assert plan.servers == (servers or plan.servers)
        assert plan.users == (users or plan.users)
        assert plan.rooms == (rooms or plan.rooms)
        assert plan.users >= plan.servers >= 1 <= plan.rooms
        assert max(plan.users, plan.rooms) <= plan.memberships <= plan.users * plan.rooms
        assert max(plan.servers, plan.rooms) <= plan.presences <= min(plan.servers * plan.rooms, plan.memberships)
        assert np.all(plan.head_users >= 1)
        assert plan.head_users.sum() <= plan.users - (plan.servers - len(plan.head_users))
        assert len(plan.head_users) <= plan.servers // 2


class TestRefused:
    @pytest.mark.parametrize("name", ["servers", "users", "rooms"])
    @pytest.mark.parametrize("size", [0, -1, 1.5, 2.0, True, "3", math.nan])
    def test_no_size(self, model: Model, name: str, size: Any) -> None:
        with pytest.raises(UsageError, match=f"^{name}: {size} is not a size; give a whole number from 1 up$"):
            make_plan(model, **{name: size})

    @pytest.mark.parametrize("seed", [-1, 0.5, True, None, "1"])
    def test_no_seed(self, model: Model, seed: Any) -> None:
        with pytest.raises(UsageError, match=f"^seed: {seed} is not a seed; give a whole number from 0 up$"):
            make_plan(model, seed=seed)

    def test_fewer_users_than_servers(self, model: Model) -> None:
        with pytest.raises(InfeasibleError) as caught:
            make_plan(model, servers=50, users=49)
        assert str(caught.value) == (
            "49 users cannot be on 50 servers, every server has a user; give at least 50 users or at most 49 servers"
        )
        assert caught.value.exit_code == 2
        make_plan(model, servers=50, users=50)

    @pytest.mark.parametrize("margins", ["fitted", "", None, True])
    def test_no_margins(self, model: Model, margins: Any) -> None:
        with pytest.raises(UsageError) as caught:
            make_plan(model, margins=margins)
        assert str(caught.value) == f"margins: {margins!r} is not known; give drawn or measured"

    @pytest.mark.parametrize("name", ["servers", "users", "rooms"])
    def test_measured_margins_of_other_sizes(self, model: Model, name: str) -> None:
        size = getattr(model.sizes, name)
        with pytest.raises(InfeasibleError) as caught:
            make_plan(model, margins="measured", **{name: size + 1})
        assert str(caught.value) == (
            f"measured margins are those of {size} {name}, not of {size + 1}; leave --{name} out or draw the margins"
        )
        assert make_plan(model, margins="measured", **{name: size}).margins == "measured"

    def test_whole_numbers_of_numpy_are_welcome(self, model: Model) -> None:
        assert make_plan(model, servers=np.int64(50), seed=np.uint8(3)).seed == 3  # type: ignore[arg-type]


class TestRecord:
    @given(federations(), st.integers(0, 2**64))
    @settings(max_examples=20)
    def test_meets_the_schema(self, federation: Federation, seed: int) -> None:
        record = make_plan(fit(federation), servers=3, users=9, seed=seed).to_dict()
        jsonschema.validate(json.loads(json.dumps(record)), SCHEMA, jsonschema.Draft202012Validator)
        assert record["sizes"]["servers"] == 3
        assert record["seed"] == seed
        measured = make_plan(fit(federation), margins="measured", seed=seed).to_dict()
        jsonschema.validate(json.loads(json.dumps(measured)), SCHEMA, jsonschema.Draft202012Validator)

    def test_tells_growth(self, model: Model) -> None:
        growth = make_plan(model, servers=model.sizes.servers * 2, rooms=model.sizes.rooms).to_dict()["growth"]
        assert (growth["servers"], growth["users"], growth["rooms"]) == (2, 2, 1)
        assert growth["head_servers"] == len(model.heads.users)


class TestStreams:
    def test_each_address_is_its_own(self) -> None:
        first = [
            stream(seed, stage, chunk).integers(0, 2**63)
            for seed in (0, 1, 2**70)
            for stage in Stage
            for chunk in (0, 1, 7)
        ]
        assert len(set(first)) == len(first)

    def test_same_address_same_numbers(self) -> None:
        assert np.array_equal(stream(5, Stage.ROOMS).random(9), stream(5, Stage.ROOMS, 0).random(9))

    def test_numbers_of_stages_are_a_contract(self) -> None:
        assert {stage.name: int(stage) for stage in Stage} == {
            "ROOMS": 1,
            "SERVERS": 2,
            "PRESENCE_COUNTS": 3,
            "PLACEMENT": 4,
            "DEGREES": 5,
            "MATCHING": 6,
            "COMPANY": 7,
            "DECENTRALIZATION": 8,
            "ACTIVITY": 9,
            "COUNTS": 10,
        }
        # numpy promises the raw stream of a bit generator for good.
        assert stream(1, Stage.ROOMS).bit_generator.random_raw(2).tolist() == [
            1598142916427869621,
            13162319365388983618,
        ]
