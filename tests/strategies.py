"""Federations for property tests: small, valid, and of every shape that has ever broken anything."""

from __future__ import annotations

from hypothesis import strategies as st

from fedgen.federation import Federation


@st.composite
def federations(draw: st.DrawFn, max_users: int = 12, max_servers: int = 6, max_rooms: int = 8) -> Federation:
    """Any valid federation within the sizes; shrinks to one user alone in one room.

    The shapes that matter come often: one server, one room, a hub with nearly everybody, everybody alone, rooms with
    everybody in them, sparse and dense memberships.
    """
    users = draw(st.integers(1, max_users))
    servers = draw(st.integers(1, min(users, max_servers)))
    # The first users found the servers; the others choose, or all follow to server 0: a hub.
    if draw(st.booleans()):
        others = [0] * (users - servers)
    else:
        others = draw(st.lists(st.integers(0, servers - 1), min_size=users - servers, max_size=users - servers))
    home = [*range(servers), *others]

    rooms = draw(st.integers(1, max_rooms))
    shape = draw(st.sampled_from(["alone", "any", "dense", "everybody"]))
    if shape == "alone":
        pairs = {(user, user) for user in range(users)}
        rooms = users
    elif shape == "everybody":
        pairs = {(user, room) for user in range(users) for room in range(rooms)}
    else:
        pairs = draw(st.sets(st.tuples(st.integers(0, users - 1), st.integers(0, rooms - 1)), max_size=users * rooms))
        if shape == "dense":
            pairs = {(user, room) for user in range(users) for room in range(rooms)} - pairs
        # Everybody is somewhere and no room is empty.
        pairs |= {(user, user % rooms) for user in range(users) if all(pair[0] != user for pair in pairs)}
        pairs |= {(room % users, room) for room in range(rooms) if all(pair[1] != room for pair in pairs)}
    members = sorted(pairs)
    return Federation.from_pairs(
        home, [user for user, _ in members], [room for _, room in members], n_servers=servers, n_rooms=rooms
    )
