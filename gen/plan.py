"""Sizes: from what the user asks for to a plan that can be met.

What is not given follows by the laws of a scenario (:mod:`gen.growth`); by default everything grows in proportion.
Sizes given win over laws: then the laws that they leave hold from the factor of servers that follows.

A federation of S servers keeps at most S / 2 of the model's head servers, those with most memberships; the users of
the others go to the body. So a federation of one server is a plain one.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from importlib.metadata import version
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np

from fedgen.errors import InfeasibleError, UsageError
from fedgen.provenance import versions
from fitting.crawl import larger_crawl
from fitting.model import Model
from gen.apportion import reconcile
from gen.decentralization import movers_of
from gen.growth import Growth, whole
from gen.scenario import Scenario
from gen.sizes import exponent_range, grown_sizes, head_presence, head_users
from gen.streams import stream

Margins = Literal["drawn", "measured"]

if TYPE_CHECKING:
    from fedgen.federation import Floats, Integers
    from fitting.crawl import Crawl
    from fitting.model import Sizes
    from gen.streams import Stage


_SLACK = 1e-9
TRUSTED = 2
"""Up to so many times the rooms a larger crawl is a forecast: there the series of Good and Toulmin (1956) converges."""


@dataclass(frozen=True, eq=False)
class Plan:
    """What will be drawn.

    Attributes:
        servers, users, rooms: S, U, R: exact.
        memberships, presences: M, K: aimed at; the draw decides.
        head_users: (H,) users of each head server: exact. Those of the model that are kept, in its order, once for
            each of ``head_copies``.
        head_copies: how often each head server of the model is there.
        head_memberships: (H,) memberships of each head server: aimed at.
        head_presence: (heads kept,) the share of its rooms that each head server of the model keeps, copies together; 1
            unless hubs fall behind the growth of the others.
        room_servers: how many times as many servers of the body as measured the mean room has.
        seed: of the draw.
        model: digest of the model.
        measured: sizes of the measurement.
        scenario: what was assumed.
        crawl: the larger crawl that is drawn from; None: the model itself is.
        margins: ``drawn`` from the laws, or as ``measured``.
        district: which part of a larger federation this is (:mod:`gen.districts`).
    """

    servers: int
    users: int
    rooms: int
    memberships: int
    presences: int
    head_users: Integers
    head_copies: int
    head_memberships: Floats
    head_presence: Floats
    room_servers: float
    seed: int
    model: str
    measured: Sizes
    scenario: Scenario
    margins: Margins = "drawn"
    crawl: Crawl | None = None
    district: int = 0

    def stream(self, stage: Stage) -> np.random.Generator:
        """The generator of one stage of this draw."""
        return stream(self.seed, stage, self.district)

    @property
    def heads_kept(self) -> int:
        """How many of the model's head servers there are, copies not counted."""
        return len(self.head_users) // self.head_copies

    @property
    def drawn_from(self) -> Sizes:
        """Sizes of the model that is drawn from: the measured ones, or those of the larger crawl."""
        return self.measured if self.crawl is None else self.crawl.model.sizes

    @property
    def regions(self) -> int:
        """How many federations like the one drawn from this one is, as who meets whom goes: in servers and in rooms."""
        s = self.drawn_from
        return max(1, round(min(self.servers / s.servers, self.rooms / s.rooms)))

    @property
    def server_rooms(self) -> float:
        """How many times as many rooms as in the model the mean server has."""
        s = self.drawn_from
        return self.presences / self.servers / (s.presences / s.servers)

    @property
    def room_users_beyond(self) -> float:
        """How many times as many users beyond one per server as in the model the mean room has."""
        s = self.drawn_from
        return (self.memberships - self.presences) / self.rooms / max((s.memberships - s.presences) / s.rooms, _SLACK)

    def to_dict(self) -> dict[str, Any]:
        """The plan as it is written to ``plan.json``; numbers under ``growth`` are factors over the measurement."""
        measured, scenario = self.measured, self.scenario
        sizes = {"servers": self.servers, "users": self.users, "rooms": self.rooms}
        return {
            "fedgen": version("fedgen"),
            "model": self.model,
            "margins": self.margins,
            "sizes": sizes,
            "expected": {"memberships": self.memberships, "presences": self.presences},
            "growth": {
                "scenario": scenario.title,
                "mode": scenario.mode,
                **{name: size / getattr(measured, name) for name, size in sizes.items()},
                "rooms_per_user": self.memberships / self.users / (measured.memberships / measured.users),
                "rooms_per_server": self.presences / self.servers / (measured.presences / measured.servers),
                "users_per_room": self.memberships / self.rooms / (measured.memberships / measured.rooms),
                "servers_per_room": self.presences / self.rooms / (measured.presences / measured.rooms),
                "head_servers": len(self.head_users),
                "regions": self.regions,
                "laws": asdict(scenario.growth),
                "decentralize": asdict(scenario.decentralize) if scenario.decentralize else None,
                "assumed": self.assumptions(),
            },
            "seed": self.seed,
            "versions": versions(),
        }

    def assumptions(self) -> list[str]:
        """What was assumed, in sentences; none where all is as measured."""
        s, scenario = self.measured, self.scenario
        as_measured = (self.servers, self.users, self.rooms) == (s.servers, s.users, s.rooms)
        lines = []
        if scenario.mode == "scenario" and not as_measured:
            of = scenario.growth.assumptions()
            given = {name: getattr(scenario, name) for name in ("users", "rooms")}
            of |= {name: f"{size} {name}, as given" for name, size in given.items() if size is not None}
            lines = list(of.values())
        if self.crawl is not None:
            lines = _sentences(self.crawl)
        if scenario.decentralize is not None:
            lines.append(scenario.decentralize.assumption())
        return lines


