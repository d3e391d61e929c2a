"""``fedgen measure synapse``: the federation as one homeserver sees it."""

import os
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fedgen.cli import terminal
from fedgen.cli.measure.snapshot import finish, tell
from fedgen.cli.options import Force, Format, Json, Quiet, path_option
from fedgen.cli.output import check_federation
from fedgen.errors import UsageError

if TYPE_CHECKING:
    from fedgen.measure.address import Address
    from fedgen.measure.exclusions import Admission
    from fedgen.measure.survey import Survey
    from fedgen.progress import Progress


REQUESTS_PER_SECOND = 20.0
"""Of the admin API; one at a time. It is one's own homeserver, which has better things to do all the same."""


def synapse(
    dsn: Annotated[
        str,
        typer.Argument(
            metavar="DSN",
            help="postgresql://USER@HOST/DATABASE (or libpq's key=value form), the file of a SQLite database, or "
            "https://HOMESERVER for its admin API.",
            show_default=False,
        ),
    ],
    output: Annotated[Path, path_option("-o", "--output", metavar="PATH", help="Where the result goes.")] = Path(
        "data.json"
    ),
    format: Format = None,  # noqa: A002  the option is called so
    config: Annotated[
        Path | None,
        path_option(
            "--config", metavar="FILE", help="TOML with the table leave_out: who is left out.", show_default=False
        ),
    ] = None,
    token_file: Annotated[
        Path | None,
        path_option(
            "--token-file",
            metavar="FILE",
            help="Holds an administrator's access token, for the admin API. Default: FEDGEN_MATRIX_TOKEN.",
            show_default=False,
        ),
    ] = None,
    force: Force = False,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Measure by a homeserver's own data.

    Reads who is in which room from the database of a Synapse homeserver, or asks its admin API; reads only, and no
    messages. Passwords and tokens are not given here: PGPASSWORD or ~/.pgpass, FEDGEN_MATRIX_TOKEN or --token-file.
    One homeserver sees the rooms of its own users, private ones too: docs/measure.md says what that does to a fit.
    """
    from fedgen.measure.address import read_address
    from fedgen.measure.exclusions import Admission, Exclusions, read_exclusions
    from fedgen.measure.pseudonyms import Key, Pseudonyms

    address = read_address(dsn)
    inputs = tuple(path for path in (config, token_file, _file(address)) if path is not None)
    check_federation(output, format, force=force, inputs=inputs)
    rules = Exclusions() if config is None else read_exclusions(config)
    admission = Admission(rules, Pseudonyms.under(Key.drawn()))
    began = _now()
    with terminal.progress(quiet) as progress:
        seen, origin = _surveyed(address, admission, token_file, progress)
        federation = seen.federation()
    measurement = {**origin, "began": began, "ended": _now(), **seen.told()}
    if not quiet:
        terminal.remark(_remarks(measurement))
    words = [
        "synapse",
        "DSN",
        *(["--config", "FILE"] if config else []),
        *(["--token-file", "FILE"] if token_file else []),
    ]
    finish(federation, output, format, force=force, words=words, measurement=measurement)
    tell(federation, output, measurement, json=json)


def _file(address: "Address") -> Path | None:
    """That is not to be overwritten."""
    # not pathlib's, which raises, and names, what it may not look at
    return Path(address.place) if address.engine == "sqlite" and os.path.isfile(address.place) else None  # noqa: PTH113


def _surveyed(
    address: "Address", admission: "Admission", token_file: Path | None, progress: "Progress"
) -> tuple["Survey", dict[str, Any]]:
    """What was seen, and what provenance says of where."""
    if address.engine == "admin api":
        return _asked(address, _token(token_file), admission, progress), {"way": "admin api"}
    from fedgen.measure.database import open_database
    from fedgen.measure.synapse import survey

    with open_database(address) as database:
        seen, version = survey(database, admission, progress)
        return seen, {"way": "synapse database", "engine": database.engine, "schema_version": version}


def _token(path: Path | None) -> str:
    """The access token of an administrator."""
    from fedgen.measure.token import TOKEN, read_token

    token = read_token(path)
    if token is None:
        raise UsageError(f"the admin API needs an administrator's access token; give it in {TOKEN} or --token-file")
    return token


def _asked(address: "Address", token: str, admission: "Admission", progress: "Progress") -> "Survey":
    """What the admin API tells."""
    from fedgen.measure.packages import need

    need("httpx")
    import asyncio

    from fedgen.measure.admin import survey
    from fedgen.measure.client import Client, Question
    from fedgen.measure.config import Limits

    async def surveyed() -> "Survey":
        async with Client(address.place, token, Limits(requests_per_second=REQUESTS_PER_SECOND)) as client:

            async def ask(question: Question) -> Mapping[str, Any]:
                return await client.ask(question, dict[str, Any])

            return await survey(ask, admission, progress)

    return asyncio.run(surveyed())


def _remarks(measurement: Mapping[str, Any]) -> list[str]:
    """What a person should know at once."""
    rooms, texts = measurement["rooms"], []
    if count := rooms.get("partial state"):
        texts.append(f"{count:,} of the rooms are still being joined, and left out; a later measurement has them")
    if count := rooms.get("said nothing readable"):
        texts.append(f"{count:,} of the rooms are left out, since it cannot be read whether they opt out")
    if measurement["way"] == "admin api":
        texts.append("rooms that are still being joined are in it with part of their members; the API does not tell")
    return texts


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
