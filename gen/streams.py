"""Randomness by address: a stream is named by (seed, stage), never shared between stages.

So a stage can be changed, skipped or run elsewhere without touching the draws of another, and the same seed gives the
same federation whatever the number of workers.
"""

from __future__ import annotations

from enum import IntEnum

import numpy as np


class Stage(IntEnum):
    """The stages that draw. Numbers are part of the contract "same seed, same federation": never reuse one."""

    ROOMS = 1
    SERVERS = 2
    PRESENCE_COUNTS = 3
    PLACEMENT = 4
    DEGREES = 5
    MATCHING = 6
    COMPANY = 7
    DECENTRALIZATION = 8
    ACTIVITY = 9
    COUNTS = 10


def stream(seed: int, stage: Stage, chunk: int = 0) -> np.random.Generator:
    """The generator of one stage (and chunk of it)."""
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence(seed, spawn_key=(stage, chunk))))


def draw_seed(rng: np.random.Generator) -> int:
    """A seed for a kernel that draws by itself."""
    return int(rng.integers(0, 2**63))