def make_plan(
    model: Model,
    *,
    servers: int | None = None,
    users: int | None = None,
    rooms: int | None = None,
    margins: Margins = "drawn",
    seed: int = 0,
    scenario: Scenario | None = None,
) -> Plan:
    """Settle the sizes of a federation.

    Args:
        model: the fitted model.
        servers, users, rooms: >= 1, in the place of the scenario's; what is not given follows, by the scenario's laws,
            the first that is; none given: as measured.
        margins: ``measured`` has the measured sizes and no other.
        seed: >= 0.
        scenario: what is assumed; default: everything grows in proportion.

    Raises:
        UsageError: a size or the seed is not a whole number in its range, or no such margins.
        InfeasibleError: sizes or assumptions that cannot be met together; the message has the feasible range.
    """
    if not isinstance(model, Model):
        raise UsageError(f"sample takes a Model, not {type(model).__name__}; load a file with fedgen.Model.load")
    if not whole(seed) or seed < 0:
        raise UsageError(f"seed: {seed} is not a seed; give a whole number from 0 up")
    if margins not in get_args(Margins):
        raise UsageError(f"margins: {margins!r} is not known; give {' or '.join(get_args(Margins))}")
    scenario = scenario or Scenario()
    scenario = replace(
        scenario,
        servers=scenario.servers if servers is None else servers,
        users=scenario.users if users is None else users,
        rooms=scenario.rooms if rooms is None else rooms,
    )
    if margins == "measured":
        _as_measured(model.sizes, scenario)
    if scenario.mode == "crawl":
        seen = model.sizes.rooms
        crawl = larger_crawl(model, scenario.rooms or round((scenario.factor or 1.0) * seen), seed)
        return replace(_settled(crawl.model, Scenario(), model, "drawn", seed), scenario=scenario, crawl=crawl)
    return _settled(model, scenario, model, margins, seed)


