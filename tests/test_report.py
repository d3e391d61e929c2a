"""The report of ``fedgen validate --html``: a page that is whole, says everything and loads nothing."""

import re
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings

import fedgen
from fedgen.cli.commands import run
from fedgen.federation import Federation
from fedgen.figures import composition, load, mixing, survival
from fedgen.figures.overlay import Pair
from fedgen.provenance import record
from tests.strategies import federations
from validate.report.page import page
from validate.report.plates import SHEETS
from validate.report.words import findings, headline, number
from validate.scorecard import Scorecard

Captured = pytest.CaptureFixture[str]

EXAMPLE = Path(__file__).parents[1] / "configs" / "debian_teams.csv.gz"
FIGURES = Path(__file__).parents[1] / "configs" / "matrix-2018.toml"
VOID = {"meta", "img"}
NAMES = ("data", "sample")

LONE = Federation.from_pairs([0], [0], [0])
ONE_SERVER = Federation.from_pairs([0] * 5, [0, 1, 2, 3, 4, 0], [0, 0, 0, 1, 1, 1])  # nothing is sent
ONE_ROOM = Federation.from_pairs([0, 0, 1, 2], [0, 1, 2, 3], [0] * 4)
EQUAL = Federation.from_pairs(range(30), [*range(30), *range(30)], [*range(30), *range(1, 30), 0])  # every size is 2


