"""Rooms that have kicked or banned the crawler, remembered from one crawl to the next.

They are kept as account data of the crawler's own user: on the homeserver that saw the kick anyway, and wherever the
user crawls from. What is kept are hashes under a salt, so that the list itself names no room.
"""

from __future__ import annotations

import asyncio
import secrets
from hashlib import blake2b
from typing import TYPE_CHECKING, Any

from fedgen.errors import MeasureError
from fedgen.measure.answers import OptOuts
from fedgen.measure.client import CLIENT, Question, RefusedError, UnansweredError

if TYPE_CHECKING:
    from fedgen.measure.client import Client

TYPE = "fedgen.measure.opt_outs"
"""Of the account data."""


class Memory:
    """The rooms that opted out by a kick or a ban.

    Attributes:
        salt: of the hashes, hexadecimal.
        rooms: hashes, hexadecimal.
        kept: whether the account holds all of them.
    """

    def __init__(self, client: Client, user: str, salt: str, rooms: set[str]) -> None:
        self._client, self._user = client, user
        self._writing = asyncio.Lock()
        self.salt, self.rooms, self.kept = salt, rooms, True

    @classmethod
    async def recalled(cls, client: Client, user: str) -> Memory:
        """What the account of ``user`` remembers.

        Raises:
            MeasureError: as of the client; or it cannot be read, and nobody crawls without knowing who opted out.
        """
        try:
            found = await client.ask(Question("GET", cls._path(user)), OptOuts)
        except RefusedError as error:
            if error.status != 404:
                raise
            found = OptOuts(secrets.token_hex(16), [])
        except UnansweredError:
            raise MeasureError(
                "the opt-outs that the crawler's account remembers cannot be read; try again, or mend its account data "
                f"{TYPE}"
            ) from None
        return cls(client, user, found.salt, set(found.rooms))

    def holds(self, room_id: str) -> bool:
        """Whether a room opted out."""
        return self._hashed(room_id) in self.rooms

    async def remember(self, room_id: str) -> None:
        """A room opted out: never again.

        Raises:
            MeasureError: as of the client; but not if the account does not take it, see :attr:`kept`.
        """
        if not self.holds(room_id):
            self.rooms.add(self._hashed(room_id))
            self.kept = False
        await self.keep()

    async def keep(self) -> None:
        """Write what the account does not hold yet; errors as of :meth:`remember`."""
        async with self._writing:  # one after the other: the last to arrive counts
            if self.kept:
                return
            rooms = sorted(self.rooms)
            question = Question("PUT", self._path(self._user), body={"salt": self.salt, "rooms": rooms})
            try:
                await self._client.ask(question, dict[str, Any])
            except (RefusedError, UnansweredError):
                return
            self.kept = len(rooms) == len(self.rooms)

    @staticmethod
    def _path(user: str) -> tuple[str, ...]:
        return (*CLIENT, "user", user, "account_data", TYPE)

    def _hashed(self, room_id: str) -> str:
        return blake2b(room_id.encode("utf-8", "surrogatepass"), key=self.salt.encode(), digest_size=16).hexdigest()
