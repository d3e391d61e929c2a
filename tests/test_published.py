"""Files of published figures: what they hold, and what is refused, each with one line that names the place."""

import json
import os
import re
import tomllib
from collections import Counter
from collections.abc import Callable
from datetime import date
from math import inf, nan
from pathlib import Path
from typing import Any, get_args

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

import fedgen
from fedgen.errors import FiguresError
from fedgen.provenance import digest
from fedgen.shipped import shipped
from fedgen.statistics.margins import MARGINS
from fedgen.statistics.published import KINDS, Figure, Figures, Kind, builtin_figures, read_figures
from fedgen.statistics.toml_lines import Lines, syntax_error
from fedgen.statistics.vocabulary import CURVES, LOADS, PAIRS, SIZES, VOCABULARY, Statistic, Where, measure_all

SCHEMA = json.loads((Path(fedgen.__file__).parent / "schemas" / "figures.schema.json").read_text())
HEAD = '[source]\ntitle = "T"\nreference = "R"\n'
MAX = 'statistic = "max"\nof = "users_per_room"\nvalue = 1\nkind = "exact"\n'
GOOD = 'statistic = "number"\nof = "users"\nvalue = 3\nkind = "exact"\n'


def read(text: str | bytes, folder: Path) -> Figures:
    path = folder / "f.toml"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return read_figures(path)


def written(document: dict[str, Any]) -> str:
    """A document as TOML, in the plainest form."""

    def value(v: Any) -> str:
        if isinstance(v, dict):
            return "{ " + ", ".join(f"{k} = {value(x)}" for k, x in v.items()) + " }"
        if isinstance(v, list):
            return f"[{', '.join(map(value, v))}]"
        return repr(v) if isinstance(v, float | int) and not isinstance(v, bool) else json.dumps(v)

    def table(header: str, content: dict[str, Any]) -> str:
        return "\n".join([header, *(f"{k} = {value(v)}" for k, v in content.items())]) + "\n"

    tables = [table("[[figure]]", figure) for figure in document["figure"]]
    return "\n".join([table("[source]", document["source"]), *tables])


class TestFigures:
    def test_every_part_is_read(self, tmp_path: Path) -> None:
        text = (
            "# a comment\n"
            '[source]\ntitle = "A census"\nauthors = "A, B"\nreference = "R 1"\nsnapshot = 2024-01-31\n\n'
            '[[figure]] # one\nid = "a"\nstatistic = "max"\nof = "users_per_room"\n'
            'where = { of = "servers_per_room", lowest = [1, 2] }\nvalue = 7\nkind = "exact"\n'
            'place = "p"\nnote = """\n[[figure]]\nid = 3"""\n\n'
            '  [[ figure ]]\nid = "b"\nstatistic = "load_share"\nof = "tx"\nranks = [2, "end"]\n'
            'interval = [0.1, inf]\nkind = "rounded"\n'
            "[[figure]]\nid = 'c'\ninterval = [-inf, 1e9]\nkind = \"qualitative\"\nset_aside = 'another crawl'\n"
        )
        figures = read(text, tmp_path)
        path = tmp_path / "f.toml"
        assert figures == Figures(
            path=str(path),
            title="A census",
            source="R 1",
            authors="A, B",
            snapshot="2024-01-31",
            figures=(
                Figure(
                    "a",
                    Statistic("max", of="users_per_room", where=Where("servers_per_room", lowest=(1, 2))),
                    7,
                    7,
                    "exact",
                    place="p",
                    note="[[figure]]\nid = 3",
                    line=8,
                ),
                Figure("b", Statistic("load_share", of="tx", ranks=(2, None)), 0.1, inf, "rounded", line=20),
                Figure("c", None, -inf, 1e9, "qualitative", set_aside="another crawl", line=27),
            ),
            digest=digest(path),
        )
        assert [figure.id for figure in figures.held] == ["a", "b"]
        assert figures["b"].kind == "rounded"
        with pytest.raises(KeyError, match=r"no figure 'd' in .*: it has a, b, c"):
            figures["d"]
        assert repr(figures) == "Figures(R 1, 2 held, 1 set aside)"

    @pytest.mark.parametrize(
        ("low", "high", "value", "met"),
        [
            (0.1, 0.2, 0.1, True),
            (0.1, 0.2, 0.2 * (1 + 5e-10), True),
            (0.1, 0.2, 0.2 * (1 + 2e-9), False),
            (0.1, 0.2, 0.1 * (1 - 5e-10), True),
            (0.1, inf, 1e300, True),
            (0.1, inf, 0.0, False),
            (-inf, 0.1, -5.0, True),
            (-inf, inf, nan, False),
            (0.1, 0.2, nan, False),
        ],
    )
    def test_met(self, low: float, high: float, value: float, met: bool) -> None:
        assert Figure("f", Statistic("transactions"), low, high, "rounded").met_by(value) is met
        assert Figure("f", None, low, high, "rounded").met_by(value) is met

    def test_a_whole_number_has_no_rounding(self) -> None:
        figure = Figure("f", Statistic("number", of="users"), 10**10, 10**10, "exact")
        assert figure.met_by(10**10)
        assert not figure.met_by(10**10 + 1)

    @pytest.mark.parametrize("mark", ["\ufeff", "\r\n", "\n\n"])
    def test_marks_and_line_ends(self, mark: str, tmp_path: Path) -> None:
        text = HEAD + '[[figure]]\nid = "a"\n' + GOOD
        if mark == "\r\n":
            assert read(text.replace("\n", mark), tmp_path)["a"].line == 4
        else:
            assert read(mark + text, tmp_path)["a"].line == 4 + mark.count("\n")

    def test_other_ways_to_write_a_table(self, tmp_path: Path) -> None:
        tables = HEAD + '[[figure]]\nid = "a"\nwhere.of = "users_per_room"\nwhere.most = 3\n'
        rest = 'statistic = "min"\nof = "users_per_room"\nvalue = 1\nkind = "exact"\n'
        under = HEAD + '[[figure]]\nid = "a"\n' + rest + '[figure.where]\nof = "users_per_room"\nmost = 3\n'
        inline = 'figure = [{ id = "a", statistic = "number", of = "rooms", value = 1, kind = "exact" }]\n' + HEAD
        assert read(tables + rest, tmp_path).figures == read(under, tmp_path).figures
        assert read(inline, tmp_path)["a"].line == 1


