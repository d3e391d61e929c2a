"""The model file: round trips, digest, schema, and every way to be broken."""

import copy
import json
import math
import re
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import jsonschema
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import fedgen
from fedgen.errors import ModelError, OutputError
from fedgen.federation import Federation
from fedgen.statistics.published import builtin_figures
from fitting.fit import fit
from fitting.model import Model, _digest
from gen.reconstruct.reconstruct import reconstruct
from gen.sample import sample
from tests.strategies import federations

ROOT = Path(__file__).parents[1]
SCHEMA = json.loads((ROOT / "fedgen" / "schemas" / "model.schema.json").read_text())


@pytest.fixture(scope="module")
def teams() -> Federation:
    return fedgen.read(ROOT / "configs" / "debian_teams.csv.gz")


@pytest.fixture(scope="module")
def model(teams: Federation) -> Model:
    return fit(teams, provenance={"fedgen": "0.1.0", "command": ["fedgen", "fit", "teams.csv"]})


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
    fresh, told = fit(matrix).to_dict(), shipped.to_dict()
    for part in set(fresh) - {"digest", "provenance", "laws"}:
        assert fresh[part] == told[part]
    assert nearly(told["laws"]) == fresh["laws"]


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
            lambda d: d["servers"].pop("number"),
            lambda d: d["servers"]["number"].append(-1),
            lambda d: d["rooms"]["row"].append(0.5),
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

    @pytest.mark.parametrize("version", [3, 99, None, "1", 1.0])
    def test_version(self, data: dict[str, Any], tmp_path: Path, version: object) -> None:
        path = tmp_path / "model.json"
        path.write_text(json.dumps({**data, "version": version}))
        assert f"model version {version}, this fedgen reads 2; update fedgen" in refused(path)

    @pytest.mark.parametrize("version", [0, 1])
    def test_older(self, data: dict[str, Any], tmp_path: Path, version: int) -> None:
        path = tmp_path / "model.json"
        path.write_text(json.dumps({**data, "version": version}))
        assert f"model version {version}, this fedgen reads 2; fit it again" in refused(path)

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


WELL_SIGNED: dict[str, Callable[[dict[str, Any]], object]] = {
    "no such table": lambda d: d.pop("rooms"),
    "no such column": lambda d: d["rooms"].pop("head"),
    "one column more": lambda d: d["rooms"].update(more=[]),
    "one table more": lambda d: d["presences"]["number"].append(1),
    "columns of different length": lambda d: d["servers"]["users"].append(1),
    "sparse columns of different length": lambda d: d["rooms"]["head"].append(1),
    "not a table": lambda d: d.update(rooms=[1]),
    "not numbers": column("rooms", "users", at=0, to="1"),
    "fractions": column("rooms", "users", at=0, to=1.5),
    "beyond 64 bits": column("servers", "users", at=0, to=2**63),
    "zero": column("servers", "number", at=0, to=0),
    "negative": column("rooms", "users", at=0, to=-5),
    "larger than the federation": column("rooms", "users", at=0, to=10**15),
    "row out of range": column("rooms", "row", at=-1, to=10**6),
    "rows fall": column("rooms", "row", at=0, to=40),
    "head out of range": column("rooms", "head", at=0, to=4),
    "negative head": column("rooms", "head", at=0, to=-1),
    "kind of no head": column("degrees", "kind", at=0, to=-5),
    "kinds fall": column("degrees", "kind", at=-1, to=0),
    "kind out of range": column("memberships", "room_kind", at=0, to=10**9),
    "class out of range": column("memberships", "degree_class", at=0, to=10**9),
    "negative kind": column("presences", "server_kind", at=0, to=-1),
    "another sum": column("degrees", "number", at=0, to=5000),
    "another size": lambda d: d["sizes"].update(rooms=533),
    "size zero": lambda d: d["sizes"].update(users=0),
    "no server": lambda d: d.update(servers={k: [] for k in d["servers"]}),
    "fewer memberships than rooms": column("servers", "rooms", at=0, to=50),
    "fewer memberships than users": column("heads", "memberships", at=0, to=1),
    "more servers than users": column("rooms", "servers", at=0, to=900),
    "law missing": lambda d: d["laws"].pop("x"),
    "law unknown": lambda d: d["laws"].update(y=d["laws"]["x"]),
    "family unknown": lambda d: d["laws"]["n"].update(law="zipf"),
    "parameters of another family": lambda d: d["laws"]["n"].update(law="lognormal"),
    "law from zero": lambda d: d["laws"]["n"].update(xmin=0),
    "law without words": lambda d: d["laws"]["n"].pop("quantity"),
}


@pytest.mark.parametrize("what", WELL_SIGNED)
def test_well_signed_nonsense(data: dict[str, Any], what: str) -> None:
    WELL_SIGNED[what](data)
    with pytest.raises(ModelError, match=r"^m\.json: broken model: .*; fit it again$") as caught:
        Model.from_dict(signed(data), "m.json")
    assert "\n" not in str(caught.value)


def test_well_signed_sense(data: dict[str, Any]) -> None:
    assert Model.from_dict(signed(data)).to_dict() == data


def test_of_other_types() -> None:
    for other in (None, 3, "model", [1], {"format": 1}):
        with pytest.raises(ModelError, match="not a model file"):
            Model.from_dict(other)
