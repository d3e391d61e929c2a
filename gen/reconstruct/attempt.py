"""One attempt: from figures to a federation, layer after layer, and what all attempts at one goal share."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from fedgen.traffic.equations import load
from fitting.heads import smallest_share
from gen.reconstruct.counts import Places, pulled, rounded
from gen.reconstruct.demands import most_of
from gen.reconstruct.errors import DeadEndError
from gen.reconstruct.goal import Goal, totals
from gen.reconstruct.load import Estimate, Share, actual_share, messages_asked, shares_asked
from gen.reconstruct.nudge import nudged
from gen.reconstruct.presences import place_body, place_heads
from gen.reconstruct.rooms import RoomLaws, Rooms, Speech, draw_rooms
from gen.reconstruct.servers import M, ServerLaws, draw_rooms_of_body, draw_users
from gen.reconstruct.users import D, Degrees, least_memberships, likeliest_memberships, seat

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fedgen.federation import Federation, Floats, Integers
    from gen.reconstruct.told import Told

_ROUNDS = 3
_CORRECTIONS = 3
_DRAWS = 3
_FAR = 0.02
_CIRCLES = (1.0, 2.0)


@dataclass(frozen=True, eq=False)
class Aim:
    """The goal of one reconstruction and the laws that its figures leave.

    Attributes:
        figures: what is told.
        goal: the sizes.
        rooms: laws of the rooms.
        servers: laws of the servers.
        shares: of the load, that are steered.
    """

    figures: Sequence[Told]
    goal: Goal
    rooms: RoomLaws
    servers: ServerLaws
    shares: Sequence[Share]


def take_aim(figures: Sequence[Told], rng: np.random.Generator) -> Aim:
    """Settle the sizes and find the laws.

    Raises:
        FiguresError: the sizes are not told, or figures contradict each other.
    """
    goal = totals(figures, rng)
    rooms = RoomLaws.of(goal, figures)
    if goal.n_memberships is not None:
        # Every presence of the body is a membership of a first user; what the figures about users need comes on top.
        least = max(goal.memberships.low, least_memberships(goal, figures) + rooms.expected[0])
        memberships = replace(goal.memberships, low=min(least, goal.memberships.high))
        likely = likeliest_memberships(goal, figures, [memberships.draw(rng) for _ in range(_DRAWS)])
        goal = replace(goal, memberships=memberships, n_memberships=likely)
        rooms = RoomLaws.of(goal, figures)
    return Aim(figures, goal, rooms, ServerLaws.of(goal, figures), shares_asked(figures, goal.servers))


def attempt(aim: Aim, rng: np.random.Generator) -> Federation:
    """Draw a federation that is to meet the figures.

    Raises:
        DeadEndError: this draw leads nowhere.
        FiguresError: figures contradict each other, or what was drawn before.
    """
    goal, figures = aim.goal, aim.figures
    n = draw_users(aim.servers, rng)
    heads = max(1, int(np.count_nonzero(n >= smallest_share(goal.servers) * goal.users)))
    messages = messages_asked(figures, goal.users, goal.users - int(n[0]), rng)
    rooms = draw_rooms(aim.rooms, messages.total, rng)
    k, u = rooms.servers, rooms.users
    weight = Speech.of(goal, float(u.sum()), float(k.sum())).weight(k, u)
    heard = None if messages.rho is None else messages.rho * float((k - 1) @ weight)
    circles = float(rng.uniform(*_CIRCLES))
    bends = [f for f in figures if f.statistic.name == "load_bend"]
    for _ in range(_CORRECTIONS):
        presences = _presences(aim, n, heads, rooms, weight, heard, circles, rng)
        federation = _seated(aim, n, heads, rooms, presences, rng)
        for share in aim.shares:
            federation = nudged(federation, share, rng)
        # The users are drawn after all estimates: what comes out corrects what is aimed at.
        sent = load(federation)
        part = float(sent.rx[0]) / sent.total if sent.total else 0.0
        sends = all(share.low <= actual_share(share, federation) <= share.high for share in aim.shares)
        hears = messages.rho is None or abs(part - messages.rho) <= messages.air
        even = all(f.low <= f.statistic.measure(federation) <= f.high for f in bends)
        if sends and hears and even:
            break
        if not sends:
            circles += 1.0  # the others send too much
        elif not even:
            circles = max(circles - 0.5, 0.0)  # small servers send too little beside those of one user
        if not hears and heard is not None and messages.rho is not None and part > 0:
            heard *= min(max(messages.rho / part, 0.5), 2.0)
    return federation


@dataclass(frozen=True, eq=False)
class _Presences:
    """Server and room of each presence, (K,), and of each body server the places that its members will fill."""

    server: Integers
    room: Integers
    members: Integers


def _presences(
    aim: Aim,
    n: Integers,
    heads: int,
    rooms: Rooms,
    weight: Floats,
    heard: float | None,
    circles: float,
    rng: np.random.Generator,
) -> _Presences:
    """Which servers are in which rooms."""
    goal, figures = aim.goal, aim.figures
    presences, memberships = int(rooms.servers.sum()), int(rooms.users.sum())
    at_heads = place_heads(
        rooms,
        n,
        heads,
        weight=weight,
        unheard=None if heard is None else goal.users - int(n[0]) - heard,
        most=most_of(figures, M, goal.rooms),
        places=memberships / goal.users,
        rng=rng,
    )
    head_rooms = at_heads.present.sum(axis=1)
    m = draw_rooms_of_body(
        goal,
        figures,
        n,
        head_rooms,
        total=presences - int(head_rooms.sum()),
        top=most_of(figures, D, goal.rooms),
        least=at_heads.least_rooms(rooms, n),
        rng=rng,
    )
    each = (memberships - int(m.sum())) / max(goal.users - len(m), 1)
    wanted = np.rint((n[heads:] - 1) * np.where(m > 1, each, 1.0)).astype(np.int64)
    try:
        server, room, found = place_body(rooms, at_heads, n[heads:], m, wanted, circles, rng)
    except DeadEndError:  # one room for each, and the heads take the rest
        server, room, found = place_body(rooms, at_heads, n[heads:], m, n[heads:] - 1, circles, rng)
    at_head, head_room = np.nonzero(at_heads.present)
    return _Presences(
        np.concatenate((at_head, server + heads)), np.concatenate((head_room, room)), np.minimum(found, wanted)
    )


def _seated(
    aim: Aim, n: Integers, heads: int, rooms: Rooms, presences: _Presences, rng: np.random.Generator
) -> Federation:
    """How many users of each server are in each of its rooms, and which."""
    goal, server, room = aim.goal, presences.server, presences.room
    m, memberships = np.bincount(server, minlength=goal.servers), int(rooms.users.sum())
    degrees = Degrees.of(aim.figures, n, m, heads, memberships, rng)
    pool = degrees.others(goal.users, memberships, rng)
    columns = rooms.users - np.bincount(room, minlength=goal.rooms)
    rows = _rows(n, heads, m[:heads], presences.members, int(columns.sum()))
    places = Places(server, room, heads, np.maximum(n[:heads] - m[:heads], 0), rows, columns, n[server] - 1)
    is_head = np.arange(goal.servers) < heads
    rate = (n - ~is_head) / np.maximum(rows + is_head * m, 1)  # at which a member speaks in one of his rooms
    sure = np.where(is_head, rate, 1.0 / m)  # and the one who is sure to be in it
    estimate = Estimate(server, room, sure[server], rate[server], rooms.servers[room])

    top = most_of(aim.figures, D, goal.rooms)
    aims, pulls = [share.middle for share in aim.shares], np.zeros(len(aim.shares))
    for _ in range(_ROUNDS):
        beside = rounded(places, pulled(places, estimate, aim.shares, aims, pulls))
        federation = seat(degrees, n, heads, server, room, beside + is_head[server], pool, top, goal.rooms, rng)
        shares = list(zip(aim.shares, aims, strict=True))
        if any(abs(estimate.share(share, beside) - value) > _FAR for share, value in shares):
            break  # no pull reaches that far
        off = [share.middle - actual_share(share, federation) for share in aim.shares]
        if all(abs(miss) <= share.high - share.low for miss, share in zip(off, aim.shares, strict=True)):
            break  # the rest is a nudge
        aims = [value + miss for value, miss in zip(aims, off, strict=True)]
    return federation


def _rows(n: Integers, heads: int, head_rooms: Integers, members: Integers, total: int) -> Integers:
    """(S,) places that the members of each server fill beside one in every presence; the heads share what is left."""
    rows = np.concatenate((np.zeros(heads, dtype=np.int64), members))
    left = total - int(members.sum())
    share = (left + int(head_rooms.sum())) * n[:heads] / n[:heads].sum()
    rows[:heads] = np.maximum(np.floor(share).astype(np.int64) - head_rooms, 0)
    rows[0] += left - int(rows[:heads].sum())
    return rows
