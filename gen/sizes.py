r"""S, U, R, M and K of a federation, by the laws of a scenario (:mod:`gen.growth`).

With :math:`\sigma = S'/S` every size follows; where another size is given instead, sigma is what that size needs. Of
the K presences those of head servers, :math:`K_h`, grow as the rooms do (a hub is in its share of them), those of the
body as its servers and their rooms do: :math:`K' = (R'/R) \sum_h q_h m_h + \sigma^{1 + \kappa} (K - K_h)`, where
:math:`q_h \le 1` is the share of its rooms that a head server keeps which stays behind the growth of all memberships.
What laws make of M and K must be possible, :math:`\max(U', R') \le M' \le U' R'` and :math:`\max(S', R') \le K' \le
\min(S' R', M')`: assumptions that are not are refused, with the range of the exponent that is; where everything grows
in proportion and only sizes are asked for that do not go together, M and K are the nearest possible.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import inf, isfinite, log
from typing import TYPE_CHECKING

import numpy as np

from fedgen.errors import InfeasibleError
from fitting.model import Sizes
from gen.growth import Growth

if TYPE_CHECKING:
    from fedgen.federation import Floats
    from fitting.model import Model
    from gen.scenario import Scenario


def grown_sizes(model: Model, scenario: Scenario) -> Sizes:
    """The sizes that a scenario asks for.

    Raises:
        InfeasibleError: no federation has them; the message has the assumption and its feasible range.
    """
    measured, growth = model.sizes, scenario.growth
    sigma = factor(measured, scenario)
    servers = scenario.servers or max(1, round(sigma * measured.servers))
    users = scenario.users or max(1, round(sigma**growth.users * measured.users))
    rooms = scenario.rooms or max(1, round(sigma**growth.rooms * measured.rooms))
    if users < servers:
        servers, users = _enough_users(servers, users, sigma, measured, scenario)
    declared = _Declared(sigma, growth != Growth())
    memberships = declared.within(
        "rooms_per_user",
        growth.rooms_per_user,
        f"memberships of {users} users in {rooms} rooms",
        users * measured.memberships / measured.users,
        max(users, rooms),
        users * rooms,
    )
    kept = head_presence(model, servers, users, rooms, memberships, scenario)
    of_heads = (float(model.heads.rooms @ kept) + _left_alone(model, kept)) * rooms / measured.rooms
    of_body = (measured.presences - int(model.heads.rooms.sum())) * servers / measured.servers
    presences = declared.within(
        "rooms_per_server",
        growth.rooms_per_server,
        f"presences of {servers} servers in {rooms} rooms, with {memberships} memberships",
        of_body,
        max(servers, rooms),
        min(servers * rooms, memberships),
        of_heads,
    )
    return Sizes(servers, users, rooms, memberships, presences)


def head_users(model: Model, servers: int, users: int, scenario: Scenario) -> Floats:
    """(heads,) how many users each head server of the model has in the grown federation, all its copies together."""
    growth, sigma = scenario.growth, servers / model.sizes.servers
    if growth.hub_users + growth.hub_number == growth.users:  # a constant share, whichever size was given
        return model.heads.users * (users / model.sizes.users)
    return np.asarray(model.heads.users * sigma ** (growth.hub_users + growth.hub_number))


def head_presence(model: Model, servers: int, users: int, rooms: int, memberships: int, scenario: Scenario) -> Floats:
    """(heads,) q, the share of its rooms that each head server of the model keeps.

    A room has its head servers with their measured share of its users. So a head server that stays behind the growth
    of all memberships is in fewer rooms, not in all of them with ever fewer users; and never in more than it has
    memberships.
    """
    heads, growth = model.heads, scenario.growth
    times = head_users(model, servers, users, scenario) / heads.users
    times *= (servers / model.sizes.servers) ** growth.rooms_per_user
    most = times * heads.memberships / (heads.rooms * (rooms / model.sizes.rooms))
    if growth.hubs_fall_behind:
        most = np.minimum(most, times / (memberships / model.sizes.memberships))
    return np.minimum(most, 1.0)


def _left_alone(model: Model, kept: Floats) -> float:
    """How many of the measured rooms would lose all their servers; each gets one of the body instead."""
    table = model.rooms
    lost = np.ones(len(table.number))
    np.multiply.at(lost, table.row, 1.0 - kept[table.head])
    only_heads = np.bincount(table.row, minlength=len(lost)) == table.servers
    return float(lost[only_heads] @ table.number[only_heads])


def factor(measured: Sizes, scenario: Scenario) -> float:
    """sigma: how many times as many servers.

    Raises:
        InfeasibleError: it shall follow from a size that does not grow.
    """
    growth = scenario.growth
    if scenario.servers is not None:
        return scenario.servers / measured.servers
    for name in ("users", "rooms"):
        size, exponent = getattr(scenario, name), getattr(growth, name)
        if size is not None:
            if exponent <= 0.0:
                raise InfeasibleError(
                    f"{name}: {size} {name} say nothing about the servers where growth.{name} is {exponent:g}; "
                    f"give servers, or growth.{name} above 0"
                )
            return float((size / getattr(measured, name)) ** (1.0 / exponent))
    return 1.0 if scenario.factor is None else float(scenario.factor)


def exponent_range(base: float, low: float, high: float, sigma: float) -> tuple[float, float]:
    """The exponents with low <= base sigma^exponent <= high; everything or nothing where sigma is 1."""
    if sigma == 1.0:
        return -inf, inf
    ends = [log(bound / base) / log(sigma) if bound > 0 else -inf for bound in (low, high)]
    return min(ends), max(ends)


@dataclass(frozen=True)
class _Declared:
    """A total that a law makes, and whether laws are declared or only sizes given."""

    sigma: float
    strictly: bool

    def within(
        self, name: str, exponent: float, what: str, base: float, low: int, high: int, besides: float = 0.0
    ) -> int:
        """``besides`` and ``base`` with its exponent, as far as it is possible."""
        wanted = besides + base * self.sigma**exponent
        if self.strictly and not low - 1 <= wanted <= high + 1:
            least, most = exponent_range(base, low - besides, high - besides, self.sigma)
            mend = (
                f"with the other assumptions give {least:.2f} to {most:.2f}"
                if isfinite(least) and isfinite(most)
                else "with the other assumptions no exponent mends that; give growth.rooms nearer to growth.users"
            )
            raise InfeasibleError(
                f"growth.{name}: {exponent:g} makes {wanted:.0f} {what}, which takes {low} to {high}; {mend}"
            )
        return max(low, min(high, round(wanted)))


def _enough_users(servers: int, users: int, sigma: float, measured: Sizes, scenario: Scenario) -> tuple[int, int]:
    """Servers and users, where there would be fewer users than servers."""
    if scenario.users is None and scenario.growth.users != 1.0:
        least, most = exponent_range(measured.users, servers, inf, sigma)
        raise InfeasibleError(
            f"growth.users: {scenario.growth.users:g} makes {users} users on {servers} servers, every server has a "
            f"user; give {'at least' if sigma > 1.0 else 'at most'} {least if sigma > 1.0 else most:.2f}"
        )
    if scenario.servers is None:
        return users, users
    if scenario.users is None:
        return servers, servers
    raise InfeasibleError(
        f"{users} users cannot be on {servers} servers, every server has a user; "
        f"give at least {servers} users or at most {users} servers"
    )
