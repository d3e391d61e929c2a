r"""Growth laws: what is declared about a federation that is larger than the measured one.

One snapshot says nothing about growth, so nothing here is fitted. Every law is a parameter with a default and a
sentence (:meth:`Growth.assumptions`); all of them are powers of :math:`\sigma = S'/S`, how many times as many servers
there are (docs/growth.md derives what follows from them):

.. math::
    U' = \sigma^a U, \quad R' = \sigma^\rho R, \quad M' = \sigma^{a + \delta} M, \quad
    K_b' = \sigma^{1 + \kappa} K_b, \quad n_h' = \sigma^\eta n_h, \quad H' = \sigma^\chi H

with :math:`K_b` the presences of the servers that are no head (those of heads grow as rooms do, :mod:`gen.sizes`), the
*reach* of rooms, how far the tails of k and u go, and the locality :math:`\mu` of who meets whom. The mean room has
:math:`M'/R'` users on :math:`K'/R'` servers; where that grows every room does.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from math import isfinite
from typing import Literal, get_args

import numpy as np

from fedgen.errors import UsageError

Reach = Literal["bounded", "natural", "proportional"]


@dataclass(frozen=True)
class Growth:
    """What is declared, each as an exponent of the factor of servers but for ``reach`` and ``locality``.

    Attributes:
        users: a, of all users.
        rooms: rho, of rooms.
        rooms_per_user: delta, of the mean number of rooms of a user.
        rooms_per_server: kappa, of the mean number of rooms of a server.
        hub_users: eta, of the users of each head server: 1 keeps its share if a is 1, 0 freezes it.
        hub_number: chi, of how many head servers there are.
        reach: of rooms: ``bounded`` by the largest that were measured; ``natural``, as far as the tail laws go; or
            ``proportional``, the largest rooms keep their share of users and servers, and stay as few.
        locality: mu, the share of contacts that come from anywhere rather than from the own region.

    Raises:
        UsageError: an exponent is no finite number, locality is outside [0, 1], or no such reach.
    """

    users: float = 1.0
    rooms: float = 1.0
    rooms_per_user: float = 0.0
    rooms_per_server: float = 0.0
    hub_users: float = 1.0
    hub_number: float = 0.0
    reach: Reach = "bounded"
    locality: float = 0.0

    def __post_init__(self) -> None:
        for name in EXPONENTS:
            value = getattr(self, name)
            if not number(value):
                raise UsageError(f"growth.{name}: {value!r} is not an exponent; give a number")
        if self.reach not in get_args(Reach):
            raise UsageError(f"growth.reach: {self.reach!r} is not known; give {', '.join(get_args(Reach))}")
        mu = self.locality
        if not number(mu) or not 0.0 <= mu <= 1.0:
            raise UsageError(f"growth.locality: {mu!r} is not a share; give a number from 0 to 1")

    @property
    def hubs_fall_behind(self) -> bool:
        """Whether the head servers lose their share of the users."""
        return self.hub_users + self.hub_number < self.users

    @property
    def keeps_rooms(self) -> bool:
        """Whether a room, the rooms of a user and the hubs' share of both are as measured, but for chance."""
        return (
            self.reach == "bounded"
            and self.rooms_per_user == 0.0
            and self.rooms == self.users
            and self.rooms == 1.0 + self.rooms_per_server
            and self.hub_users + self.hub_number == self.users
        )

    def exponents(self) -> dict[str, float]:
        r"""The exponents over :math:`\sigma` that follow exactly, by statistic of :mod:`fedgen.statistics.outline`.

        What follows only for large :math:`\sigma`, or with the measured numbers, is left out.

        - *Sizes*, as declared: servers 1, users a, rooms :math:`\rho`, memberships :math:`a + \delta`, mean rooms per
          user :math:`\delta`.
        - *Presences* are :math:`K' = (R'/R) \sum_h q_h m_h + \sigma^{1 + \kappa} (K - K_h)` (:mod:`gen.sizes`), a power
          of :math:`\sigma` only if both terms have the same: where no hub falls behind (:math:`q_h = 1`) and
          :math:`\rho = 1 + \kappa`.
        - *Largest server*: a hub has :math:`\sigma^\eta` times its users. It stays the largest server where it keeps
          its share (:math:`\chi = 0, \eta \ge a`); else another may outgrow it. Its share of users:
          :math:`\eta - a`.
        - *Largest room*: with proportional reach its share of servers and users stays, so 1 and a.
        - *All that rooms decide*. Where a room keeps its mean servers and users (:math:`\rho = 1 + \kappa`,
          :math:`\rho = a + \delta`), their law (bounded reach) and the hubs' part in it (:math:`\eta + \chi = a`), and
          a user the number of rooms (:math:`\delta = 0`), every room is another draw of a measured one. With
          :math:`\sum_r W_r = U`

          .. math:: T/U = \frac{\sum_r W_r (k_r - 1)}{\sum_r W_r}

          is a mean over rooms of one and the same law: exponent 0, and so are the quantiles of k and u. Their maximum
          is not declared: the bound is, and the largest of ever more rooms comes ever nearer to it.
          T has a. If a = 1, a server of the body has the users, rooms and so tx as measured: 0 for the median. With
          :math:`\chi = 0` the users, rooms and weights of a hub grow by :math:`\sigma^a` as U, T and all weights do: 0
          for its share of tx and of rx, and a for the largest tx and rx, where those are of hubs. Under any mechanism
          that is one and the same everywhere, what an event costs depends on its room alone: a for T and, where it is
          of hubs, for the largest load, too. The adaptive one weighs rooms against each other: not declared.
        """
        a, rho, delta = self.users, self.rooms, self.rooms_per_user
        found = {
            "servers": 1.0,
            "users": a,
            "rooms": rho,
            "memberships": a + delta,
            "rooms_per_user_mean": delta,
        }
        if not self.hubs_fall_behind and rho == 1.0 + self.rooms_per_server:
            found["presences"] = rho
        if self.hub_number == 0.0 and self.hub_users >= a:
            found["users_per_server_max"] = self.hub_users
            found["top_1_share"] = self.hub_users - a
        if self.reach == "proportional":
            found |= {"servers_per_room_max": 1.0, "users_per_room_max": a}
        if self.keeps_rooms:
            found |= dict.fromkeys(_OF_ROOMS, 0.0) | dict.fromkeys(_TOTALS, a)
            if a == 1.0:
                found["median_tx"] = 0.0
            if self.hub_number == 0.0:
                found |= {"hub_share_tx": 0.0, "hub_share_rx": 0.0} | dict.fromkeys(_OF_HUBS, a)
        return found

    def assumptions(self) -> dict[str, str]:
        """A sentence for each parameter, by its name."""
        a, rho, eta, chi = self.users, self.rooms, self.hub_users, self.hub_number
        shares = eta + chi - a
        return {
            "users": f"users ~ servers^{a:g}: "
            + _by_sign(a - 1, "as many to a server as measured", "more to a server", "fewer to a server"),
            "rooms": f"rooms ~ servers^{rho:g}: "
            + (
                "as many as measured, so that every room grows"
                if rho == 0
                else _by_sign(rho - a, "as many to a user as measured", "more to a user", "fewer to a user")
            ),
            "rooms_per_user": f"rooms of a user ~ servers^{self.rooms_per_user:g}: "
            + _by_sign(self.rooms_per_user, "as measured", "people join more", "people join fewer"),
            "rooms_per_server": f"rooms of a server ~ servers^{self.rooms_per_server:g}: "
            + _by_sign(self.rooms_per_server, "as measured", "more than measured", "fewer than measured"),
            "hub_users": f"users of a hub ~ servers^{eta:g}: "
            + ("as many as measured, hubs are frozen; " if eta == 0 else "")
            + _by_sign(shares, "hubs keep their share of the users", "their share grows", "their share falls"),
            "hub_number": f"hubs ~ servers^{chi:g}: "
            + _by_sign(chi, "as many as measured", "more than measured", "fewer than measured"),
            "reach": f"reach of rooms {self.reach}: {_REACHES[self.reach]}",
            "locality": f"locality {self.locality:g}: "
            + (
                "who meets whom is within regions as large as the measured federation, which share its hubs"
                if self.locality == 0
                else "all are one pool, in which nobody meets anybody twice but by chance"
                if self.locality == 1
                else f"{self.locality:.0%} of contacts come from beyond the own region"
            ),
        }


