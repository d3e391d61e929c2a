"""``fedgen measure crawl``: a snapshot over the client-server API."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fedgen.cli import terminal
from fedgen.cli.measure.snapshot import finish, tell
from fedgen.cli.options import Force, Format, Json, Quiet, path_argument, path_option
from fedgen.cli.output import check_federation
from fedgen.errors import MeasureError, UsageError

if TYPE_CHECKING:
    from fedgen.attendance import Attendance
    from fedgen.federation import Federation
    from fedgen.measure.config import Config
    from fedgen.measure.crawl import Crawled
    from fedgen.measure.journal import Journal


LEAST = 16
"""Letters of a secret."""
_LOOKUPS = {"refused": "refused to answer", "unanswered": "gave no answer"}


def crawl(
    config: Annotated[Path, path_argument("CONFIG", "What to ask, how fast, and whom to leave out: a TOML file.")],
    output: Annotated[Path, path_option("-o", "--output", metavar="PATH", help="Where the snapshot goes.")] = Path(
        "data.json"
    ),
    format: Format = None,  # noqa: A002  the option is called so
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Ask directories for their sizes, say how long it will take, and stop.")
    ] = False,
    force: Force = False,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Measure a federation by crawling it, politely and under pseudonyms.

    Rooms of a list, of directories and of spaces are joined for as long as it takes to read who is a member; or,
    without joining, only their servers and numbers of users are asked. The access token is in the file that CONFIG
    names or in FEDGEN_MATRIX_TOKEN. A crawl that was cut off goes on by the same command. How, and what is never done:
    docs/measure.md.
    """
    from fedgen.measure.config import read_config
    from fedgen.measure.packages import need
    from fedgen.measure.token import read_token

    need("httpx", "cryptography")
    asked = read_config(config)
    token = read_token(config.parent / asked.token_file if asked.token_file else None)
    if asked.join and token is None:
        raise UsageError(f"{config}: who joins needs an access token; name its token_file or set FEDGEN_MATRIX_TOKEN")
    if dry_run:
        _print_estimate(asked, token, json)
        return
    _check_output(output, format, asked.join, force, (config,))
    journal = _journal(asked, token, output, quiet)
    try:
        crawled = _crawl(asked, token, journal, quiet)
        seen, measurement = _seen(asked, crawled, journal)
        finish(seen, output, format, force=force, words=["crawl", "CONFIG"], measurement=measurement)
        journal.forget()
    except MeasureError:
        if not journal.known("began"):
            journal.forget()  # a wrong address or token: there is nothing to go on with
        raise
    finally:
        journal.close()
    if not quiet:
        terminal.remark(_remarks(measurement))
    tell(seen, output, measurement, json=json)


def _check_output(output: Path, format: str | None, join: bool, force: bool, inputs: tuple[Path, ...]) -> None:  # noqa: A002
    """Refuse a place, or a format, that the snapshot could not be written to."""
    from fedgen.io import guess

    check_federation(output, format, force=force, inputs=inputs)
    if not join and (format or guess(output)) != "petgraph":
        raise UsageError(
            f"{output}: without joining no memberships are seen, and only petgraph JSON does without; name a .json file"
        )


def _journal(config: "Config", token: str | None, output: Path, quiet: bool) -> "Journal":
    from fedgen.measure.crawl import about
    from fedgen.measure.journal import Journal
    from fedgen.measure.token import SECRET

    own = os.environ.get(SECRET)
    if own is not None and len(own) < LEAST:
        raise UsageError(f"{SECRET} is shorter than {LEAST} letters, and could be guessed; give a longer one")
    secret = own or token
    if secret is None:
        if not quiet:
            terminal.say(
                f"note: without a token, and without {SECRET}, this crawl cannot be continued if it is cut off"
            )
        return Journal.fleeting()
    journal = Journal.open(output.with_name(f"{output.name}.journal"), secret, about(config))
    if journal.resumed and not quiet:
        terminal.say(f"continuing: {journal.resumed:,} answers are there already")
    return journal


