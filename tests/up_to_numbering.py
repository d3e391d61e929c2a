"""Whether two federations are the same but for the numbers of users, servers and rooms."""

from collections import Counter
from collections.abc import Mapping

import numpy as np

from fedgen.federation import Federation

ROUNDS = 8


def shape(federation: Federation) -> Counter[int]:
    """What does not depend on numbering: the colours of all nodes after refinement, with how often each occurs.

    Colour refinement (Weisfeiler and Leman 1968) of the tripartite graph: a node's colour becomes a hash of its own and
    the sum of its neighbours' colours, by kind. Different shapes prove that two federations differ; equal ones do not
    prove the contrary, but graphs that this confuses are regular, which what users do is not.
    """
    home, user, room = federation.user_server, federation.membership_user, federation.membership_room
    users = np.full(federation.n_users, 1, dtype=np.uint64)
    servers = np.full(federation.n_servers, 2, dtype=np.uint64)
    rooms = np.full(federation.n_rooms, 3, dtype=np.uint64)
    for _ in range(ROUNDS):
        of_users = mixed(users, summed(user, rooms[room], len(users)), servers[home])
        of_servers = mixed(servers, summed(home, users, len(servers)))
        of_rooms = mixed(rooms, summed(room, users[user], len(rooms)))
        users, servers, rooms = of_users, of_servers, of_rooms
    return Counter([*users.tolist(), *servers.tolist(), *rooms.tolist()])


def summed(index: np.ndarray, values: np.ndarray, size: int) -> np.ndarray:
    total = np.zeros(size, dtype=np.uint64)
    np.add.at(total, index, mixed(values))
    return total


def mixed(*columns: np.ndarray) -> np.ndarray:
    """A hash of each row (splitmix64)."""
    found = np.zeros_like(columns[0])
    for column in columns:
        found = (found * np.uint64(0x9E3779B97F4A7C15)) ^ column
        found = (found ^ (found >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        found = (found ^ (found >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        found ^= found >> np.uint64(31)
    return found


def as_federation(members: Mapping[str, frozenset[str]]) -> Federation:
    """The federation of rooms whose members are known by name."""
    users = sorted({user for room in members.values() for user in room})
    servers = sorted({user.partition(":")[2].lower() for user in users})
    pairs = [(users.index(user), i) for i, room in enumerate(sorted(members)) for user in sorted(members[room])]
    home = [servers.index(user.partition(":")[2].lower()) for user in users]
    user, room = np.array(pairs).T
    return Federation.from_pairs(home, user, room)
