"""A PostgreSQL server for the tests: of the distribution, on a socket of its own, gone when they are done."""

import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

PASSWORD = "a-password-for-tests"
SUPERUSER = "chief"


@contextmanager
def postgresql_server() -> Iterator[dict[str, str]]:
    """Start one; what libpq needs to connect as its superuser, password included."""
    programs = shutil.which("initdb"), shutil.which("postgres"), shutil.which("pg_ctl")
    if None in programs:
        pytest.skip("no PostgreSQL server here; install it (postgresql) to test reading from it")
    as_user = {"user": "postgres" if _known("postgres") else "nobody"} if os.geteuid() == 0 else {}
    # not in tmp_path: a socket's path may be no longer than 107 letters, and its folders must let the user in
    with tempfile.TemporaryDirectory(prefix="fedgen-pg-") as name:
        folder = Path(name)
        (folder / "password").write_text(PASSWORD)
        if as_user:
            for path in (folder, folder / "password"):
                shutil.chown(path, as_user["user"])

        def run(*words: str) -> None:
            done = subprocess.run(words, cwd=folder, capture_output=True, text=True, timeout=60, check=False, **as_user)  # type: ignore[call-overload]
            assert done.returncode == 0, done.stdout + done.stderr

        data = str(folder / "data")
        authentication = ("--auth=scram-sha-256", f"--pwfile={folder / 'password'}")
        run("initdb", "-D", data, "-U", SUPERUSER, *authentication, "--no-sync", "--locale=C", "--encoding=UTF8")
        settings = f"-k {folder} -c listen_addresses='' -c fsync=off -c max_connections=20"
        run("pg_ctl", "-D", data, "-o", settings, "-l", str(folder / "log"), "-w", "start")
        try:
            yield {"host": name, "user": SUPERUSER, "password": PASSWORD, "dbname": "postgres"}
        finally:
            run("pg_ctl", "-D", data, "-m", "immediate", "-w", "stop")


def _known(user: str) -> bool:
    try:
        pwd.getpwnam(user)
    except KeyError:
        return False
    return True