# What is refused. {} stands for what follows a good head: line 4 is the header, line 5 the id.
BROKEN = {
    "unknown statistic": (
        'statistic = "shares"\nvalue = 1\nkind = "exact"',
        6,
        "unknown statistic 'shares'; give one of number, ",
    ),
    "unknown margin": (
        'statistic = "max"\nof = "users"\nvalue = 1\nkind = "exact"',
        7,
        "unknown margin 'users'; give one of ",
    ),
    "unknown key": (
        'statistics = "max"\nvalue = 1\nkind = "exact"',
        6,
        'unknown key "statistics"; the keys are id, statistic, ',
    ),
    "unknown kind": (
        'statistic = "transactions"\nvalue = 1\nkind = "exakt"',
        8,
        'unknown kind "exakt"; give one of exact, ',
    ),
    "no kind": ('statistic = "transactions"\nvalue = 1', 4, "has no kind; give one of exact, "),
    "no statistic": ('value = 1\nkind = "exact"', 5, "has no statistic; give one of number, "),
    "no statistic but a margin": (
        'of = "tx"\nvalue = 1\nkind = "exact"\nset_aside = "why"',
        6,
        "has no statistic that this belongs to; add it",
    ),
    "no figure": ('statistic = "transactions"\nkind = "exact"', 5, "has no value and no interval; give value = N or "),
    "two figures": (
        'statistic = "transactions"\nvalue = 1\ninterval = [1, 2]\nkind = "exact"',
        8,
        "has both value and interval; keep one",
    ),
    "lo > hi": (
        'statistic = "transactions"\nkind = "exact"\ninterval = [3, 2.5]',
        8,
        "interval [3, 2.5] is empty, its low end above its high; swap them",
    ),
    "nan": (
        'statistic = "transactions"\ninterval = [nan, 2.5]\nkind = "exact"',
        7,
        "interval is not a number (nan); give ",
    ),
    "infinite": (
        'statistic = "transactions"\nvalue = inf\nkind = "exact"',
        7,
        "value holds no finite number, so that ",
    ),
    "percent": (
        'statistic = "load_share"\nof = "tx"\nranks = [1, 1]\nvalue = 88.4\nkind = "exact"',
        9,
        "load_share lies from 0 to 1, 88.4 does not; write a share of 87 % as 0.87",
    ),
    "negative": (
        'statistic = "number"\nof = "users"\nvalue = -3\nkind = "exact"',
        8,
        "number lies from 0 up, -3 does not; mend it",
    ),
    "no whole number": (
        'statistic = "number"\nof = "users"\ninterval = [3.2, 3.8]\nkind = "exact"',
        8,
        "number of users is a whole number, and none lies in 3.2 to 3.8; widen the interval",
    ),
    "text for a number": (
        'statistic = "transactions"\nvalue = "1"\nkind = "exact"',
        7,
        'value must be a number, not "1"',
    ),
    "truth for a number": (
        'statistic = "transactions"\nvalue = true\nkind = "exact"',
        7,
        "value must be a number, not true",
    ),
    "a number of thousands of digits": (
        f'statistic = "transactions"\nvalue = 0x{"f" * 9000}\nkind = "exact"',
        7,
        "value must be a number, not what is too long to show",
    ),
    "three ends": (
        'statistic = "transactions"\ninterval = [1, 2, 3]\nkind = "exact"',
        7,
        "interval must be two numbers, not ",
    ),
    "a rank and a half": (
        'statistic = "rank"\nof = "users_per_room"\nrank = 1.5\nvalue = 1\nkind = "exact"',
        8,
        "rank must be a whole ",
    ),
    "ranks to somewhere": (
        'statistic = "sum"\nof = "users_per_room"\nranks = [1, "last"]\nvalue = 1\nkind = "exact"',
        8,
        'ranks must be two whole numbers, or one and "end", not [1, "last"]',
    ),
    "ranks from the end": (
        'statistic = "sum"\nof = "users_per_room"\nranks = ["end", 1]\nvalue = 1\nkind = "exact"',
        8,
        "ranks must be two whole numbers",
    ),
    "ranks from 0": (
        'statistic = "sum"\nof = "users_per_room"\nranks = [0, 1]\nvalue = 1\nkind = "exact"',
        8,
        "ranks 0 to 1 are none",
    ),
    "a rank too many": (
        'statistic = "max"\nof = "users_per_room"\nrank = 1\nvalue = 1\nkind = "exact"',
        8,
        "max takes no rank; it ",
    ),
    "no rank": ('statistic = "rank"\nof = "users_per_room"\nvalue = 1\nkind = "exact"', 6, "rank needs rank; give "),
    "where of another unit": (
        MAX + 'where = { of = "rooms_per_user", most = 1 }',
        10,
        "rooms_per_user is not a margin of rooms; where takes ",
    ),
    "where of nothing": (
        'statistic = "max"\nof = "users_per_room"\nwhere = { most = 1 }\nvalue = 1\nkind = "exact"',
        8,
        "where: has no of; say by which margin",
    ),
    "where and a key": (
        MAX + 'where = { of = "rooms_per_user", rank = 1 }',
        10,
        'where: unknown key "rank"; the keys are of, least, most, largest, lowest',
    ),
    "where no table": (
        'statistic = "max"\nof = "users_per_room"\nwhere = 3\nvalue = 1\nkind = "exact"',
        8,
        "where must be a table, not 3",
    ),
    "aside for nothing": (f'{GOOD}set_aside = " "', 10, "set_aside is empty; say why"),
}


