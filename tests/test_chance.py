"""What the verdict rests on: units dealt anew, clumps dealt whole, halves of either side."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedgen.federation import Federation
from fedgen.progress import silent
from fedgen.statistics.subset import with_rooms
from tests.test_halves import dense, split_federations
from tests.test_scorecard import units_of
from validate import nulls
from validate.chance import Chance
from validate.measurement import Measurement
from validate.nulls import draw_null, shuffled_draw, stream
from validate.rows.carried import CARRIED, servers_of_halves, users_of_halves
from validate.rows.load import LOAD
from validate.rows.servers import SERVERS
from validate.rows.servers import count as count_servers
from validate.rows.users import count as count_users
from validate.verdict import step_down

FEW = 99


def unheard(done: int) -> None:
    """Progress that nobody follows."""


@given(st.lists(st.integers(0, 5), min_size=1, max_size=12), st.data())
def test_a_deal_keeps_what_there_is(counts, data):
    pooled = np.array(counts)
    ours = data.draw(st.integers(0, int(pooled.sum())))
    seen = []

    def distance(first: np.ndarray, second: np.ndarray) -> float:
        seen.append((first, second))
        return 0.0

    shuffled_draw([distance], pooled, ours)(stream(1, 2, 3))
    ((first, second),) = seen
    assert (first + second).tolist() == counts
    assert first.sum() == ours
    assert first.min() >= 0
    assert second.min() >= 0


def test_a_deal_of_more_than_numpy_deals(monkeypatch):
    """As if with replacement; nobody is dealt who is not there."""
    monkeypatch.setattr(nulls, "_MOST_DEALT", 0)
    pooled, seen = np.array([1, 1, 40, 10**9]), []

    def distance(first: np.ndarray, second: np.ndarray) -> float:
        seen.append((first, second))
        return 0.0

    for ours in (1000, 10**9 - 1000):
        shuffled_draw([distance], pooled, ours)(stream(1, 2, ours))
        first, second = seen.pop()
        assert (first + second).tolist() == pooled.tolist()
        assert min(first.min(), second.min()) >= 0
        assert first.sum() == pytest.approx(ours, abs=3)


@given(split_federations())
def test_carried_tables_are_those_of_the_halves(splits):
    for split in splits:
        for halves, count in ((servers_of_halves(split), count_servers), (users_of_halves(split), count_users)):
            for found, kept in zip(halves, (split.first, ~split.first), strict=True):
                literal = count(with_rooms(split.federation, kept))
                assert found.values.tolist() == literal.values.tolist()
                assert found.number.tolist() == literal.number.tolist()
    assert [metric.description.name for metric in CARRIED] == ["A2", "A3", "A3c", "C1", "C1c"]


def test_either_side_may_be_the_other():
    """The same draws of both sides where both are the same, whichever is called measured; half of each."""
    federation = dense()
    measured = Measurement(federation, replicates=FEW)
    metric = LOAD.metrics[0]
    both = Chance(federation, measured, silent).clusters(metric)
    assert len(both) == FEW
    own = measured.cluster_null[metric] / np.sqrt(2)
    assert both[: (FEW + 1) // 2] == pytest.approx(own[::2])
    assert np.mean(both[(FEW + 1) // 2 :]) == pytest.approx(np.mean(own), rel=0.3)
    keep = np.arange(federation.n_rooms) < 6
    few = with_rooms(federation, keep)
    assert few.n_servers * 1.5 < federation.n_servers or Chance(few, measured, silent)._generated_null
    larger = Federation.from_pairs(
        np.arange(200), np.r_[np.arange(200), 0], np.r_[np.arange(200) // 4, 1], n_servers=200, n_rooms=50
    )
    assert Chance(larger, measured, silent)._generated_null == {}


def test_dealing_is_exact_under_heavy_tails():
    """Where resamples of one side reject too often: 80 servers of infinite mean, 200 pairs.

    At a level of 5 % more than 19 rejections have probability .4 %.
    """
    rejected = 0
    for trial in range(200):
        rng = np.random.default_rng([23, trial])
        ours, theirs = (np.ceil(rng.pareto(0.7, (80, 2)) + 1e-9).astype(np.int64) for _ in range(2))
        units = units_of(ours, theirs)
        bound = [metric.bind(units) for metric in SERVERS.metrics]
        distances = np.array([distance(units.generated, units.measured) for distance in bound])
        draw = shuffled_draw(bound, units.generated + units.measured, len(ours))
        null = draw_null(draw, seed=trial, stage=1, replicates=FEW, progress=unheard)
        defined = ~np.isnan(distances)
        rejected += step_down(distances[defined], null[:, defined]).min() <= 0.05
    assert rejected <= 19
