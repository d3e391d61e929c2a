"""Ensembles: what is measured, what the figures fix, and that only numbers are kept."""

import gc
import json
import weakref
from collections.abc import Iterator
from math import inf, isnan, nan
from pathlib import Path

import numpy as np
import pytest

from fedgen.errors import UsageError
from fedgen.federation import Federation
from fedgen.statistics.published import Figures, builtin_figures, read_figures
from fedgen.statistics.vocabulary import Statistic
from gen.reconstruct.ensemble import ASKED, Ensemble, Range, spread
from tests.small_figures import HEAD, figure

USERS = ("users", Statistic("number", of="users"))
ROOMS = ("rooms", Statistic("number", of="rooms"))
LARGEST = ("largest", Statistic("rank", of="users_per_room", rank=1))
SECOND = ("second", Statistic("rank", of="users_per_server", rank=2))


def federation(rooms: int) -> Federation:
    """Three users, all on one server, all in all rooms."""
    return Federation.from_pairs([0, 0, 0], list(range(3)) * rooms, np.repeat(range(rooms), 3))


@pytest.fixture
def figures(tmp_path: Path) -> Figures:
    path = tmp_path / "figures.toml"
    path.write_text(
        HEAD
        + figure("users", "number", 3, of="users")
        + figure("rooms", "number", [1, 5], of="rooms")
        + figure("also rooms", "number", [2, 9], of="rooms")
        + figure("aside", "number", 7, of="rooms", set_aside="another crawl")
        + figure("room", "max", [2.5, 3.5], of="users_per_room")
    )
    return read_figures(path)


def test_ranges(figures: Figures) -> None:
    ensemble = spread(figures, [federation(rooms) for rooms in (4, 2, 5)], (USERS, ROOMS, LARGEST, SECOND))
    assert ensemble.values.shape == (4, 3)
    assert len(ensemble) == 3
    users, rooms, largest, second = ensemble.ranges
    assert rooms.values.tolist() == [4, 2, 5]
    assert (rooms.least, rooms.median, rooms.most) == (2, 4, 5)
    assert (rooms.figures, rooms.low, rooms.high) == (("rooms", "also rooms"), 2, 5)
    assert (users.fixed, rooms.fixed) == (True, False)
    assert largest.fixed  # max is rank 1, and 3 the only whole number from 2.5 to 3.5
    assert largest.figures == ("room",)
    assert not second.fixed
    assert (second.figures, second.low, second.high) == ((), -inf, inf)
    assert isnan(second.median)
    assert [one.label for one in ensemble.open] == ["rooms", "second"]
    assert repr(ensemble) == "Ensemble(3 reconstructions, 2 of 4 statistics open)"


def test_chance_fixes_nothing(figures: Figures) -> None:
    """Two that agree by chance leave what a figure gives a range to."""
    ensemble = spread(figures, [federation(3), federation(3)], (ROOMS,))
    assert [one.label for one in ensemble.open] == ["rooms"]


def test_some_have_no_such_number() -> None:
    some = Range("s", SECOND[1], np.array([nan, 3.0, 1.0]))
    assert (some.least, some.median, some.most) == (1, 2, 3)
    assert some.to_dict()["values"] == [None, 3, 1]
    none = Range("s", SECOND[1], np.array([nan, nan]))
    assert none.to_dict() == {
        "label": "s",
        "statistic": "2nd largest users per server",
        "figures": [],
        "low": None,
        "high": None,
        "least": None,
        "median": None,
        "most": None,
        "fixed": False,
        "values": [None, None],
    }


def test_only_numbers_are_kept(figures: Figures) -> None:
    seen: list[weakref.ref[Federation]] = []

    def made() -> Iterator[Federation]:
        for rooms in (1, 2, 3):
            gc.collect()
            assert sum(ref() is not None for ref in seen) <= 1
            one = federation(rooms)
            seen.append(weakref.ref(one))
            yield one

    assert isinstance(spread(figures, made()), Ensemble)


def test_none_is_no_ensemble(figures: Figures) -> None:
    with pytest.raises(UsageError, match="an ensemble needs a reconstruction; give one federation at least"):
        spread(figures, [])


def test_what_is_asked() -> None:
    labels, statistics = zip(*ASKED, strict=True)
    assert len(set(labels)) == len(set(statistics)) == len(ASKED)
    json.dumps([str(statistic) for statistic in statistics])
    # The paper's federation: what the issue asks for is open, unless a figure gives it one value.
    fixed = {f.statistic.canonical for f in builtin_figures().held if f.statistic is not None and f.low == f.high}
    assert not fixed & {statistic.canonical for statistic in statistics}
