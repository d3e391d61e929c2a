"""``fedgen load``: what it prints and writes, with every option, and what it refuses."""

import csv
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet

import fedgen
from fedgen.cli.commands import run
from fedgen.federation import Federation
from fedgen.io import write
from fedgen.traffic.adaptive import Objective, adapt
from fedgen.traffic.batching import batched_load
from fedgen.traffic.equations import load
from fedgen.traffic.mechanisms import MECHANISMS, load_under

EXAMPLE = Path(__file__).parents[1] / "configs" / "debian_teams.csv.gz"
Captured = pytest.CaptureFixture[str]


@pytest.fixture(scope="module")
def folder(teams: Federation, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("load") / "teams"
    write(teams, path)
    return path


def result(capsys: Captured, *words: object) -> dict[str, Any]:
    """The JSON that the command prints."""
    assert run(["load", *map(str, words), "--json", "-q"]) == 0
    printed: dict[str, Any] = json.loads(capsys.readouterr().out)
    return printed


def numbers(document: object) -> Iterator[float]:
    """All numbers of a document, in order."""
    if isinstance(document, dict):
        document = list(document.values())
    if isinstance(document, list):
        for one in document:
            yield from numbers(one)
    elif isinstance(document, int | float):
        yield document


class TestResult:
    def test_totals_and_the_largest(self, teams: Federation, capsys: Captured) -> None:
        found, exact = result(capsys, EXAMPLE), load(teams)
        assert (found["servers"], found["users"], found["rooms"]) == (930, 2430, 532)
        assert found["transactions"] == pytest.approx(exact.total, rel=1e-12)
        assert found["load_per_user"] == pytest.approx(exact.total / 2430, rel=1e-12)
        assert found["largest_tx"] == pytest.approx(exact.tx.max(), rel=1e-12)
        assert found["largest_rx"] == pytest.approx(exact.rx.max(), rel=1e-12)
        assert found["median_load"] == pytest.approx(np.median(exact.tx + exact.rx), rel=1e-12)
        first = found["largest"][0]
        assert len(found["largest"]) == 4
        assert first["users"] == teams.users_per_server.max()
        assert first["tx_share"] == found["hub_share_tx"]
        assert first["tx_share"] == pytest.approx(exact.tx[first["server"]] / exact.total, rel=1e-12)
        assert first["both_share"] == pytest.approx((first["tx_share"] + first["rx_share"]) / 2, rel=1e-12)

    def test_as_a_table(self, capsys: Captured) -> None:
        assert run(["load", str(EXAMPLE)]) == 0
        out = capsys.readouterr().out
        assert out.startswith("Load\n  servers ")
        assert "\n\nThe servers with most users\n" in out
        assert "transactions per user (T/U)" in out

    @pytest.mark.parametrize("words", [(), ("--mechanism", "all"), ("--pairs", "0,3,17"), ("--rate", 0.25)])
    def test_a_directory_and_a_file_agree(self, words: tuple[object, ...], folder: Path, capsys: Captured) -> None:
        file = folder.parent / "teams.csv"
        write(fedgen.read(folder), file, force=True)
        one, other = (list(numbers(result(capsys, path, *words))) for path in (folder, file))
        np.testing.assert_allclose(one, other, rtol=1e-12)

    def test_all_is_in_proportion_to_the_rate(self, capsys: Captured) -> None:
        one, three = result(capsys, EXAMPLE), result(capsys, EXAMPLE, "--rate", 3)
        for key in ("transactions", "load_per_user", "largest_tx", "largest_rx", "median_load"):
            assert three[key] == pytest.approx(3 * one[key], rel=1e-12)
        assert list(numbers(three["largest"])) == pytest.approx(list(numbers(one["largest"])), rel=1e-12)

    def test_nothing_is_sent(self, tmp_path: Path, capsys: Captured) -> None:
        path = tmp_path / "one.csv"
        path.write_text("user,server,room\n1,1,1\n2,1,1\n")
        found = result(capsys, path, "--monte-carlo", 10, "--window", 1, "--plot", tmp_path / "figures")
        assert (found["transactions"], found["hub_share_tx"]) == (0, None)
        assert found["batched"][0]["saved"] == 0
        assert found["monte_carlo"]["off_by"] == 0
        assert result(capsys, path, "--mechanism", "all")["mechanisms"][0]["rounds"] == 0
        assert result(capsys, path, "--what-if")["what_if"][-1]["transactions"] >= 0


class TestMechanisms:
    def test_one(self, teams: Federation, capsys: Captured) -> None:
        found, exact = result(capsys, EXAMPLE, "--mechanism", "tree"), load_under(teams, "tree")
        assert found["transactions"] == pytest.approx(exact.total, rel=1e-12)
        assert found["largest_tx"] == pytest.approx(exact.tx.max(), rel=1e-12)
        assert [row["mechanism"] for row in found["mechanisms"]] == ["tree"]

    def test_all_compared(self, teams: Federation, capsys: Captured) -> None:
        rows = result(capsys, EXAMPLE, "--mechanism", "tree", "--mechanism", "all")["mechanisms"]
        assert [row["mechanism"] for row in rows] == list(MECHANISMS)
        for row in rows:
            exact = load_under(teams, row["mechanism"])
            assert row["largest_load"] == pytest.approx((exact.tx + exact.rx).max(), rel=1e-12)
        assert rows[0]["rounds"] == pytest.approx(1, rel=1e-12)
        assert min(row["largest_load"] for row in rows) == pytest.approx(rows[-1]["largest_load"], rel=1e-9)

    def test_as_a_table(self, capsys: Captured) -> None:
        assert run(["load", str(EXAMPLE), "--mechanism", "tree", "--mechanism", "broadcast"]) == 0
        title, _, first, second = capsys.readouterr().out.splitlines()
        assert title.startswith("Ways to distribute events")
        assert [first.split()[0], second.split()[0]] == ["tree", "broadcast"]

    def test_objectives(self, teams: Federation, capsys: Captured) -> None:
        adaptive = ("--mechanism", "adaptive", "--objective")
        assert result(capsys, EXAMPLE, *adaptive, "total")["largest_tx"] == pytest.approx(load(teams).tx.max())
        found = result(capsys, EXAMPLE, *adaptive, "rounds", "--max-load", 10_000)["mechanisms"][0]
        exact = adapt(teams, objective=Objective("rounds", max_load=10_000))
        assert found["largest_load"] <= 10_000 * (1 + 1e-9)
        assert found["rounds"] == pytest.approx(exact.value, rel=1e-9)

    @pytest.mark.parametrize("suffix", ["csv", "parquet"])
    def test_capacities(self, suffix: str, teams: Federation, tmp_path: Path, capsys: Captured) -> None:
        path, values = tmp_path / f"capacities.{suffix}", 1.0 + np.arange(930) % 7
        table = pa.table({"server": np.arange(930)[::-1], "capacity": values[::-1]})
        if suffix == "csv":
            pa.csv.write_csv(table, path)
        else:
            parquet.write_table(table, path)
        words = (EXAMPLE, "--mechanism", "adaptive", "--capacities", path, "-o", tmp_path / "out.csv")
        result(capsys, *words)
        rows = list(csv.DictReader((tmp_path / "out.csv").read_text().splitlines()))
        both = np.array([float(row["tx"]) + float(row["rx"]) for row in rows])
        assert (both / values).max() == pytest.approx(adapt(teams, capacities=values).value, rel=1e-9)


class TestOptions:
    def test_pairs(self, capsys: Captured) -> None:
        found = result(capsys, EXAMPLE, "--pairs", "300,349")["pairs"]
        assert [(row["from"], row["to"]) for row in found] == [(300, 349), (349, 300)]
        assert all(row["tx"] > 0 for row in found)

    def test_activity(self, capsys: Captured) -> None:
        words = (EXAMPLE, "--user-rates", "lognormal:mu=0,sigma=1.5", "--room-rates", "power law:alpha=2.5")
        one, same, other = (result(capsys, *words, "--seed", seed) for seed in (1, 1, 2))
        assert one == same
        assert one["transactions"] != other["transactions"]
        assert result(capsys, EXAMPLE)["transactions"] not in (one["transactions"], other["transactions"])
        compared = result(capsys, *words, "--seed", 1, "--mechanism", "broadcast", "--mechanism", "tree")
        assert compared["mechanisms"][0]["transactions"] == pytest.approx(one["transactions"], rel=1e-12)

    def test_monte_carlo(self, capsys: Captured) -> None:
        """20,000 messages, seed fixed; within 3.5 standard errors."""
        for words in ((), ("--user-rates", "exponential:lambda=0.5")):
            found = result(capsys, EXAMPLE, "--monte-carlo", 20_000, "--seed", 3, *words)
            check = found["monte_carlo"]
            assert check["messages"] == 20_000
            assert abs(check["off_by"]) < 3.5
            off = (check["transactions"] - found["transactions"]) / check["standard_error"]
            assert check["off_by"] == pytest.approx(off, rel=1e-9)
            assert check["servers_within_two"] > 0.9

    def test_windows(self, teams: Federation, capsys: Captured) -> None:
        rows = result(capsys, EXAMPLE, "--window", 0, "--window", 0.5, "--rate", 2)["batched"]
        exact = batched_load(teams, [0.0, 0.5], 2.0)
        assert [row["window"] for row in rows] == [0, 0.5]
        assert rows[0]["saved"] == 0
        for row, load_then in zip(rows, exact, strict=True):
            assert row["transactions"] == pytest.approx(load_then.total, rel=1e-9)
            assert row["largest_tx"] == pytest.approx(load_then.tx.max(), rel=1e-9)

    def test_windows_know_of_rates(self, capsys: Captured) -> None:
        found = result(capsys, EXAMPLE, "--window", 0, "--user-rates", "exponential:lambda=0.5")
        assert found["batched"][0]["transactions"] == pytest.approx(found["transactions"], rel=1e-9)

    def test_what_if(self, teams: Federation, tmp_path: Path, capsys: Captured) -> None:
        found = result(capsys, EXAMPLE, "--what-if", "-o", tmp_path / "curve.csv", "--rate", 2)
        steps, exact = found["what_if"], load(teams, 2.0)
        assert (steps[0]["share"], steps[-1]["share"], steps[0]["moved"]) == (0, 1, 0)
        assert steps[0]["transactions"] == pytest.approx(exact.total, rel=1e-12)
        assert steps[0]["largest_load"] == pytest.approx((exact.tx + exact.rx).max(), rel=1e-12)
        rows = list(csv.DictReader((tmp_path / "curve.csv").read_text().splitlines()))
        assert list(rows[0]) == list(steps[0])
        assert [float(row["transactions"]) for row in rows] == [step["transactions"] for step in steps]
        assert run(["load", str(EXAMPLE), "--what-if"]) == 0
        assert capsys.readouterr().out.startswith("As users of the hubs move")


class TestOutput:
    @pytest.mark.parametrize("suffix", ["csv", "parquet"])
    def test_a_line_per_server(self, suffix: str, folder: Path, tmp_path: Path, capsys: Captured) -> None:
        path, federation = tmp_path / f"out.{suffix}", fedgen.read(folder)
        assert result(capsys, folder, "-o", path)["output"] == str(path)
        table = pa.csv.read_csv(path) if suffix == "csv" else parquet.read_table(path)
        exact = load(federation)
        assert table.column_names == ["server", "users", "rooms", "tx", "rx"]
        assert table.column("users").to_pylist() == federation.users_per_server.tolist()
        assert table.column("rooms").to_pylist() == federation.rooms_per_server.tolist()
        np.testing.assert_allclose(table.column("tx").to_numpy(), exact.tx, rtol=1e-12)
        np.testing.assert_allclose(table.column("rx").to_numpy(), exact.rx, rtol=1e-12)
        assert run(["load", str(folder), "-o", str(path)]) == 1  # it is there
        assert "--force" in capsys.readouterr().err
        result(capsys, folder, "-o", path, "--force", "--mechanism", "tree", "--mechanism", "push")
        table = pa.csv.read_csv(path) if suffix == "csv" else parquet.read_table(path)
        assert table.column_names[3:] == ["tx_tree", "rx_tree", "tx_push", "rx_push"]

    @pytest.mark.parametrize(
        ("words", "names"),
        [
            ((), ("load-curves", "load-largest")),
            (("--mechanism", "tree", "--mechanism", "broadcast"), ("load-mechanisms",)),
            (("--what-if",), ("what-if",)),
        ],
        ids=["broadcast", "mechanisms", "what if"],
    )
    def test_figures(self, words: tuple[str, ...], names: tuple[str, ...], tmp_path: Path, capsys: Captured) -> None:
        figures = tmp_path / "figures"
        printed = result(capsys, EXAMPLE, *words, "--plot", figures)["figures"]
        assert printed == [str(figures / f"{name}.{form}") for name in names for form in ("svg", "png")]
        assert all(Path(path).stat().st_size > 5000 for path in printed)
        assert run(["load", str(EXAMPLE), *words, "--plot", str(figures)]) == 1
        assert "exists" in capsys.readouterr().err


class TestRefused:
    @pytest.mark.parametrize(
        ("words", "told"),
        [
            (["--mechanism", "pigeons"], "--mechanism: 'pigeons' is not known; give all, broadcast, tree,"),
            (["--pairs", "0,930"], "--pairs: 0,930 are not distinct ids; give some of 0 to 929"),
            (["--pairs", "0,-1"], "not distinct ids"),
            (["--pairs", "5,5"], "not distinct ids"),
            (["--pairs", "a,b"], "--pairs: 'a,b' are not ids of servers"),
            (["--objective", "total"], "are of --mechanism adaptive"),
            (["--objective", "rounds", "--max-load", "9"], "are of --mechanism adaptive"),
            (["--mechanism", "tree", "--capacities", "f.csv"], "are of --mechanism adaptive"),
            (["--mechanism", "adaptive", "--objective", "rounds"], "give --max-load as well"),
            (["--mechanism", "adaptive", "--objective", "rounds", "--max-load", "-1"], "--max-load: -1.0 is not"),
            (["--mechanism", "adaptive", "--objective", "rounds", "--max-load", "1"], "the least is"),
            (["--mechanism", "adaptive", "--objective", "speed"], "'speed' is not one of"),
            (["--rate", "0"], "--rate: 0.0 is not a rate"),
            (["--rate", "nan"], "--rate: nan is not a rate"),
            (["--rate", "-2"], "--rate: -2.0 is not a rate"),
            (["--user-rates", "zipf:alpha=2"], "law: 'zipf' is not known"),
            (["--user-rates", "lognormal"], "give lognormal:mu=NUMBER,sigma=NUMBER"),
            (["--room-rates", "power law:alpha=x"], "give power law:alpha=NUMBER"),
            (["--window", "-1"], "window: -1.0 is not a span of time"),
            (["--monte-carlo", "0"], "'0' is not a whole number from 1 up"),
            (["--mechanism", "tree", "--monte-carlo", "9"], "are about broadcast"),
            (["--mechanism", "tree", "--window", "9"], "are about broadcast"),
            (["--what-if", "--pairs", "0,1"], "--what-if is about broadcast alone"),
            (["--what-if", "--mechanism", "tree"], "--what-if is about broadcast alone"),
            (["-o", "out.xlsx"], "out.xlsx: a table is .csv or .parquet"),
        ],
    )  # fmt: skip
    def test_wrong_usage(self, words: list[str], told: str, capsys: Captured) -> None:
        assert run(["load", str(EXAMPLE), *words]) == 2
        out, err = capsys.readouterr()
        assert out == ""
        assert told in err
        assert err.count("\n") == 1

    @pytest.mark.parametrize(
        ("content", "told"),
        [
            (None, "no table of server and capacity"),
            ("server,colour\n0,1\n", "no table of server and capacity"),
            ("server,capacity\n0,much\n", "no table of server and capacity"),
            ("server,capacity\n0,1\n1,1\n", "does not tell the capacity of each server from 0 to 929 once"),
            ("server,capacity\n" + "".join(f"{s},{s}\n" for s in range(930)), "a capacity is not a number above 0"),
            ("server,capacity\n" + "".join(f"{s},{'' if s else 1}\n" for s in range(930)), "not a number above 0"),
        ],
    )
    def test_capacities(self, content: str | None, told: str, tmp_path: Path, capsys: Captured) -> None:
        path = tmp_path / "capacities.csv"
        if content is not None:
            path.write_text(content)
        assert run(["load", str(EXAMPLE), "--mechanism", "adaptive", "--capacities", str(path)]) == 2
        err = capsys.readouterr().err
        assert told in err
        assert str(path) in err
        assert err.count("\n") == 1

    @pytest.mark.parametrize("words", [(), ("--mechanism", "tree"), ("--pairs", "0,1"), ("--monte-carlo", "5")])
    def test_a_damaged_directory(self, words: tuple[str, ...], folder: Path, tmp_path: Path, capsys: Captured) -> None:
        path = tmp_path / "damaged"
        write(fedgen.read(folder), path)
        part = path / "presences" / "part-00000.parquet"
        part.write_bytes(part.read_bytes()[:-9] + b"123456789")
        assert run(["load", str(path), *words]) == 1
        out, err = capsys.readouterr()
        assert out == ""
        assert err.startswith(f"fedgen: error: {path}: presences/part-00000.parquet is missing or damaged")
        assert err.count("\n") == 1

    def test_no_federation(self, tmp_path: Path, capsys: Captured) -> None:
        (tmp_path / "noise").write_bytes(bytes(range(256)))
        (tmp_path / "empty").mkdir()
        for name, told in (("noise", "noise"), ("empty", "so no federation directory"), ("missing", "missing")):
            assert run(["load", str(tmp_path / name)]) == 1
            err = capsys.readouterr().err
            assert told in err
            assert err.count("\n") == 1
        assert run(["load", str(EXAMPLE.parent / "model.json")]) == 1
        assert "is a model, not a federation" in capsys.readouterr().err

    def test_the_input_is_never_overwritten(self, folder: Path, capsys: Captured) -> None:
        assert run(["load", str(folder), "-o", str(folder / "users.csv"), "--force"]) == 2
        assert run(["load", str(folder), "--plot", str(folder / "figures"), "--force"]) == 2
        assert "lies within the input" in capsys.readouterr().err
