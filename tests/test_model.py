"""The model file: round trips, digest, schema, and every way to be broken."""

import copy
import json
import math
import re
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import jsonschema
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fedgen.errors import ModelError, OutputError
from fedgen.federation import Federation
from fedgen.statistics.published import builtin_figures
from fitting.fit import fit
from fitting.model import Company, Model, _digest
from gen.reconstruct.reconstruct import reconstruct
from gen.sample import sample
from tests.strategies import federations

ROOT = Path(__file__).parents[1]
SCHEMA = json.loads((ROOT / "fedgen" / "schemas" / "model.schema.json").read_text())


@pytest.fixture(scope="module")
def model(teams: Federation) -> Model:
    """With company, which the teams have no need of."""
    fitted = fit(teams, provenance={"fedgen": "0.1.0", "command": ["fedgen", "fit", "teams.csv"]})
    return replace(fitted, company=Company(27_577, 30_686, 196, 3_728, 82_124, 179))


@pytest.fixture
def data(model: Model) -> dict[str, Any]:
    return copy.deepcopy(model.to_dict())


def signed(data: dict[str, Any]) -> dict[str, Any]:
    """With the digest that fits the content."""
    content = {k: v for k, v in data.items() if k not in ("format", "version", "digest", "provenance")}
    return {**data, "digest": _digest(content)}


def refused(path: Path) -> str:
    with pytest.raises(ModelError) as caught:
        Model.load(path)
    message = str(caught.value)
    assert message.startswith(f"{path}: ")
    assert "\n" not in message
    return message.removeprefix(f"{path}: ")


class TestRoundTrip:
    @given(federations(), st.dictionaries(st.text(max_size=5), st.none() | st.integers(0, 9) | st.text(max_size=5)))
    @settings(max_examples=50)
    def test_through_a_file(self, federation: Federation, provenance: dict[str, Any]) -> None:
        model = fit(federation, provenance=provenance)
        with TemporaryDirectory() as folder:
            path = Path(folder) / "model.json"
            model.save(path)
            again = Model.load(path)
            assert json.loads(path.read_text()) == json.loads(json.dumps(model.to_dict()))
        assert again.to_dict() == model.to_dict()
        assert again.provenance == provenance
        assert again.digest == model.digest

    @given(federations())
    @settings(max_examples=50)
    def test_meets_the_schema_and_names_no_provenance(self, federation: Federation) -> None:
        model = fit(federation)
        jsonschema.validate(model.to_dict(), SCHEMA, jsonschema.Draft202012Validator)
        assert fit(federation, provenance={"time": "later"}).digest == model.digest

    def test_saved_twice_is_the_same_file(self, model: Model, tmp_path: Path) -> None:
        model.save(tmp_path / "a.json")
        Model.load(tmp_path / "a.json").save(tmp_path / "b.json")
        assert (tmp_path / "a.json").read_bytes() == (tmp_path / "b.json").read_bytes()

    def test_draws_the_same(self, model: Model, data: dict[str, Any]) -> None:
        again = Model.from_dict(json.loads(json.dumps(data)))
        assert sample(again, servers=100, seed=3).same_as(sample(model, servers=100, seed=3))

    def test_a_row_stands_on_one_line(self, model: Model, tmp_path: Path) -> None:
        model.save(tmp_path / "model.json")
        text = (tmp_path / "model.json").read_text()
        assert re.search(r'^    "users": \[[0-9,]+\],$', text, re.MULTILINE)
        assert text.index('"laws"') < text.index('"heads"')

    def test_never_overwrites_silently(self, model: Model, tmp_path: Path) -> None:
        path = tmp_path / "model.json"
        path.write_text("mine")
        with pytest.raises(OutputError, match="exists"):
            model.save(path)
        assert path.read_text() == "mine"
        model.save(path, force=True)
        assert Model.load(path).digest == model.digest

    def test_digest_tells_models_apart(self, teams: Federation, model: Model) -> None:
        fewer = Federation.from_pairs(teams.user_server, teams.membership_user[1:], teams.membership_room[1:])
        assert fit(fewer).digest != model.digest


