"""Where a homeserver's data is: the DSN of its database, or the address of its admin API.

A DSN is never quoted in an error, since it names hosts, users and files; nor may it hold a password, since command
lines are seen by everybody on the machine and kept in the shell's history.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field
from typing import Literal
from urllib.parse import parse_qsl, urlsplit

from fedgen.errors import UsageError

Engine = Literal["postgresql", "sqlite", "admin api"]

_SCHEMES: dict[str, Engine] = {
    "postgresql": "postgresql",
    "postgres": "postgresql",
    "sqlite": "sqlite",
    "https": "admin api",
    "http": "admin api",
}
_KINDS = "give postgresql://USER@HOST/DATABASE, the file of a SQLite database, or https://HOMESERVER for its admin API"
_HERE = ("localhost", "127.0.0.1", "::1")


@dataclass(frozen=True)
class Address:
    """Where to ask; its ``repr`` does not show it.

    Attributes:
        engine: what answers there.
        place: what the driver takes: libpq's connection string, a path, or the address of a homeserver.
    """

    engine: Engine
    place: str = field(repr=False)


def read_address(dsn: str) -> Address:
    """Tell the kinds of DSN apart.

    A file that exists is SQLite's, whatever it is called; so is a path that looks like nothing else.

    Raises:
        UsageError: it has a password in it, is of no known kind, or would send the access token unencrypted.
    """
    if not dsn.strip():
        raise UsageError(f"DSN: is empty; {_KINDS}")
    if "\0" in dsn:
        raise UsageError(f"DSN: has a zero byte in it; {_KINDS}")
    if os.path.exists(dsn):  # noqa: PTH110  pathlib's raises, and names, what it may not look at
        return Address("sqlite", dsn)
    scheme = re.match(r"\s*([A-Za-z][A-Za-z0-9+.-]*)://", dsn)
    if scheme is None:
        if re.match(r"\s*[A-Za-z_]+\s*=", dsn):
            return _keywords(dsn)
        return Address("sqlite", dsn.removeprefix("sqlite:").removeprefix("file:"))
    engine = _SCHEMES.get(scheme[1].lower())
    if engine is None:
        raise UsageError(f"DSN: is of a kind that is not known; {_KINDS}")
    if engine == "sqlite":
        return Address(engine, re.sub("^/+", "/", dsn[scheme.end() :]))
    return _url(engine, dsn.strip())


def _url(engine: Engine, dsn: str) -> Address:
    try:
        parts = urlsplit(dsn)
        keys = {key.lower() for key, _ in parse_qsl(parts.query, keep_blank_values=True)}
        secret = parts.password is not None or not keys.isdisjoint(_SECRETS)
        _ = engine == "postgresql" or parts.port  # a port that is no number raises here
    except ValueError:
        raise UsageError(f"DSN: is no address; {_KINDS}") from None
    _refuse_password(secret)
    if engine == "postgresql":
        return Address(engine, dsn)
    if not parts.hostname or parts.username or parts.query or parts.fragment:
        raise UsageError("DSN: is not the address of a homeserver; give https://HOMESERVER")
    if parts.scheme.lower() == "http" and parts.hostname not in _HERE:
        raise UsageError("DSN: the access token would be sent unencrypted; give https://HOMESERVER")
    return Address(engine, dsn.rstrip("/"))


_SECRETS = ("password", "sslpassword", "oauth_client_secret")


def _keywords(dsn: str) -> Address:
    _refuse_password(any(re.search(rf"(^|\s){key}\s*=", dsn, re.IGNORECASE) for key in _SECRETS))
    return Address("postgresql", dsn)


def _refuse_password(found: bool) -> None:
    if found:
        raise UsageError(
            "DSN: has a password in it, which others see; leave it out, and give it in PGPASSWORD, ~/.pgpass or a "
            "service file (admin API: a token, in FEDGEN_MATRIX_TOKEN or --token-file)"
        )
