r"""Pseudonyms: what an identifier becomes the moment it arrives.

A pseudonym is a keyed hash, :math:`\mathrm{BLAKE2b}(key, kind, id)` of 128 bits (RFC 7693; a keyed hash and not a plain
one, since names of users and servers can be guessed and tried). N identifiers of one kind meet by chance with
probability below :math:`N^2 / 2^{129}`: 10^-25 for a million, 10^-19 for a thousand million.

The key is in memory and nowhere else. A measurement that is done in one go draws it (:meth:`Key.drawn`) and forgets
it; one that may be killed and continued derives it anew each time from a secret that the person who measures holds,
by scrypt (RFC 7914; 16 MiB and tens of milliseconds a guess) with a salt that is written down until the measurement
ends and is then deleted (:meth:`Key.derived`). Once salt or secret is gone, nobody can tell whose pseudonym one was.

What is written in the end bears not even pseudonyms (:mod:`fedgen.measure.sightings`).
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field
from functools import cached_property
from hashlib import blake2b, scrypt

SIZE = 16
"""Bytes of a pseudonym."""
SALT = 16
"""Bytes of a salt."""
_COST = {"n": 1 << 14, "r": 8, "p": 1, "maxmem": 1 << 26}


@dataclass(frozen=True)
class Key:
    """The secret of one measurement; its ``repr`` does not show it.

    Attributes:
        secret: 32 bytes.
    """

    secret: bytes = field(repr=False)

    @classmethod
    def drawn(cls) -> Key:
        """A key that lives and dies with this process."""
        return cls(secrets.token_bytes(32))

    @classmethod
    def derived(cls, secret: str, salt: bytes) -> Key:
        """The key that a secret and a salt always give."""
        return cls(scrypt(secret.encode("utf-8", "surrogateescape"), salt=salt, dklen=32, **_COST))

    def part(self, purpose: str) -> bytes:
        """A key of 32 bytes for one purpose, which tells nothing of those for others."""
        return blake2b(purpose.encode(), key=self.secret, digest_size=32).digest()


@dataclass(frozen=True)
class Pseudonyms:
    """The pseudonyms under a key.

    Attributes:
        key: of :meth:`Key.part`.
    """

    key: bytes = field(repr=False)

    @classmethod
    def under(cls, key: Key) -> Pseudonyms:
        """Those of a measurement."""
        return cls(key.part("pseudonyms"))

    def user(self, user_id: str) -> bytes:
        """SIZE bytes for ``@local:server``."""
        return self._hashed(b"user", user_id)

    def server(self, name: str) -> bytes:
        """SIZE bytes for a server name, whose case means nothing."""
        return self._hashed(b"server", name.lower())

    def room(self, room_id: str) -> bytes:
        """SIZE bytes for a room id."""
        return self._hashed(b"room", room_id)

    def _hashed(self, kind: bytes, text: str) -> bytes:
        hashed = self._begun[kind].copy()  # faster than to begin anew
        hashed.update(text.encode("utf-8", "surrogatepass"))
        return hashed.digest()

    @cached_property
    def _begun(self) -> dict[bytes, blake2b]:
        return {kind: blake2b(key=self.key, person=kind, digest_size=SIZE) for kind in (b"user", b"server", b"room")}
