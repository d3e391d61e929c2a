"""``fedgen reconstruct``: federations from figures, what they say of themselves, ensembles, and what is refused."""

import json
import re
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import jsonschema
import pytest

import fedgen
import gen.reconstruct.reconstruct
from fedgen.cli.commands import run
from fedgen.cli.findings import print_findings
from fedgen.errors import FiguresError, UnmetError
from fedgen.provenance import digest
from fedgen.statistics.published import read_figures
from tests.small_figures import HEAD, HUB, ROOMS, SIZES, SMALL, figure
from validate.published import hold

SCHEMAS = Path(fedgen.__file__).parent / "schemas"
EXAMPLE = Path(__file__).parents[1] / "configs" / "debian_teams.csv.gz"

Captured = pytest.CaptureFixture[str]


def check(document: object, name: str) -> None:
    """Validate against one of our schemas."""
    schema = json.loads((SCHEMAS / f"{name}.schema.json").read_text())
    jsonschema.validate(document, schema, cls=jsonschema.Draft202012Validator)


def tables(path: Path) -> dict[str, bytes]:
    """The tables of a federation directory."""
    return {file.relative_to(path).as_posix(): file.read_bytes() for file in path.rglob("*.parquet")}


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("figures") / "small.toml"
    path.write_text(SMALL)
    return path


