"""From the labelled pairs of a file to a federation: the step that all single-file formats share.

Numbering is a function of the ids alone, whatever the order of a file: servers by id, users by server, then id, rooms
by id. Ids that are all whole numbers go by value, others by code point. A file that fedgen wrote comes back id by id.

What makes a file untrustworthy is refused; what is harmless is left out and told in a remark (docs/formats.md).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from fedgen.errors import FormatError
from fedgen.federation import Federation

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from fedgen.federation import Integers

    Ids = NDArray[np.uint64] | list[str]
    Pairs = tuple[Integers, Integers]

ID_LIMIT = 1 << 64


@dataclass(frozen=True, eq=False)
class Pairing:
    """What a file says: the distinct nodes of each kind by id, and pairs of indices into them.

    Attributes:
        users, servers, rooms: the distinct ids of each kind.
        homes: user, server.
        memberships: user, room.
        presences: server, room; None where the format does not carry them.
        remarks: what was left out so far.
    """

    users: Ids
    servers: Ids
    rooms: Ids
    homes: Pairs
    memberships: Pairs
    presences: Pairs | None = None
    remarks: tuple[str, ...] = ()


def ids(values: Sequence[int | str], kind: str, place: Callable[[int], str]) -> Ids:
    """Ids as they are compared: unsigned integers if all are whole numbers, strings otherwise.

    Args:
        values: as they stand in the file.
        kind: of the nodes.
        place: says for the index of a value where it stands, `` in row 7``.

    Raises:
        FormatError: an id is missing, or all are numbers and one is negative, fractional, NaN or 2^64 and more.
    """
    if not all(isinstance(value, int) for value in values):
        texts = [str(value) for value in values]
        if not all(texts):
            raise FormatError(f"{kind} id{place(texts.index(''))} is empty; give every {kind} an id")
        if not all(map(_is_number, texts)):
            return texts
        for i, text in enumerate(texts):
            if not _is_digits(text):
                raise FormatError(
                    f"{kind} id {shown(text)}{place(i)} is no whole number >= 0; write ids as integers or as names"
                )
        if any(text[0] == "0" and text != "0" for text in texts):
            return texts  # zero-padded: 7 and 007 are two names
        values = [int(text[:21]) for text in texts]
    low, high = (min(values), max(values)) if len(values) else (0, 0)
    if int(low) < 0:
        where = place(values.index(low))
        raise FormatError(f"{kind} id {low}{where} is negative; write ids as integers >= 0 or as names")
    if int(high) >= ID_LIMIT:
        where = place(values.index(high))
        raise FormatError(f"{kind} id {high}{where} is beyond 64 bits; write ids below 2^64 or as names")
    return np.array(values, dtype=np.uint64)


def _is_digits(text: str) -> bool:
    return text.isascii() and text.isdecimal()


def _is_number(text: str) -> bool:
    if _is_digits(text):
        return True
    try:
        float(text)
    except ValueError:
        return False
    return "_" not in text


def name(kind: str, of: Ids, index: int) -> str:
    """How a message calls a node: its kind and its id, shortened."""
    value = of[index]
    return f"{kind} {shown(value) if isinstance(value, str) else int(value)}"


def shown(text: str) -> str:
    """A text from a file in quotes, shortened."""
    return repr(text if len(text) <= 60 else text[:57] + "...")


def count(number: int, noun: str) -> str:
    """``3 rooms``, ``1 room``."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def distinct(pairs: Pairs, width: int) -> tuple[Pairs, int]:
    """Pairs without repetition, sorted, and how many were repeated; ``width`` bounds the second index."""
    first, second = pairs
    key = _rising(first.astype(np.int64) * max(width, 1) + second)
    left, right = np.divmod(key, max(width, 1))
    return (left, right), len(first) - len(key)


def _rising(keys: NDArray[np.int64]) -> NDArray[np.int64]:
    """Sorted, each once. By sorting: numpy's own unique hashes, which takes ten times as long for millions of keys."""
    if np.any(keys[1:] < keys[:-1]):
        keys = np.sort(keys)
    first = np.ones(len(keys), dtype=bool)
    first[1:] = keys[1:] != keys[:-1]
    return keys[first]


