r"""Districts: a large federation is drawn as many small ones that share its head servers.

A federation :math:`\sigma` times as large as the one drawn from has about as many regions (:mod:`gen.inheritance`).
Where contacts stay in their region (locality 0) and rooms are as large as measured, nothing ties two regions together
but the head servers, which are in all of them. So the regions are dealt to *districts* of eight or more, each drawn as
a federation of its own from its share of every size, head servers' users and memberships included; the districts are
laid side by side and the shares of a head server are one server again. No pair of a server and a room stands in two
districts, since no room does; every degree is exact as it is in each.

What that costs: totals are conditioned on district by district (:mod:`gen.exchange`), so the largest server of the
body is the largest that a district of eight or more times the measured size has. What it buys: memory for as many
districts as are drawn at once, whatever the size of the federation; near-linear time, since a district's arrays stay
in the caches; and a district is drawn from its address (seed, stage, district) by whoever comes to it, on any machine.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from fedgen.federation import Federation, index_dtype
from fedgen.ragged import offsets_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from fedgen.federation import Integers
    from gen.plan import Plan

REGIONS = 8
"""A district has so many regions at least: from there on what is measured of samples does not change with size."""
MEMBERSHIPS = 1 << 20
"""And about so many memberships at least, so that what a district costs by itself is small."""


@dataclass(frozen=True, eq=False)
class Districts:
    """How a federation is divided.

    Attributes:
        regions: (C + 1,) district c has the regions ``regions[c]:regions[c + 1]`` of all.
        servers, rooms: (C + 1,) its servers of the body, after all head servers, and its rooms.
        head_users: (H, C + 1) its users of each head server: of those the ones from ``head_users[h, c]`` up to
            ``head_users[h, c + 1]``.
        body_users: (C + 1,) its other users, after those of all head servers.
    """

    regions: Integers
    servers: Integers
    rooms: Integers
    head_users: Integers
    body_users: Integers

    def __len__(self) -> int:
        return len(self.regions) - 1

    @property
    def heads(self) -> int:
        """H, how many head servers there are."""
        return len(self.head_users)

    @property
    def of_heads(self) -> int:
        """How many users head servers have; theirs are the first ids."""
        return int(self.head_users[:, -1].sum())

    def users(self, c: int) -> Integers:
        """The id of each user of district c, (U_c,), in the order in which it numbers them."""
        first = offsets_of(self.head_users[:, -1])[:-1] + self.head_users[:, c]
        segments = np.append(first, self.of_heads + self.body_users[c])
        sizes = np.append(np.diff(self.head_users[:, c : c + 2])[:, 0], self.body_users[c + 1] - self.body_users[c])
        ids = np.arange(int(sizes.sum())) + np.repeat(segments - offsets_of(sizes)[:-1], sizes)
        return ids.astype(index_dtype(self.of_heads + int(self.body_users[-1])))

    def server_ids(self, c: int) -> Integers:
        """The id of each server of district c, head servers first."""
        body = self.heads + np.arange(self.servers[c], self.servers[c + 1])
        return np.concatenate((np.arange(self.heads), body)).astype(index_dtype(self.heads + int(self.servers[-1])))


def divide(plan: Plan) -> Districts:
    """The districts of a plan: a function of the plan alone; one where regions hang together."""
    count = 1
    if _apart(plan):
        fewest_users = int(plan.head_users.min(initial=plan.users))  # every head server has a user in every district
        count = max(1, min(plan.regions // REGIONS, plan.memberships // MEMBERSHIPS, fewest_users))
    regions = np.arange(count + 1) * plan.regions // count

    def share(total: int) -> Integers:
        return np.rint(regions * (total / plan.regions)).astype(np.int64)

    of_heads = np.array([share(int(users)) for users in plan.head_users], dtype=np.int64).reshape(-1, count + 1)
    servers = plan.servers - len(plan.head_users)
    # One for each server, however the others are rounded.
    body_users = share(servers) + share(plan.users - int(plan.head_users.sum()) - servers)
    return Districts(regions, share(servers), share(plan.rooms), of_heads, body_users)


def _apart(plan: Plan) -> bool:
    """Whether nothing ties two regions together but head servers."""
    scenario = plan.scenario
    return (
        plan.margins == "drawn"
        and plan.crawl is None
        and plan.head_copies == 1
        and scenario.decentralize is None
        and scenario.growth.locality == 0.0
        and scenario.growth.reach == "bounded"
    )


def district(plan: Plan, districts: Districts, c: int) -> Plan:
    """The plan of one district."""
    if len(districts) == 1:
        return plan
    low, high = districts.regions[c] / plan.regions, districts.regions[c + 1] / plan.regions
    head_users = districts.head_users[:, c + 1] - districts.head_users[:, c]
    return replace(
        plan,
        servers=districts.heads + int(districts.servers[c + 1] - districts.servers[c]),
        users=int(head_users.sum() + districts.body_users[c + 1] - districts.body_users[c]),
        rooms=int(districts.rooms[c + 1] - districts.rooms[c]),
        memberships=round(plan.memberships * high) - round(plan.memberships * low),
        presences=round(plan.presences * high) - round(plan.presences * low),
        head_users=head_users,
        head_memberships=plan.head_memberships * (head_users / plan.head_users),
        district=c,
    )


def join(districts: Districts, drawn: Iterable[Federation]) -> Federation:
    """One federation of the districts, given in order."""
    home, sizes, members = [], [], []
    for c, federation in enumerate(drawn):
        ids = districts.users(c)
        home.append(districts.server_ids(c)[federation.user_server])
        sizes.append(federation.users_per_room)
        members.append(ids[federation.membership_user])
    if len(home) == 1:
        return federation
    users = np.concatenate([districts.users(c) for c in range(len(districts))])
    user_server = np.empty(len(users), dtype=home[0].dtype)
    user_server[users] = np.concatenate(home)
    servers = districts.heads + int(districts.servers[-1])
    return Federation(servers, user_server, offsets_of(np.concatenate(sizes)), np.concatenate(members))