@pytest.fixture(scope="module")
def made(config: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("made") / "one"
    assert run(["reconstruct", str(config), "-o", str(path), "--seed", "1", "-q"]) == 0
    return path


@pytest.fixture(scope="module")
def ensemble(config: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("made") / "three"
    assert run(["reconstruct", str(config), "-o", str(path), "--seed", "1", "--ensemble", "3", "-q"]) == 0
    return path


class TestOne:
    def test_it_meets_the_figures(self, made: Path, config: Path) -> None:
        assert run(["validate", str(made), "--against", str(config)]) == 0
        federation = fedgen.read(made)
        federation.check()
        assert (federation.n_users, federation.n_servers) == (400, 40)

    def test_same_seed_same_bytes(self, made: Path, config: Path, tmp_path: Path) -> None:
        assert run(["reconstruct", str(config), "-o", str(tmp_path / "a"), "--seed", "1", "--jobs", "3", "-q"]) == 0
        assert tables(tmp_path / "a") == tables(made)
        assert (tmp_path / "a/plan.json").read_bytes() == (made / "plan.json").read_bytes()

    def test_other_seed_other_federation(self, made: Path, config: Path, tmp_path: Path) -> None:
        assert run(["reconstruct", str(config), "-o", str(tmp_path / "b"), "--seed", "2", "-q"]) == 0
        assert tables(tmp_path / "b") != tables(made)

    def test_it_prints_what_validate_prints(self, config: Path, tmp_path: Path, capsys: Captured) -> None:
        path = tmp_path / "out"
        assert run(["reconstruct", str(config), "-o", str(path), "--seed", "1"]) == 0
        out = capsys.readouterr().out
        print_findings(hold(fedgen.read(path), read_figures(config)))
        table = capsys.readouterr().out
        assert "7 of 7 figures met; of 1 inferred ones, told only, " in table
        assert out.startswith(table)
        assert out.endswith(f"{path}\n")
        assert "Reconstructed federation, not a measurement" in out

    def test_json(self, config: Path, tmp_path: Path, capsys: Captured) -> None:
        path = tmp_path / "out"
        assert run(["reconstruct", str(config), "-o", str(path), "--seed", "1", "--json"]) == 0
        printed = json.loads(capsys.readouterr().out)
        findings = printed.pop("findings")
        check(findings, "findings")
        assert not findings["rejected"]
        federation = fedgen.read(path)
        assert printed == {
            "servers": 40,
            "users": 400,
            "rooms": federation.n_rooms,
            "memberships": federation.n_memberships,
            "presences": federation.n_presences,
            "load_per_user": pytest.approx(fedgen.load(federation).total / 400),
            "seed": 1,
            "config": str(config),
            "output": str(path),
        }

    def test_plan_and_manifest_say_what_it_is(self, made: Path, config: Path) -> None:
        plan, manifest = (json.loads((made / name).read_text()) for name in ("plan.json", "manifest.json"))
        check(plan, "plan")
        check(manifest, "manifest")
        source = {"title": "A small census", "reference": "nobody 2024", "digest": digest(config)}
        assert (plan["kind"], plan["seed"], plan["figures"]) == ("reconstruction", 1, source)
        origin = manifest["provenance"]
        assert origin["note"] == "reconstructed from the figures of A small census (nobody 2024); not a measurement"
        assert (origin["seed"], origin["inputs"]) == (1, {str(config): digest(config)})
        assert origin["command"][:2] == ["fedgen", "reconstruct"]

    @pytest.mark.parametrize(
        "change", [{"sizes": {"servers": 1, "users": 1, "rooms": 1}}, {"model": "sha256:" + "0" * 64}]
    )
    def test_a_plan_is_one_or_the_other(self, change: dict[str, Any], made: Path) -> None:
        plan = json.loads((made / "plan.json").read_text())
        for broken in (
            {**plan, **change},
            {key: plan[key] for key in plan if key != "figures"},
            {**plan, "seed": None},
        ):
            with pytest.raises(jsonschema.ValidationError):
                check(broken, "plan")

    def test_other_formats(self, made: Path, config: Path, tmp_path: Path, capsys: Captured) -> None:
        assert run(["reconstruct", str(config), "-o", str(tmp_path / "f.csv.gz"), "--seed", "1"]) == 0
        assert fedgen.read(tmp_path / "f.csv.gz").same_as(fedgen.read(made))
        capsys.readouterr()

    def test_name_by_default(self, config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.chdir(tmp_path)
        assert run(["reconstruct", str(config), "--seed", "4", "-q"]) == 0
        assert run(["reconstruct", str(config), "--seed", "4", "--ensemble", "2", "-q"]) == 0
        assert sorted(path.name for path in tmp_path.iterdir()) == [
            "reconstruction-small-seed4",
            "reconstructions-small-seeds4-5",
        ]

    def test_the_builtin_figures_by_default(
        self, made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Captured
    ) -> None:
        monkeypatch.setattr(gen.reconstruct.reconstruct, "reconstruct", lambda *_, **__: fedgen.read(made))
        assert run(["reconstruct", "-o", str(tmp_path / "out")]) == 0
        out, err = capsys.readouterr()
        assert err == "fedgen: figures: the built-in matrix-2018.toml\n"
        assert out.startswith("A Glimpse of the Matrix")
        origin = json.loads((tmp_path / "out/manifest.json").read_text())["provenance"]
        assert list(origin["inputs"]) == ["built-in"]
        assert "A Glimpse of the Matrix (Extended Version) (arXiv 1910.06295); not a measurement" in origin["note"]
        assert run(["reconstruct", "-o", str(tmp_path / "again"), "-q"]) == 0
        assert not capsys.readouterr().err

    def test_in_python(self, made: Path, config: Path) -> None:
        assert fedgen.reconstruct(fedgen.read_figures(config), seed=1).same_as(fedgen.read(made))


class TestEnsemble:
    def test_what_is_there(self, ensemble: Path, made: Path) -> None:
        assert sorted(path.name for path in ensemble.iterdir()) == ["ensemble.json", "seed-1", "seed-2", "seed-3"]
        assert tables(ensemble / "seed-1") == tables(made)
        document = json.loads((ensemble / "ensemble.json").read_text())
        check(document, "ensemble")
        assert document["note"].endswith("; not a measurement")
        assert [member["seed"] for member in document["reconstructions"]] == [1, 2, 3]
        for member in document["reconstructions"]:
            assert member["met"] == member["judged"] == 7
            assert member["digest"] == digest(ensemble / f"seed-{member['seed']}")
        rows = {row["label"]: row for row in document["statistics"]}
        federations = [fedgen.read(ensemble / f"seed-{seed}") for seed in (1, 2, 3)]
        assert rows["presences"]["values"] == [federation.n_presences for federation in federations]
        assert rows["transactions (T)"]["values"] == pytest.approx([fedgen.load(f).total for f in federations])
        row = rows["memberships"]
        assert (row["figures"], row["low"], row["high"], row["fixed"]) == (["memberships"], 700, 1000, False)
        assert 700 <= row["least"] <= row["median"] <= row["most"] <= 1000

    def test_the_table(self, ensemble: Path, config: Path, capsys: Captured) -> None:
        words = ["reconstruct", str(config), "-o", str(ensemble), "--seed", "1", "--ensemble", "3", "--force"]
        assert run(words) == 0
        out = capsys.readouterr().out
        assert out.startswith("3 reconstructions, not measurements, from A small census, nobody 2024, snapshot of ")
        rows = {row["label"]: row for row in json.loads((ensemble / "ensemble.json").read_text())["statistics"]}
        (line,) = (line for line in out.splitlines() if line.startswith("  memberships  "))
        least, median, most = (f"{rows['memberships'][key]:,.0f}" for key in ("least", "median", "most"))
        assert line.split()[1:] == ["700", "to", "1,000", least, median, most]
        assert "7 of 7 figures met by each" in out
        assert out.endswith(f"{ensemble}\n")

    def test_a_figure_of_one_value_is_no_row(self, tmp_path: Path, capsys: Captured) -> None:
        fixed = tmp_path / "fixed.toml"
        fixed.write_text(SMALL.replace("interval = [700, 1000]", "value = 850"))
        assert run(["reconstruct", str(fixed), "-o", str(tmp_path / "out"), "--ensemble", "2", "--json"]) == 0
        printed = json.loads(capsys.readouterr().out)
        assert printed.pop("output") == str(tmp_path / "out")
        assert printed == json.loads((tmp_path / "out/ensemble.json").read_text()) | {
            "provenance": printed["provenance"]
        }
        assert [row["label"] for row in printed["statistics"] if row["fixed"]] == ["memberships"]
        page = (Path(__file__).parents[1] / "docs" / "json.md").read_text()
        for keys in (printed, printed["statistics"][0], printed["reconstructions"][0]):
            assert {key for key in keys if f"`{key}`" not in page} == set()

    def test_a_killed_run_goes_on(self, ensemble: Path, config: Path, tmp_path: Path, capsys: Captured) -> None:
        path = tmp_path / "out"
        words = ["reconstruct", str(config), "-o", str(path), "--seed", "1", "--ensemble", "3"]
        process = subprocess.Popen([sys.executable, "-m", "fedgen.cli", *words], stderr=subprocess.DEVNULL)
        deadline = time.monotonic() + 60
        while not (path / "seed-1/manifest.json").exists() and time.monotonic() < deadline:
            time.sleep(0.005)
        process.kill()
        process.wait()
        assert not (path / "ensemble.json").exists()
        done = list(path.glob("seed-*/manifest.json"))
        assert done
        before = {file: file.stat().st_mtime_ns for file in done}
        assert run(words) == 0
        assert {file: file.stat().st_mtime_ns for file in done} == before
        for seed in (1, 2, 3):
            assert tables(path / f"seed-{seed}") == tables(ensemble / f"seed-{seed}")
        whole, continued = (json.loads((p / "ensemble.json").read_text()) for p in (ensemble, path))
        assert continued["statistics"] == whole["statistics"]
        capsys.readouterr()

    def test_more_seeds_go_on_too(self, config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        path, asked = tmp_path / "out", []
        engine = gen.reconstruct.reconstruct.reconstruct

        def counted(*words: Any, seed: int, **options: Any) -> object:
            asked.append(seed)
            return engine(*words, seed=seed, **options)

        monkeypatch.setattr(gen.reconstruct.reconstruct, "reconstruct", counted)
        for count in ("2", "3"):
            assert run(["reconstruct", str(config), "-o", str(path), "--ensemble", count, "-q"]) == 0
            (path / "ensemble.json").unlink()
        assert asked == [0, 1, 2]

    def test_an_interrupt_says_what_is_kept(
        self, config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Captured
    ) -> None:
        engine = gen.reconstruct.reconstruct.reconstruct

        def interrupted(*words: Any, seed: int, **options: Any) -> object:
            if seed == 1:
                raise KeyboardInterrupt
            return engine(*words, seed=seed, **options)

        monkeypatch.setattr(gen.reconstruct.reconstruct, "reconstruct", interrupted)
        path = tmp_path / "out"
        assert run(["reconstruct", str(config), "-o", str(path), "--ensemble", "3"]) == 1
        kept = f"interrupted; 1 of 3 reconstructions are in {path}; the same command goes on from there"
        assert capsys.readouterr().err == f"fedgen: error: {kept}\n"

    def test_seeds_that_come_to_nothing(
        self, config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Captured
    ) -> None:
        engine = gen.reconstruct.reconstruct.reconstruct

        def picky(*words: Any, seed: int, **options: Any) -> object:
            if seed == 0:
                raise UnmetError("nearest found 7")
            if seed == 2:
                raise FiguresError("what was drawn\ncontradicts a figure")
            return engine(*words, seed=seed, **options)

        monkeypatch.setattr(gen.reconstruct.reconstruct, "reconstruct", picky)
        path = tmp_path / "out"
        assert run(["reconstruct", str(config), "-o", str(path), "--ensemble", "4"]) == 1
        out, err = capsys.readouterr()
        assert out.startswith("2 reconstructions")
        assert err.splitlines() == [
            "fedgen: seed 0: nearest found 7",
            "fedgen: seed 2: what was drawn contradicts a figure",
            f"fedgen: error: {path}: holds 2 of 4 reconstructions, none was found with seed 0, 2; "
            "where that is too few, try other seeds",
        ]
        document = json.loads((path / "ensemble.json").read_text())
        check(document, "ensemble")
        assert [member["seed"] for member in document["reconstructions"]] == [1, 3]
        assert [miss["seed"] for miss in document["unmet"]] == [0, 2]

    def test_no_seed_at_all(
        self, config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Captured
    ) -> None:
        def never(*_: Any, seed: int, **__: Any) -> object:
            raise UnmetError(f"none for {seed}")

        monkeypatch.setattr(gen.reconstruct.reconstruct, "reconstruct", never)
        assert run(["reconstruct", str(config), "-o", str(tmp_path / "out"), "--ensemble", "2", "-q"]) == 1
        assert capsys.readouterr() == ("", "fedgen: error: none for 0\n")
        assert not (tmp_path / "out/ensemble.json").exists()


class TestRefused:
    """One line, what and where; nothing is computed and nothing is left behind."""

    def told(self, capsys: Captured, *words: object, code: int = 1) -> str:
        capsys.readouterr()
        assert run(["reconstruct", *map(str, words)]) == code
        out, err = capsys.readouterr()
        assert not out
        assert err.startswith("fedgen: error: ")
        assert err.count("\n") == 1
        return err.removeprefix("fedgen: error: ").rstrip("\n")

    @pytest.fixture
    def lazy(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def never(*_: object, **__: object) -> None:
            raise AssertionError("this should have been refused before")

        monkeypatch.setattr(gen.reconstruct.reconstruct, "reconstruct", never)

    @pytest.mark.usefixtures("lazy")
    def test_what_is_no_file_of_figures(self, made: Path, tmp_path: Path, capsys: Captured) -> None:
        missing, empty = tmp_path / "missing.toml", tmp_path / "empty.toml"
        empty.touch()
        assert self.told(capsys, missing) == f"{missing}: does not exist; check the name"
        assert self.told(capsys, empty) == f"{empty}: is empty; write figures as docs/figures.md tells"
        for given in (EXAMPLE, made):
            assert self.told(capsys, given).startswith(
                f"{given}: is a federation, not a file of published figures; hold "
            )
        model = EXAMPLE.with_name("model.json")
        assert (
            self.told(capsys, model) == f"{model}: is a model, not a file of figures; sample it: fedgen sample {model}"
        )

    @pytest.mark.usefixtures("lazy")
    def test_an_interval_the_wrong_way_round(self, tmp_path: Path, capsys: Captured) -> None:
        path = tmp_path / "f.toml"
        path.write_text(SMALL.replace("[700, 1000]", "[1000, 700]"))
        line = 1 + path.read_text().split("interval = [1000, 700]")[0].count("\n")
        assert self.told(capsys, path).startswith(f'{path}:{line}: figure "memberships": interval [1000, 700] is empty')

    @pytest.mark.parametrize("ensemble", [(), ("--ensemble", 2)])
    def test_figures_that_contradict_each_other(
        self, ensemble: tuple[object, ...], tmp_path: Path, capsys: Captured
    ) -> None:
        path = tmp_path / "f.toml"
        path.write_text(SMALL + figure("nobody", "count", [1, 3], of="users_per_server", least=201))
        line = self.told(capsys, path, "-o", tmp_path / "out", *ensemble, "-q")
        assert '"hub"' in line
        assert '"nobody"' in line
        assert not (tmp_path / "out").exists() or not any((tmp_path / "out").iterdir())

    def test_a_figure_out_of_reach(self, tmp_path: Path, capsys: Captured) -> None:
        path = tmp_path / "f.toml"
        path.write_text(SMALL + figure("alike", "rank_correlation", [0.95, 1], of="memberships"))
        line = self.told(capsys, path, "-o", tmp_path / "out")
        assert line.startswith(f"{path}: ")
        assert re.search(
            r'"alike" \(rank correlation over memberships\) asks for 0.95 to 1, nearest found -?0\.\d+$', line
        )
        assert not (tmp_path / "out").exists()

    @pytest.mark.slow
    def test_more_tx_than_a_small_hub_sends(self, tmp_path: Path, capsys: Captured) -> None:
        path = tmp_path / "f.toml"
        hub = HUB.replace("200", "40")
        path.write_text(HEAD + SIZES + hub + ROOMS + figure("all tx", "load_share", 0.999, of="tx", ranks=[1, 1]))
        assert self.told(capsys, path, "-o", tmp_path / "out").startswith(f"{path}: ")
        assert not (tmp_path / "out").exists()

    @pytest.mark.usefixtures("lazy")
    def test_a_result_that_is_there(self, made: Path, ensemble: Path, config: Path, capsys: Captured) -> None:
        overwrite = "exists; overwrite it with --force or name another place"
        assert self.told(capsys, config, "-o", made) == f"{made}: {overwrite}"
        assert self.told(capsys, config, "-o", ensemble, "--ensemble", 3) == f"{ensemble}: {overwrite}"

    @pytest.mark.usefixtures("lazy")
    def test_a_folder_that_is_no_ensemble(
        self, made: Path, ensemble: Path, config: Path, tmp_path: Path, capsys: Captured
    ) -> None:
        line = self.told(capsys, config, "-o", ensemble, "--ensemble", 2, "--seed", 1, "--force")
        assert line == f"{ensemble}: holds seed-3, which is none of this ensemble; name a new folder"
        line = self.told(capsys, config, "-o", made, "--ensemble", 2, "--force")
        assert line == f"{made}: holds manifest.json, which is none of this ensemble; name a new folder"
        (tmp_path / "file").touch()
        line = self.told(capsys, config, "-o", tmp_path / "file", "--ensemble", 2, "--force")
        assert line == f"{tmp_path / 'file'}: is a file, and an ensemble is a folder; name another place"

    @pytest.mark.usefixtures("lazy")
    def test_reconstructions_from_other_figures(self, ensemble: Path, tmp_path: Path, capsys: Captured) -> None:
        other, path = tmp_path / "other.toml", tmp_path / "out"
        other.write_text(SMALL.replace("1000", "1001"))
        path.mkdir()
        (path / "seed-1").symlink_to(ensemble / "seed-1")
        line = self.told(capsys, other, "-o", path, "--ensemble", 2)
        assert line == f"{path / 'seed-1'}: exists; overwrite it with --force or name another place"

    @pytest.mark.usefixtures("lazy")
    @pytest.mark.parametrize("words", [("out", "--format", "csv"), ("out.csv", "--format", "locust"), ("out.csv",)])
    def test_an_ensemble_in_another_format(
        self, words: tuple[str, ...], config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Captured
    ) -> None:
        monkeypatch.chdir(tmp_path)
        line = self.told(capsys, config, "--ensemble", 2, "-o", *words, code=2)
        assert line == f"{words[0]}: an ensemble is a folder of federation directories; leave --format and suffix out"
