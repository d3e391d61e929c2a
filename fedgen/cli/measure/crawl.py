"""``fedgen measure crawl``: a snapshot over the client-server API."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fedgen.cli import terminal
from fedgen.cli.measure.snapshot import finish, tell
from fedgen.cli.options import Force, Format, Json, Quiet, path_argument, path_option
from fedgen.cli.output import check_federation
from fedgen.errors import UsageError

if TYPE_CHECKING:
    from fedgen.attendance import Attendance
    from fedgen.federation import Federation
    from fedgen.measure.config import Config
    from fedgen.measure.crawl import Crawled
    from fedgen.measure.journal import Journal


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
    from fedgen.measure.config import read_config, read_token

    asked = read_config(config)
    token = read_token(asked, config.parent)
    if asked.join and token is None:
        raise UsageError(f"{config}: who joins needs an access token; name its token_file or set FEDGEN_MATRIX_TOKEN")
    if dry_run:
        _print_estimate(asked, token, json)
        return
    _check_output(output, format, asked.join, force, (config,))
    journal = _journal(asked, token, output, quiet)
    try:
        crawled = _crawl(asked, token, journal, quiet)
        seen, measurement = _seen(asked, crawled)
        finish(seen, output, format, force=force, words=["crawl", "CONFIG"], measurement=measurement)
        journal.forget()
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
    from fedgen.measure.config import SECRET
    from fedgen.measure.crawl import about
    from fedgen.measure.journal import Journal

    secret = os.environ.get(SECRET) or token
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

    from fedgen.measure.crawl import Stop
    from fedgen.measure.crawl import crawl as crawl_rooms

    stop = Stop()

    def interrupted() -> None:
        stop.asked_for = True
        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().remove_signal_handler(number)
        if not quiet:
            terminal.say("leaving the rooms that were entered; interrupt again to end at once")

    async def run() -> "Crawled":
        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, interrupted)
        with terminal.progress(quiet) as progress:
            return await crawl_rooms(config, token, journal, progress=progress, stop=stop)

    return asyncio.run(run())


def _seen(config: "Config", crawled: "Crawled") -> tuple["Federation | Attendance", dict[str, Any]]:
    """The snapshot, and how it came about."""
    from fedgen.measure import snapshot

    told = snapshot.told(crawled, config)
    if config.join:
        return snapshot.federation(crawled), told
    attendance, few = snapshot.attendance(crawled)
    return attendance, {**told, "fewer_users_than_servers": few}


def _remarks(measurement: dict[str, Any]) -> list[str]:
    """What a person should know at once."""
    texts = []
    failed = sum(count for what, count in measurement["lookups"].items() if what != "answered")
    if failed:
        texts.append(f"{failed:,} of the listed rooms, directories and spaces did not answer, or refused")
    if count := measurement["rooms"].get("unanswered"):
        texts.append(f"{count:,} of the rooms gave no answer in all attempts, and are not in the snapshot")
    if count := measurement["not_left"]:
        texts.append(f"{count:,} of the rooms could not be left again; leave them by hand")
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