class Reader(HTMLParser):
    """Reads a page strictly: what is opened is closed, in order."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str]]] = []
        self.words: dict[str, str] = {}
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert len({name for name, _ in attrs}) == len(attrs)
        self.tags.append((tag, {name: value or "" for name, value in attrs}))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        tag = self.open[-1] if self.open else ""
        self.words[tag] = self.words.get(tag, "") + data + "\n"

    def all(self, tag: str) -> list[dict[str, str]]:
        return [attributes for name, attributes in self.tags if name == tag]

    @property
    def text(self) -> str:
        return " ".join(" ".join(words for tag, words in self.words.items() if tag != "style").split())


def judged(generated: Federation, measured: Federation) -> Scorecard:
    return fedgen.validate(generated, measured, replicates=99)


def written(card: Scorecard, generated: Federation, measured: Federation, names: tuple[str, str] = NAMES) -> str:
    made = record(["fedgen", "validate", names[1], "--against", names[0]], seed=0, inputs={names[0]: "sha256:0"})
    return page(card, Pair(measured, generated), names, made)


@pytest.fixture(scope="module")
def sides() -> tuple[Federation, Federation]:
    """The example, and the example with its users shuffled over the servers: some rows are fine, some rejected."""
    measured = fedgen.read(EXAMPLE)
    home = np.random.default_rng(0).permutation(measured.user_server)
    return Federation.from_pairs(home, measured.membership_user, measured.membership_room), measured


@pytest.fixture(scope="module")
def example(sides: tuple[Federation, Federation]) -> tuple[Scorecard, str]:
    card = judged(*sides)
    return card, written(card, *sides)


class TestPage:
    def test_is_whole_and_says_everything(self, example: tuple[Scorecard, str]) -> None:
        card, text = example
        read = Reader(text)
        assert text.startswith("<!DOCTYPE html>")
        for told in (headline(card), *findings(card)):
            assert told in read.text
        for row in card.rows:
            assert f"\n{row.name}\n" in f"\n{read.words['th']}"
            assert row.statistic in read.words["td"]
            assert number(row.distance) in read.words["td"]
            assert row.verdict in read.words["td"]
        assert {row.verdict for row in card.rows} >= {"rejected", "indistinguishable"}
        for line in card.reported:
            assert line.statistic in read.text
        for told in ("fedgen validate sample --against data", "sha256:0", fedgen.__version__, "99 draws"):
            assert told in read.text

    def test_same_scorecard_same_page(
        self, example: tuple[Scorecard, str], sides: tuple[Federation, Federation]
    ) -> None:
        card, text = example
        time = re.compile(r"\d{4}-\d\d-\d\dT[\d:+]+")
        assert time.sub("", written(card, *sides)) == time.sub("", text)

    def test_loads_nothing(self, example: tuple[Scorecard, str]) -> None:
        read = Reader(example[1])
        assert all(image["src"].startswith("data:image/svg+xml;base64,") for image in read.all("img"))
        assert all(link["href"].startswith("#") for link in read.all("a"))
        assert not {"script", "link", "iframe", "object", "base"} & {tag for tag, _ in read.tags}
        assert not re.search(r"url\(|@import|https?:", re.sub(r"base64,[^\"]*", "", example[1]))
        policy = next(meta["content"] for meta in read.all("meta") if "http-equiv" in meta)
        assert policy.startswith("default-src 'none'")

    def test_is_for_everyone(self, example: tuple[Scorecard, str]) -> None:
        read = Reader(example[1])
        assert read.all("html") == [{"lang": "en"}]
        assert any(meta.get("name") == "viewport" for meta in read.all("meta"))
        assert len(read.all("img")) == sum(len(sheet.plates) for sheet in SHEETS)
        assert all(len(image["alt"]) > 20 for image in read.all("img"))
        levels = [int(tag[1]) for tag, _ in read.tags if re.fullmatch("h[1-6]", tag)]
        assert levels.count(1) == 1
        assert all(after - before <= 1 for before, after in pairwise(levels))
        names = [attributes["id"] for _, attributes in read.tags if "id" in attributes]
        assert len(set(names)) == len(names)
        assert {link["href"].removeprefix("#") for link in read.all("a")} == set(names)

    def test_names_and_commands_are_text(self) -> None:
        odd = '<script>alert("1")</script>&amp;\x00\udcff\n'
        read = Reader(written(judged(LONE, LONE), ONE_ROOM, ONE_SERVER, (odd, "it's <b>bold</b>")))
        assert read.all("script") == []
        assert '<script>alert("1")</script>&amp;' in read.words["h1"]
        assert "it's <b>bold</b> against" in read.words["title"]
        assert '<script>alert("1")</script>' in read.words["code"]

    @pytest.mark.parametrize(
        ("generated", "measured"), [(LONE, LONE), (ONE_SERVER, EQUAL), (EQUAL, ONE_SERVER), (EQUAL, ONE_ROOM)]
    )
    def test_any_federation(self, generated: Federation, measured: Federation) -> None:
        assert "nan" not in Reader(written(judged(generated, measured), generated, measured)).text.split()

    @pytest.mark.slow
    def test_a_large_federation_is_a_small_page(self) -> None:
        rng = np.random.default_rng(1)
        users, servers, rooms = 200_000, 60_000, 50_000
        size = np.maximum(rng.zipf(1.8, 3 * users) % servers, 1) - 1
        home = np.concatenate((np.arange(servers), size[: users - servers]))
        user = np.concatenate((np.arange(users), np.arange(users), np.arange(rooms)))
        room = np.concatenate((size[-users:] % rooms, rng.integers(0, rooms, users), np.arange(rooms)))
        pairs = np.unique(np.column_stack((user, room)), axis=0)
        federation = Federation.from_pairs(home, pairs[:, 0], pairs[:, 1])
        assert len(written(judged(LONE, LONE), federation, federation)) < 2_000_000


class TestFigures:
    @given(federations())
    def test_survival_is_what_counting_says(self, federation: Federation) -> None:
        sizes = federation.users_per_room.tolist()
        x, y = survival.survival(federation.users_per_room)
        assert x.tolist() == sorted(set(sizes))
        assert y.tolist() == pytest.approx([sum(size >= at for size in sizes) / len(sizes) for at in x.tolist()])

    @given(federations())
    def test_shares_of_the_largest_server(self, federation: Federation) -> None:
        plain = []
        for room in range(federation.n_rooms):
            users = federation.membership_user[federation.room_offsets[room] : federation.room_offsets[room + 1]]
            if len(users) >= 2:
                plain.append(np.bincount(federation.user_server[users]).max() / len(users))
        assert composition.largest_shares(federation).tolist() == sorted(plain)

    def test_bins_of_mixing_are_four_a_decade(self) -> None:
        assert mixing.first_integers(10).tolist() == [1, 2, 3, 6, 10, 18]
        assert mixing.first_integers(1).tolist() == [1, 2]

    @given(federations())
    def test_quartiles_are_those_of_plain_sorting(self, federation: Federation) -> None:
        near = federation.rooms_per_user[federation.membership_user].tolist()
        far = federation.users_per_room[federation.membership_room].tolist()
        found = mixing.of_memberships(federation)
        first = mixing.first_integers(max(near)).tolist()
        plain = []
        for low, high in pairwise(first):
            inside = sorted(b for a, b in zip(near, far, strict=True) if low <= a < high)
            if inside:
                # The smallest that at least a share q of them does not exceed.
                plain.append(tuple(inside[-(-len(inside) * i // 4) - 1] for i in (1, 2, 3)))
        assert list(zip(*(part.tolist() for part in found[1:]), strict=True)) == plain

    def test_both_load_curves_begin_with_the_share_of_the_first(self) -> None:
        figure = load.both(Pair(ONE_ROOM, EQUAL))
        lines = figure.axes[0].get_lines()
        assert [line.get_label() for line in lines] == ["measured", "generated"]
        for line, side in zip(lines, (ONE_ROOM, EQUAL), strict=True):
            assert np.asarray(line.get_ydata())[[0, -1]].tolist() == pytest.approx([load.shares(side)["sum"][0], 1])

    @settings(max_examples=5)
    @given(federations(), federations())
    def test_any_pair_is_drawn(self, measured: Federation, generated: Federation) -> None:
        pair = Pair(measured, generated)
        for sheet in SHEETS:
            for plate in sheet.plates:
                plate.draw(pair)
                assert "nan" not in plate.numbers(pair)


class TestNumbers:
    def test_as_a_person_reads_them(self) -> None:
        values = (0.012345, 12345, 123456.7, float("nan"), float("inf"), 1.0, "word", True, None, (1.5, 2.0))
        shown = [number(value) for value in values]
        assert shown == ["0.0123", "12,345", "123,457", "–", "∞", "1", "word", "yes", "–", "1.5 to 2"]


class TestCommand:
    @pytest.fixture
    def table(self, tmp_path: Path) -> Path:
        path = tmp_path / "small.csv"
        fedgen.write(EQUAL, path)
        return path

    def test_writes_a_page_beside_the_result(self, table: Path, tmp_path: Path, capsys: Captured) -> None:
        html, json = tmp_path / "report.html", tmp_path / "card.json"
        words = ["validate", str(table), "--against", str(EXAMPLE), "--html", str(html), "-o", str(json), "--seed", "7"]
        assert run(words) == 3, "a rejected federation has a report too"
        assert "Scorecard" in capsys.readouterr().out
        read = Reader(html.read_text(encoding="utf-8"))
        assert json.is_file()
        assert f"{table.name} against {EXAMPLE.name}" in read.text
        assert "--seed 7" in read.text
        assert read.text.count("sha256:") == 2
        assert sorted(tmp_path.iterdir()) == sorted([html, json, table])
        assert run(words) == 1
        assert "--force" in capsys.readouterr().err
        json.unlink()
        assert run(words) == 1, "the report alone is in the way"
        assert not json.exists()
        assert run([*words, "--force"]) == 3

    @pytest.mark.parametrize(
        ("place", "code", "told"),
        [
            ("missing/report.html", 1, "does not exist"),
            ("small.csv", 2, "never overwritten"),
            ("", 1, "is a folder"),
            ("card.json", 2, "name another place"),
            ("sub/../card.json", 2, "name another place"),
        ],
    )
    def test_places_that_are_refused_before_the_work(
        self, place: str, code: int, told: str, table: Path, tmp_path: Path, capsys: Captured
    ) -> None:
        (tmp_path / "sub").mkdir()
        words = ["validate", str(table), "--against", "nowhere.csv", "--html", str(tmp_path / place)]
        assert run([*words, "-o", str(tmp_path / "card.json"), "--force"]) == code
        err = capsys.readouterr().err
        assert told in err
        assert err.count("\n") == 1
        assert not (tmp_path / "card.json").exists()

    def test_figures_have_no_report(self, table: Path, tmp_path: Path, capsys: Captured) -> None:
        html = tmp_path / "report.html"
        assert run(["validate", str(table), "--against", str(FIGURES), "--html", str(html)]) == 2
        err = capsys.readouterr().err
        assert "--html" in err
        assert err.count("\n") == 1
        assert not html.exists()
