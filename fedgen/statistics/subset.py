"""The federation that some of the rooms make: what a smaller crawl would have seen."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from fedgen.federation import Federation, index_dtype

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from fedgen.federation import Integers


def with_rooms(federation: Federation, keep: NDArray[np.bool_]) -> Federation:
    """The federation of the kept rooms; users and then servers that lose all their rooms are gone with them.

    Args:
        federation: any.
        keep: (R,) which rooms stay. Rooms, users and servers keep their order and are renumbered from 0.

    Linear and without a sort, since renumbering keeps both orders of :class:`~fedgen.federation.Federation`.
    """
    sizes = federation.users_per_room
    members = federation.membership_user[np.repeat(keep, sizes)]
    seen = np.zeros(federation.n_users, dtype=bool)
    seen[members] = True
    homes = federation.user_server[seen]
    hosts = np.zeros(federation.n_servers, dtype=bool)
    hosts[homes] = True
    servers = int(hosts.sum())
    return Federation(
        n_servers=servers,
        user_server=_renumber(hosts, servers)[homes],
        room_offsets=np.concatenate(([0], np.cumsum(sizes[keep]))),
        membership_user=_renumber(seen, len(homes))[members],
    )


def _renumber(kept: NDArray[np.bool_], count: int) -> Integers:
    return np.asarray(np.cumsum(kept) - 1, dtype=index_dtype(count))