class TestBroken:
    def refused(self, text: str | bytes, folder: Path) -> str:
        with pytest.raises(FiguresError) as caught:
            read(text, folder)
        line = str(caught.value)
        assert "\n" not in line
        assert line.startswith(f"{folder / 'f.toml'}:")
        return line.removeprefix(f"{folder / 'f.toml'}:")

    @pytest.mark.parametrize("name", BROKEN)
    def test_one_figure(self, name: str, tmp_path: Path) -> None:
        body, line, told = BROKEN[name]
        found = self.refused(f'{HEAD}[[figure]]\nid = "a"\n{body}\n[[figure]]\nid = "b"\n{GOOD}', tmp_path)
        assert found.startswith(f'{line}: figure "a": {told}')

    @pytest.mark.parametrize(
        ("text", "told"),
        [
            (b"", " is empty; write figures as docs/figures.md tells"),
            (b" \n\n", " is empty; "),
            (b"# nothing\n", " has no table [source]; add one with title and reference"),
            (HEAD, " holds no figure but those set aside; add one under [[figure]]"),
            (
                f'{HEAD}[[figure]]\nid = "a"\nvalue = 1\nkind = "exact"\nset_aside = "why"',
                " holds no figure but those set aside",
            ),
            ("a = 1\nb = \n", "2: is not TOML: Invalid value; mend the line"),
            ("a = 1\nb = [1,\n\n", "2: is not TOML: "),
            (f"a = {'9' * 5000}", "1: is not TOML: "),
            ("a = " + "[" * 100_000, " is nested too deeply for figures; "),
            (b"a = 1\nb = '\xff'", "2: is not UTF-8; convert the file to UTF-8"),
            ("[source]".encode("utf-16"), "1: is not UTF-8"),
            (f"{HEAD}[figures]\n", '4: unknown table or key "figures"; a file has [source] and [[figure]]'),
            (f'"a\\nb" = 1\n{HEAD}', '1: unknown table or key "a\\nb"; '),
            (f"{HEAD}[figure]\n", " figure is not an array of tables; begin each figure with [[figure]]"),
            (f"figure = [1]\n{HEAD}", " figure is not an array of tables"),
            ("source = 3", " has no table [source]"),
            ('# one\n[source]\ntitle = "T"\n', "2: source: has no reference; say what the figures are taken from"),
            ('[source]\ntitle = ""\nreference = "R"\n', "2: source: has no title; "),
            (
                '[source]\ntitle = "T"\nreference = "R"\nyear = 3\n',
                '4: source: unknown key "year"; the keys are title, ',
            ),
            ('[source]\ntitle = 3\nreference = "R"\n', "2: source: title must be text, not 3"),
            ('[source]\ntitle = "T"\nreference = "R"\nsnapshot = 2018\n', "4: source: snapshot must be text or a date"),
            (f"{HEAD}[[figure]]\n{GOOD}", "4: figure 1: has no id; name it"),
            (f'{HEAD}[[figure]]\nid = ""\n{GOOD}', "5: figure 1: has no id; name it"),
            (f"{HEAD}[[figure]]\nid = 3\n{GOOD}", "5: figure 1: id must be text, not 3"),
            (f'{HEAD}[[figure]]\nid = "a\\n"\nvalue = 1', '4: figure "a\\n": has no kind; '),
        ],
    )
    def test_the_file(self, text: str | bytes, told: str, tmp_path: Path) -> None:
        assert self.refused(text, tmp_path).startswith(told)

    def test_an_id_twice(self, tmp_path: Path) -> None:
        table = f'[[figure]]\nid = "a"\n{GOOD}'
        told = self.refused(HEAD + table + table, tmp_path)
        assert told == '10: figure "a": stands twice, first on line 4; give each its own id'

    @pytest.mark.parametrize(
        ("first", "second"),
        [
            ("value = 3", "interval = [4, 5]"),
            ("interval = [3, 3.9]", "interval = [3.1, 5]"),  # numbers in common, but no whole one
            ("interval = [-inf, 3]", "interval = [4, inf]"),
        ],
    )
    def test_figures_that_contradict_each_other(self, first: str, second: str, tmp_path: Path) -> None:
        one = f'[[figure]]\nid = "a"\nkind = "exact"\nstatistic = "max"\nof = "users_per_room"\n{first}\n'
        two = f'[[figure]]\nid = "b"\nkind = "exact"\nstatistic = "rank"\nrank = 1\nof = "users_per_room"\n{second}\n'
        told = self.refused(HEAD + one + two, tmp_path)
        assert re.fullmatch(
            r'10: figure "b": .* contradicts .* of figure "a" \(line 4\), which is of the same statistic; '
            r"mend one or set it aside",
            told,
        )
        assert len(read(HEAD + one + f'{two}set_aside = "contradicts a"\n', tmp_path).held) == 1
        assert len(read(HEAD + one + two.replace("rank = 1", "rank = 2"), tmp_path).held) == 2

    def test_places(self, tmp_path: Path) -> None:
        for path, told in (
            (tmp_path, "is a folder, not a file of figures; name the file"),
            (tmp_path / "none.toml", "does not exist; check the name"),
            (tmp_path / "a" / "b.toml", "does not exist; check the name"),
            (Path(os.devnull), "is neither a file nor a folder; copy its content to a file first"),
        ):
            with pytest.raises(FiguresError) as caught:
                read_figures(path)
            assert str(caught.value) == f"{path}: {told}"

    @given(st.data())
    def test_a_damaged_file_is_read_or_refused_in_one_line(
        self, tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
    ) -> None:
        """One stretch of the built-in file replaced by anything."""
        content = shipped("matrix-2018.toml").read_bytes()[:4000]
        start = data.draw(st.integers(0, len(content)))
        length = data.draw(st.integers(0, 40))
        piece = data.draw(st.binary(max_size=6) | st.sampled_from([b"[[figure]]\n", b"inf", b'"""', b"{", b"\n", b"-"]))
        folder = tmp_path_factory.getbasetemp()
        try:
            read(content[:start] + piece + content[start + length :], folder)
        except FiguresError as error:
            assert re.match(rf"{re.escape(str(folder / 'f.toml'))}:(\d+:)? ", str(error))  # noqa: PT017
            assert "\n" not in str(error)  # noqa: PT017


