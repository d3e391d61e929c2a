r"""E7, memorisation: do generated records lie closer to measured ones than other measured ones do?

The distance to the closest record, as the field of synthetic data measures it (DESIGN section 8). A record is a room of
more than :data:`BEYOND` users, (log k, log u, log(1 + count) on each head server), or a server of more than
:data:`BEYOND` users, (log n, log m, log e). The measured records are split at random into halves A and B. B, whose
records are as independent of A as those of another federation of the same law, says what is close: nearer to A than
its own 5 % quantile q. The share of generated records that near is

.. math:: F_G(q^-) + \frac{.05 - F_B(q^-)}{F_B(q) - F_B(q^-)} \, (F_G(q) - F_G(q^-))

with F the distribution functions of the distances to A: records are whole numbers, distances tie, and a tie at q
counts with the part that makes the share of B .05 exactly. So independence gives .05, and copying .5 and a little more:
the half of the copies that is in A is at distance 0. The median over :data:`SPLITS` splits is told.

The head servers are found on the measured side (:func:`fitting.heads.find_heads`); the generated side's are its own,
as many, most memberships first.

Where more than 5 % of B are found in A to the last user, as among the many small threads of a mail federation, q is 0
and copying shows as less than .5: what measured records have in common by themselves is no sign of it.

*Noise.* With g generated and b = N/2 measured records a share of .05 has the variance .05 · .95 · (1/g + 1/b), the
second part since q is estimated; different splits share most of it. *Too close* is a share above :data:`CLOSE` that is
also three standard deviations above .05. Fewer than :data:`FEWEST` records on a side say nothing: of fewer than 20 in B
no 5 % quantile can be had.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from math import isnan, nan, sqrt
from typing import TYPE_CHECKING, Any

import numpy as np

from fitting.heads import find_heads
from validate.nulls import stream

if TYPE_CHECKING:
    from fedgen.federation import Federation, Floats
    from fedgen.tables import Tables

BEYOND = 10
SHARE = 0.05
SPLITS = 20
FEWEST = 40
CLOSE = 0.10

MOST = 20_000
"""Records looked at on a side, chosen at random beyond that."""

_ROOMS, _SERVERS = 6, 7
"""Address the randomness of the splits: never renumber."""


@dataclass(frozen=True)
class Memorisation:
    """How close the generated records of one kind are to the measured ones.

    Attributes:
        records: ``rooms``, ``servers`` or ``together``.
        share: of the generated records closer to half of the measured ones than the closest 5 % of the other half are;
            .05 by independence, about .5 by copying. NaN where there are too few records.
        generated: how many records of the generated side were looked at.
        measured: likewise.
        too_close: the share is above .10 and beyond noise.
        note: why there is no share; how many were looked at of how many.
    """

    records: str
    share: float
    generated: int
    measured: int
    too_close: bool = False
    note: str = ""

    def to_dict(self) -> dict[str, Any]:
        """For JSON; a share that is NaN is None."""
        return asdict(self) | {"share": None if isnan(self.share) else self.share}


def memorisation(generated: Tables, measured: Federation, seed: int = 0) -> tuple[Memorisation, ...]:
    """E7 of rooms, of servers and of both together.

    Args:
        generated: the federation on trial.
        measured: the one that it may have copied.
        seed: of the splits.
    """
    heads = len(find_heads(measured))
    kinds = (
        ("rooms", _ROOMS, room_records(generated, heads), room_records(measured, heads)),
        ("servers", _SERVERS, server_records(generated), server_records(measured)),
    )
    found, near, weights = [], [], []
    for name, stage, *sides in kinds:
        rng = stream(seed, stage, 0)
        ours, theirs = (_some(side, rng) for side in sides)
        if min(len(ours), len(theirs)) < FEWEST:
            note = f"fewer than {FEWEST} {name} of more than {BEYOND} users on a side"
            found.append(Memorisation(name, nan, len(ours), len(theirs), note=note))
            continue
        shares = closer(ours, theirs, rng)
        near.append(shares)
        weights.append((len(ours), len(theirs)))
        found.append(_told(name, shares, len(ours), len(theirs)))
    if not near:
        return *found, Memorisation("together", nan, 0, 0, note="neither rooms nor servers have enough records")
    ours_in, theirs_in = (np.array(sizes) for sizes in zip(*weights, strict=True))
    # Of one split of both kinds the share of all generated records.
    shares = ours_in @ np.array(near) / ours_in.sum()
    return *found, _told("together", shares, int(ours_in.sum()), int(theirs_in.sum()))


def room_records(federation: Tables, heads: int) -> Floats:
    """(N, 2 + heads): log k, log u and log(1 + count) on the largest servers by memberships, of the larger rooms."""
    large = federation.users_per_room > BEYOND
    place = np.full(federation.n_servers, -1)
    order = np.argsort(-federation.memberships_per_server, kind="stable")[:heads]
    place[order] = np.arange(len(order))
    p = federation.presences
    there = np.flatnonzero((place >= 0)[p.server])
    there = there[large[p.room[there]]]
    counts = np.zeros((int(large.sum()), heads))
    counts[(np.cumsum(large) - 1)[p.room[there]], place[p.server[there]]] = p.users[there]
    margins = np.log(np.column_stack((federation.servers_per_room, federation.users_per_room))[large])
    return np.hstack((margins, np.log1p(counts)))


def server_records(federation: Tables) -> Floats:
    """(N, 3): log n, log m, log e of the larger servers."""
    columns = federation.users_per_server, federation.rooms_per_server, federation.memberships_per_server
    return np.log(np.column_stack(columns)[federation.users_per_server > BEYOND])


def closer(generated: Floats, measured: Floats, rng: np.random.Generator) -> Floats:
    """(SPLITS,) in each split the share of generated records that are near; N1 and N2 records of one dimension."""
    from scipy.spatial import cKDTree

    # Distinct records are looked up once; most of the smaller ones occur many times.
    table, kind = np.unique(np.concatenate((generated, measured)), axis=0, return_inverse=True)
    ours, theirs = kind.ravel()[: len(generated)], kind.ravel()[len(generated) :]
    shares = np.empty(SPLITS)
    for split in range(SPLITS):
        order = rng.permutation(len(theirs))
        half, others = theirs[order[: len(order) // 2]], theirs[order[len(order) // 2 :]]
        asked = np.zeros(len(table), dtype=bool)
        asked[ours] = asked[others] = True
        distance = np.zeros(len(table))
        distance[asked] = cKDTree(table[np.unique(half)]).query(table[asked])[0]
        shares[split] = share_within(distance[ours], distance[others])
    return shares


def share_within(distances: Floats, reference: Floats, share: float = SHARE) -> float:
    """The share of ``distances`` within the quantile of ``reference``, ties in part: see the module's formula."""
    ordered = np.sort(reference)
    quantile = ordered[max(int(np.ceil(share * len(ordered))) - 1, 0)]
    below, tied = float((reference < quantile).mean()), float((reference == quantile).mean())
    return float((distances < quantile).mean() + (share - below) / tied * (distances == quantile).mean())


def _some(records: Floats, rng: np.random.Generator) -> Floats:
    return records[np.sort(rng.permutation(len(records))[:MOST])] if len(records) > MOST else records


def _told(name: str, shares: Floats, generated: int, measured: int) -> Memorisation:
    share = float(np.median(shares))
    noise = sqrt(SHARE * (1 - SHARE) * (1 / generated + 2 / measured))
    return Memorisation(name, share, generated, measured, too_close=share > max(CLOSE, SHARE + 3 * noise))