def test_the_builtin_model_is_the_one_that_make_model_gives() -> None:
    makefile = (Path(__file__).parents[1] / "Makefile").read_text()
    seed = int(re.search(r"^SEED := (\d+)$", makefile, re.MULTILINE)[1])  # type: ignore[index]
    shipped = Model.builtin()
    matrix = reconstruct(builtin_figures(), seed=seed)
    versions = shipped.provenance["versions"]
    if {name: versions[name] for name in ("numpy", "scipy")} != {name: version(name) for name in ("numpy", "scipy")}:
        # Optima of other versions differ in their last digits, and so do the draws that follow: the same kind of thing.
        assert (matrix.n_users, matrix.n_servers) == (shipped.sizes.users, shipped.sizes.servers)
        return
    fresh = fit(matrix)
    for part in ("sizes", "company", "heads", "servers"):
        assert fresh.to_dict()[part] == shipped.to_dict()[part]
    assert nearly(shipped.to_dict()["laws"]) == fresh.to_dict()["laws"]
    told = whatever_the_communities(shipped)
    for part, table in whatever_the_communities(fresh).items():
        assert table == told[part], part


def whatever_the_communities(model: Model) -> dict[str, Counter[tuple[int, ...]]]:
    """The tables without communities: those come from singular vectors, which differ between processors."""
    r, p, u, f = model.rooms, model.presences, model.users, model.profiles
    heads = np.zeros((len(r.number), len(model.heads.users)), dtype=np.int64)
    heads[r.row, r.head] = r.head_users
    kind = model.types.kind
    return {
        "rooms": summed(r.number, r.servers, r.users, *heads.T),
        "presences": summed(p.number, p.server, kind[p.type], p.users),
        "users": summed(u.number, u.server, u.rooms),
        "profiles": summed(f.number * u.number[f.user], u.server[f.user], u.rooms[f.user], kind[f.type]),
    }


def summed(number: np.ndarray, *columns: np.ndarray) -> Counter[tuple[int, ...]]:
    """How often each distinct row occurs."""
    found: Counter[tuple[int, ...]] = Counter()
    for times, *row in zip(number.tolist(), *(column.tolist() for column in columns), strict=True):
        found[tuple(row)] += times
    return found


def test_the_builtin_model_says_that_it_is_a_reconstruction() -> None:
    command = " ".join(Model.builtin().provenance["command"])
    assert "fedgen fit" in command
    assert "matrix-2018" in command


def nearly(value: Any) -> Any:
    """Equal to what differs in the last digits of floats, as an optimum may between machines."""
    if isinstance(value, float):
        return pytest.approx(value, rel=1e-4, abs=1e-9)
    if isinstance(value, dict):
        return {key: nearly(part) for key, part in value.items()}
    return [nearly(part) for part in value] if isinstance(value, list) else value


class TestSchema:
    def test_is_one(self) -> None:
        jsonschema.Draft202012Validator.check_schema(SCHEMA)

    def test_measured_and_builtin(self, model: Model) -> None:
        for one in (model, Model.builtin()):
            jsonschema.validate(one.to_dict(), SCHEMA, jsonschema.Draft202012Validator)

    @pytest.mark.parametrize(
        "spoil",
        [
            lambda d: d.update(more=1),
            lambda d: d.pop("rooms"),
            lambda d: d["sizes"].update(users=0),
            lambda d: d["servers"].update(more=[]),
            lambda d: d["servers"].pop("users"),
            lambda d: d["servers"]["rooms"].append(-1),
            lambda d: d["servers"]["rooms"].append(0),
            lambda d: d.update(servers={name: [] for name in d["servers"]}),
            lambda d: d["rooms"]["row"].append(0.5),
            lambda d: d["rooms"].pop("community"),
            lambda d: d["types"]["kind"].append(-1),
            lambda d: d["presences"].pop("type"),
            lambda d: d["users"]["server"].append(-21),
            lambda d: d["profiles"]["number"].append(0),
            lambda d: d["company"].pop("butterflies"),
            lambda d: d["company"].update(server_pairs=-1),
            lambda d: d["company"].update(most_users=0),
            lambda d: d.update(degrees={"kind": [], "rooms": [], "number": []}),
            lambda d: d["laws"].pop("d"),
            lambda d: d["laws"]["n"].update(law="zipf"),
            lambda d: d["laws"]["n"].update(law=None),
            lambda d: d["laws"]["n"].update(parameters={"mu": 1.0}),
            lambda d: d["laws"]["n"].update(more=1),
            lambda d: d.update(digest="sha256:12"),
        ],
    )
    def test_is_strict(self, data: dict[str, Any], spoil: Callable[[dict[str, Any]], object]) -> None:
        spoil(data)
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(data, SCHEMA, jsonschema.Draft202012Validator)


