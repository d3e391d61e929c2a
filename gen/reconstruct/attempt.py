"""One attempt: from figures to a federation, layer after layer, and what all attempts at one goal share."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from fedgen.traffic.equations import load
from fitting.heads import smallest_share
from gen.reconstruct.counts import Places, pulled, rounded
from gen.reconstruct.goal import Goal, totals
from gen.reconstruct.load import Estimate, Share, actual_share, messages_asked, shares_asked
from gen.reconstruct.nudge import nudged
from gen.reconstruct.presences import place_body, place_heads
from gen.reconstruct.rooms import RoomLaws, Rooms, Speech, draw_rooms
from gen.reconstruct.servers import ServerLaws, draw_rooms_of_body, draw_users
from gen.reconstruct.users import Degrees, least_memberships, most_rooms, seat

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fedgen.federation import Federation, Floats, Integers
    from gen.reconstruct.told import Told

_ROUNDS = 3
_FAR = 0.02


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
        least = min(max(goal.memberships.low, least_memberships(goal, figures) + rooms.expected[0]), goal.memberships.high)
        memberships = replace(goal.memberships, low=least)
        goal = replace(goal, memberships=memberships, n_memberships=memberships.draw(rng))
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
    others = goal.users - int(n[0])
    messages = messages_asked(figures, goal.users, others, rng)
    rooms = draw_rooms(aim.rooms, messages.total, rng)
    k, u = rooms.servers, rooms.users
    presences, memberships = int(k.sum()), int(u.sum())
    speech = Speech.of(goal, memberships, presences)
    weight = speech.weight(k, u)
    heard = messages.heard * others
    if messages.rho is not None:
        heard = messages.rho * float((k - 1) @ weight)
    for _ in range(_ROUNDS):
        federation = _built(aim, n, heads, rooms, weight, heard, rng)
        for share in aim.shares:
            federation = nudged(federation, share, rng)
        # The users are drawn after all estimates: what comes out corrects what is aimed at.
        sent = load(federation)
        if not all(share.low <= actual_share(share, federation) <= share.high for share in aim.shares):
            break
        if messages.rho is None or sent.total == 0 or abs(sent.rx[0] / sent.total - messages.rho) <= messages.air:
            break
        heard *= min(max(messages.rho * sent.total / max(float(sent.rx[0]), 1e-300), 0.5), 2.0)
    return federation


def _built(
    aim: Aim, n: Integers, heads: int, rooms: Rooms, weight: Floats, heard: float, rng: np.random.Generator
) -> Federation:
    """Everything after users per server and rooms."""
    goal, figures, k, u = aim.goal, aim.figures, rooms.servers, rooms.users
    presences, memberships = int(k.sum()), int(u.sum())
    unheard = goal.users - int(n[0]) - heard
    at_heads = place_heads(rooms, n, heads, weight, unheard, memberships / goal.users, rng)
    head_rooms = at_heads.present.sum(axis=1)
    top = most_rooms(figures, goal.rooms)
    m_body = draw_rooms_of_body(
        goal,
        figures,
        n,
        head_rooms,
        total=presences - int(head_rooms.sum()),
        top=top,
        least=at_heads.least_rooms(rooms, n),
        rng=rng,
    )
    each = (memberships - int(m_body.sum())) / max(goal.users - len(m_body), 1)
    wanted = np.rint((n[heads:] - 1) * np.where(m_body > 1, each, 1.0)).astype(np.int64)
    server, room, found = place_body(rooms, at_heads, n[heads:], m_body, wanted, rng)
    at_head, head_room = np.nonzero(at_heads.present)
    server, room = np.concatenate((at_head, server + heads)), np.concatenate((head_room, room))
    m = np.bincount(server, minlength=goal.servers)
    degrees = Degrees.of(figures, n, m, heads, memberships)
    pool = degrees.others(goal.users, memberships, rng)
    first = server >= heads
    columns = u - np.bincount(room, minlength=goal.rooms)
    rows = _rows(n, heads, head_rooms, np.minimum(found, wanted), int(columns.sum()))
    places = Places(server, room, heads, np.maximum(n[:heads] - head_rooms, 0), rows, columns, n[server] - 1)
    is_head = np.arange(goal.servers) < heads
    members = n - ~is_head
    rate = members / np.maximum(rows + is_head * m, 1)
    estimate = Estimate(server, room, np.where(first, 1.0 / m[server], rate[server]), rate[server], k[room])
    aims, pulls = [share.middle for share in aim.shares], np.zeros(len(aim.shares))
    for _ in range(_ROUNDS):
        counts = rounded(places, pulled(places, estimate, aim.shares, aims, pulls)) + ~first
        federation = seat(degrees, n, heads, server, room, counts, pool, top, goal.rooms, rng)
        if any(abs(estimate.share(share, counts - ~first) - value) > _FAR for share, value in zip(aim.shares, aims, strict=True)):
            break  # no pull reaches that far
        off = [share.middle - actual_share(share, federation) for share in aim.shares]
        if all(abs(miss) <= share.high - share.low for miss, share in zip(off, aim.shares, strict=True)):
            break
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
