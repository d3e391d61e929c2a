"""Bands, exponents and their intervals; what an outline holds."""

from math import isnan, log, nan

import numpy as np
import pytest

from fedgen.federation import Federation
from fedgen.statistics.outline import LABELS, outline
from fedgen.statistics.scaling import Band, Exponent, band, exponent, log2_ratio

FACTORS = np.array([1.0, 2.0, 4.0, 8.0, 16.0])


@pytest.mark.parametrize("power", [-1.5, 0.0, 0.3, 1.0, 2.0])
def test_exact_powers_are_recovered(power: float) -> None:
    found = exponent(FACTORS, 7.0 * FACTORS[:, None] ** power * np.array([1.0, 3.0, 0.2]))
    assert found.value == pytest.approx(power, abs=1e-12)
    assert (found.low, found.high) == pytest.approx((power, power), abs=1e-9)
    assert found.holds(power)
    assert found.holds(power + 0.1) is False
    assert found.off(power + 0.1) == pytest.approx(0.1)


def test_interval_covers_as_often_as_it_says() -> None:
    rng = np.random.default_rng(0)
    noise = np.exp(0.3 * rng.standard_normal((400, len(FACTORS), 4)))
    holds = [exponent(FACTORS, FACTORS[:, None] ** 0.5 * one).holds(0.5) for one in noise]
    assert 0.91 <= np.mean(holds) <= 0.99


def test_slope_is_that_of_least_squares() -> None:
    values = np.array([[3.0], [2.0], [7.0], [5.0], [40.0]])
    found = exponent(FACTORS, values)
    assert found.value == pytest.approx(np.polyfit(np.log(FACTORS), np.log(values[:, 0]), 1)[0])
    assert isnan(found.low)
    assert found.holds(found.value)
    assert found.holds(found.value + 1) is None


@pytest.mark.parametrize("values", [[[1.0], [0.0]], [[nan], [1.0]], [[-1.0], [1.0]]])
def test_no_exponent_without_logarithms(values: list[list[float]]) -> None:
    found = exponent(np.array([1.0, 2.0]), np.array(values))
    assert isnan(found.value)
    assert found.holds(0.0) is None


def test_one_factor_has_no_exponent() -> None:
    assert isnan(exponent(np.array([2.0]), np.array([[1.0, 2.0]])).value)


def test_bands() -> None:
    assert band(np.arange(101.0)) == Band(50.0, 5.0, 95.0)
    assert band(np.array([nan, 3.0])) == Band(3.0, 3.0, 3.0)
    assert isnan(band(np.array([nan])).median)
    assert Band(2, 1, 3).overlaps(Band(4, 3, 5))
    assert not Band(2, 1, 3).overlaps(Band(5, 4, 6))
    assert not Band(nan, nan, nan).overlaps(Band(5, 4, 6))


def test_log2_ratio() -> None:
    assert log2_ratio(8.0, 2.0) == 2.0
    assert isnan(log2_ratio(0.0, 2.0))
    assert isnan(log2_ratio(nan, 2.0))
    assert isnan(log2_ratio(1.0, 0.0))


def test_equal_within_rounding() -> None:
    assert Exponent(1.004, 1.004, 1.004).holds(1.0)


def test_outline_of_three_servers() -> None:
    """Users 0-2 on server 0, 3 on server 1, 4 on server 2; room 0 has all, room 1 users 0 and 3, room 2 user 4."""
    federation = Federation.from_pairs([0, 0, 0, 1, 2], [0, 1, 2, 3, 4, 0, 3, 4], [0] * 5 + [1, 1, 2])
    found = outline(federation)
    assert (found.servers, found.users, found.rooms, found.memberships, found.presences) == (3, 5, 3, 8, 6)
    assert (found.users_per_server_max, found.top_1_share) == (3, 0.6)
    assert found.effective_servers == pytest.approx(25 / 11)
    assert found.rooms_per_user_mean == 8 / 5
    assert (found.servers_per_room_max, found.servers_per_room_median) == (3, 2)
    assert (found.users_per_room_max, found.users_per_room_median) == (5, 2)
    # Weights: room 0 has 2.5 of server 0, 0.5 of 1, 0.5 of 2; room 1 has 0.5 and 0.5. tx = 2.5 * 2 + 0.5, 1.5, 1.
    assert found.transactions == pytest.approx(8.0)
    assert found.load_per_user == pytest.approx(8 / 5)
    assert (found.largest_tx, found.median_tx) == pytest.approx((5.5, 1.5))
    assert found.hub_share_tx == pytest.approx(5.5 / 8)
    assert found.hub_share_rx == pytest.approx((1.0 + 0.5) / 8)
    assert found.largest_rx == pytest.approx(3.5)
    # Server 0 has 5.5 + 1.5, server 1 has 1.5 + 3.5; in rooms of up to three servers no tree differs from broadcast.
    assert found.largest_load == found.largest_load_tree == pytest.approx(7.0)
    assert found.largest_load_adaptive <= min(found.largest_load_relays, found.largest_load_shared_relay) + 1e-9
    assert found.transactions_plumtree > found.transactions_push >= found.transactions
    assert list(LABELS) == list(vars(found))


def test_outline_where_nothing_is_sent() -> None:
    found = outline(Federation.from_pairs([0], [0], [0]))
    assert isnan(found.hub_share_tx)
    assert (found.load_per_user, found.largest_tx, found.effective_servers) == (0.0, 0.0, 1.0)
    assert log(found.servers) == 0.0