class TestSchema:
    def test_it_has_the_vocabulary(self) -> None:
        defs, figure = SCHEMA["$defs"], SCHEMA["$defs"]["figure"]["properties"]
        assert figure["statistic"]["enum"] == list(VOCABULARY)
        assert figure["kind"]["enum"] == list(KINDS) == list(get_args(Kind))
        assert defs["margin"]["enum"] == list(MARGINS)
        named = {"size": SIZES, "load": LOADS, "curve": CURVES, "pairs": PAIRS}
        assert {name: defs[name]["enum"] for name in named} == {name: list(words) for name, words in named.items()}

    @pytest.mark.parametrize("name", VOCABULARY)
    def test_each_statistic_takes_the_same(self, name: str, tmp_path: Path) -> None:
        """The schema and the reader say yes and no to the same keys."""
        entry = VOCABULARY[name]
        values = {
            "of": entry.of[0] if entry.of else "tx",
            "least": 1,
            "rank": 1,
            "ranks": [2, "end"],
            "where": {"of": "rooms_per_server", "most": 3},
        }
        taken = {key: value for key, value in values.items() if key in entry.takes}
        attempts = [taken, {**taken, "of": "nothing"}]
        attempts += [{k: v for k, v in taken.items() if k != key} for key in taken]
        attempts += [taken | {key: value} for key, value in values.items() if key not in taken]
        answers = Counter(self.same_answer({"statistic": name, **attempt}, tmp_path) for attempt in attempts)
        assert answers[True] >= 1
        assert answers[False] >= 3

    @pytest.mark.parametrize(
        "change",
        [
            {"id": ""},
            {"kind": "guess"},
            {"value": "3"},
            {"value": True},
            {"interval": [1, 2]},
            {"most": 1.5},
            {"most": 2},
            {"where": {"of": "rooms_per_user"}},
            {"where": {"of": "rooms_per_user", "most": 3}},
            {"where": {"of": "rooms_per_user", "largest": [1, 2], "most": 3}},
            {"where": {"of": "rooms_per_user", "largest": [1, 2]}},
            {"where": {"of": "rooms_per_user", "lowest": [0, 2]}},
            {"where": {"of": "rooms_per_user", "lowest": [1, "end"]}},
            {"where": {"most": 3}},
            {"set_aside": ""},
            {"set_aside": "why"},
            {"note": 3},
            {"unknown": 3},
        ],
    )
    def test_the_form_is_the_same(self, change: dict[str, Any], tmp_path: Path) -> None:
        self.same_answer({"statistic": "count", "of": "rooms_per_user", "least": 1, **change}, tmp_path)

    def same_answer(self, keys: dict[str, Any], folder: Path) -> bool:
        other = {"id": "other", "kind": "exact", "value": 1, "statistic": "number", "of": "users"}
        figure = {"id": "a", "kind": "exact", "value": 1, **keys}
        document = {"source": {"title": "T", "reference": "R"}, "figure": [other, figure]}
        valid = jsonschema.Draft202012Validator(SCHEMA).is_valid(document)
        try:
            read(written(document), folder)
        except FiguresError as error:
            assert not valid, (keys, error)  # noqa: PT017
            return False
        assert valid, keys
        return True


