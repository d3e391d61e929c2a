"""The announcement of a crawl: the text of its website, and a room in which it can be talked about.

The text is ``configs/measure/announcement.md``, filled in from the configuration (Jacob, Grashöfer and Hartenstein,
"A Glimpse of the Matrix", section 4.2: who is measured is told so, and can opt out).
"""

from __future__ import annotations

import secrets
from string import Template
from typing import TYPE_CHECKING, Any

from fedgen.errors import MeasureError
from fedgen.measure.answers import Joined
from fedgen.measure.client import CLIENT, Client, Question, RefusedError, UnansweredError
from fedgen.measure.exclusions import server_of
from fedgen.shipped import shipped

if TYPE_CHECKING:
    from fedgen.measure.config import Config

JOINING, LOOKING = "measure/announcement.md", "measure/announcement-without-joining.md"
"""The texts."""


def website(config: Config, user: str) -> str:
    """The text of the website, in Markdown.

    Args:
        config: with its announcement.
        user: whom people will see in their rooms.
    """
    said, marker = config.announcement, config.leave_out.marker
    template = shipped(JOINING if config.join else LOOKING).read_text(encoding="utf-8")
    return Template(template).substitute(
        who=said.who,
        purpose=said.purpose or "to learn how such networks are put together, and what load that puts on servers.",
        contact=said.contact,
        room=f", or in {said.room}" if said.room else "",
        topic=f"write `{marker}` into its topic" if marker else "write to us",
        user=user,
    )


async def who_am_i(config: Config, token: str) -> str:
    """The user that a token belongs to.

    Raises:
        MeasureError: there is no homeserver, or it does not take the token.
    """
    async with Client(config.homeserver, token, config.limits) as client:
        return await client.who_am_i()


async def open_room(config: Config, token: str, text: str) -> bool:
    """Create the announcement room, public, under the alias of the configuration, with the text as its first message.

    Returns:
        Whether it was made; False: a room of that alias is there.

    Raises:
        MeasureError: the homeserver refuses, as where the alias is another server's.
    """
    said = config.announcement
    async with Client(config.homeserver, token, config.limits) as client:
        if server_of(said.room) != server_of(await client.who_am_i()):
            raise MeasureError("announcement.room is an alias of another server; give one of the crawler's own")
        body = {
            "preset": "public_chat",
            "visibility": "public",
            "room_alias_name": said.room.removeprefix("#").partition(":")[0],
            "name": "A measurement of the Matrix federation",
            "topic": f"By {said.who}. What is done, and how to opt out: {said.website}",
        }
        try:
            room = (await client.ask(Question("POST", (*CLIENT, "createRoom"), body=body), Joined, attempts=1)).room_id
            path = (*CLIENT, "rooms", room, "send", "m.room.message", secrets.token_hex(8))
            await client.ask(Question("PUT", path, body={"msgtype": "m.text", "body": text}), dict[str, Any])
        except RefusedError as error:
            if error.code == "M_ROOM_IN_USE":
                return False
            raise MeasureError(
                f"the announcement room cannot be made ({error.code or error.status}); choose another alias, or make "
                "the room by hand"
            ) from None
        except UnansweredError:
            raise MeasureError("the homeserver does not say whether the room was made; look for its alias") from None
    return True
