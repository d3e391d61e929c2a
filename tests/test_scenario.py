"""Scenario files: those that come along, and what is refused with the line."""

from dataclasses import fields
from pathlib import Path

import pytest

from fedgen.cli.commands import run
from fedgen.errors import UsageError
from gen.decentralization import Decentralization
from gen.growth import Growth
from gen.scenario import Scenario, find, known_scenarios, read_scenario

SHIPPED = (
    "frozen-hubs",
    "inflated-rooms",
    "larger-crawl",
    "proportional",
    "proportional-reach",
    "regions",
    "replicated-hubs",
    "ten-times-the-effective-servers",
    "ten-times-the-servers",
)


def written(folder: Path, text: str) -> Path:
    path = folder / "mine.toml"
    path.write_text(text)
    return path


class TestShipped:
    def test_names(self) -> None:
        assert known_scenarios() == list(SHIPPED)

    @pytest.mark.parametrize("name", SHIPPED)
    def test_each_states_all_that_it_assumes(self, name: str) -> None:
        """A file with laws of growth names all of them, so that a reader sees every assumption in one place."""
        scenario, text = read_scenario(name), find(name).read_text()
        if "[growth]" in text:
            stated = {line.split("=")[0].strip() for line in text.split("[growth]")[1].splitlines() if "=" in line}
            assert stated >= {field.name for field in fields(Growth)}
        assert text.startswith("# ")
        assert scenario.title in text

    def test_proportional_growth_is_the_default(self) -> None:
        assert read_scenario("proportional").growth == Growth()
        assert read_scenario("proportional").title == Scenario().title

    def test_decentralization(self) -> None:
        assert read_scenario("ten-times-the-servers").decentralize == Decentralization(servers=10, hubs=1)
        assert read_scenario("ten-times-the-effective-servers").decentralize == Decentralization(effective_servers=10)

    def test_a_file_of_the_same_name_comes_first(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.chdir(tmp_path)
        (tmp_path / "proportional").write_text('title = "mine"\nmode = "scenario"\n')
        assert read_scenario("proportional").title == "mine"


class TestRefused:
    @pytest.mark.parametrize(
        ("text", "line", "message"),
        [
            ('title = "x"\nfactr = 2', 2, "unknown key factr; known are title, mode, factor"),
            ("factor = 2\n[growth]\nusers = 1\nhub = 0", 4, "unknown key growth.hub; known are users, rooms"),
            ("[growth]\nusers = true", 1, "growth.users: True is not an exponent; give a number"),
            ("[growth]\nusers = inf", 1, "growth.users: inf is not an exponent"),
            ("growth = 3", 1, "growth is not a table; begin it with [growth]"),
            ("factor = 1\n\n[decentralize]\nservers = 2\nmove_hub_users = 0.1", 3, "decentralization: give one of"),
            ("[decentralize]\nmove_hub_users = 1.5", 1, "move_hub_users: 1.5 is not a share"),
            ("mode = 'other'", 1, "mode: 'other' is not known; give scenario or crawl"),
            ("title = 'x'\nfactor = 0", 2, "factor: 0 is not a factor; give a number above 0"),
            ("factor = '2'", 1, "factor: '2' is not a factor"),
            ("title = ' '", 1, "title: is no text"),
            ("title = 3", 1, "title: is no text"),
            ("servers = 1.5", 1, "servers: 1.5 is not a size"),
            ("mode = 'crawl'\nusers = 10", 2, "users: a larger crawl finds as many users as it finds"),
            ("mode = 'crawl'\n[growth]\nusers = 2", 2, "growth: a larger crawl does not grow by declared laws"),
            ("mode = 'crawl'\n[decentralize]\nservers = 2", 2, "decentralize: in a larger crawl nobody moves"),
            ("factor = \n", 1, "is not TOML"),
        ],
    )
    def test_with_the_line(self, text: str, line: int, message: str, tmp_path: Path) -> None:
        path = written(tmp_path, text)
        with pytest.raises(UsageError) as caught:
            read_scenario(path)
        assert str(caught.value).startswith(f"{path}:{line}: ")
        assert message in str(caught.value)
        assert "\n" not in str(caught.value)

    def test_a_title_is_asked_for(self, tmp_path: Path) -> None:
        for text in ("", "factor = 2"):
            with pytest.raises(UsageError, match="has no title; say in a few words what is assumed"):
                read_scenario(written(tmp_path, text))

    def test_no_laws_of_growth_in_a_crawl(self, tmp_path: Path) -> None:
        with pytest.raises(UsageError, match=r":3: growth: .*leave \[growth\] out"):
            read_scenario(written(tmp_path, 'title = "x"\nmode = "crawl"\n[growth]\nusers = 1\n'))

    def test_no_such_file(self, tmp_path: Path) -> None:
        with pytest.raises(UsageError, match="give a file, or one of frozen-hubs, inflated-rooms"):
            read_scenario(tmp_path / "none.toml")
        with pytest.raises(UsageError, match="cannot be read"):
            read_scenario(tmp_path)

    def test_not_text(self, tmp_path: Path) -> None:
        path = tmp_path / "packed.toml"
        path.write_bytes(b"title = '\xff'")
        with pytest.raises(UsageError, match="is not UTF-8"):
            read_scenario(path)


class TestCommand:
    def test_what_was_assumed_is_told_and_written(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        import json

        out = tmp_path / "frozen"
        assert run(["sample", "--config", "frozen-hubs", "--servers", "4006", "-o", str(out)]) == 0
        told = capsys.readouterr()
        assert "scenario                     frozen hubs" in told.out
        line = "users of a hub ~ servers^0: as many as measured, hubs are frozen; their share falls"
        assert line in told.err
        plan = json.loads((out / "plan.json").read_text())
        assert plan["growth"]["scenario"] == "frozen hubs"
        assert plan["growth"]["laws"]["hub_users"] == 0
        assert line in plan["growth"]["assumed"]
        grown = json.loads((out / "manifest.json").read_text())["provenance"]["growth"]
        assert line in grown["assumed"]
        assert (grown["servers_drawn"], grown["users_moved"]) == (4006, 0)

    def test_moved_users_get_servers_on_top(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        import json

        out = tmp_path / "moved"
        command = ["sample", "--servers", "2003", "--move-hub-users", "0.25", "-o", str(out), "-q", "--json"]
        assert run(command) == 0
        result = json.loads(capsys.readouterr().out)
        manifest = json.loads((out / "manifest.json").read_text())
        moved = manifest["provenance"]["growth"]["users_moved"]
        assert result["moved"] == moved == manifest["counts"]["servers"] - 2003
        assert moved == pytest.approx(0.25 * (76271 + 37751), abs=1)

    @pytest.mark.parametrize(
        ("words", "message"),
        [
            (["--move-hub-users", "0.1", "--decentralize", "2"], "two targets of one move"),
            (["--config", "ten-times-the-servers", "--decentralize", "2"], "says itself who moves out"),
            (["--decentralize", "1000000"], "give a factor from 1 to"),
            (["--decentralize", "0.5"], "effective_servers: 0.5 is not a factor of growth"),
            (["--move-hub-users", "1.01"], "move_hub_users: 1.01 is not a share"),
            (["--config", "frozen-hubs", "--servers", "10"], "growth.hub_users: 0 puts"),
            (["--config", "larger-crawl", "--servers", "3000"], "a larger crawl finds as many servers as it finds"),
            (["--config", "inflated-rooms", "--rooms", "3000"], "say nothing about the servers"),
        ],
    )
    def test_what_cannot_be_is_wrong_usage(
        self, words: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert run(["sample", *words, "-o", str(tmp_path / "none"), "-q"]) == 2
        assert message in capsys.readouterr().err
        assert not (tmp_path / "none").exists()
