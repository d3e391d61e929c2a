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
    from gen.reconstruct.load import Share

_BATCH = 4096
_BATCHES = 100
_CLOSE = 0.1  # of the half width of the interval


def nudged(federation: Federation, share: Share, rng: np.random.Generator) -> Federation:
    """The federation with ``share`` in its interval, or as near as changes of places were found to bring it."""
    at = actual_share(share, federation)
    if not at == at or share.low <= at <= share.high:
        return federation
    user, room = federation.membership_user.astype(np.int64), federation.membership_room.astype(np.int64)
    d, wide = federation.rooms_per_user, federation.servers_per_room
    sent = load(federation)
    rank = places_of(federation, sent)
    mine = np.flatnonzero(share.of_server(rank[federation.user_server[user]]))
    homes = federation.user_server[user[mine]]
    mine = mine[np.argsort(homes, kind="stable")]
    size = np.bincount(homes, minlength=federation.n_servers)
    begin = np.cumsum(size) - size
    total = sent.total
    part = at * total * (2.0 if share.of == "both" else 1.0)
    # With delta more sent, the share is (part + delta) / (total + delta), or over 2 (total + delta) for both.
    scale = 2.0 if share.of == "both" else 1.0
    taken = user * federation.n_rooms + room
    held = set(taken.tolist())
    user = user.copy()
    for _ in range(_BATCHES):
        goal = share.middle
        missing = (goal * scale * total - part) / (1.0 - goal * scale) if goal * scale < 1 else 0.0
        now = part / (scale * total)
        if abs(now - goal) <= _CLOSE * (share.high - share.low) / 2 or missing == 0:
            break
        one = mine[rng.integers(0, len(mine), _BATCH)]
        home = federation.user_server[user[one]]
        two = mine[begin[home] + (rng.random(_BATCH) * size[home]).astype(np.int64)]
        change = (1.0 / d[user[one]] - 1.0 / d[user[two]]) * (wide[room[two]] - wide[room[one]])
        useful = (change * missing > 0) & (np.abs(change) <= np.abs(missing) * 1.5)
        for i, j in zip(one[useful].tolist(), two[useful].tolist(), strict=True):
            a, b = int(user[i]), int(user[j])
            there, back = a * federation.n_rooms + int(room[j]), b * federation.n_rooms + int(room[i])
            if a == b or there in held or back in held:
                continue
            delta = float((1.0 / d[a] - 1.0 / d[b]) * (wide[room[j]] - wide[room[i]]))
            after = (part + delta) / (scale * (total + delta))
            if abs(after - goal) >= abs(part / (scale * total) - goal):
                continue
            held -= {a * federation.n_rooms + int(room[i]), b * federation.n_rooms + int(room[j])}
            held |= {there, back}
            user[i], user[j] = b, a
            part, total = part + delta, total + delta
    return Federation.from_pairs(
        federation.user_server, user, room, n_servers=federation.n_servers, n_rooms=federation.n_rooms
    )