def _crawl(config: "Config", token: str | None, journal: "Journal", quiet: bool) -> "Crawled":
    """Crawl until it is done; the first interrupt lets it leave the rooms it is in, the second does not wait."""
    import asyncio
    import signal

    from fedgen.measure.crawl import crawl as crawl_rooms
    from fedgen.measure.stop import Stop
    from fedgen.measure.token import SECRET

    stop = Stop()

    def interrupted() -> None:
        stop.asked_for = True
        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().remove_signal_handler(number)
        if not quiet:
            terminal.say("leaving the rooms that were entered; interrupt again to end at once")

    def found(lookups: Mapping[str, int], rooms: int) -> None:
        if not quiet:
            terminal.remark(_failures(lookups))
            if config.join and SECRET not in os.environ:
                terminal.say(f"note: with another access token this crawl can be continued only if {SECRET} is set")
            terminal.say(f"{rooms:,} rooms found")

    async def run() -> "Crawled":
        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, interrupted)
        with terminal.progress(quiet) as progress:
            return await crawl_rooms(config, token, journal, progress=progress, stop=stop, on_found=found)

    try:
        return asyncio.run(run())
    except KeyboardInterrupt:
        raise MeasureError(
            "interrupted; rooms that were entered are not left yet: the same command leaves them and goes on"
        ) from None


def _seen(config: "Config", crawled: "Crawled", journal: "Journal") -> tuple["Federation | Attendance", dict[str, Any]]:
    """The snapshot, and how it came about."""
    from fedgen.measure import snapshot

    told = snapshot.told(crawled, config)
    if not told["rooms"].get("seen"):
        journal.forget()  # it is over, and there is nothing to write
        raise MeasureError(f"nobody was seen: {_listed(told)}")
    if config.join:
        return snapshot.federation(crawled), told
    attendance, few = snapshot.attendance(crawled)
    return attendance, {**told, "fewer_users_than_servers": few}


def _listed(told: Mapping[str, Any]) -> str:
    """What became of look-ups and rooms, in a line."""
    parts = [f"{count:,} {fate}" for fate, count in told["rooms"].items()]
    left_out = [f"{count:,} {reason}" for reason, count in told["left_out"].items()]
    rooms = f"of {sum(told['rooms'].values()):,} rooms {', '.join(parts)}" if parts else "no room was found"
    who = f"; left out: {', '.join(left_out)}" if left_out else ""
    return "; ".join([rooms + who, *_failures(told["lookups"])])


def _failures(lookups: Mapping[str, int]) -> list[str]:
    return [
        f"{count:,} of the listed rooms, directories and spaces {_LOOKUPS[what]}"
        for what, count in lookups.items()
        if what in _LOOKUPS
    ]


def _remarks(measurement: Mapping[str, Any]) -> list[str]:
    """What a person should know at once."""
    texts = []
    if count := measurement["rooms"].get("unanswered"):
        texts.append(f"{count:,} of the rooms gave no answer in all attempts, and are not in the snapshot")
    if count := measurement["not_left"]:
        texts.append(f"{count:,} of the rooms could not be left again; leave them by hand")
    if count := measurement["at_home"]:
        texts.append(f"{count:,} of the rooms are ones that the crawler's user was in before, and stays in")
    if not measurement["remembered"]:
        texts.append("the crawler's account did not take down which rooms threw it out; list them in leave_out.rooms")
    return texts


def _print_estimate(config: "Config", token: str | None, json: bool) -> None:
    import asyncio
    from dataclasses import asdict

    from fedgen.measure.estimate import estimate

    found = asyncio.run(estimate(config, token))
    if json:
        terminal.print_json(asdict(found))
        return
    rows = [
        ("rooms listed", found.listed),
        ("rooms in directories", found.in_directories),
        ("rooms in spaces", found.in_spaces),
        ("directories and spaces that told nothing", found.silent),
        ("requests", found.requests),
        ("joins", found.joins),
        ("takes at least", _duration(found.seconds)),
    ]
    terminal.print_pairs("A crawl would ask", rows)


def _duration(seconds: float) -> str:
    minutes = round(seconds / 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    if not (days or hours):
        return f"{minutes} min" if minutes else f"{seconds:.0f} s"
    return f"{days} d {hours} h" if days else f"{hours} h {minutes} min"