@pytest.fixture(scope="module")
def figures() -> Figures:
    return builtin_figures()


class TestBuiltin:
    def test_it_fits_the_schema(self) -> None:
        document = tomllib.loads(shipped("matrix-2018.toml").read_text())
        jsonschema.validate(document, SCHEMA, cls=jsonschema.Draft202012Validator)
        assert date.fromisoformat(document["source"]["snapshot"]) == date(2018, 7, 25)

    def test_there_and_back(self, figures: Figures, tmp_path: Path) -> None:
        document = tomllib.loads(shipped("matrix-2018.toml").read_text())
        again = read(written(document), tmp_path)
        assert [(f.id, f.statistic, f.low, f.high, f.kind, f.note) for f in again.figures] == [
            (f.id, f.statistic, f.low, f.high, f.kind, f.note) for f in figures.figures
        ]

    def test_lines_are_those_of_the_figures(self, figures: Figures) -> None:
        lines = shipped("matrix-2018.toml").read_text().splitlines()
        for figure in figures.figures:
            assert lines[figure.line - 1 : figure.line + 1] == ["[[figure]]", f'id = "{figure.id}"']

    def test_every_figure_has_its_place_and_a_sentence(self, figures: Figures) -> None:
        for figure in figures.figures:
            assert figure.place
            assert figure.note.endswith(".")
            assert not figure.set_aside or figure.set_aside.endswith(".")

    def test_what_is_there(self, figures: Figures) -> None:
        base = {re.sub(r"(?<=\d)[a-z]$", "", figure.id) for figure in figures.figures if figure.id.startswith("C")}
        assert base == {f"C{i:02}" for i in range(1, 42)}
        assert [figure.id for figure in figures.figures if figure.set_aside] == ["C03", "C11", "C13", "C24", "C37"]
        assert [f.id for f in figures.figures if f.kind == "inferred"] == ["C04", "C34", "C35", "C36"]
        classes = ("1", "2", "3", "4-10", "11-100", "101")
        spikes = {f"{kind}-{name}-{end}" for kind in ("S2", "S3") for name in classes for end in ("low", "high")}
        assert {figure.id for figure in figures.figures if figure.id.startswith("S")} == spikes
        assert figures.source == "arXiv 1910.06295"

    def test_it_is_what_was_published(self, figures: Figures, data_file: Callable[[str], Path]) -> None:
        """Every interval of the list that the project was given."""
        published = json.loads(data_file("matrix-2018-published.json").read_text())["constraints"]
        mine = {figure.id: figure for figure in figures.figures}
        for each in published:
            low, high = each["lo"], each["hi"]
            if (low is None and high is None) or each["id"] == "C35":
                continue
            for figure in (f for name, f in mine.items() if re.fullmatch(f"{each['id']}[a-z]?", name)):
                assert (figure.low, figure.high) == (low, high)
                assert figure.kind in (each["kind"], "inferred")
        assert mine["C35"].high == 10034909

    def test_the_stand_in_meets_all(self, figures: Figures, data_file: Callable[[str], Path]) -> None:
        federation = fedgen.read(data_file("matrix-2018-standin.json.gz"))
        asked = [figure.statistic for figure in figures.held if figure.statistic]
        values = dict(zip((figure.id for figure in figures.held), measure_all(asked, federation), strict=True))
        assert {figure.id for figure in figures.held if not figure.met_by(values[figure.id])} == set()


