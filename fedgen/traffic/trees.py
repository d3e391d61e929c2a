r"""Mechanisms that bring an event to every server exactly once: broadcast, relay trees, two levels, IP multicast.

An event that reaches n - 1 servers once each takes n - 1 deliveries, whoever makes them: these mechanisms differ in who
sends and how long it takes, never in the total. All formulas are exact for every n >= 2; n = 1 costs nothing. They
assume that the origin knows who is in the room (in Matrix it does: the room's state holds its members), that every
server answers, and that no message is lost; a relay that fails cuts off those behind it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from fedgen.traffic.spread import Spread, sizes, spread_of, whole

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    from fedgen.federation import Integers


@dataclass(frozen=True)
class Broadcast:
    """Full mesh: the origin sends to each of the n - 1 others, nobody relays.

    total = origin = n - 1; 1 round. Source: arXiv 1910.06295, section 5.1: what Matrix servers do.
    """

    name: ClassVar[str] = "broadcast"

    def spread(self, n: ArrayLike) -> Spread:
        """The expected cost of one event in rooms of n servers."""
        n = sizes(n)
        return spread_of(n, total=n - 1, origin_tx=n - 1, largest_tx=n - 1, rounds=np.ones(n.shape))


@dataclass(frozen=True)
class Tree:
    r"""Relay tree: a complete k-ary tree rooted at the origin, the others placed in it at random for each event.

    In level order the children of position i are ki + 1 .. ki + k, so that the root has min(k, n - 1) of them and
    nobody has more; total n - 1. A tree of depth d holds at most :math:`1 + k + ... + k^d = (k^{d+1} - 1)/(k - 1)`
    servers, hence :math:`\lceil \log_k(n (k-1) + 1) \rceil - 1` rounds (k = 1, a chain: n - 1), counted in integers.
    Source: Knuth, The Art of Computer Programming 1, section 2.3.4.5 (complete t-ary trees).

    Attributes:
        k: the fan-out, >= 1.
    """

    name: ClassVar[str] = "tree"
    k: int = 8

    def __post_init__(self) -> None:
        whole(self.k, 1, "tree: fan-out k")

    def spread(self, n: ArrayLike) -> Spread:
        """The expected cost of one event in rooms of n servers."""
        n = sizes(n)
        first = np.minimum(self.k, n - 1)
        return spread_of(n, total=n - 1, origin_tx=first, largest_tx=first, rounds=_depth(n, self.k))


@dataclass(frozen=True)
class Relays:
    r"""Two levels: the origin sends to g relays drawn at random, each of which sends to its share of the others.

    The m = n - 1 others are g relays and m - g leaves, ceil(m/g) - 1 of them at most behind one relay. The largest
    sender sends max(g, ceil(m/g) - 1), which is least for the smallest g with g(g + 1) >= m, the integer nearest to
    :math:`\sqrt{m}`; then it is g. Total n - 1; 2 rounds (1 for n = 2). Source: that derivation.
    """

    name: ClassVar[str] = "relays"

    def spread(self, n: ArrayLike) -> Spread:
        """The expected cost of one event in rooms of n servers."""
        n = sizes(n)
        relays = relay_count(n)
        return spread_of(n, total=n - 1, origin_tx=relays, largest_tx=relays, rounds=np.where(n > 2, 2.0, 1.0))


@dataclass(frozen=True)
class SharedRelay:
    r"""One relay per event, drawn by share: the origin sends to it, it sends to the n - 2 others.

    Server s of the room is the relay with probability x_s, whoever the origin is; an origin that draws itself
    broadcasts. So s sends :math:`w_s [x_s (n-1) + (1 - x_s)] + (W - w_s) x_s (n-2) = w_s + x_s W (n - 2)`: its own
    events once, and its share of all relaying. :func:`fedgen.traffic.adaptive.adapt` chooses the shares; this class has
    equal ones, x = 1/n. Total n - 1; 2 rounds, 1 where the origin is the relay (1/n) or the room has two servers.
    ``largest_tx`` is that of the relay, whichever server it is.
    """

    name: ClassVar[str] = "shared-relay"

    def spread(self, n: ArrayLike) -> Spread:
        """The expected cost of one event in rooms of n servers, with equal shares."""
        n = sizes(n)
        own = 1.0 / n
        return spread_of(
            n,
            total=n - 1,
            origin_tx=1 + (n - 2) * own,
            largest_tx=own * (n - 1) + (1 - own) * np.maximum(n - 2, 1),
            rounds=np.where(n > 2, 2.0 - own, 1.0),
        )


@dataclass(frozen=True)
class Multicast:
    """IP multicast: the origin sends once, the network copies; each of the others receives one.

    total = origin = 1 (for n > 1), received n - 1, the n - 2 further ones copied by routers: the only mechanism here
    whose servers receive more than they send. 1 round. Source: Deering and Cheriton, ACM TOCS 8(2), 1990 (RFC 1112).
    Between domains it is not to be had; it stands here as the bound that no unicast mechanism reaches.
    """

    name: ClassVar[str] = "multicast"

    def spread(self, n: ArrayLike) -> Spread:
        """The expected cost of one event in rooms of n servers."""
        n = sizes(n)
        one = np.ones(n.shape)
        return spread_of(n, total=one, origin_tx=one, largest_tx=one, rounds=one, copies=n - 2)


def relay_count(n: Integers) -> Integers:
    """The smallest g with g(g + 1) >= n - 1: the relays of a two-level room of n servers."""
    return np.rint(np.sqrt(n - 1.0)).astype(np.int64)


def _depth(n: Integers, k: int) -> Integers:
    """The depth of a complete k-ary tree of n nodes."""
    if k == 1:
        return n - 1
    depth, level, held = np.zeros(n.shape, dtype=np.int64), 1, 1
    while np.any(held < n):
        depth += held < n
        level *= k
        held += level
    return depth
