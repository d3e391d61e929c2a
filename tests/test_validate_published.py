"""A federation held against published figures: the findings, and what the command makes of them."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import pytest

import fedgen
from fedgen.cli.commands import run
from fedgen.cli.inputs import is_figures
from fedgen.errors import UsageError
from fedgen.federation import Federation
from fedgen.io import write
from fedgen.provenance import digest
from fedgen.shipped import shipped
from fedgen.statistics.published import builtin_figures, read_figures
from validate.published import Findings, hold

EXAMPLE = shipped("debian_teams.csv.gz")
HEAD = '[source]\ntitle = "T"\nreference = "R"\n'
SCHEMA = json.loads((Path(fedgen.__file__).parent / "schemas" / "findings.schema.json").read_text())

Captured = pytest.CaptureFixture[str]


def figure(name: str, interval: str, kind: str = "exact", of: str = "users", more: str = "") -> str:
    words = f'statistic = "number"\nof = "{of}"\n'
    return f'[[figure]]\nid = "{name}"\n{words}interval = {interval}\nkind = "{kind}"\n{more}\n'


MET = figure("met", "[2, 4]")
MISSED = figure("missed", "[3.5, inf]", "rounded")
INFERRED = figure("inferred", "[1, 1]", "inferred", of="servers")
ASIDE = figure("aside", "[7, 7]", more='set_aside = """another\n  crawl"""')
UNDEFINED = '[[figure]]\nid = "none"\nstatistic = "load_share"\nof = "tx"\nranks = [9, 9]\nvalue = 0\nkind = "exact"\n'


@pytest.fixture(scope="module")
def small() -> Federation:
    """Three users on two servers in one room."""
    return Federation.from_pairs([0, 0, 1], [0, 1, 2], [0, 0, 0])


@pytest.fixture
def federation(small: Federation, tmp_path: Path) -> Path:
    write(small, tmp_path / "f.csv")
    return tmp_path / "f.csv"


@pytest.fixture
def file(tmp_path: Path) -> Callable[..., Path]:
    def make(*tables: str, name: str = "figures.toml") -> Path:
        path = tmp_path / name
        path.write_text(HEAD + "".join(tables))
        return path

    return make


Make = Callable[..., Path]


class TestFindings:
    def test_rows_and_verdict(self, small: Federation, file: Make) -> None:
        findings = hold(small, read_figures(file(MET, ASIDE, INFERRED)))
        assert [(row.id, row.value, row.met, row.judged) for row in findings.rows] == [
            ("met", 3, True, True),
            ("inferred", 2, False, False),
        ]
        assert (findings.met, findings.judged, findings.inferred_met, findings.inferred) == (1, 1, 0, 1)
        assert not findings.rejected
        assert [figure.id for figure in findings.set_aside] == ["aside"]
        assert findings["met"].statistic == "number of users"
        assert repr(findings) == "Findings(1 of 1 figures met, not rejected)"
        with pytest.raises(KeyError, match="no figure 'aside' was held: there are met, inferred"):
            findings["aside"]

    @pytest.mark.parametrize("table", [MISSED, UNDEFINED, MET.replace("[2, 4]", "[-inf, 2]")])
    def test_one_that_is_not_met_rejects(self, table: str, small: Federation, file: Make) -> None:
        findings = hold(small, read_figures(file(MET.replace('"met"', '"other"').replace("[2, 4]", "[1, inf]"), table)))
        assert findings.rejected
        assert (findings.met, findings.judged) == (1, 2)

    def test_what_is_written_fits_the_schema(self, small: Federation, file: Make) -> None:
        aside = '[[figure]]\nid = "bare"\nvalue = 3\nkind = "exact"\nset_aside = "why"\n'
        written = hold(small, read_figures(file(MET, UNDEFINED, INFERRED, ASIDE, aside))).to_dict()
        jsonschema.validate(written, SCHEMA, cls=jsonschema.Draft202012Validator)
        assert [row["value"] for row in written["rows"]] == [3, None, 2]
        assert [(row["id"], row["statistic"]) for row in written["set_aside"]] == [
            ("aside", "number of users"),
            ("bare", None),
        ]
        broken = {**written, "rows": [{**written["rows"][0], "more": 1}]}
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(broken, SCHEMA, cls=jsonschema.Draft202012Validator)

    def test_it_takes_a_federation(self, file: Make) -> None:
        with pytest.raises(UsageError, match=r"hold takes a Federation, not str; read a file with fedgen\.read"):
            hold("f.csv", read_figures(file(MET)))  # type: ignore[arg-type]

    def test_any_federation_can_be_held_against_any_figures(self) -> None:
        findings = hold(fedgen.read(EXAMPLE), builtin_figures())
        assert isinstance(findings, Findings)
        assert findings.rejected
        assert findings["C31"].met
        assert findings["C33"].met
        lone = hold(Federation.from_pairs([0], [0], [0]), builtin_figures())
        assert len(lone.rows) == len(findings.rows) == len(builtin_figures().held)
        assert not lone["C20"].met  # no room of so many servers


class TestCommand:
    def result(self, capsys: Captured, *words: object, code: int = 0) -> dict[str, Any]:
        assert run(["validate", *map(str, words), "--json"]) == code
        printed: dict[str, Any] = json.loads(capsys.readouterr().out)
        return printed

    def test_the_table(self, federation: Path, file: Make, capsys: Captured) -> None:
        path = file(MET, MISSED, INFERRED, UNDEFINED, ASIDE)
        assert run(["validate", str(federation), "--against", str(path)]) == 3
        out, err = capsys.readouterr()
        assert not err
        lines = [re.split(r"\s{2,}", line.strip()) for line in out.splitlines()]
        assert lines == [
            ["T, R"],
            ["figure", "statistic", "published", "measured", "kind", "met"],
            ["met", "number of users", "2 to 4", "3", "exact", "yes"],
            ["missed", "number of users", ">= 3.5", "3", "rounded", "no"],
            ["inferred", "number of servers", "1", "2", "inferred", "no"],
            ["none", "share of all tx: server 9", "0", "-", "exact", "no"],
            [""],
            ["set aside, held against nothing:"],
            ["aside (7): another crawl"],
            [""],
            ["1 of 3 figures met; of 1 inferred ones, told only, 0; rejected"],
        ]

    def test_met_is_exit_code_0_and_inferred_ones_do_not_decide(
        self, federation: Path, file: Make, capsys: Captured
    ) -> None:
        assert run(["validate", str(federation), "--against", str(file(MET, INFERRED))]) == 0
        assert capsys.readouterr().out.endswith(
            "\n1 of 1 figures met; of 1 inferred ones, told only, 0; not rejected\n"
        )
        assert run(["validate", str(federation), "--against", str(file(MET)), "-q"]) == 0
        assert capsys.readouterr().out.endswith("\n1 of 1 figures met; not rejected\n")

    def test_json_and_output_are_the_same(self, federation: Path, file: Make, tmp_path: Path, capsys: Captured) -> None:
        path, output = file(MET, MISSED), tmp_path / "findings.json"
        printed = self.result(capsys, federation, "--against", path, "-o", output, code=3)
        assert json.loads(output.read_text()) == printed
        jsonschema.validate(printed, SCHEMA, cls=jsonschema.Draft202012Validator)
        assert printed["rejected"] is True
        assert printed["provenance"]["inputs"] == {str(federation): digest(federation), str(path): digest(path)}
        assert printed["provenance"]["seed"] is None
        assert printed["figures"]["digest"] == digest(path)
        assert run(["validate", str(federation), "--against", str(path), "-o", str(output)]) == 1
        assert "exists; overwrite it with --force" in capsys.readouterr().err

    def test_every_key_is_documented(self, federation: Path, file: Make, capsys: Captured) -> None:
        printed = self.result(capsys, federation, "--against", file(MET, ASIDE))
        page = (Path(__file__).parents[1] / "docs" / "json.md").read_text()
        page = page[page.index("Against published figures") :]
        found = {*printed, *printed["figures"], *printed["sizes"], *printed["rows"][0], *printed["set_aside"][0]}
        assert {key for key in found if f"`{key}`" not in page} == {"provenance"}

    @pytest.mark.parametrize("target", ["figures.toml", "f.csv"])
    def test_inputs_are_kept(self, target: str, federation: Path, file: Make, capsys: Captured) -> None:
        path = file(MET)
        place = federation.parent / target
        before = place.read_bytes()
        assert run(["validate", str(federation), "--against", str(path), "-o", str(place), "--force"]) == 2
        assert "is the input itself" in capsys.readouterr().err
        assert place.read_bytes() == before

    @pytest.mark.parametrize(
        ("content", "told"),
        [
            (HEAD, ": holds no figure but those set aside; add one under [[figure]]"),
            ("", ": is empty; write figures as docs/figures.md tells"),
            (
                HEAD + figure("a", "[3, 2]"),
                ':8: figure "a": interval [3, 2] is empty, its low end above its high; swap',
            ),
            (
                HEAD + figure("a", "[1, 2]") + figure("b", "[3, 4]"),
                ':11: figure "b": 3 to 4 contradicts 1 to 2 of figure "a" (line 4), which is of the same statistic; ',
            ),
        ],
    )
    def test_broken_figures_are_one_line(
        self, content: str, told: str, federation: Path, tmp_path: Path, capsys: Captured
    ) -> None:
        path = tmp_path / "figures.toml"
        path.write_text(content)
        assert run(["validate", str(federation), "--against", str(path)]) == 1
        out, err = capsys.readouterr()
        assert not out
        assert err.startswith(f"fedgen: error: {path}{told}")
        assert err.count("\n") == 1

    def test_figures_for_a_federation(self, file: Make, capsys: Captured) -> None:
        path = file(MET)
        assert run(["validate", str(path), "--against", str(path)]) == 1
        assert capsys.readouterr().err == (
            f"fedgen: error: {path}: is a file of published figures, not a federation; "
            f"hold a federation against it: fedgen validate FEDERATION --against {path}\n"
        )

    def test_the_stand_in(self, data_file: Callable[[str], Path], capsys: Captured) -> None:
        printed = self.result(
            capsys, data_file("matrix-2018-standin.json.gz"), "--against", shipped("matrix-2018.toml")
        )
        assert printed["met"] == printed["judged"] == 61
        assert printed["inferred_met"] == printed["inferred"] == 4
        assert len(printed["set_aside"]) == 5


class TestRecognised:
    @pytest.mark.parametrize("name", ["f.csv", "f.json", "f.json.gz", "f.json.zip", "f.graphml", "folder"])
    def test_no_federation_is_taken_for_figures(self, name: str, small: Federation, tmp_path: Path) -> None:
        write(small, tmp_path / name)
        assert not is_figures(tmp_path / name)
        renamed = (tmp_path / name).rename(tmp_path / "f.toml")
        assert not is_figures(renamed)

    def test_nor_one_behind_a_byte_order_mark(self, small: Federation, tmp_path: Path) -> None:
        write(small, tmp_path / "f.json")
        (tmp_path / "f.toml").write_bytes(b"\xef\xbb\xbf\n" + (tmp_path / "f.json").read_bytes() + b" " * (2 << 20))
        assert not is_figures(tmp_path / "f.toml")

    def test_a_csv_with_a_room_of_that_name(self, tmp_path: Path) -> None:
        path = tmp_path / "f.csv"
        path.write_text("room,user,server\n[[figure]],0,0\n")
        assert not is_figures(path)

    def test_figures_by_content_and_by_name(self, file: Make, tmp_path: Path) -> None:
        assert is_figures(shipped("matrix-2018.toml"))
        assert is_figures(file("# long\n" * 3000 + MET, name="figures.txt"))
        for content in (b"", b"nonsense", b"[", "[source]".encode("utf-16"), b"\x00\x01"):
            (tmp_path / "f.toml").write_bytes(content)
            (tmp_path / "f.txt").write_bytes(content)
            assert is_figures(tmp_path / "f.toml")
            assert not is_figures(tmp_path / "f.txt")
        assert is_figures(tmp_path / "missing.toml")
        assert not is_figures(tmp_path / "missing")
