"""Random numbers within kernels: splitmix64 (Steele, Lea and Flood 2014), one 64-bit state per stream.

Either by address, (seed, counter), or one after the other from a ``state``, an array of one: such a stream is begun by
writing a seed to it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numba import njit

if TYPE_CHECKING:
    from fedgen.federation import Integers

GOLDEN = np.uint64(0x9E3779B97F4A7C15)
"""Odd, and without pattern: multiples of it are seeds far apart."""
_MIX1 = np.uint64(0xBF58476D1CE4E5B9)
_MIX2 = np.uint64(0x94D049BB133111EB)
_HALF = np.uint64(32)


@njit(cache=True, nogil=True)
def _mixed(z: np.uint64) -> np.uint64:
    z = (z ^ (z >> np.uint64(30))) * _MIX1
    z = (z ^ (z >> np.uint64(27))) * _MIX2
    return z ^ (z >> np.uint64(31))


@njit(cache=True, nogil=True)
def draw_below(seed: np.uint64, counter: int, below: int) -> np.int64:
    """A number in [0, below) from (seed, counter): the one of that number in the stream."""
    return np.int64((_mixed(seed + np.uint64(counter + 1) * GOLDEN) >> np.uint64(1)) % np.uint64(below))


@njit(cache=True, nogil=True)
def draw_bits(state: Integers) -> np.uint64:
    """The next 64 random bits."""
    state[0] += GOLDEN
    return _mixed(state[0])


@njit(cache=True, nogil=True)
def draw_unit(state: Integers) -> float:
    """A number in [0, 1), of 53 bits."""
    return (draw_bits(state) >> np.uint64(11)) * 2.0**-53


@njit(cache=True, nogil=True)
def draw_up_to(state: Integers, below: int) -> np.int64:
    """A number in [0, below), below < 2^32 (Lemire 2019, without his rejection: biased by less than 2^-32)."""
    return np.int64(((draw_bits(state) >> _HALF) * np.uint64(below)) >> _HALF)
