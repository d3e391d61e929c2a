"""What each command does: the result on stdout, the files that it leaves, its exit code."""

import json
import re
import shutil
from pathlib import Path
from typing import Any

import jsonschema
import pytest

import fedgen
from fedgen.cli.commands import run
from fedgen.cli.info import describe
from fedgen.cli.options import FormatName
from fedgen.errors import OutputError
from fedgen.federation import Federation
from fedgen.provenance import record

EXAMPLE = Path(__file__).parents[1] / "configs" / "debian_teams.csv.gz"
SIZES = {"servers": 930, "users": 2430, "rooms": 532, "memberships": 5386, "presences": 2422}  # configs/debian_teams.md

Captured = pytest.CaptureFixture[str]


def result(capsys: Captured, *words: object, code: int = 0) -> dict[str, Any]:
    """The JSON that a command prints."""
    assert run([*map(str, words), "--json"]) == code
    printed: dict[str, Any] = json.loads(capsys.readouterr().out)
    return printed


def provenance_keys() -> set[str]:
    """The keys of a provenance record, which its schema documents."""
    made = record([])
    return {*made, *made["versions"]}


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("fit") / "model.json"
    assert run(["fit", str(EXAMPLE), "-o", str(path), "-q"]) == 0
    return path


@pytest.fixture(scope="module")
def generated(model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("sample") / "generated"
    assert run(["sample", str(model), "-o", str(path), "--seed", "1", "-q"]) == 0
    return path


@pytest.fixture(scope="module")
def blind(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The example with its users shuffled over the servers: every size is right, every dependence gone."""
    import numpy as np

    from fedgen.io import read, write

    federation = read(EXAMPLE)
    shuffled = np.random.default_rng(0).permutation(federation.user_server)
    path = tmp_path_factory.mktemp("blind") / "blind.csv"
    write(Federation.from_pairs(shuffled, federation.membership_user, federation.membership_room), path)
    return path


class TestFit:
    def test_prints_every_law_and_writes_the_model(self, tmp_path: Path, capsys: Captured) -> None:
        path = tmp_path / "model.json"
        assert run(["fit", str(EXAMPLE), "-o", str(path)]) == 0
        out = capsys.readouterr().out
        model = fedgen.Model.load(path)
        assert all(law.quantity in out for law in model.laws.values())
        assert str(path) in out
        for explained in ("e - max(n, m)", "u - k", "likelihood ratio", "hubs:", "with --bootstrap N"):
            assert explained in out
        assert model.provenance["command"] == ["fedgen", "fit", str(EXAMPLE), "-o", str(path)]

    def test_bootstrap(self, tmp_path: Path, capsys: Captured) -> None:
        path = tmp_path / "model.json"
        assert run(["fit", str(EXAMPLE), "-o", str(path), "--bootstrap", "40", "--seed", "2"]) == 0
        out = capsys.readouterr().out
        assert "40 replicates" in out
        assert "95 % intervals" in out
        model = fedgen.Model.load(path)
        assert model.provenance["seed"] == 2
        for law in model.laws.values():
            assert law.p is not None
            assert law.scan is not None
            assert law.scan.p is not None
            assert set(law.parameters) <= set(law.intervals)

    @pytest.mark.slow
    def test_powerlaw_finds_the_same(self, model: Path, tmp_path: Path) -> None:
        small = tmp_path / "small.csv"
        assert run(["sample", str(model), "--servers", "90", "-o", str(small), "--seed", "1", "-q"]) == 0
        laws = []
        for engine in ("fast", "powerlaw"):
            path = tmp_path / f"{engine}.json"
            assert run(["fit", str(small), "-o", str(path), "--engine", engine, "-q"]) == 0
            laws.append(fedgen.Model.load(path).laws)
        assert any(law.law for law in laws[0].values())
        for name, law in laws[0].items():
            other = laws[1][name]
            assert (law.xmin, law.tail) == (other.xmin, other.tail)
            of_power_law = [fit.parameters for fit in (*law.fits, *other.fits) if fit.family == "power law"]
            if law.law:
                assert of_power_law[0] == pytest.approx(of_power_law[1], rel=1e-4)

    def test_plot(self, tmp_path: Path, capsys: Captured) -> None:
        figures = tmp_path / "figures"
        words = ("fit", EXAMPLE, "-o", tmp_path / "model.json", "--plot", figures)
        printed = result(capsys, *words)["figures"]
        assert printed == [str(path) for path in map(Path, printed) if path.stat().st_size > 5000]
        assert len(printed) == 14
        assert {path.suffix for path in figures.iterdir()} == {".svg", ".png"}
        assert "hubs" in (figures / "users-per-server.svg").read_text()
        assert run([*map(str, words), "--force"]) == 0
        (tmp_path / "model.json").unlink()
        assert run([*map(str, words)]) == 1  # the figures are there: nothing is computed, nothing written
        assert "exists" in capsys.readouterr().err
        assert not (tmp_path / "model.json").exists()

    def test_default_is_model_json_here(
        self, tmp_path: Path, capsys: Captured, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.chdir(tmp_path)
        printed = result(capsys, "fit", EXAMPLE)
        assert printed["output"] == "model.json"
        assert printed["digest"] == fedgen.Model.load("model.json").digest
        assert printed["sizes"] == SIZES

    def test_force_overwrites(self, tmp_path: Path, capsys: Captured) -> None:
        path = tmp_path / "model.json"
        path.write_text("old")
        assert run(["fit", str(EXAMPLE), "-o", str(path), "--force"]) == 0
        assert fedgen.Model.load(path).sizes.servers == SIZES["servers"]
        capsys.readouterr()


class TestSample:
    def test_without_sizes_is_as_large_as_measured(self, generated: Path, capsys: Captured) -> None:
        counts = result(capsys, "info", generated)["counts"]
        assert {k: counts[k] for k in ("servers", "users", "rooms")} == {
            k: SIZES[k] for k in ("servers", "users", "rooms")
        }

    @pytest.mark.parametrize("sizes", [{"servers": 300}, {"users": 777}, {"rooms": 99}, {"servers": 20, "users": 4000}])
    def test_sizes_are_exact(self, sizes: dict[str, int], model: Path, tmp_path: Path, capsys: Captured) -> None:
        words = [word for name, size in sizes.items() for word in (f"--{name}", size)]
        printed = result(capsys, "sample", model, *words, "-o", tmp_path / "out")
        assert {name: printed[name] for name in sizes} == sizes
        fedgen.read(tmp_path / "out").check()

    def test_infeasible_sizes_are_wrong_usage(self, model: Path, tmp_path: Path, capsys: Captured) -> None:
        words = ["sample", str(model), "--servers", "50", "--users", "49", "-o", str(tmp_path / "out")]
        assert run(words) == 2
        out, err = capsys.readouterr()
        assert not out
        assert err.startswith("fedgen: error: ")
        assert err.count("\n") == 1
        assert not list(tmp_path.iterdir())

    def test_same_seed_same_federation_for_any_jobs(self, model: Path, tmp_path: Path, capsys: Captured) -> None:
        def tables(name: str, *words: object) -> dict[str, bytes]:
            result(capsys, "sample", model, "--servers", 200, "-o", tmp_path / name, *words)
            place = tmp_path / name
            return {file.relative_to(place).as_posix(): file.read_bytes() for file in place.rglob("*.parquet")}

        one = tables("one", "--seed", 5)
        assert one == tables("two", "--seed", 5, "--jobs", 2)
        assert one != tables("three", "--seed", 6)

    def test_model_of_this_folder_comes_before_the_builtin_one(
        self, model: Path, tmp_path: Path, capsys: Captured, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.chdir(tmp_path)
        assert run(["sample", "--servers", "50", "-o", "a"]) == 0
        assert "built-in" in capsys.readouterr().err
        (tmp_path / "model.json").write_bytes(model.read_bytes())
        assert run(["sample", "--servers", "50", "-o", "b"]) == 0
        assert "model.json" in capsys.readouterr().err

    def test_without_output_the_folder_is_named_by_sizes_and_seed(
        self, model: Path, tmp_path: Path, capsys: Captured, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.chdir(tmp_path)
        words = ["sample", model, "--servers", 50, "--users", 120, "--rooms", 30, "--seed", 7]
        assert result(capsys, *words)["output"] == "federation-s50-u120-r30-seed7"
        assert run(list(map(str, words))) == 1
        assert "--force" in capsys.readouterr().err
        assert run([*map(str, words), "--force"]) == 0
        assert [entry.name for entry in tmp_path.iterdir()] == ["federation-s50-u120-r30-seed7"]

    def test_provenance_lies_with_the_result(self, model: Path, generated: Path) -> None:
        provenance = json.loads((generated / "manifest.json").read_text())["provenance"]
        assert provenance["command"] == ["fedgen", "sample", str(model), "-o", str(generated), "--seed", "1", "-q"]
        assert provenance["seed"] == 1
        assert provenance["inputs"] == {str(model): fedgen.Model.load(model).digest}
        assert json.loads((generated / "plan.json").read_text())["model"] == fedgen.Model.load(model).digest


class TestValidate:
    def test_what_was_computed_is_printed_even_if_it_cannot_be_written(
        self, tmp_path: Path, capsys: Captured, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def full(path: Path, *_: object, **__: object) -> None:
            raise OutputError(f"{path}: cannot be written (No space left on device); free some space")

        monkeypatch.setattr("fedgen.io.output.write_file", full)
        assert run(["validate", str(EXAMPLE), "--against", str(EXAMPLE), "-o", str(tmp_path / "s.json")]) == 1
        out, err = capsys.readouterr()
        assert out.endswith("not rejected\n")
        assert err.endswith("free some space\n")

    def test_rejection_is_exit_code_3(self, blind: Path, tmp_path: Path, capsys: Captured) -> None:
        path = tmp_path / "scorecard.json"
        assert run(["validate", str(blind), "--against", str(EXAMPLE), "-o", str(path)]) == 3
        out, err = capsys.readouterr()
        assert out.endswith("; rejected\n")
        assert not err
        scorecard = json.loads(path.read_text())
        assert scorecard["rejected"] is True
        assert scorecard["provenance"]["inputs"].keys() == {str(blind), str(EXAMPLE)}
        schema = Path(fedgen.__file__).parent / "schemas" / "scorecard.schema.json"
        jsonschema.validate(scorecard, json.loads(schema.read_text()))

    def test_the_measurement_itself_is_not_rejected_but_copied(self, capsys: Captured) -> None:
        printed = result(capsys, "validate", EXAMPLE, "--against", EXAMPLE)
        assert printed["rejected"] is False
        assert printed["copied"] > 0

    def test_json_and_table_say_the_same(self, generated: Path, capsys: Captured) -> None:
        words = ["validate", str(generated), "--against", str(EXAMPLE)]
        code = run(words)
        table = capsys.readouterr().out
        printed = result(capsys, *words, code=code)
        assert code == (3 if printed["rejected"] else 0)
        header = table.splitlines()[1].split()
        assert header == ["row", "statistic", "distance", "floor", "ratio", "detectable", "p", "verdict"]
        assert "another --seed may decide otherwise" in table
        assert f"{printed['within']} of {printed['judged']} rows" in table
        for row in printed["rows"]:
            (line,) = (line for line in table.splitlines() if line.split()[:1] == [row["name"]])
            assert row["statistic"] in line
            assert line.endswith(row["verdict"])
            if row["p"] is not None:
                assert [f"{row[name]:.4g}" for name in ("detectable", "p")] == line.split(row["verdict"])[0].split()[
                    -2:
                ]


class TestInfo:
    def test_a_federation(self, capsys: Captured) -> None:
        printed = result(capsys, "info", EXAMPLE)
        assert printed["counts"] == SIZES
        assert printed["format"] == "csv"
        assert printed["largest"]["users_per_room"] == 583
        assert printed["concentration"]["top_1_share"] == pytest.approx(0.2889, abs=5e-5)
        assert run(["info", str(EXAMPLE)]) == 0
        assert "2,430" in capsys.readouterr().out

    def test_a_model(self, model: Path, capsys: Captured) -> None:
        printed = result(capsys, "info", model)
        assert printed["sizes"] == SIZES
        assert printed["digest"] == fedgen.Model.load(model).digest
        assert run(["info", str(model)]) == 0
        assert "users per server" in capsys.readouterr().out

    def test_load_by_hand(self) -> None:
        """Server 0 has users 0, 1; server 1 has user 2. Room 0 holds all three, room 1 user 0 alone."""
        federation = Federation.from_pairs([0, 0, 1], [0, 1, 2, 0], [0, 0, 0, 1])
        load = describe(federation)["load"]
        assert load["load_per_user"] == pytest.approx(2.5 / 3)  # (1/2 + 1) + 1
        assert load["hub_share_tx"] == pytest.approx(1.5 / 2.5)
        assert load["hub_share_rx"] == pytest.approx(1 / 2.5)
        assert load["hub_share"] == pytest.approx(1 / 2)

    def test_a_federation_that_sends_nothing(self, tmp_path: Path, capsys: Captured) -> None:
        (tmp_path / "lone.csv").write_text("user,server,room\n0,0,0\n")
        assert result(capsys, "info", tmp_path / "lone.csv")["load"] == {
            "load_per_user": 0.0,
            "hub_share_tx": None,
            "hub_share_rx": None,
            "hub_share": None,
        }


class TestConvert:
    def test_formats_are_those_that_can_be_written(self) -> None:
        from typing import get_args

        from fedgen.io import FORMATS

        assert set(get_args(FormatName)) == set(FORMATS)

    @pytest.mark.parametrize("name", ["f.csv", "f.csv.gz", "f.json", "f.json.zip", "f.graphml", "folder"])
    def test_there_and_back_by_suffix(self, name: str, tmp_path: Path, capsys: Captured) -> None:
        assert run(["convert", str(EXAMPLE), str(tmp_path / name)]) == 0
        assert run(["convert", str(tmp_path / name), str(tmp_path / "back.csv")]) == 0
        assert capsys.readouterr().out == f"{tmp_path / name}\n{tmp_path / 'back.csv'}\n"
        assert describe(fedgen.read(tmp_path / "back.csv")) == describe(fedgen.read(EXAMPLE))

    def test_the_format_may_be_named(self, tmp_path: Path, capsys: Captured) -> None:
        for form in ("node-link", "locust"):
            assert run(["convert", str(EXAMPLE), str(tmp_path / form), "--format", form]) == 0
            assert isinstance(json.loads((tmp_path / form).read_text()), dict)
        capsys.readouterr()

    def test_unknown_suffix_is_wrong_usage(self, tmp_path: Path, capsys: Captured) -> None:
        assert run(["convert", str(EXAMPLE), str(tmp_path / "f.xlsx")]) == 2
        assert "no format has the suffix .xlsx; the suffixes are .csv, .json, .graphml" in capsys.readouterr().err
        assert not list(tmp_path.iterdir())
        assert run(["convert", str(EXAMPLE), str(tmp_path / "f.xlsx"), "--format", "csv"]) == 0
        capsys.readouterr()

    def test_json_tells_what_was_made(self, tmp_path: Path, capsys: Captured) -> None:
        place = tmp_path / "f.graphml"
        assert result(capsys, "convert", EXAMPLE, place) == {**SIZES, "format": "graphml", "output": str(place)}


class TestInputsAreKept:
    """``--force`` overwrites results, never what a command reads."""

    @pytest.fixture
    def held(self, model: Path, generated: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, bytes]:
        shutil.copytree(generated, tmp_path / "folder")
        shutil.copy(model, tmp_path / "model.json")
        shutil.copy(EXAMPLE, tmp_path / "table.csv.gz")
        shutil.copy(EXAMPLE.with_name("matrix-2018.toml"), tmp_path / "figures.toml")
        (tmp_path / "link").symlink_to("table.csv.gz")
        (tmp_path / "here").symlink_to("folder")
        monkeypatch.chdir(tmp_path)
        return self.contents(tmp_path)

    def contents(self, path: Path) -> dict[str, bytes]:
        return {str(file.relative_to(path)): file.read_bytes() for file in path.rglob("*") if file.is_file()}

    @pytest.mark.parametrize(
        "words",
        [
            "validate folder --against table.csv.gz -o table.csv.gz",
            "validate folder --against table.csv.gz -o link",
            "validate table.csv.gz --against folder -o folder/manifest.json",
            "sample model.json -o model.json --format csv",
            "sample -o model.json --format csv",
            "convert folder folder",
            "convert folder here",
            "convert folder here/users/f.csv",
            "convert folder here/../folder",
            "convert table.csv.gz table.csv.gz",
            "convert link table.csv.gz",
            "convert table.csv.gz link",
            "fit table.csv.gz -o table.csv.gz",
            "fit folder -o folder/model.json",
            "reconstruct figures.toml -o figures.toml --format csv",
            "reconstruct figures.toml -o figures.toml --ensemble 2 --format parquet",
        ],
    )
    def test_it_is_refused(self, words: str, held: dict[str, bytes], tmp_path: Path, capsys: Captured) -> None:
        assert run([*words.split(), "--force"]) == 2
        out, err = capsys.readouterr()
        assert not out
        assert re.search(r": error: .*(is the input itself|lies within the input).*; name another place\n$", err)
        assert self.contents(tmp_path) == held

    def test_a_neighbour_is_no_input(self, held: dict[str, bytes], capsys: Captured) -> None:
        assert "folder/manifest.json" in held
        assert run(["convert", "folder", "folder2", "--force"]) == 0
        assert run(["convert", "table.csv.gz", "folder2", "--force"]) == 0
        capsys.readouterr()


class TestTheWrongKind:
    def told(self, capsys: Captured, *words: object) -> str:
        assert run(list(map(str, words))) == 1
        return capsys.readouterr().err.splitlines()[-1].removeprefix("fedgen: error: ")

    def test_a_federation_for_a_model(self, generated: Path, tmp_path: Path, capsys: Captured) -> None:
        for given in (generated, EXAMPLE):
            line = self.told(capsys, "sample", given, "-o", tmp_path / "out")
            assert line == f"{given}: is a federation, not a model; fit it first: fedgen fit {given}"
        assert self.told(capsys, "sample", tmp_path) == (
            f"{tmp_path}: is a folder, not a model; give the file that fedgen fit wrote"
        )

    def test_a_model_for_a_federation(self, model: Path, tmp_path: Path, capsys: Captured) -> None:
        for words in (
            ("fit", model, "-o", tmp_path / "m.json"),
            ("convert", model, tmp_path / "out"),
            ("validate", model, "--against", EXAMPLE),
            ("validate", EXAMPLE, "--against", model),
        ):
            line = self.told(capsys, *words)
            assert line == f"{model}: is a model, not a federation; sample it first: fedgen sample {model}"


class TestJson:
    def keys(self, document: object) -> set[str]:
        """Every key of a document, but for those that are data: the names of inputs."""
        if isinstance(document, dict):
            inner = [self.keys(value) for key, value in document.items() if key != "inputs"]
            return set(document).union(*inner)
        return set().union(*map(self.keys, document)) if isinstance(document, list) else set()

    def test_keys_are_identifiers_that_the_documentation_names(
        self, model: Path, generated: Path, tmp_path: Path, capsys: Captured
    ) -> None:
        page = (Path(__file__).parents[1] / "docs" / "json.md").read_text()
        for words in (
            ("fit", EXAMPLE, "-o", tmp_path / "model.json"),
            ("sample", model, "--servers", 30, "-o", tmp_path / "out"),
            ("info", generated),
            ("info", model),
            ("convert", EXAMPLE, tmp_path / "f.csv"),
            ("load", EXAMPLE, "--mechanism", "tree", "-o", tmp_path / "load.csv"),
            ("load", EXAMPLE, "--pairs", "0,1", "--monte-carlo", 9, "--window", 1),
            ("load", EXAMPLE, "--what-if", "--plot", tmp_path / "figures"),
        ):
            found = self.keys(result(capsys, *words)) - {"n", "m", "e", "k", "u", "x", "d"}
            assert found
            assert all(re.fullmatch("[a-z][a-z0-9_]*", key) for key in found)
            assert {key for key in found if f"`{key}`" not in page} <= provenance_keys(), words
