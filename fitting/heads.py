"""The head servers: those too large to be drawn from a law.

In Matrix 2018 two servers held 87 % of all users, 30-80 times beyond what the law of the others allows; what they do
decides every total. So the servers with at least 1 % of all memberships, twenty at most, are listed one by one. In a
federation of fewer than a thousand servers 1 % is nothing special; there a head must besides hold ten times the mean
server's share.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from fedgen.federation import Federation, Integers

SMALLEST_SHARE = 0.01
MOST = 20
TIMES_MEAN = 10


def smallest_share(n_servers: int) -> float:
    """The share of all memberships that makes a head server in a federation of ``n_servers``."""
    return max(SMALLEST_SHARE, TIMES_MEAN / n_servers)


def find_heads(federation: Federation) -> Integers:
    """The head servers, most memberships first; at most :data:`MOST`, perhaps none."""
    memberships = federation.memberships_per_server
    least = smallest_share(federation.n_servers) * federation.n_memberships
    order = np.argsort(-memberships, kind="stable")[:MOST]
    return order[memberships[order] >= least]
