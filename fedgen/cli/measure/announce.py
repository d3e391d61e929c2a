"""``fedgen measure announce``: tell those who will be measured."""

from pathlib import Path
from typing import Annotated

import typer

from fedgen.cli import terminal
from fedgen.cli.options import Force, Output, Quiet, path_argument
from fedgen.cli.output import check_file
from fedgen.errors import UsageError

USER = "@CRAWLER"
"""Where the user's id goes that is not known."""


def announce(
    config: Annotated[Path, path_argument("CONFIG", "The configuration of the crawl, with its announcement.")],
    output: Output = None,
    create_room: Annotated[
        bool, typer.Option("--create-room", help="Create the announcement room, public, with the text in it.")
    ] = False,
    force: Force = False,
    quiet: Quiet = False,
) -> None:
    """Write the text of the website that a crawl points to, and open its announcement room.

    The text says who measures, what is kept, and how to opt out, in Markdown; put it where announcement.website points,
    before the crawl begins.
    """
    import asyncio

    from fedgen.io.output import write_file
    from fedgen.measure import announcement
    from fedgen.measure.config import read_config
    from fedgen.measure.packages import need
    from fedgen.measure.token import read_token

    need("httpx")
    asked = read_config(config)
    said = asked.announcement
    for name in ("who", "contact", "website"):
        if not getattr(said, name).strip():
            raise UsageError(f"{config}: announcement.{name}: is missing; an announcement says it")
    if output is not None:
        check_file(output, force=force, inputs=(config,))
    token = read_token(config.parent / asked.token_file if asked.token_file else None)
    if create_room and (token is None or not said.room):
        raise UsageError(
            f"{config}: a room is made by the crawler's user, under an alias; give token and announcement.room"
        )
    user = asyncio.run(announcement.who_am_i(asked, token)) if token else USER
    text = announcement.website(asked, user)
    if output is not None:
        write_file(output, [text.encode()], force=force)
    made = create_room and token is not None and asyncio.run(announcement.open_room(asked, token, text))
    terminal.ignore_interrupts()
    if not quiet:
        if token is None:
            terminal.say(f"note: there is no access token; put the crawler's user in the place of {USER}")
        if create_room:
            terminal.say("the announcement room is open" if made else "the announcement room is there already")
    print(text if output is None else output, end="" if output is None else "\n")
