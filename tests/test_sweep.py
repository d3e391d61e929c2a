"""Sweeps: what is asked, what is drawn, what goes on after a kill, what is told."""

import csv
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from math import isnan, nan
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pytest

import fedgen
from fedgen.cli.commands import run
from fedgen.cli.sweep import verdict
from fedgen.errors import InfeasibleError, UsageError
from fedgen.federation import Federation
from fedgen.figures.pages import encoded
from fedgen.figures.sweep import Line, apart, look, trends
from fedgen.statistics.outline import LABELS, LARGEST_LOADS, Outline
from fedgen.statistics.scaling import Band
from fitting.model import Model
from gen.cells import Cell, draw_cells, plan_cells
from gen.decentralization import Decentralization
from gen.growth import Growth
from gen.scenario import Scenario, known_scenarios, read_scenario
from gen.sweep import Sweep, factor_word, find_sweep, read_sweep
from gen.trends import ANSWERS, Trends

ROOT = Path(__file__).parents[1]
SCHEMAS = Path(fedgen.__file__).parent / "schemas"
Captured = pytest.CaptureFixture[str]

MARK = "FEDGEN_TEST_SWEEP"
GOOD = """title = "a test"
factors = [1, 1.5, 2]
seeds = 2
scenarios = ["proportional", "frozen-hubs"]
"""


@pytest.fixture(scope="module")
def model() -> Model:
    return fedgen.fit(fedgen.read(ROOT / "configs" / "debian_teams.csv.gz"))