class TestBrokenFile:
    """Each gives one line that names the path, and never another exception."""

    def test_missing_and_directory(self, tmp_path: Path) -> None:
        assert "cannot be read" in refused(tmp_path / "none.json")
        assert "cannot be read" in refused(tmp_path)

    @pytest.mark.parametrize(
        "content",
        [
            b"",
            b"{",
            b"\xff\xfe",
            b"null",
            b"[]",
            b'"fedgen-model"',
            b"{}",
            b'{"format": "petgraph"}',
            b'{"nodes": [], "edges": []}',
            b"user,server,room\n0,0,0\n",
            b'{"format": "fedgen-model", "version": NaN}',
            b"[" * 100_000,
        ],
    )
    def test_other_content(self, tmp_path: Path, content: bytes) -> None:
        path = tmp_path / "model.json"
        path.write_bytes(content)
        assert "not a model file" in refused(path)

    def test_truncated_anywhere(self, model: Model, tmp_path: Path) -> None:
        path = tmp_path / "model.json"
        model.save(path)
        whole = path.read_bytes().rstrip()
        for end in np.linspace(0, len(whole) - 1, 40).astype(int):
            path.write_bytes(whole[:end])
            assert "not a model file" in refused(path)

    def test_any_edited_digit(self, model: Model, tmp_path: Path) -> None:
        path = tmp_path / "model.json"
        model.save(path)
        text = path.read_text()
        digits = [m.start() for m in re.finditer("[1-8]", text) if m.start() > text.index('"sizes"')]
        for at in digits[:: len(digits) // 50]:
            edited = text[:at] + str(int(text[at]) + 1) + text[at + 1 :]
            if json.loads(edited) == json.loads(text):
                continue  # beyond the digits of a double
            path.write_text(edited)
            assert "the digest does not fit the content" in refused(path)

    @pytest.mark.parametrize("version", [4, 99, None, "1", 1.0, 3.0])
    def test_version(self, data: dict[str, Any], tmp_path: Path, version: object) -> None:
        path = tmp_path / "model.json"
        path.write_text(json.dumps({**data, "version": version}))
        assert f"model version {version}, this fedgen reads 3; update fedgen" in refused(path)

    @pytest.mark.parametrize("version", [0, 1, 2])
    def test_older(self, data: dict[str, Any], tmp_path: Path, version: int) -> None:
        path = tmp_path / "model.json"
        path.write_text(json.dumps({**data, "version": version}))
        assert f"model version {version}, this fedgen reads 3; fit it again" in refused(path)

    def test_not_a_number(self, data: dict[str, Any], tmp_path: Path) -> None:
        data["laws"]["n"]["ks"] = math.nan
        path = tmp_path / "model.json"
        path.write_text(json.dumps(data))
        assert "not a model file" in refused(path)
        with pytest.raises(ModelError, match=r"^model: broken model"):
            Model.from_dict(data)

    def test_no_digest(self, data: dict[str, Any], tmp_path: Path) -> None:
        del data["digest"]
        path = tmp_path / "model.json"
        path.write_text(json.dumps(data))
        assert "the digest does not fit" in refused(path)


def column(table: str, name: str, *, at: int | None, to: object) -> Callable[[dict[str, Any]], None]:
    """Sets one number of a column, or the whole of it."""

    def spoil(data: dict[str, Any]) -> None:
        if at is None:
            data[table][name] = to
        else:
            data[table][name][at] = to

    return spoil


def swap(table: str, first: int, second: int, *names: str) -> Callable[[dict[str, Any]], None]:
    """Exchanges two rows of a table, or two numbers of some of its columns."""

    def spoil(data: dict[str, Any]) -> None:
        for name in names or data[table]:
            values = data[table][name]
            assert values[first] != values[second] or not names
            values[first], values[second] = values[second], values[first]

    return spoil


def more(table: str, **columns: int) -> Callable[[dict[str, Any]], None]:
    """Adds to the first number of columns."""

    def spoil(data: dict[str, Any]) -> None:
        for name, step in columns.items():
            data[table][name][0] += step

    return spoil


def reverse_users(data: dict[str, Any]) -> None:
    """Reverses the rows of users, and lets profiles follow them."""
    last = len(data["users"]["number"]) - 1
    data["users"] = {name: values[::-1] for name, values in data["users"].items()}
    moved = {name: values[::-1] for name, values in data["profiles"].items()}
    data["profiles"] = {**moved, "user": [last - user for user in moved["user"]]}


def wider_room(data: dict[str, Any]) -> None:
    """One server more in a room that has users enough."""
    rooms = data["rooms"]
    at = next(i for i, (k, u) in enumerate(zip(rooms["servers"], rooms["users"], strict=True)) if k < u)
    rooms["servers"][at] += 1


def crowded_room(data: dict[str, Any]) -> None:
    """One room gives servers to another, which then has more of them than users."""
    rooms = data["rooms"]
    single = [i for i, number in enumerate(rooms["number"]) if number == 1]
    giver = max(single, key=lambda i: rooms["servers"][i])
    taker = min(single, key=lambda i: rooms["users"][i])
    given = rooms["users"][taker] - rooms["servers"][taker] + 1
    rooms["servers"][giver] -= given
    rooms["servers"][taker] += given


def memberships_move(data: dict[str, Any]) -> None:
    """From a user of the last server to one of the first."""
    users, profiles = data["users"], data["profiles"]
    single = [i for i, user in enumerate(profiles["user"]) if users["number"][user] == 1]
    giver = next(i for i in reversed(single) if profiles["number"][i] > 1)
    assert users["server"][profiles["user"][giver]] != users["server"][profiles["user"][single[0]]]
    profiles["number"][giver] -= 1
    profiles["number"][single[0]] += 1


def other_head(data: dict[str, Any]) -> None:
    """The last head presence is of another head server."""
    data["rooms"]["head"][-1] = (data["rooms"]["head"][-1] + 1) % len(data["heads"]["users"])


OUTSIDE = "holds a number outside"
SUMS = "does not sum to what the servers and users have"

# What is done to the file, and what the message says of it.
WELL_SIGNED: dict[str, tuple[Callable[[dict[str, Any]], object], str]] = {
    "no such table": (lambda d: d.pop("rooms"), "rooms"),
    "no such column": (lambda d: d["rooms"].pop("head"), "head"),
    "one column more": (lambda d: d["rooms"].update(more=[]), "differ in length|more"),
    "a longer column": (lambda d: d["presences"]["number"].append(1), "the columns of presences differ in length"),
    "another longer column": (lambda d: d["servers"]["users"].append(1), "the columns of servers differ in length"),
    "a longer sparse column": (lambda d: d["rooms"]["head"].append(1), "the columns of rooms differ in length"),
    "not a table": (lambda d: d.update(rooms=[1]), "object"),
    "not numbers": (column("rooms", "users", at=0, to="1"), "int"),
    "fractions": (column("rooms", "users", at=0, to=1.5), "int"),
    "beyond 64 bits": (column("servers", "users", at=0, to=2**63), ""),
    "zero": (column("servers", "rooms", at=0, to=0), f"servers.rooms {OUTSIDE} 1 to"),
    "negative": (column("rooms", "users", at=0, to=-5), f"rooms.users {OUTSIDE} 1 to"),
    "larger than the federation": (column("rooms", "users", at=0, to=10**15), f"rooms.users {OUTSIDE}"),
    "community out of range": (column("rooms", "community", at=0, to=10**6), f"rooms.community {OUTSIDE} 0 to"),
    "negative community": (column("rooms", "community", at=0, to=-1), f"rooms.community {OUTSIDE} 0 to"),
    "row out of range": (column("rooms", "row", at=-1, to=10**6), f"rooms.row {OUTSIDE}"),
    "head out of range": (column("rooms", "head", at=0, to=4), f"rooms.head {OUTSIDE} 0 to 3"),
    "negative head": (column("rooms", "head", at=0, to=-1), f"rooms.head {OUTSIDE} 0 to 3"),
    "community of a type out of range": (column("types", "community", at=-1, to=10**6), f"types.community {OUTSIDE}"),
    "kind out of range": (column("types", "kind", at=0, to=10**9), f"types.kind {OUTSIDE}"),
    "server of a presence out of range": (column("presences", "server", at=-1, to=926), f"presences.server {OUTSIDE}"),
    "head server among presences": (column("presences", "server", at=0, to=-1), f"presences.server {OUTSIDE} 0 to 925"),
    "type of a presence out of range": (column("presences", "type", at=0, to=10**6), f"presences.type {OUTSIDE}"),
    "user of no head": (column("users", "server", at=0, to=-5), f"users.server {OUTSIDE} -4 to 925"),
    "user of no server": (column("users", "server", at=-1, to=926), f"users.server {OUTSIDE} -4 to 925"),
    "profile of nobody": (column("profiles", "user", at=-1, to=10**6), f"profiles.user {OUTSIDE}"),
    "profile of no type": (column("profiles", "type", at=0, to=10**6), f"profiles.type {OUTSIDE}"),
    "another number of servers": (
        lambda d: d["sizes"].update(servers=931),
        "sizes.servers is 931, the tables count 930",
    ),
    "another number of users": (more("users", number=1), "sizes.users is"),
    "another number of rooms": (lambda d: d["sizes"].update(rooms=533), "sizes.rooms is 533"),
    "another number of memberships": (more("profiles", number=1), "sizes.memberships is"),
    "larger rooms": (more("rooms", users=1), "sizes.memberships is"),
    "another number of presences": (more("presences", number=1), "sizes.presences is"),
    "size zero": (lambda d: d["sizes"].update(users=0), "sizes.users is 0"),
    "no server": (lambda d: d.update(servers={k: [] for k in d["servers"]}), ""),
    "fewer memberships than rooms": (column("servers", "rooms", at=0, to=50), "servers.memberships are outside"),
    "fewer memberships than users": (column("heads", "memberships", at=0, to=1), "heads.memberships are outside"),
    "more memberships than n m": (column("servers", "memberships", at=0, to=50), "servers.memberships are outside"),
    "more servers than users": (crowded_room, "rooms has more servers than users"),
    "users on other servers": (swap("users", 0, -1, "server"), f"users.number {SUMS}"),
    "presences on other servers": (more("servers", rooms=1, memberships=1), f"presences.number {SUMS}"),
    "memberships on other head servers": (more("heads", memberships=1), f"rooms.head_users {SUMS}"),
    "memberships on other servers": (memberships_move, f"profiles.number {SUMS}"),
    "users of other rooms": (more("users", rooms=1), f"profiles.number {SUMS}"),
    "rooms of other servers": (wider_room, "sizes.presences is"),
    "other users of presences": (more("presences", users=1), f"presences.users {SUMS}"),
    "another head server in a room": (other_head, f"rooms.head {SUMS}"),
    "other users of head servers": (more("rooms", head_users=1), f"rooms.head_users {SUMS}"),
    "rows of rooms fall": (swap("rooms", 0, -1, "row"), "rooms.row does not rise"),
    "servers of presences fall": (
        lambda d: d["presences"].update({name: values[::-1] for name, values in d["presences"].items()}),
        "presences.server does not rise",
    ),
    "users of profiles fall": (
        lambda d: d["profiles"].update({name: values[::-1] for name, values in d["profiles"].items()}),
        "profiles.user does not rise",
    ),
    "servers of users fall": (reverse_users, "users.server does not rise"),
    "law missing": (lambda d: d["laws"].pop("x"), "laws are not n, m, e, k, u, x, d"),
    "law unknown": (lambda d: d["laws"].update(y=d["laws"]["x"]), "laws are not"),
    "family unknown": (lambda d: d["laws"]["n"].update(law="zipf"), ""),
    "parameters of another family": (lambda d: d["laws"]["n"].update(law="lognormal"), "laws.n: "),
    "law from zero": (lambda d: d["laws"]["n"].update(xmin=0), "laws.n: "),
    "law without words": (lambda d: d["laws"]["n"].pop("quantity"), "quantity"),
    "no company": (lambda d: d.pop("company"), "company"),
    "company of half a pair": (lambda d: d["company"].update(server_pairs=0.5), "int"),
    "company of fewer than none": (lambda d: d["company"].update(server_pairs=-1), "company.server_pairs is -1"),
    "butterflies of fewer than none": (lambda d: d["company"].update(butterflies=-5), "company.butterflies is -5"),
    "company of no room": (lambda d: d["company"].update(most_servers=0), "company.most_servers is 0"),
    "company of no user": (lambda d: d["company"].update(most_users=0), "company.most_users is 0"),
    "company without its bound": (lambda d: d["company"].pop("most_users"), "most_users"),
}


@pytest.mark.parametrize("what", WELL_SIGNED)
def test_well_signed_nonsense(data: dict[str, Any], what: str) -> None:
    spoil, says = WELL_SIGNED[what]
    spoil(data)
    with pytest.raises(ModelError, match=r"^m\.json: broken model: .*; fit it again$") as caught:
        Model.from_dict(signed(data), "m.json")
    assert "\n" not in str(caught.value)
    assert re.search(says, str(caught.value))


def test_well_signed_sense(data: dict[str, Any]) -> None:
    assert Model.from_dict(signed(data)).to_dict() == data


def test_of_other_types() -> None:
    for other in (None, 3, "model", [1], {"format": 1}):
        with pytest.raises(ModelError, match="not a model file"):
            Model.from_dict(other)
