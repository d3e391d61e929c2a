r"""Mechanisms that flood an overlay in which every server has a few neighbours: Plumtree and gossipsub.

The overlay of a room of n servers is taken to be a random connected v-regular graph with v' = min(v, n - 1), of
L = floor(n v'/2) links (one server has a neighbour less where n v' is odd). The event is flooded: the origin sends on
its links, every other server, when it first hears of it, on all its links but the one it came by. That is
:math:`2L - (n - 1)` sends in all, exactly, because each link but the n - 1 first ones carries one in each direction:
with L = nv/2, :math:`n(v-1) + 1`. All neighbours of the origin hear it from the origin first, so it receives nothing.

Rounds are the eccentricity of the origin. With S half-links of the newest layer and u servers not yet reached, each
of the u v half-links of those is joined to one of the S with probability :math:`p \approx S/(S + uv)` (configuration
model, Bollobás 1980; in the code, the neighbours of one server are distinct and not itself), so that

.. math::
    u_{t+1} = u_t (1 - p_t)^v, \qquad S_{t+1} = v (u_t - u_{t+1}) - v u_t p_t

and :math:`P(\text{rounds} \le t) \approx (1 - u_t/u_1)^{u_1}`. Asymptotic: :math:`\log_{v-1} n +
\log_{v-1} \ln n + O(1)` (Bollobás and Fernandez de la Vega, Combinatorica 2, 1982). Against the simulation, n = 2 to
10^4: within 0.15 rounds for v >= 4, 0.35 for v = 3 (docs/mechanisms.md).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from fedgen.traffic.spread import Spread, sizes, spread_of, whole

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    from fedgen.federation import Floats, Integers


@dataclass(frozen=True)
class Plumtree:
    """Epidemic broadcast trees: the event itself along a spanning tree, its id on the other links of the overlay.

    The first flood leaves a tree of the links by which servers were first reached; later events go down it (n - 1
    payloads), and each of the other L - (n - 1) links carries an announcement (IHAVE) both ways: 2L - 2(n - 1), or
    n(v - 2) + 2. Rounds along the tree are those of the flood if it is rooted at the origin, as here; a tree shared by
    all origins is up to twice as deep. Source: Leitão, Pereira and Rodrigues, SRDS 2007;
    announcements are not batched.

    Attributes:
        v: neighbours per server (HyParView's active view), >= 3.
    """

    name: ClassVar[str] = "plumtree"
    v: int = 5

    def __post_init__(self) -> None:
        whole(self.v, 3, "plumtree: view v")

    def spread(self, n: ArrayLike) -> Spread:
        """The expected cost of one event in rooms of n servers."""
        n = sizes(n)
        return _flood(n, self.v, announcements=2 * _links(n, self.v) - 2 * (n - 1))


@dataclass(frozen=True)
class Gossipsub:
    """Gossipsub: the event itself on every link of a mesh of degree D, to all but the server it came from.

    n(D - 1) + 1 copies, n - 1 of them needed. Source: Vyzovitis et al., arXiv 2007.02754, and the libp2p
    specification, gossipsub v1.0 (D = 6). What every heartbeat gossips besides (ids to D_lazy servers outside the
    mesh) is per unit of time, not per event, and is left out.

    Attributes:
        d: neighbours per server in the mesh, >= 3.
    """

    name: ClassVar[str] = "gossipsub"
    d: int = 6

    def __post_init__(self) -> None:
        whole(self.d, 3, "gossipsub: mesh degree D")

    def spread(self, n: ArrayLike) -> Spread:
        """The expected cost of one event in rooms of n servers."""
        return _flood(sizes(n), self.d, announcements=0)


def _links(n: Integers, degree: int) -> Integers:
    return n * np.minimum(degree, n - 1) // 2


def _flood(n: Integers, degree: int, announcements: ArrayLike) -> Spread:
    links = _links(n, degree)
    neighbours = 2 * links / n
    return spread_of(
        n,
        total=2 * links - (n - 1),
        origin_tx=neighbours,
        largest_tx=neighbours,
        rounds=eccentricity(n, degree),
        announcements=announcements,
    )


def eccentricity(n: Integers, degree: int) -> Floats:
    """Expected eccentricity of a server in a random regular graph, by the layers of its neighbourhood."""
    v = np.minimum(degree, np.maximum(n - 1, 1)).astype(float)
    missing, stubs = n - 1.0, v
    rounds = np.zeros(n.shape)
    second = np.maximum(n - 1.0 - v, 1.0)  # not reached by the first round, for certain
    for step in range(int(n.max(initial=1)).bit_length() * 4 + 8):
        with np.errstate(divide="ignore"):
            late = -np.expm1(second * np.log1p(-np.minimum(missing / second, 1.0)))  # P(somebody is not reached yet)
        if not np.any(late > 1e-12):
            break
        rounds += late if step else n > 1
        unseen = np.ones(n.shape)  # P(none of its v neighbours is of the newest layer)
        for drawn in range(degree):
            far = np.maximum(missing - 1 - drawn, 0.0) * v
            unseen *= np.where(drawn < v, far / np.maximum(stubs + far, 1e-300), 1.0)
        joined = stubs / np.maximum(stubs + np.maximum(missing - 1, 0.0) * v, 1e-300)
        left = missing * unseen
        stubs = np.maximum(v * (missing - left) - v * missing * joined, 0.0)
        missing = left
    return np.where(n <= degree + 1, np.minimum(1.0, n - 1.0), rounds)
