"""Figures: what they show, that they are the same each time, and the files that ``fedgen plot`` leaves."""

import json
from collections import Counter
from itertools import pairwise
from pathlib import Path
from typing import get_args
from xml.etree import ElementTree

import matplotlib as mpl
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import StepPatch

from fedgen.cli.commands import run
from fedgen.cli.plot import PageFormat, titles
from fedgen.errors import UsageError
from fedgen.federation import Federation
from fedgen.figures import histograms, spikes, style
from fedgen.figures.envelope import envelope
from fedgen.figures.load import shares
from fedgen.figures.pages import FIGURES, FORMATS, encoded
from fedgen.traffic.equations import load
from fitting.figure import draw_law
from fitting.histogram import Histogram
from fitting.laws.families import make
from tests.strategies import federations

Captured = pytest.CaptureFixture[str]

LONE = Federation.from_pairs([0], [0], [0])
SMALL = Federation.from_pairs(
    [0, 0, 0, 1, 1, 2, 3], [0, 1, 2, 3, 4, 5, 6, 0, 5, 5, 6], [0, 0, 0, 0, 1, 1, 2, 3, 3, 2, 0]
)


def patches(figure: Figure, panel: int) -> dict[str, tuple[list[float], list[float]]]:
    """Heights and edges of what a panel of a spike pattern shows, by the words of the legend."""
    (legend,) = figure.legends
    words = dict(zip(("line", "area"), (text.get_text() for text in legend.get_texts()), strict=True))
    shown = {}
    for patch in figure.axes[panel].patches:
        assert isinstance(patch, StepPatch)
        heights, edges, _ = patch.get_data()
        shown[words["area" if patch.get_fill() else "line"]] = (heights.tolist(), edges.tolist())
    return shown


def points(line: Line2D) -> list[tuple[float, float]]:
    return [(x, y) for x, y in np.asarray(line.get_xydata()).tolist()]


class TestEnvelope:
    @given(st.lists(st.tuples(st.integers(0, 30), st.integers(1, 5)), max_size=60), st.integers(1, 6))
    def test_keeps_the_ends_the_lowest_and_the_highest_of_each_column(
        self, points: list[tuple[int, int]], columns: int
    ) -> None:
        points.sort(key=lambda point: point[0])
        position, values = [p for p, _ in points], [v for _, v in points]
        kept = envelope(np.array(position), np.array(values), columns).tolist()
        assert kept == sorted(set(kept))
        if len(points) <= 4 * columns:
            assert kept == list(range(len(points)))
            return
        width = (position[-1] - position[0]) / columns or 1.0
        column = [min(int((p - position[0]) / width), columns - 1) for p in position]
        for each in set(column):
            inside = [i for i, c in enumerate(column) if c == each]
            found = [i for i in kept if column[i] == each]
            assert len(found) <= 4
            assert {inside[0], inside[-1]} <= set(found)
            for extreme in (min, max):
                assert extreme(values[i] for i in found) == extreme(values[i] for i in inside)

    def test_a_needle_in_a_million_stays(self) -> None:
        values = np.ones(1_000_000, dtype=np.int64)
        values[123_456] = 7
        kept = envelope(np.arange(len(values)), values)
        assert 123_456 in kept
        assert len(kept) <= 4000


