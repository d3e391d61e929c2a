"""``fedgen measure announce``: tell those who will be measured."""

from pathlib import Path
from typing import Annotated

import typer

from fedgen.cli import terminal
from fedgen.cli.options import Force, Output, Quiet, path_argument
from fedgen.cli.output import check_file
from fedgen.errors import UsageError


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
    from fedgen.measure.config import read_config, read_token

    asked = read_config(config)
    said = asked.announcement
    for name in ("who", "contact", "website"):
        if not getattr(said, name).strip():
            raise UsageError(f"{config}: announcement.{name}: is missing; an announcement says it")
    if output is not None:
        check_file(output, force=force, inputs=(config,))
    token = read_token(asked, config.parent)
    if token is None:
        raise UsageError(f"{config}: the text names the crawler's user, whom its access token tells; give it one")
    if create_room and not said.room:
        raise UsageError(f"{config}: announcement.room: is missing; give the alias of the room")
    text = announcement.website(asked, asyncio.run(announcement.who_am_i(asked, token)))
    if create_room:
        asyncio.run(announcement.open_room(asked, token))
        if not quiet:
            terminal.say("the announcement room is open")
    if output is None:
        print(text, end="")
        return
    write_file(output, [text.encode()], force=force)
    terminal.ignore_interrupts()
    print(output)
