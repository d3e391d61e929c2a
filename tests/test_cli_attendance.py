"""``fedgen fit`` of an attendance, what the commands then say of its model, and what the others say of the file."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

import fedgen
from fedgen.attendance import Attendance
from fedgen.cli.commands import run
from fedgen.io.attendance import write
from fedgen.io.output import write_file
from fitting.model import Model

ROOT = Path(__file__).parents[1]
EXAMPLE = ROOT / "configs" / "debian_teams.csv.gz"
UNSEEN = (
    "memberships were not seen; users per server, memberships per server and rooms per user are assumed, not measured "
    "(docs/attendance.md)"
)

Captured = pytest.CaptureFixture[str]


@pytest.fixture(scope="module")
def attendance(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("attendance") / "attendance.json"
    write_file(path, write(Attendance.of(fedgen.read(EXAMPLE)), {"time": "then"}), force=False)
    return path


@pytest.fixture(scope="module")
def model(attendance: Path) -> Path:
    path = attendance.with_name("model.json")
    assert run(["fit", str(attendance), "-o", str(path), "-q"]) == 0
    return path


def words(*given: object) -> list[str]:
    return list(map(str, given))


class TestFit:
    def test_says_what_cannot_be_known_and_what_was_assumed(
        self, attendance: Path, tmp_path: Path, capsys: Captured
    ) -> None:
        assert run(words("fit", attendance, "-o", tmp_path / "model.json")) == 0
        told = capsys.readouterr()
        first, second = told.err.splitlines()
        assert first == f"fedgen: note: {UNSEEN}"
        assert re.fullmatch(
            r"fedgen: note: assumed: users like those of the built-in model, in \d\.\d+ rooms on average \(theirs\): "
            r"1,\d{3} users; what was seen allows 1,316 to 5,386",
            second,
        )
        marked = re.findall(r"^  (.*) \(assumed\) +[0-9,]+ ", told.out, re.MULTILINE)
        assert marked == ["users per server", "memberships beyond max(n, m), + 1", "rooms per user"]
        assert "\nassumed: memberships were not seen; the law is one of what was put in their place" in told.out

    def test_writes_it_into_the_model(self, attendance: Path, model: Path) -> None:
        made = Model.load(model)
        assert made.unmeasured == ("n", "e", "d")
        assert made.provenance["seed"] == 0
        assert set(made.provenance["inputs"]) == {str(attendance), "built-in"}
        assert made.provenance["assumed"]["users_like"] == "built-in"
        assert made.sizes.memberships == 5386
        assert made.sizes.presences == 2422

    def test_takes_other_assumptions(self, attendance: Path, tmp_path: Path, capsys: Captured) -> None:
        teams = tmp_path / "teams.json"
        assert run(words("fit", EXAMPLE, "-o", teams, "-q")) == 0
        path = tmp_path / "model.json"
        options = ("--users-like", teams, "--rooms-per-user", 2, "--seed", 3)
        capsys.readouterr()
        assert run(words("fit", attendance, "-o", path, *options)) == 0
        assert f"users like those of {teams}, in 2 rooms on average (given)" in capsys.readouterr().err
        made = Model.load(path)
        assert made.sizes.memberships / made.sizes.users == pytest.approx(2, rel=0.02)
        assert made.provenance["inputs"][str(teams)] == Model.load(teams).digest

    def test_says_where_the_donor_was_assumed_itself(
        self, attendance: Path, model: Path, tmp_path: Path, capsys: Captured
    ) -> None:
        assert run(words("fit", attendance, "-o", tmp_path / "model.json", "--users-like", model)) == 0
        told = capsys.readouterr().err.splitlines()
        assert told[0] == f"fedgen: note: {model}: lends users that were assumed themselves"

    @pytest.mark.slow
    def test_draws_laws(self, attendance: Path, tmp_path: Path) -> None:
        drawn = tmp_path / "laws"
        assert run(words("fit", attendance, "-o", tmp_path / "model.json", "--plot", drawn, "-q")) == 0
        assert (drawn / "users-per-server.png").exists()

    def test_same_seed_same_model(self, attendance: Path, model: Path, tmp_path: Path) -> None:
        digests = []
        for seed in (0, 1):
            path = tmp_path / f"{seed}.json"
            assert run(words("fit", attendance, "-o", path, "--seed", seed, "-q")) == 0
            digests.append(Model.load(path).digest)
        assert digests[0] == Model.load(model).digest != digests[1]

    @pytest.mark.parametrize(
        ("options", "code", "message"),
        [
            (
                ("--rooms-per-user", "200"),
                2,
                "rooms per user: 200 on average cannot be; the rooms' users and the donor",
            ),
            (("--rooms-per-user", "nan"), 2, "rooms per user: nan on average cannot be"),
            (("--users-like", str(EXAMPLE)), 1, f"{EXAMPLE}: is a federation, not a model"),
        ],
    )
    def test_refuses_what_cannot_be_assumed(
        self, attendance: Path, tmp_path: Path, capsys: Captured, options: tuple[str, ...], code: int, message: str
    ) -> None:
        assert run(words("fit", attendance, "-o", tmp_path / "model.json", *options)) == code
        assert message in capsys.readouterr().err.splitlines()[-1]
        assert not (tmp_path / "model.json").exists()

    def test_assumes_nothing_of_a_federation(self, tmp_path: Path, capsys: Captured) -> None:
        assert run(words("fit", EXAMPLE, "-o", tmp_path / "m.json", "--rooms-per-user", 2)) == 2
        assert "is a federation, of which nothing is assumed" in capsys.readouterr().err

    def test_never_overwrites_the_donor(self, attendance: Path, model: Path) -> None:
        before = model.read_bytes()
        assert run(words("fit", attendance, "-o", model, "--users-like", model, "--force")) == 2
        assert model.read_bytes() == before


class TestItsModel:
    def test_sample_says_so_in_a_line(self, model: Path, tmp_path: Path, capsys: Captured) -> None:
        assert run(words("sample", model, "--servers", 50, "-o", tmp_path / "s.csv")) == 0
        assert capsys.readouterr().err.splitlines()[0] == f"fedgen: note: {model}: {UNSEEN}"
        assert run(words("sample", model, "--servers", 50, "-o", tmp_path / "quiet.csv", "-q")) == 0
        assert capsys.readouterr().err == ""
        assert fedgen.read(tmp_path / "s.csv").n_servers == 50

    def test_info_marks_what_was_assumed(self, model: Path, capsys: Captured) -> None:
        assert run(words("info", model)) == 0
        out = capsys.readouterr().out
        assert UNSEEN in out
        assert "rooms per user (assumed)" in out


class TestTheFile:
    def test_info_describes_it(self, attendance: Path, capsys: Captured) -> None:
        assert run(words("info", attendance, "--json")) == 0
        told = json.loads(capsys.readouterr().out)
        assert told["format"] == "attendance"
        assert told["counts"] == {"servers": 930, "rooms": 532, "memberships": 5386, "presences": 2422}
        assert told["largest"] == {"rooms_per_server": 456, "servers_per_room": 197, "users_per_room": 583}
        assert told["users"] == {"fewest_users": 1316, "most_users": 5386}
        assert run(words("info", attendance)) == 0
        assert f"Its memberships were not seen: fedgen fit {attendance}" in capsys.readouterr().out

    def test_others_say_which_command_takes_it(self, attendance: Path, tmp_path: Path, capsys: Captured) -> None:
        only_fit = (
            f"holds servers in rooms but no users; only fedgen fit takes it: fedgen fit {attendance}, then sample"
        )
        for given in (
            ("validate", attendance, "--against", EXAMPLE),
            ("validate", EXAMPLE, "--against", attendance),
            ("load", attendance),
            ("convert", attendance, tmp_path / "out.csv"),
            ("plot", attendance, "-o", tmp_path / "figures"),
        ):
            assert run(words(*given)) == 1
            assert capsys.readouterr().err.splitlines()[-1] == f"fedgen: error: {attendance}: {only_fit}"
        for given, line in (
            (("sample", attendance), f"is an attendance, not a model; fit it first: fedgen fit {attendance}"),
            (
                ("reconstruct", attendance, "-o", tmp_path / "out"),
                f"is an attendance, not a file of published figures; only fedgen fit takes it: fedgen fit {attendance}",
            ),
        ):
            assert run(words(*given)) == 1
            assert capsys.readouterr().err.splitlines()[-1] == f"fedgen: error: {attendance}: {line}"

    def test_json_keys_are_documented(self, attendance: Path, tmp_path: Path, capsys: Captured) -> None:
        page = (ROOT / "docs" / "json.md").read_text()
        assert run(words("fit", attendance, "-o", tmp_path / "model.json", "--json")) == 0
        made: dict[str, Any] = json.loads(capsys.readouterr().out)
        assert made["unmeasured"] == ["n", "e", "d"]
        assert run(words("info", attendance, "--json")) == 0
        keys = {*made, *made["provenance"]["assumed"], *json.loads(capsys.readouterr().out)["users"]}
        assert {key for key in keys if f"`{key}`" not in page} == set()