def _settled(model: Model, scenario: Scenario, measured: Model, margins: Margins, seed: int) -> Plan:
    """The plan of a draw from ``model``, which is the ``measured`` one or what a larger crawl makes of it."""
    sizes = grown_sizes(model, scenario)
    copies, of_heads = _heads(model, sizes, scenario)
    if margins == "measured":
        of_heads = model.heads.users
    kept = len(of_heads) // copies
    each = np.tile(model.heads.memberships[:kept] / model.heads.users[:kept], copies)
    sigma = sizes.servers / model.sizes.servers
    head_memberships = of_heads * each * sigma**scenario.growth.rooms_per_user
    plan = Plan(
        servers=sizes.servers,
        users=sizes.users,
        rooms=sizes.rooms,
        memberships=sizes.memberships,
        presences=sizes.presences,
        head_users=of_heads,
        head_copies=copies,
        head_memberships=head_memberships,
        head_presence=head_presence(model, sizes.servers, sizes.users, sizes.rooms, sizes.memberships, scenario)[:kept],
        room_servers=sigma ** (1.0 + scenario.growth.rooms_per_server) * model.sizes.rooms / sizes.rooms,
        seed=int(seed),
        model=measured.digest,
        measured=measured.sizes,
        scenario=scenario,
        margins=margins,
    )
    movers_of(model, plan)  # refuses what hubs cannot give
    return plan


def _sentences(crawl: Crawl) -> list[str]:
    """What a larger crawl is expected to find, and how far that is to be trusted."""
    lines = [
        f"{crawl.factor:g} times as many rooms of the same federation were seen: an estimate, not a law of growth",
        *(
            f"that finds {found} {name}, within {interval.low:.0f} to {interval.high:.0f} in 95 % of cases"
            for name, found, interval in (
                ("servers", crawl.servers, crawl.servers_interval),
                ("users", crawl.users, crawl.users_interval),
            )
        ),
    ]
    if crawl.factor > TRUSTED:
        lines.append(
            f"beyond {TRUSTED} times the rooms that were seen this is a warning, not a forecast: "
            "those never seen may be unlike those seen"
        )
    return lines


def _as_measured(measured: Sizes, scenario: Scenario) -> None:
    """Raise where another federation is asked for than the measured one."""
    for name in ("servers", "users", "rooms"):
        size = getattr(scenario, name)
        if size not in (None, getattr(measured, name)):
            raise InfeasibleError(
                f"measured margins are those of {getattr(measured, name)} {name}, not of {size}; "
                f"leave --{name} out or draw the margins"
            )
    if scenario.factor not in (None, 1):
        raise InfeasibleError(
            f"measured margins are of the measured size, not {scenario.factor:g} times it; draw the margins"
        )


def _heads(model: Model, sizes: Sizes, scenario: Scenario) -> tuple[int, Integers]:
    """How often each head server of the model is there, and (H,) the users of each."""
    growth, sigma = scenario.growth, sizes.servers / model.sizes.servers
    copies = max(1, round(sigma**growth.hub_number))
    kept = min(len(model.heads.users), sizes.servers // (2 * copies))
    of_each = head_users(model, sizes.servers, sizes.users, scenario)[:kept]
    users = np.maximum(1, np.rint(np.tile(of_each / copies, copies))).astype(np.int64)
    most = sizes.users - (sizes.servers - len(users))  # one user at least is left for every other server
    if users.sum() > most:
        if growth != Growth() and sigma != 1.0:
            low, high = exponent_range(float(model.heads.users[:kept].sum()), 1.0, float(most), sigma)
            raise InfeasibleError(
                f"growth.hub_users: {growth.hub_users:g} puts {users.sum()} of {sizes.users} users on {len(users)} "
                f"head servers, and {sizes.servers - len(users)} other servers need one each; "
                f"give {low - growth.hub_number:.2f} to {high - growth.hub_number:.2f}"
            )
        users = reconcile(users, 1, sizes.users, most, np.random.default_rng(0))
    return copies, users