class TestSpikes:
    @given(federations())
    def test_ranks_are_those_of_plain_sorting(self, federation: Federation) -> None:
        n, m = federation.users_per_server, federation.rooms_per_server
        first, second = spikes.ranked(n, m)
        plain = sorted(zip(n.tolist(), m.tolist(), strict=True), reverse=True)
        assert list(zip(first.tolist(), second.tolist(), strict=True)) == plain

    def test_servers(self) -> None:
        figure = spikes.servers([SMALL], ["small"])
        edges = [0.5, 1.5, 2.5, 3.5, 4.5]
        assert patches(figure, 0) == {
            "users per server": ([3, 2, 1, 1], edges),
            "rooms per server": ([2, 2, 3, 2], edges),
        }
        assert figure.get_supxlabel() == "rank of the server, by users, then rooms"

    def test_rooms(self) -> None:
        """Room 0 holds users 0-3 and 6, room 1 users 4 and 5, rooms 2 and 3 users 0 and 5 or 6 and 5."""
        figure = spikes.rooms([SMALL], ["small"])
        edges = [0.5, 1.5, 2.5, 3.5, 4.5]
        assert patches(figure, 0) == {
            "servers per room": ([3, 2, 2, 2], edges),
            "users per room": ([5, 2, 2, 2], edges),
        }
        assert figure.get_supxlabel() == "rank of the room, by servers, then users"

    def test_panels_share_one_logarithmic_scale_of_sizes(self) -> None:
        figure = spikes.servers([SMALL, LONE], ["small", "lone"])
        assert [axes.get_title(loc="left") for axes in figure.axes] == ["small", "lone"]
        assert {axes.get_yscale() for axes in figure.axes} == {"log"}
        assert len({axes.get_ylim() for axes in figure.axes}) == 1
        assert figure.axes[0].get_ylim()[0] < 1
        assert [axes.get_xlim()[1] > size for axes, size in zip(figure.axes, (4.5, 1.5), strict=True)] == [True, True]
        assert figure.axes[1].get_xticks().tolist() == [1]

    def test_more_than_four_panels_wrap(self) -> None:
        figure = spikes.rooms([LONE] * 5, list("abcde"))
        assert [axes.get_title(loc="left") for axes in figure.axes] == list("abcde")
        bottoms = [round(axes.get_position().y0, 3) for axes in figure.axes]
        assert bottoms[0] == bottoms[1] == bottoms[2] > bottoms[3] == bottoms[4]
        assert figure.get_figwidth() == style.TWO_COLUMNS

    def test_a_large_federation_keeps_its_spikes_in_a_small_file(self) -> None:
        servers, rooms = 200_000, 1000
        rng = np.random.default_rng(0)
        user, room = np.arange(servers), rng.integers(0, rooms, servers)
        home = np.concatenate((user, [servers // 2]))
        every_room = np.full(rooms, servers)  # the one further user, on a server in the midst
        federation = Federation.from_pairs(
            home, np.concatenate((user, every_room)), np.concatenate((room, np.arange(rooms)))
        )
        figure = spikes.servers([federation], ["large"])
        heights, edges = patches(figure, 0)["rooms per server"]
        assert max(heights) == rooms
        assert edges[-1] == servers + 0.5
        assert len(encoded(figure, "svg", "")) < 200_000


class TestHistograms:
    def test_bins_are_single_up_to_nine_then_ten_a_decade(self) -> None:
        first = histograms.first_integers(1500).tolist()
        assert first[:13] == [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 13, 16, 20]
        assert first[-2] <= 1500 < first[-1]
        assert {10, 100, 1000} <= set(first)
        assert sum(100 <= least < 1000 for least in first) == 10

    @given(st.lists(st.integers(1, 3000), min_size=1))
    def test_nothing_is_lost_and_small_sizes_are_themselves(self, sizes: list[int]) -> None:
        place, height = histograms.histogram(np.array(sizes))
        assert np.all(height > 0)
        count = Counter(sizes)
        small = {size: number for size, number in count.items() if size <= 9}
        assert dict(zip(place[place <= 9].tolist(), height[place <= 9].tolist(), strict=True)) == small
        first = histograms.first_integers(max(sizes))
        width = [next(b - a for a, b in pairwise(first.tolist()) if a <= x < b) for x in place]
        assert float(height @ np.array(width)) == pytest.approx(len(sizes))

    def test_both_sizes_are_shown_on_logarithmic_scales(self) -> None:
        figure = histograms.rooms([SMALL, LONE], ["small", "lone"])
        (legend,) = figure.legends
        assert [text.get_text() for text in legend.get_texts()] == ["servers per room", "users per room"]
        shown = {to_hex(line.get_color()): points(line) for line in figure.axes[0].lines}
        assert shown[style.BLUE.lower()] == [(2, 3), (3, 1)]
        assert shown[style.YELLOW.lower()] == [(2, 3), (5, 1)]
        assert {(axes.get_xscale(), axes.get_yscale()) for axes in figure.axes} == {("log", "log")}
        assert len({(axes.get_xlim(), axes.get_ylim()) for axes in figure.axes}) == 1


class TestLoad:
    def test_shares_are_ranked_by_users_then_tx(self) -> None:
        # Servers 0 to 3 have 3, 2, 1, 1 users; the last sends more than the third, so that it comes before it.
        found = load(SMALL)
        order = [0, 1, *sorted((2, 3), key=lambda s: -found.tx[s])]
        held = shares(SMALL)
        assert held["users"].tolist() == [3 / 7, 2 / 7, 1 / 7, 1 / 7]
        assert held["tx"].tolist() == pytest.approx((found.tx[order] / found.total).tolist())
        assert held["rx"].tolist() == pytest.approx((found.rx[order] / found.total).tolist())
        assert held["sum"].tolist() == pytest.approx(((found.tx + found.rx)[order] / (2 * found.total)).tolist())

    @given(federations())
    @settings(max_examples=50)
    def test_shares_add_up_to_one_or_nothing_is_sent(self, federation: Federation) -> None:
        held = shares(federation)
        assert held["users"].sum() == pytest.approx(1)
        for name in ("tx", "rx", "sum"):
            assert held[name].sum() == pytest.approx(1 if load(federation).total > 0 else 0)

    def test_curves_begin_at_zero_and_pass_every_server(self) -> None:
        (axes,) = FIGURES["load-curves"]([SMALL], ["small"]).axes
        for line in axes.lines:
            share = shares(SMALL)[str(line.get_label())]
            np.testing.assert_allclose(points(line), [(0, 0), *enumerate(np.cumsum(share), start=1)])

    def test_bars_of_the_largest_four(self) -> None:
        (axes,) = FIGURES["load-largest"]([SMALL], ["small"]).axes
        heights = [bar.get_height() for bar in axes.patches]
        assert heights == pytest.approx(np.concatenate(list(shares(SMALL).values())).tolist())


@pytest.mark.parametrize("name", FIGURES)
class TestEveryFigure:
    def test_none_is_refused(self, name: str) -> None:
        with pytest.raises(UsageError, match="no federation to draw; name at least one"):
            FIGURES[name]([], [])

    def test_the_legend_covers_nothing(self, name: str) -> None:
        figure = FIGURES[name]([SMALL], ["small"])
        (legend,) = figure.legends
        title = figure.axes[0].get_tightbbox()
        assert title is not None
        assert legend.get_window_extent().y0 >= title.y1

    @settings(max_examples=4)
    @given(federations())
    def test_any_federation_is_drawn(self, name: str, federation: Federation) -> None:
        assert len(FIGURES[name]([federation], ["any"]).axes) == 1


class TestPages:
    def test_same_figure_same_bytes_whatever_the_settings_and_the_order(self) -> None:
        def pages(*formats: str) -> dict[str, bytes]:
            figure = spikes.servers([SMALL], ["small"])
            return {form: encoded(figure, form, "small.csv") for form in formats}

        one = pages(*FORMATS)
        with mpl.rc_context({"font.size": 30, "svg.hashsalt": "other", "savefig.dpi": 30, "lines.linewidth": 9}):
            assert pages(*FORMATS[::-1]) == one
            assert mpl.rcParams["font.size"] == 30

    def test_text_is_text_and_the_source_is_told_but_no_time(self) -> None:
        page = encoded(spikes.servers([SMALL], ["small"]), "svg", "small.csv sha256:0123").decode()
        texts = {node.text for node in ElementTree.fromstring(page).iter("{http://www.w3.org/2000/svg}text")}
        assert {"small", "users per server", "rooms per server"} <= texts
        assert "small.csv sha256:0123" in page
        assert "dc:date" not in page

    def test_png_is_fit_for_print(self) -> None:
        page = encoded(spikes.servers([SMALL], ["small"]), "png", "")
        assert page.startswith(b"\x89PNG")
        assert int.from_bytes(page[16:20]) == style.ONE_COLUMN * 300

    @pytest.mark.parametrize("form", FORMATS)
    def test_odd_names(self, form: str) -> None:
        name = "a$b$c\n<&>\udcff\x01 結"
        page = encoded(spikes.servers([LONE], [name]), form, name)
        if form == "svg":
            texts = [node.text for node in ElementTree.fromstring(page).iter("{http://www.w3.org/2000/svg}text")]
            assert "a$b$c�<&>�� 結" in texts

    def test_long_names_are_cut_in_the_middle(self) -> None:
        assert style.shortened("0123456789", 10) == "0123456789"
        assert style.shortened("0123456789abc", 8) == "0123…abc"
        figure = spikes.servers([LONE] * 4, ["x" * 100] * 4)
        boxes = [axes.get_tightbbox() for axes in figure.axes]
        assert all(a is not None and b is not None and a.x1 <= b.x0 for a, b in pairwise(boxes))


VALUES = (1, 1, 1, 1, 2, 2, 3, 3, 4, 6, 9, 50, 50)  # two hubs
LAW = make("power law", {"alpha": 1.5}, 2)


@pytest.fixture(scope="module")
def law_figure() -> Figure:
    rival = make("exponential", {"lambda": 0.3}, 2)
    return draw_law("users per server", "power law, α = 1.5", Histogram.of(np.array(VALUES)), 2, LAW, [rival])


class TestLaw:
    def lines(self, figure: Figure) -> dict[str, list[tuple[float, float]]]:
        return {str(line.get_label()): points(line) for line in figure.axes[0].lines}

    def test_measured_values_are_shares_of_those_that_are_no_hubs(self, law_figure: Figure) -> None:
        shown = self.lines(law_figure)
        body = VALUES[:-2]
        share = {x: sum(y >= x for y in body) / len(body) for x in sorted(set(body))}
        assert shown["measured, body"] == [(1, 1.0)]
        assert shown["measured, tail"] == [(x, share[x]) for x in (2, 3, 4, 6, 9)]
        assert shown["hubs"] == [(50, 1 / 13), (50, 2 / 13)]

    def test_laws_are_scaled_by_the_share_of_the_tail_and_reach_the_largest_hub(self, law_figure: Figure) -> None:
        shown = self.lines(law_figure)
        x, y = np.array(shown["power law"]).T
        assert x[0] == 2
        assert x[-1] == 50
        assert y == pytest.approx(7 / 11 * LAW.survival(x))
        assert shown["exponential"][0] == pytest.approx((2, 7 / 11))
        assert shown["exponential"][-1][0] < 50  # far below what the axes show

    def test_the_law_is_solid_and_the_others_are_dashed(self, law_figure: Figure) -> None:
        dashed = {str(line.get_label()): line.is_dashed() for line in law_figure.axes[0].lines}
        assert dashed["exponential"]
        assert not dashed["power law"]

    def test_what_is_written(self, law_figure: Figure) -> None:
        (axes,) = law_figure.axes
        assert axes.get_title(loc="left") == "users per server"
        assert {"power law, α = 1.5", r" $x_\mathrm{min}$ = 2"} <= {text.get_text() for text in axes.texts}
        assert (axes.get_xscale(), axes.get_yscale()) == ("log", "log")
        (legend,) = law_figure.legends
        box = axes.get_tightbbox()
        assert box is not None
        assert legend.get_window_extent().y1 <= box.y0

    def test_without_a_law(self) -> None:
        figure = draw_law("rooms per user", "no law", Histogram.of(np.array([1])), 0, None, [])
        assert self.lines(figure) == {"measured": [(1, 1.0)]}
        assert len(encoded(figure, "svg", "")) > 0

    def test_many_values_are_thinned_but_not_the_ends(self) -> None:
        values = np.arange(1, 100_001)
        figure = draw_law("x", "", Histogram.of(values), 0, None, [])
        shown = self.lines(figure)["measured"]
        assert shown[0] == (1, 1.0)
        assert shown[-1] == (100_000, 1e-5)
        assert len(shown) <= 1600


class TestCommand:
    @pytest.fixture
    def table(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
        monkeypatch.chdir(tmp_path)
        Path("f.csv").write_text("user,server,room\n0,0,0\n1,0,0\n2,1,0\n2,1,1\n")
        return "f.csv"

    def test_formats_are_those_that_can_be_written(self) -> None:
        assert get_args(PageFormat) == FORMATS

    def contents(self, folder: str) -> dict[str, bytes]:
        return {str(path): path.read_bytes() for path in Path(folder).iterdir()}

    def test_svg_and_png_of_every_figure_are_written_and_listed_once(self, table: str, capsys: Captured) -> None:
        assert run(["plot", table, "-o", "out"]) == 0
        listed = capsys.readouterr().out.splitlines()
        assert listed == [f"out/{name}.{form}" for name in FIGURES for form in ("svg", "png")]
        written = self.contents("out")
        assert sorted(listed) == sorted(written)
        assert run(["plot", table, "-o", "out"]) == 1
        assert self.contents("out") == written
        assert capsys.readouterr().err == (
            "fedgen: error: out/servers.svg: exists; overwrite it with --force or name another place\n"
        )

    def test_one_format_and_json_and_force(self, table: str, capsys: Captured) -> None:
        Path("out").mkdir()
        Path("out/rooms.pdf").write_text("mine")
        words = ["plot", table, "-o", "out", "--format", "pdf", "--json"]
        assert run(words) == 1
        assert self.contents("out") == {"out/rooms.pdf": b"mine"}
        assert run([*words, "--force"]) == 0
        assert json.loads(capsys.readouterr().out) == {"figures": [f"out/{name}.pdf" for name in FIGURES]}
        assert all(page.startswith(b"%PDF") for page in self.contents("out").values())

    @pytest.mark.parametrize(
        ("folder", "code", "told"),
        [
            ("f.csv", 1, "is a file, and figures go to a folder"),
            ("no/out", 1, "does not exist; create it"),
            ("fed", 2, "lies within the input fed"),
            ("fed/out", 2, "lies within the input fed"),
        ],
    )
    def test_places_that_are_refused(self, folder: str, code: int, told: str, table: str, capsys: Captured) -> None:
        assert run(["convert", table, "fed"]) == 0
        before = sorted(Path().rglob("*"))
        assert run(["plot", table, "fed", "-o", folder, "--force"]) == code
        assert told in capsys.readouterr().err
        assert sorted(Path().rglob("*")) == before

    def test_nothing_is_written_if_one_cannot_be_read(self, table: str, capsys: Captured) -> None:
        Path("broken.csv").write_text("user,server,room\n0,0\n")
        assert run(["plot", table, "broken.csv", "-o", "out"]) == 1
        assert "broken.csv" in capsys.readouterr().err
        assert not Path("out").exists()

    def test_usage(self, capsys: Captured) -> None:
        assert run(["plot", "-o", "out"]) == 2
        assert run(["plot", "f.csv"]) == 2
        capsys.readouterr()
        assert run(["plot", "--help"]) == 0
        assert "fedgen plot [OPTIONS] FEDERATION..." in capsys.readouterr().out

    def test_titles_are_names_unless_they_are_shared(self) -> None:
        paths = [Path("a/f.csv"), Path("b/f.csv"), Path("c/g.csv"), Path()]
        assert titles(paths) == ["a/f.csv", "b/f.csv", "g.csv", Path().absolute().name]