class TestLines:
    def test_strings_and_comments_are_no_headers(self) -> None:
        text = (
            "a = '''\n[[figure]]\n'''\n# [[figure]]\nb = \"[[figure]]\"\n"
            "[[figure]]\nid = 1\n[[ figure ]] # x\n'id' = 2\n  of.x=3\n"
        )
        lines = Lines(text, "figure")
        assert [lines.table(i) for i in range(2)] == [6, 8]
        assert lines.key(0, "id") == 7
        assert lines.key(1, "of") == 10
        assert lines.key(1, "id") == 8  # in quotes: the table's
        assert lines.top("b") == 5
        assert lines.table(2) == 6

    def test_where_tomllib_says_nothing(self) -> None:
        assert syntax_error("Invalid value (at line 3, column 5)", "") == (3, "Invalid value")
        assert syntax_error("Unclosed array (at end of document)", "a = [\n1,\n") == (2, "Unclosed array")
        assert syntax_error("too many digits", "a = 1\n") == (1, "too many digits")


def test_the_page_is_an_example(tmp_path: Path) -> None:
    page = (Path(__file__).parents[1] / "docs" / "figures.md").read_text()
    (example,) = re.findall(r"```toml\n(.*?)```", page, re.DOTALL)
    figures = read(example, tmp_path)
    assert len(figures.held) == 4
    assert all(f"`{kind}`" in page for kind in KINDS)