@pytest.fixture(scope="module")
def model_file(model: Model, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("model") / "model.json"
    model.save(path)
    return path


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("config") / "asked.toml"
    path.write_text(GOOD)
    return path


@pytest.fixture(scope="module")
def swept(model_file: Path, config: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path, handler = tmp_path_factory.mktemp("swept") / "out", signal.getsignal(signal.SIGINT)
    assert run(["sweep", str(model_file), "--config", str(config), "-o", str(path), "-q"]) == 0
    signal.signal(signal.SIGINT, handler)
    return path


@pytest.fixture
def no_figure(swept: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The figure takes longer than all else."""
    pages = {name: (swept / name).read_bytes() for name in ("sweep.png", "mechanisms.png")}
    monkeypatch.setattr("fedgen.cli.cells.as_png", lambda *_: pages)


def small(**parts: Any) -> Sweep:
    return Sweep(**{"title": "t", "factors": (1, 2), "seeds": 2, "scenarios": {"base": Scenario()}, **parts})


def outlines(sweep: Sweep, values: dict[str, Any]) -> Trends:
    """Made-up outlines: each statistic is 1 but for ``values``, functions of scenario, factor and seed."""
    found = {}
    for name in sweep.scenarios:
        for factor in sweep.factors:
            for seed in range(sweep.seeds):
                numbers: dict[str, Any] = dict.fromkeys(LABELS, 1.0)
                numbers |= {key: function(name, factor, seed) for key, function in values.items()}
                found[Cell(name, factor, seed)] = Outline(**numbers)
    return Trends(sweep, found)


class TestConfig:
    def test_the_one_that_comes_along(self) -> None:
        sweep = read_sweep("sweep")
        assert sweep.factors == (1, 2, 4, 8, 16)
        assert sweep.reference == "proportional"
        known = {name: read_scenario(name) for name in known_scenarios()}
        growing = {name for name, one in known.items() if one.mode == "scenario" and one.decentralize is None}
        assert set(sweep.scenarios) == growing

    def test_a_folder_of_that_name_hides_nothing(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.chdir(tmp_path)
        (tmp_path / "sweep").mkdir()
        (tmp_path / "proportional").mkdir()
        assert find_sweep("sweep").is_file()
        assert read_sweep("sweep").scenarios["proportional"] == read_scenario(
            find_sweep("sweep").parent / "scenarios/proportional.toml"
        )

    def test_files_are_relative_to_the_sweep(self, tmp_path: Path) -> None:
        (tmp_path / "mine").mkdir()
        (tmp_path / "mine/own.toml").write_text('title = "own"\n[growth]\nrooms = 0.5\n')
        path = tmp_path / "asked.toml"
        path.write_text(GOOD.replace('"frozen-hubs"', '"mine/own.toml"'))
        sweep = read_sweep(path)
        assert sweep.scenarios["own"].growth.rooms == 0.5
        assert sweep.differs("own") == {"rooms": (1, 0.5)}

    @pytest.mark.parametrize(
        ("old", "new", "told"),
        [
            ("seeds = 2", "seeds = 2\nfactor = 3", r"asked.toml:4: unknown key factor; known are title, factors,"),
            ("seeds = 2\n", "", r"asked.toml: has no seeds"),
            ("seeds = 2", "seeds = 0", r":3: seeds: 0 is not a number of seeds"),
            ("seeds = 2", "seeds = true", r":3: seeds: True"),
            ("[1, 1.5, 2]", "[]", r":2: factors: there is none"),
            ("[1, 1.5, 2]", "4", r":2: factors: is not a list"),
            ("[1, 1.5, 2]", "[1, 0]", r":2: factors: 0 is not a factor"),
            ("[1, 1.5, 2]", "[1, -2]", r":2: factors: -2 is not a factor"),
            ("[1, 1.5, 2]", "[1, nan]", r":2: factors: nan is not a factor"),
            ("[1, 1.5, 2]", "[1, 1e300]", r":2: factors: 1e\+300 is not a factor"),
            ("[1, 1.5, 2]", '["2"]', r":2: factors: '2' is not a factor"),
            ("[1, 1.5, 2]", "[1, 2, 1.0]", r":2: factors: 1 stands twice"),
            ('"a test"', '" "', r":1: title: is no text"),
            ('"a test"', "7", r":1: title: is no text"),
            ('"a test"', "", r":1: is not TOML"),
            ('["proportional", "frozen-hubs"]', "[]", r":4: scenarios: there is none; .*proportional"),
            ('["proportional", "frozen-hubs"]', "[3]", r":4: scenarios: 3 is neither a name nor a file"),
            ("frozen-hubs", "frozen", r":4: scenarios: frozen is neither a file in .*nor a name; known"),
            ("frozen-hubs", "proportional", r":4: scenarios: two are called proportional"),
            ("frozen-hubs", "larger-crawl", r":4: scenarios: larger-crawl is a larger crawl, .*leave it out"),
            ("frozen-hubs", "odd.toml", r":4: scenarios: .*odd.toml:1: unknown key colour"),
            ("frozen-hubs", "sized.toml", r":4: scenarios: sized gives servers, and sizes come from factors"),
        ],
    )  # fmt: skip
    def test_what_is_refused(self, old: str, new: str, told: str, tmp_path: Path, capsys: Captured) -> None:
        (tmp_path / "odd.toml").write_text('colour = "red"\n')
        (tmp_path / "sized.toml").write_text('title = "sized"\nservers = 30\n')
        path = tmp_path / "asked.toml"
        path.write_text(GOOD.replace(old, new))
        assert run(["sweep", "--config", str(path), "-o", str(tmp_path / "out"), "-q"]) == 2
        out, err = capsys.readouterr()
        assert out == ""
        assert re.search(told, err), err
        assert err.count("\n") == 1
        assert not (tmp_path / "out").exists()

    @pytest.mark.parametrize("content", [None, b"\xff"])
    def test_no_such_file(self, content: bytes | None, tmp_path: Path) -> None:
        path = tmp_path / "asked.toml"
        if content:
            path.write_bytes(content)
        with pytest.raises(UsageError, match=r"asked.toml: (cannot be read|is not UTF-8)"):
            read_sweep(path)

    def test_factors_rise_and_have_names_of_their_own(self) -> None:
        factors = (2, 0.5, 1 / 3, 0.333333, 1e6)
        assert small(factors=factors).factors == tuple(sorted(factors))
        assert [factor_word(float(factor)) for factor in (2, 0.5, 1e6)] == ["2", "0.5", "1e+06"]
        assert len({factor_word(float(factor)) for factor in factors}) == len(factors)


class TestDeclared:
    """The exponents that follow from what is assumed."""

    def test_proportional(self) -> None:
        found = Growth().exponents()
        ones = ("servers", "users", "rooms", "memberships", "presences", "users_per_server_max", "transactions")
        assert {found[key] for key in (*ones, "largest_tx", "largest_rx", "transactions_push")} == {1.0}
        assert {found[key] for key in set(LARGEST_LOADS.values()) - {"largest_load_adaptive"}} == {1.0}
        zeros = ("load_per_user", "hub_share_tx", "hub_share_rx", "top_1_share", "servers_per_room_p99", "median_tx")
        assert {found[key] for key in zeros} == {0.0}
        assert not {"effective_servers", "servers_per_room_max", "largest_load_adaptive"} & set(found)

    @pytest.mark.parametrize("name", [name for name in known_scenarios() if name != "larger-crawl"])
    def test_all_are_of_statistics(self, name: str) -> None:
        assert set(read_scenario(name).growth.exponents()) <= set(LABELS)

    def test_what_is_left_out(self) -> None:
        assert "presences" not in Growth(hub_users=0).exponents()
        assert "presences" not in Growth(rooms=0).exponents()
        assert "load_per_user" not in Growth(rooms=0).exponents()
        assert "load_per_user" not in Growth(hub_users=0).exponents()
        assert "users_per_server_max" not in Growth(hub_users=0).exponents()
        replicated = Growth(hub_users=0, hub_number=1).exponents()
        assert replicated["load_per_user"] == 0.0
        assert "hub_share_tx" not in replicated
        assert "largest_tx" not in replicated
        reach = Growth(reach="proportional", users=0.8).exponents()
        assert (reach["servers_per_room_max"], reach["users_per_room_max"]) == (1.0, 0.8)
        assert "servers_per_room_max" not in Growth(reach="natural").exponents()

    def test_all_parameters(self) -> None:
        found = Growth(users=0.9, rooms=1.2, rooms_per_user=0.3, rooms_per_server=0.2, hub_users=1.1).exponents()
        assert found == pytest.approx(
            {
                "servers": 1.0,
                "users": 0.9,
                "rooms": 1.2,
                "memberships": 1.2,
                "rooms_per_user_mean": 0.3,
                "presences": 1.2,
                "users_per_server_max": 1.1,
                "top_1_share": 0.2,
            }
        )

    def test_plans_have_them(self, model: Model) -> None:
        """What is exact of a plan is exact."""
        sweep = small(
            factors=(1, 4, 16), scenarios={name: read_scenario(name) for name in read_sweep("sweep").scenarios}
        )
        plans = plan_cells(model, sweep, 0)
        for name, scenario in sweep.scenarios.items():
            declared = scenario.growth.exponents()
            for size in {"servers", "users", "rooms", "memberships", "presences"} & declared.keys():
                one, many = (getattr(plans[Cell(name, factor, 0)], size) for factor in (1.0, 16.0))
                assert many / one == pytest.approx(16 ** declared[size], rel=1e-3)


class TestCells:
    def test_all_are_planned_one_seed_after_the_other(self, model: Model) -> None:
        plans = plan_cells(model, small(scenarios={"base": Scenario(), "b": Scenario(title="b")}), 5)
        assert [cell.name for cell in plans][:5] == [
            "base-x1-seed5", "base-x2-seed5", "b-x1-seed5", "b-x2-seed5", "base-x1-seed6",
        ]  # fmt: skip
        assert all(plan.seed == cell.seed for cell, plan in plans.items())

    def test_what_does_not_fit_is_refused_before_anything_is_drawn(
        self, model_file: Path, tmp_path: Path, capsys: Captured
    ) -> None:
        path = tmp_path / "asked.toml"
        path.write_text(GOOD.replace("[1, 1.5, 2]", "[1, 1000000]"))
        assert run(["sweep", str(model_file), "--config", str(path), "-o", str(tmp_path / "out")]) == 2
        assert re.search(r"scenario proportional, factor 1e\+06: .* GiB of memory", capsys.readouterr().err)
        assert not (tmp_path / "out").exists()

    def test_what_cannot_be_is_named(self, model: Model) -> None:
        with pytest.raises(InfeasibleError, match=r"scenario few, factor 2: growth\.users"):
            plan_cells(model, small(scenarios={"base": Scenario(), "few": Scenario(growth=Growth(users=-3))}), 0)
        far = Scenario(decentralize=Decentralization(effective_servers=1e9))
        plans = plan_cells(model, small(factors=(1,), scenarios={"far": far}), 0)
        with pytest.raises(InfeasibleError, match="scenario far, factor 1: effective_servers"):
            list(draw_cells(model, plans))

    def test_same_for_any_jobs(self, model: Model) -> None:
        plans = plan_cells(model, small(factors=(0.2, 0.4)), 3)
        assert dict(draw_cells(model, plans, 2)) == dict(draw_cells(model, plans))
        with pytest.raises(UsageError, match="jobs: 0"):
            list(draw_cells(model, plans, 0))

    def test_a_move_is_kept_at_every_factor(self, model: Model) -> None:
        moved = Scenario(decentralize=Decentralization(servers=2))
        found = dict(draw_cells(model, plan_cells(model, small(seeds=1, scenarios={"m": moved}), 0)))
        assert [one.servers for one in found.values()] == [2 * 930, 4 * 930]

    @pytest.mark.parametrize(
        "federation",
        [
            Federation.from_pairs([0], [0], [0]),
            Federation.from_pairs([0, 0, 0], [0, 1, 2], [0, 0, 0]),
            Federation.from_pairs([0, 0, 1, 2], [0, 1, 2, 3], [0, 0, 0, 0]),
        ],
        ids=["one user", "one server", "one room"],
    )
    def test_tiny_federations(self, federation: Federation, tmp_path: Path, capsys: Captured) -> None:
        fedgen.fit(federation).save(tmp_path / "model.json")
        (tmp_path / "asked.toml").write_text(GOOD.replace("frozen-hubs", "regions"))
        words = ["sweep", tmp_path / "model.json", "--config", tmp_path / "asked.toml", "-o", tmp_path / "out", "-q"]
        assert run(list(map(str, words))) == 0
        assert "Which assumption moves the answer most" in capsys.readouterr().out
        validate(json.loads((tmp_path / "out/sweep.json").read_text()), "sweep")


class TestTrends:
    def test_exponents_of_exact_powers(self) -> None:
        sweep = small(factors=(1, 2, 8), seeds=3)
        found = outlines(sweep, {"load_per_user": lambda _, f, s: (s + 1) * f**0.75, "median_tx": lambda *_: 0.0})
        assert found.exponent("base", "load_per_user").value == pytest.approx(0.75)
        assert isnan(found.exponent("base", "median_tx").value)
        document = found.to_dict()["scenarios"][0]["exponents"]
        assert document["load_per_user"]["declared"] == 0.0
        assert document["load_per_user"]["holds"] is False
        assert document["top_1_share"]["holds"] is True
        assert document["effective_servers"]["declared"] is None

    def test_nothing_is_declared_where_users_move(self) -> None:
        moved = Scenario(decentralize=Decentralization(servers=2))
        assert outlines(small(scenarios={"m": moved}), {}).declared("m") == {}

    def test_ranking(self) -> None:
        scenarios = {
            "base": Scenario(),
            "a": Scenario(growth=Growth(rooms=0)),
            "b": Scenario(growth=Growth(locality=1)),
        }
        sweep = small(seeds=5, scenarios=scenarios)
        factor = {"base": 1.0, "a": 8.0, "b": 0.5}
        found = outlines(
            sweep,
            {
                "load_per_user": lambda name, f, s: factor[name] * f * (1 + 0.01 * s),
                "largest_tx": lambda name, _, s: factor[name] ** 0.1 * (1 + s),
                "hub_share_tx": lambda name, *_: nan if name == "a" else 1.0,
            },
        )
        ranking = found.ranking()
        first, second, *others = ranking
        assert (first.scenario, first.answer, first.log2_ratio, first.beyond_seeds) == ("a", "load_per_user", 3.0, True)
        assert (second.scenario, second.answer, second.log2_ratio) == ("b", "load_per_user", -1.0)
        assert {(one.scenario, one.answer) for one in ranking} == {(n, a) for n in "ab" for a in ANSWERS}
        assert not any(one.beyond_seeds for one in others)
        assert any(isnan(one.log2_ratio) for one in others)
        told = verdict(found)
        assert "against base, a (rooms) multiplies transactions per user (T/U) by 8; none moves" in told
        assert told.count("\n") == 0

    def test_verdict_where_nothing_moves(self) -> None:
        assert "is the only one" in verdict(outlines(small(), {}))
        twice = small(scenarios={"base": Scenario(), "b": Scenario(title="b")})
        assert "none does" in verdict(outlines(twice, {}))

    def test_one_seed_tells_nothing_from_chance(self) -> None:
        sweep = small(seeds=1, scenarios={"base": Scenario(), "b": Scenario(growth=Growth(locality=1))})
        found = outlines(sweep, {"largest_tx": lambda name, *_: 3.0 if name == "b" else 1.0})
        assert {move.beyond_seeds for move in found.ranking()} == {None}
        assert verdict(found).endswith(
            "b (locality) multiplies largest tx of a server by 3; with one seed nothing tells that from chance."
        )

    def test_range_over_assumptions(self) -> None:
        sweep = small(scenarios={"base": Scenario(), "b": Scenario(title="b")})
        found = outlines(sweep, {"largest_rx": lambda name, f, _: 5.0 if name == "b" else f})
        last = found.to_dict()["assumptions"][-1]
        assert last["factor"] == 2
        assert last["statistics"]["largest_rx"] == {"low": 2, "low_scenario": "base", "high": 5, "high_scenario": "b"}


def validate(document: Any, name: str) -> None:
    schema = json.loads((SCHEMAS / f"{name}.schema.json").read_text())
    jsonschema.validate(document, schema, cls=jsonschema.Draft202012Validator)


def contents(folder: Path) -> dict[str, bytes]:
    """All files but for when and by which command they were made."""
    found = {file.relative_to(folder).as_posix(): file.read_bytes() for file in folder.rglob("*") if file.is_file()}
    document = json.loads(found["sweep.json"])
    del document["provenance"]
    return found | {"sweep.json": json.dumps(document).encode()}


class TestCommand:
    def test_files(self, swept: Path, model: Model) -> None:
        plan, document = (json.loads((swept / name).read_text()) for name in ("plan.json", "sweep.json"))
        validate(plan, "sweep-plan")
        validate(document, "sweep")
        assert plan["model"] == document["model"] == model.digest
        assert plan["seeds"] == document["seeds"] == [0, 1]
        assert len(list((swept / "cells").iterdir())) == 2 * 3 * 2
        for name in ("sweep.png", "mechanisms.png"):
            assert (swept / name).read_bytes().startswith(b"\x89PNG")
        rows = list(csv.DictReader((swept / "sweep.csv").read_text().splitlines()))
        assert len(rows) == 12
        assert list(rows[0]) == ["scenario", "factor", "seed", *LABELS]
        assert {row["servers"] for row in rows if row["factor"] == "2.0"} == {"1860"}
        page = (ROOT / "docs" / "json.md").read_text()
        ranked, scenario = document["ranking"][0], document["scenarios"][0]
        for keys in (document, scenario, ranked, scenario["exponents"]["users"]):
            assert {key for key in keys if f"`{key}`" not in page} == set()

    @pytest.mark.usefixtures("no_figure")
    def test_table(self, model_file: Path, config: Path, tmp_path: Path, capsys: Captured) -> None:
        words = ["sweep", str(model_file), "--config", str(config), "-o", str(tmp_path / "out")]
        assert run(words) == 0
        out, err = capsys.readouterr()
        title, header, *lines = out.splitlines()
        assert title == "a test: at 2 times the servers, medians over 2 seeds"
        for column in (
            "T/U",
            "hub's share of tx",
            "1/HHI",
            "largest tx",
            "exponent of T/U",
            "95 % interval",
            "declared",
        ):
            assert column in header
        assert [line.split()[0] for line in lines[:2]] == ["proportional", "frozen-hubs"]
        assert lines[3].startswith(
            "Which assumption moves the answer most: against proportional, frozen-hubs (hub_users)"
        )
        assert lines[5] == "proportional at 2 times the servers: the largest load of a server"
        assert [line.split()[0] for line in lines[7:14]] == list(LARGEST_LOADS)
        assert lines[7].split()[-1] == "1"
        assert float(lines[13].split()[-1]) > 1
        assert lines[-1] == str(tmp_path / "out")
        assert "note: proportional assumes: rooms ~ servers^1" in err
        assert "note: frozen-hubs assumes instead: users of a hub ~ servers^0" in err
        assert run(words) == 1  # the result is there
        assert "--force" in capsys.readouterr().err

    @pytest.mark.usefixtures("no_figure")
    def test_json_is_the_file(self, model_file: Path, config: Path, tmp_path: Path, capsys: Captured) -> None:
        words = ["sweep", str(model_file), "--config", str(config), "-o", str(tmp_path / "out"), "--json", "-q"]
        assert run(words) == 0
        out, err = capsys.readouterr()
        printed = json.loads(out)
        assert printed.pop("output") == str(tmp_path / "out")
        assert printed == json.loads((tmp_path / "out/sweep.json").read_text())
        assert err == ""

    @pytest.mark.usefixtures("no_figure")
    def test_same_seed_same_result(self, swept: Path, model_file: Path, config: Path, tmp_path: Path) -> None:
        words = ["sweep", str(model_file), "--config", str(config), "-o", str(tmp_path / "out"), "-q"]
        assert run([*words, "--jobs", "2"]) == 0
        assert contents(tmp_path / "out") == contents(swept)
        assert run([*words, "--force", "--seed", "9"]) == 0
        assert contents(tmp_path / "out") != contents(swept)
        assert len(list((tmp_path / "out/cells").iterdir())) == 12

    def test_a_killed_run_goes_on(self, swept: Path, model_file: Path, config: Path, tmp_path: Path) -> None:
        path = tmp_path / "out"
        words = ["sweep", str(model_file), "--config", str(config), "-o", str(path), "-q", "--jobs", "2"]
        process = start(words, str(path))
        wait_for(lambda: list((path / "cells").glob("*.json")))
        process.kill()
        process.wait()
        assert not (path / "sweep.json").exists()
        done = {file: file.stat().st_mtime_ns for file in (path / "cells").glob("*.json")}
        assert 1 <= len(done) < 12
        assert process.stderr is not None
        process.stderr.close()
        wait_for(lambda: not marked(str(path)))  # workers do not outlive it
        (path / "cells" / f"{min(done).name}.1.partial").touch()
        assert run(words) == 0
        assert {file: file.stat().st_mtime_ns for file in done} == done
        (path / "cells" / f"{min(done).name}.1.partial").unlink()
        assert contents(path) == contents(swept)

    def test_an_interrupt_says_what_is_kept_and_leaves_no_orphan(self, model_file: Path, tmp_path: Path) -> None:
        path, config = tmp_path / "out", tmp_path / "asked.toml"
        # Minutes of work, so that a machine that is busy otherwise does not finish it before it is interrupted.
        config.write_text(GOOD.replace("[1, 1.5, 2]", "[1, 32]").replace("seeds = 2", "seeds = 100"))
        words = ["sweep", str(model_file), "--config", str(config), "-o", str(path), "-q", "--jobs", "2"]
        process = start(words, str(path), start_new_session=True)
        wait_for(lambda: list((path / "cells").glob("*.json")))
        os.killpg(process.pid, signal.SIGINT)  # as a terminal does
        _, err = process.communicate(timeout=20)
        assert process.returncode == 1
        assert re.fullmatch(
            r"fedgen: error: interrupted; \d+ of 400 cells are in .*; the same command goes on .*\n", err
        )
        wait_for(lambda: not marked(str(path)))

    @pytest.mark.usefixtures("no_figure")
    def test_a_broken_cell_is_drawn_again(self, swept: Path, model_file: Path, config: Path, tmp_path: Path) -> None:
        path = tmp_path / "out"
        words = ["sweep", str(model_file), "--config", str(config), "-o", str(path), "-q"]
        assert run(words) == 0
        (path / "sweep.json").unlink()
        first, second, third, *_ = sorted((path / "cells").iterdir())
        first.write_text("{")
        second.write_text(third.read_text())
        document = json.loads(third.read_text())
        document["statistics"]["users"] = "many"
        third.write_text(json.dumps(document))
        assert run(words) == 0
        assert contents(path) == contents(swept)

    @pytest.mark.usefixtures("no_figure")
    def test_another_plan_is_refused(self, model_file: Path, config: Path, tmp_path: Path, capsys: Captured) -> None:
        path = tmp_path / "out"
        words = ["sweep", str(model_file), "--config", str(config), "-o", str(path), "-q"]
        assert run(words) == 0
        (path / "sweep.json").unlink()
        capsys.readouterr()
        assert run([*words, "--seed", "4"]) == 1
        assert "an unfinished sweep of another plan" in capsys.readouterr().err
        (path / "plan.json").unlink()
        assert run(words) == 1
        assert "draws of no plan" in capsys.readouterr().err

    def test_strangers_are_left_alone(self, model_file: Path, config: Path, tmp_path: Path, capsys: Captured) -> None:
        words = ["sweep", str(model_file), "--config", str(config), "--force", "-q", "-o"]
        (tmp_path / "a/cells").mkdir(parents=True)
        (tmp_path / "a/cells/mine.json").touch()
        (tmp_path / "b").mkdir()
        (tmp_path / "b/mine.txt").touch()
        (tmp_path / "c").touch()
        for name, told in (("a", "cells/mine.json"), ("b", "mine.txt"), ("c", "is a file"), ("d/e", "does not exist")):
            assert run([*words, str(tmp_path / name)]) == 1
            assert told in capsys.readouterr().err
        assert run([*words, str(config)]) == 2
        assert (tmp_path / "a/cells/mine.json").exists()

    @pytest.mark.parametrize(
        ("words", "told"),
        [
            (["-o", "out"], "--config"),
            (["--config", "sweep"], "--output"),
            (["--config", "nowhere.toml", "-o", "out"], "nowhere.toml: cannot be read"),
            (["--config", "sweep", "-o", "out", "--jobs", "0"], "--jobs"),
        ],
    )
    def test_wrong_usage(
        self, words: list[str], told: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Captured
    ) -> None:
        monkeypatch.chdir(tmp_path)
        assert run(["sweep", *words]) == 2
        assert told in capsys.readouterr().err
        assert not list(tmp_path.iterdir())


class TestFigure:
    FACTORS = (1.0, 4.0, 16.0)

    def line(self, name: str, power: float, declared: float | None = None) -> Line:
        return Line(name, [Band(f**power, 0.9 * f**power, 1.1 * f**power) for f in self.FACTORS], declared)

    def test_a_panel_per_statistic(self) -> None:
        lines = [self.line(f"scenario {i}", i / 4, i / 4) for i in range(9)]
        figure = trends(
            self.FACTORS, {"one": lines, "two": lines[:1], "three": [Line("none", [Band(nan, nan, nan)] * 3, 0.0)]}
        )
        assert [axes.get_title(loc="left") for axes in figure.axes] == ["one", "two", "three"]
        assert [text.get_text() for text in figure.axes[0].texts] == [line.name for line in lines]
        assert encoded(figure, "png", "test") == encoded(figure, "png", "test")
        assert len({axes.get_ylim() for axes in figure.axes}) > 1

    def test_one_scale(self) -> None:
        figure = trends(self.FACTORS, {"a": [self.line("broadcast", 1)], "b": [self.line("tree", 2)]}, "largest load")
        assert len({axes.get_ylim() for axes in figure.axes}) == 1
        assert figure.get_supylabel() == "largest load"

    def test_one_factor(self) -> None:
        figure = trends([3.0], {"one": [Line("a", [Band(2.0, 1.0, 3.0)], 1.0)]})
        assert encoded(figure, "png", "test").startswith(b"\x89PNG")
        with pytest.raises(UsageError, match="no statistic"):
            trends([3.0], {})

    def test_looks_differ(self) -> None:
        assert len({str(look(at)) for at in range(10)}) == 10

    def test_names_move_apart(self) -> None:
        assert apart([0.2, 0.8], 0.1) == [0.2, 0.8]
        assert apart([0.5, 0.5], 0.1) == pytest.approx([0.45, 0.55])
        assert apart([0.0, 0.0, 0.0], 0.1) == pytest.approx([0.0, 0.1, 0.2])
        rng = np.random.default_rng(0)
        for _ in range(50):
            places = rng.random(6).tolist()
            moved = apart(places, 0.12)
            assert np.argsort(moved).tolist() == np.argsort(places).tolist()
            assert np.diff(np.sort(moved)).min() >= 0.12 - 1e-9
            assert min(moved) >= -1e-9
            assert max(moved) <= 1 + 1e-9


def start(words: list[str], mark: str, **how: Any) -> subprocess.Popen[str]:
    """A process that runs the command; ``mark`` is in its environment, and in that of what it starts."""
    environment = os.environ | {MARK: mark}
    command = [sys.executable, "-m", "fedgen.cli", *words]
    return subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment, **how)


def marked(mark: str) -> list[str]:
    """The processes of that mark that still run."""
    found = []
    for place in Path("/proc").glob("[0-9]*/environ"):
        with suppress(OSError):
            if f"{MARK}={mark}".encode() in place.read_bytes().split(b"\0"):
                found.append(place.parent.name)
    return found


def wait_for(done: Callable[[], object]) -> None:
    deadline = time.monotonic() + 30
    while not done() and time.monotonic() < deadline:
        time.sleep(0.005)
    assert done()
