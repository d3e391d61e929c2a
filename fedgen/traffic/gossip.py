r"""Mechanisms in which servers send to others drawn at random: push, infect-and-die, push-pull.

One turn. A server that knows the event sends it to f distinct ones of the n - 1 others, drawn uniformly (all of them
where f >= n - 1). With i servers informed, u = n - i not, the number that it informs is hypergeometric:
f draws from n - 1 of which u are new (Çağlar and Sezer, arXiv 1403.2689, section 2). A server stays uninformed with
probability :math:`q = 1 - f/(n-1)` per turn, so that

.. math::  E[u \text{ after } a \text{ turns}] = u\, q^a                                     \qquad (1)

exactly. The mechanisms differ in who takes a turn when; servers act in rounds, all that a round informs act from the
next on.

*Exact* for n <= EXACT: the Markov chain on the number informed (infect-and-die: informed and newest), its transition
the a-th power of the hypergeometric step. *Above*: the recursion (1) round by round, in which fluctuations are
:math:`O(n^{-1/2})` relative since the first turns inform f new ones each almost surely, with the end told from its
law: the last ones are missed independently, so that :math:`P(\text{all by round } t) = (1 - u_t/(n-1))^{n-1}`. Pull
makes the beginning random too; its first two rounds are averaged over. The error of each is stated with it and measured
in docs/mechanisms.md. Assumed: no losses, everybody can reach everybody (membership known), rounds in step.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, ClassVar, NamedTuple

import numpy as np

from fedgen.traffic.spread import Spread, sizes, spread_of, whole

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import ArrayLike

    from fedgen.federation import Floats, Integers

EXACT = 64
"""The largest room whose gossip is computed by its Markov chain."""


class _Cost(NamedTuple):
    """What the gossip mechanisms compute, as columns of :class:`Spread`."""

    total: ArrayLike
    origin_tx: ArrayLike
    rounds: ArrayLike
    origin_rx: ArrayLike
    reached: ArrayLike = 1.0
    certain: ArrayLike = 1.0


@dataclass(frozen=True)
class Push:
    r"""Push gossip: in every round each informed server sends to f others, until the last one is reached.

    The round in which that happens is completed and counted. With u_t from (1), i_t = n - u_t and T the number of
    rounds: rounds = :math:`\sum_t P(T > t)`, origin f E[T], total :math:`\sum_t f\, i_t P(T > t)`. Closed forms: until
    the last server is reached the sends are those of a coupon collector, (n - 1) H_{n-1} (exact for f = 1), so total
    :math:`\approx n(\ln n + 0.58 + f/2)`; rounds :math:`\approx \log_{f+1} n + (\ln n)/f + O(1)` (Pittel, SIAM J. Appl.
    Math. 47, 1987, for f = 1). Servers do not know when all are reached; a protocol that stops by itself sends more, or
    misses some. Error: exact for n <= 64; above, 1 % of total and rounds.

    Attributes:
        f: the fan-out, >= 1.
    """

    name: ClassVar[str] = "push"
    f: int = 3

    def __post_init__(self) -> None:
        whole(self.f, 1, "push: fan-out f")

    def spread(self, n: ArrayLike) -> Spread:
        """The expected cost of one event in rooms of n servers."""
        return _spread(sizes(n), self.f, _push_exact, _push_large)


@dataclass(frozen=True)
class InfectAndDie:
    r"""Infect-and-die gossip: every server sends to f others once, when it first hears of the event.

    It ends when as many turns are taken as servers informed, j = i_j. By (1) the number reached is the j with
    :math:`j = n - (n-1) q^j`, as n grows the share :math:`\pi = 1 - e^{-f\pi}`; the correction of order 1 follows from
    :math:`E[u_J q^{-J}] = n - 1` (optional stopping) and the variance of the occupancy, see :func:`_reached`. total
    f n :math:`\pi`, all reached with probability :math:`\exp(-(n - E j)) \approx \exp(-n e^{-f})` (Erdős and Rényi,
    1960; Eugster et al., IEEE Computer 37(5), 2004). Rounds: until the last of those that are reached; from the
    largest generation on, a branching process with the offspring of (1). Error: exact for n <= 64; above, 0.1 % of
    total, 0.1 rounds, 0.02 of the probability that all are reached.

    Attributes:
        f: the fan-out, >= 2 (with 1 the event is passed along one path until it bites its tail).
    """

    name: ClassVar[str] = "infect-and-die"
    f: int = 4

    def __post_init__(self) -> None:
        whole(self.f, 2, "infect-and-die: fan-out f")

    def spread(self, n: ArrayLike) -> Spread:
        """The expected cost of one event in rooms of n servers."""
        return _spread(sizes(n), self.f, _once_exact, _once_large, once=True)


@dataclass(frozen=True)
class PushPull:
    r"""Push-pull gossip: in every round *each* server calls f others; whoever of the two has the event sends it.

    A call costs one transaction per party that is informed when the round begins, 2 f i_t per round in expectation;
    calls between two that know nothing cost nothing (in a busy room they serve other events). The round in which the
    last is reached is the last. A server stays uninformed if no informed one calls it and it calls none: its factor in
    (1) becomes :math:`q^{i} \binom{n-1-i}{f} / \binom{n-1}{f}`. Asymptotic: :math:`\log_3 n + O(\ln\ln n)` rounds and
    :math:`\Theta(n \ln\ln n)` transactions for f = 1 (Karp, Schindelhauer, Shenker and Vöcking, FOCS 2000, whose
    counter also tells the servers when to stop). Error: exact for n <= 64; above, 1 % of total, 0.05 rounds.

    Attributes:
        f: servers called per round, >= 1.
    """

    name: ClassVar[str] = "push-pull"
    f: int = 1

    def __post_init__(self) -> None:
        whole(self.f, 1, "push-pull: fan-out f")

    def spread(self, n: ArrayLike) -> Spread:
        """The expected cost of one event in rooms of n servers."""
        return _spread(sizes(n), self.f, _pull_exact, _pull_large)


def _spread(
    n: Integers,
    f: int,
    exact: Callable[[int, int], _Cost],
    large: Callable[[Integers, int], _Cost],
    once: bool = False,
) -> Spread:
    columns = {field: np.ones(n.shape) for field in _Cost._fields}
    many = n > EXACT
    if np.any(many):
        for field, values in zip(_Cost._fields, large(n[many], f), strict=True):
            columns[field][many] = values
    for size in np.unique(n[~many & (n > 1)]).tolist():
        for field, values in zip(_Cost._fields, exact(size, f), strict=True):
            columns[field][n == size] = values
    # The origin is informed first and stops last: no role sends more.
    return spread_of(n, largest_tx=np.minimum(f, n - 1) if once else columns["origin_tx"], **columns)


# Rooms up to EXACT: the chain itself.


@lru_cache(maxsize=512)
def _turn(n: int, f: int) -> Floats:
    """(n + 1, n + 1) law of the number informed after one turn, given the number before (row 0 is not used)."""
    from scipy.stats import hypergeom

    before, after = np.ogrid[0 : n + 1, 0 : n + 1]
    law = hypergeom.pmf(after - before, n - 1, np.minimum(n - before, n - 1), min(f, n - 1))
    return np.nan_to_num(np.asarray(law, dtype=float))


def _turns(n: int, f: int) -> Floats:
    """(n + 1, n + 1, n + 1): entry [a, i] is the law of the number informed after a turns, given i before."""
    powers = np.empty((n + 1, n + 1, n + 1))
    powers[0] = np.eye(n + 1)
    for a in range(n):
        powers[a + 1] = powers[a] @ _turn(n, f)
    return powers


def _until_all(step: Floats, n: int, per_turn: int, calls: int) -> _Cost:
    """Rounds from one informed until all are: ``step`` is the law of a round, ``calls`` the senders per call."""
    law = np.zeros(n + 1)
    law[1] = 1.0
    informed = np.arange(n + 1)
    rounds = total = heard = 0.0
    while law[:n].sum() > 1e-14:
        rounds += law[:n].sum()
        total += calls * per_turn * float(law[:n] @ informed[:n])
        heard += calls * per_turn * float(law[:n] @ (informed[:n] - 1)) / (n - 1)
        law[n] = 0.0
        law = law @ step
    return _Cost(total, calls * per_turn * rounds, rounds, heard)


@lru_cache(maxsize=4096)
def _push_exact(n: int, f: int) -> _Cost:
    powers = _turns(n, f)
    step = powers[np.arange(n + 1), np.arange(n + 1)]
    return _until_all(step, n, min(f, n - 1), 1)


@lru_cache(maxsize=4096)
def _pull_exact(n: int, f: int) -> _Cost:
    from scipy.stats import binom

    pushed = _turns(n, f)[np.arange(n + 1), np.arange(n + 1)]
    before = np.arange(n + 1)
    found = 1 - _miss(before[1:], n, min(f, n - 1))  # P(a caller meets an informed one)
    step = np.zeros((n + 1, n + 1))
    middle, after = np.ogrid[0 : n + 1, 0 : n + 1]
    for i in range(1, n + 1):
        step[i] = pushed[i] @ binom.pmf(after - middle, n - middle, found[i - 1])
    return _until_all(step, n, min(f, n - 1), 2)


@lru_cache(maxsize=4096)
def _once_exact(n: int, f: int) -> _Cost:
    powers = _turns(n, f)
    sent = min(f, n - 1)
    law = np.zeros((n + 1, n + 1))  # by informed and newest
    law[1, 1] = 1.0
    at, new = np.meshgrid(np.arange(n + 1), np.arange(n + 1), indexing="ij")
    final, rounds = np.zeros(n + 1), -1.0
    while law.sum() > 1e-14:
        rounds += law.sum()
        moved = np.einsum("ia,aij->ij", law, powers)
        law = np.zeros_like(law)
        grown = new > at
        law[new[grown], (new - at)[grown]] = 0.0
        np.add.at(law, (new[grown], (new - at)[grown]), moved[grown])
        final += np.diagonal(moved)
    reached = float(final @ np.arange(n + 1))
    return _Cost(sent * reached, sent, rounds, sent * (reached - 1) / (n - 1), reached / n, float(final[n]))


def _miss(informed: Floats | Integers, n: Integers | int, f: int) -> Floats:
    """P(f distinct others that an uninformed server calls are all uninformed)."""
    chance = np.ones(np.broadcast_shapes(np.shape(informed), np.shape(n)))
    for drawn in range(f):
        chance = chance * np.clip((n - 1 - informed - drawn) / np.maximum(n - 1 - drawn, 1), 0.0, 1.0)
    return chance


# Larger rooms: the recursion, all sizes at once. Here f < n - 1 unless the fan-out is as large as the room.


def _push_large(n: Integers, f: int) -> _Cost:
    sent = np.minimum(f, n - 1)
    keep = 1 - sent / (n - 1)
    missing = n - 1.0
    rounds, total, heard = np.zeros(n.shape), np.zeros(n.shape), np.zeros(n.shape)
    while np.any(late := _late(missing, n)):
        rounds += late
        total += late * sent * (n - missing)
        heard += late * sent * (n - missing - 1) / (n - 1)
        missing = missing * keep ** (n - missing)
    return _Cost(total, sent * rounds, rounds, heard)


def _pull_large(n: Integers, f: int) -> _Cost:
    """As push, averaged over the number informed after two rounds.

    The callers of the first are enumerated, those of the second put on five nodes of a normal law (Gauss-Hermite).
    """
    from scipy.stats import binom

    nodes, chances = np.polynomial.hermite_e.hermegauss(5)
    callers = np.arange(8 + f + int(8 * f**0.5))
    size = n[:, None, None]
    sent = np.minimum(f, size - 1)
    keep = 1 - sent / (size - 1)
    others = size - 1 - sent  # not called by the origin; each calls it with probability f/(n - 1)
    weight = binom.pmf(callers[:, None], others, 1 - keep) * (chances / chances.sum())
    weight /= weight.sum(axis=(1, 2), keepdims=True)
    first = np.minimum(1 + sent + callers[:, None], size) + 0.0 * nodes
    pushed = (size - first) * keep**first
    missed = _miss(first, size, f)
    middle = pushed * missed
    missing = np.clip(middle + nodes * np.sqrt(middle * (1 - missed)), 0.0, size - first)
    early = first < size
    rounds = 1.0 + early
    total = 2 * sent * (1 + first * early)
    heard = 2 * sent * (first - 1) * early / (size - 1)
    while np.any(late := _late(missing, size)):
        informed = size - missing
        rounds = rounds + late
        total = total + late * 2 * sent * informed
        heard = heard + late * 2 * sent * (informed - 1) / (size - 1)
        missing = missing * keep**informed * _miss(informed, size, f)
    total, rounds, heard = (np.sum(weight * values, axis=(1, 2)) for values in (total, rounds, heard))
    return _Cost(total, 2 * np.minimum(f, n - 1) * rounds, rounds, heard)


def _late(missing: Floats, n: Integers) -> Floats:
    """P(somebody is not reached), the mean number of them given; 0 once negligible, so that loops end."""
    share = np.minimum(missing / (n - 1), 1.0)
    with np.errstate(divide="ignore"):
        late = -np.expm1((n - 1) * np.log1p(-share))
    return np.where(late > 1e-12, late, 0.0)


def _once_large(n: Integers, f: int) -> _Cost:
    sent = np.minimum(f, n - 1)
    reached = _reached(n, sent)
    return _Cost(
        sent * reached,
        sent,
        _generations(n, sent),
        sent * (reached - 1) / (n - 1),
        reached / n,
        np.exp(reached - n),
    )


def _reached(n: Integers, f: Integers) -> Floats:
    r"""Expected number reached by infect-and-die.

    J0 solves :math:`j = n - (n-1) q^j`. :math:`(n - J) q^{-J}` has mean n - 1, so to second order E J = J0 -
    (g''/g')(J0) Var(J)/2 with :math:`g(j) = (n-j) q^{-j}`, :math:`g' = -(1 - \lambda u) q^{-j}`, :math:`g'' =
    -\lambda (2 - \lambda u) q^{-j}`, :math:`\lambda = -\ln q`, u = n - J0; Var(J) is that of the occupancy,
    :math:`n e^{-c} (1 - (1 + c) e^{-c})` with c = f J0/n, over the squared slope :math:`(1 - \lambda u)^2`.
    """
    n = n.astype(float)
    keep = np.maximum(1 - f / (n - 1), 1e-300)
    at = n.copy()
    for _ in range(200):
        at = n - (n - 1) * keep**at
    rate, left = -np.log(keep), n - at
    slope, load = 1 - rate * left, f * at / n
    variance = n * np.exp(-load) * (1 - (1 + load) * np.exp(-load)) / slope**2
    return np.minimum(at - rate * (2 - rate * left) / slope * variance / 2, n)


def _generations(n: Integers, f: Integers) -> Floats:
    """Expected number of the last generation that informs somebody."""
    n = n.astype(float)
    keep = 1 - f / (n - 1)
    newest, missing = [np.ones(n.shape)], n - 1
    while np.any(newest[-1] > 1e-9) and len(newest) < 10 * int(n.max()).bit_length() + 200:
        left = missing * keep ** newest[-1]
        newest.append(missing - left)
        missing = left
    size = np.array(newest)
    peak = np.argmax(size, axis=0)
    rounds = np.zeros(n.shape)
    for t in range(1, len(size)):
        dead = np.zeros(n.shape)  # P(no server is of generation t | one of generation s), s from t down
        for s in range(t - 1, -1, -1):
            offspring = np.clip(size[s + 1] / np.maximum(size[s], 1e-300) / f, 0.0, 1.0)
            dead = np.where(s >= peak, (1 - offspring * (1 - dead)) ** f, dead)
        nobody = np.where(t > peak, dead ** np.take_along_axis(size, peak[None], axis=0)[0], 0.0)
        rounds += 1 - nobody
    return rounds