def assemble(pairing: Pairing) -> tuple[Federation, tuple[str, ...]]:
    """The federation that the pairs describe, and remarks on what was left out.

    Raises:
        FormatError: a user on two servers, a user in a room but on no server, or no membership at all.
    """
    remarks = list(pairing.remarks)
    users, servers, rooms = pairing.users, pairing.servers, pairing.rooms
    (member, member_room), repeated = distinct(pairing.memberships, len(rooms))
    if repeated:
        remarks.append(f"{count(repeated, 'repeated user-room pair')} left out")
    if not len(member):
        raise FormatError("holds no membership; a federation has at least one user in one room")
    server_of = _server_of_users(pairing)
    homeless = np.flatnonzero(server_of[member] < 0)
    if len(homeless):
        who = name("user", users, int(member[homeless[0]]))
        raise FormatError(f"{who} is in a room but on no server; give every user exactly one server")

    active = np.zeros(len(users), dtype=bool)
    active[member] = True
    hosting = np.zeros(len(servers), dtype=bool)
    hosting[server_of[active]] = True
    visited = np.zeros(len(rooms), dtype=bool)
    visited[member_room] = True
    for kind, of, kept, lack in (
        ("user", users, active, "in no room"),
        ("server", servers, hosting, "with no user in a room"),
        ("room", rooms, visited, "with no user"),
    ):
        if not kept.all():
            lost = np.flatnonzero(~kept)
            remarks.append(f"{count(len(lost), kind)} {lack} left out, first {name(kind, of, int(lost[0]))}")

    server_order = order(servers, hosting)
    room_order = order(rooms, visited)
    server_number = numbers(server_order, len(servers))
    room_number = numbers(room_order, len(rooms))
    user_order = order(users, active)
    user_order = user_order[np.argsort(server_number[server_of[user_order]], kind="stable")]
    federation = Federation.from_pairs(
        server_number[server_of[user_order]],
        numbers(user_order, len(users))[member],
        room_number[member_room],
        n_servers=len(server_order),
        n_rooms=len(room_order),
    )
    if pairing.presences is not None:
        derived = federation.presences
        actual = server_order[derived.server], room_order[derived.room]
        remarks += disagreements(actual, pairing.presences, servers, rooms)
    return federation, tuple(remarks)


def _server_of_users(pairing: Pairing) -> NDArray[np.int64]:
    (user, server), _ = distinct(pairing.homes, len(pairing.servers))
    torn = np.flatnonzero(user[1:] == user[:-1])
    if len(torn):
        at = int(torn[0])
        who = name("user", pairing.users, int(user[at]))
        one, two = (name("server", pairing.servers, int(server[i])) for i in (at, at + 1))
        raise FormatError(f"{who} is on two servers, {one} and {two}; give every user exactly one server")
    server_of = np.full(len(pairing.users), -1, dtype=np.int64)
    server_of[user] = server
    return server_of


def order(of: Ids, kept: NDArray[np.bool_]) -> NDArray[np.int64]:
    """The kept indices by rising id."""
    rising = sorted(range(len(of)), key=of.__getitem__) if isinstance(of, list) else np.argsort(of, kind="stable")
    indices = np.asarray(rising, dtype=np.int64)
    return indices[kept[indices]]


def numbers(order: NDArray[np.int64], size: int) -> NDArray[np.int64]:
    """The position of each index in an order; -1 where it has none."""
    numbers = np.full(size, -1, dtype=np.int64)
    numbers[order] = np.arange(len(order))
    return numbers


def disagreements(derived: Pairs, stated: Pairs, servers: Ids, rooms: Ids) -> list[str]:
    """Remarks on server-room pairs that memberships imply and a file lacks, or that it has and they do not imply."""
    width = max(len(rooms), 1)
    ours = _rising(derived[0].astype(np.int64) * width + derived[1])
    theirs = _rising(stated[0].astype(np.int64) * width + stated[1])
    remarks = []
    for pairs, complaint in (
        (np.setdiff1d(ours, theirs, assume_unique=True), "missing from the file, added from the memberships"),
        (np.setdiff1d(theirs, ours, assume_unique=True), "without a membership left out"),
    ):
        if len(pairs):
            server, room = divmod(int(pairs[0]), width)
            first = f"{name('server', servers, server)} in {name('room', rooms, room)}"
            remarks.append(f"{count(len(pairs), 'server-room pair')} {complaint}, first {first}")
    return remarks