EXPONENTS = tuple(field.name for field in fields(Growth) if field.name not in ("reach", "locality"))
_OF_ROOMS = (
    *(f"{margin}_{part}" for margin in ("servers_per_room", "users_per_room") for part in ("median", "p90", "p99")),
    "load_per_user",
)
_TOTALS = ("transactions", "transactions_push", "transactions_plumtree")
_OF_HUBS = (
    "largest_tx",
    "largest_rx",
    "largest_load",
    *(f"largest_load_{name}" for name in ("tree", "relays", "shared_relay", "push", "plumtree")),
)
_REACHES: dict[str, str] = {
    "bounded": "none is larger than any measured one, but for what the mean room grows by",
    "natural": "as far as the tail laws of servers and users per room go",
    "proportional": "the largest keep their share of users and servers, and stay as few",
}


def _by_sign(value: float, zero: str, above: str, below: str) -> str:
    return zero if value == 0 else above if value > 0 else below


def number(value: object) -> bool:
    """Whether it is a finite number; no bool, which Python counts as one."""
    return whole(value) or (isinstance(value, float | np.floating) and isfinite(value))


def whole(value: object) -> bool:
    """Whether it is a whole number; no bool, which Python counts as one."""
    return isinstance(value, int | np.integer) and not isinstance(value, bool)
