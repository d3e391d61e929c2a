r"""The last step to a share of the load: users of a server change places.

Two users i, j of one server, i in room a, j in room b, neither in both, change places: every margin of users, rooms and
presences stays, and the server sends :math:`(1/d_i - 1/d_j) (k_b - k_a)` more. So a share is moved by as little as one
wants, without moving anything else that a figure tells.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from fedgen.federation import Federation
from fedgen.traffic.equations import load
from gen.reconstruct.load import actual_share, places_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from gen.reconstruct.load import Share

_BATCH = 4096
_BATCHES = 100
_CLOSE = 0.02  # of the width of the interval


def nudged(federation: Federation, share: Share, rng: np.random.Generator) -> Federation:
    """The federation with ``share`` in its interval, or as near as changes of places were found to bring it."""
    sent = load(federation)
    chosen = share.of_server(places_of(federation, sent))[federation.user_server]
    scale, total = (1.0, sent.total) if share.of == "tx" else (2.0, sent.total)
    part = actual_share(share, federation) * scale * total
    if not part > 0 or share.low <= part / (scale * total) <= share.high or scale * share.middle == 1.0:
        return federation
    user, room, rooms = federation.membership_user.tolist(), federation.membership_room.tolist(), federation.n_rooms
    rate, wide = 1.0 / federation.rooms_per_user, federation.servers_per_room
    held = {a * rooms + r for a, r in zip(user, room, strict=True)}

    def off(mine: float, all_: float) -> float:
        return abs(mine / (scale * all_) - share.middle)

    for i, j in _pairs(federation, chosen, rng):
        # With delta more sent the share is (part + delta) / (scale (total + delta)).
        missing = (share.middle * scale * total - part) / (1.0 - share.middle * scale)
        if abs(missing) <= _CLOSE * (share.high - share.low) * scale * total:
            break
        a, b, r, q = user[i], user[j], room[i], room[j]
        delta = float((rate[a] - rate[b]) * (wide[q] - wide[r]))
        if (
            total + delta <= 0
            or off(part + delta, total + delta) >= off(part, total)
            or a * rooms + q in held
            or b * rooms + r in held
        ):
            continue
        held -= {a * rooms + r, b * rooms + q}
        held |= {a * rooms + q, b * rooms + r}
        user[i], user[j] = b, a
        part, total = part + delta, total + delta
    return Federation.from_pairs(
        federation.user_server,
        np.array(user, dtype=np.int64),
        federation.membership_room,
        n_servers=federation.n_servers,
        n_rooms=rooms,
    )


def _pairs(federation: Federation, mine: NDArray[np.bool_], rng: np.random.Generator) -> Iterator[tuple[int, int]]:
    """Random pairs of memberships of one server each, of users who are ``mine`` and can matter to the load."""
    home = federation.user_server[federation.membership_user]
    chosen = np.flatnonzero(mine[federation.membership_user])
    chosen = chosen[np.argsort(home[chosen], kind="stable")]
    size = np.bincount(home[chosen], minlength=federation.n_servers)
    begin = np.cumsum(size) - size
    rate, wide = 1.0 / federation.rooms_per_user, federation.servers_per_room
    user, room = federation.membership_user, federation.membership_room
    for _ in range(_BATCHES):
        one = chosen[rng.integers(0, len(chosen), _BATCH)]
        two = chosen[begin[home[one]] + (rng.random(_BATCH) * size[home[one]]).astype(np.int64)]
        useful = (rate[user[one]] != rate[user[two]]) & (wide[room[one]] != wide[room[two]])
        yield from zip(one[useful].tolist(), two[useful].tolist(), strict=True)
