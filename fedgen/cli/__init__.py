"""The command line: one module per command, :mod:`~fedgen.cli.commands` for what is common to all of them.

Results go to stdout, talk to stderr. Exit codes: 0 done, 1 a failure told in one line, 2 wrong usage, 3 ``validate``
rejects.
"""

import gc
import os
import signal
import sys


def main() -> None:
    """The entry point ``fedgen``.

    Everything that takes time to import is imported in here, so that an interrupt finds somebody to catch it.
    """
    # Small products of matrices are slower by several threads, and those wait for the next one at full speed.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    gc.set_threshold(100_000, 20, 100)  # what imports create stays: looking for garbage in it is a tenth of the start
    try:
        _open_missing_streams()
        from fedgen.cli.commands import run

        code = run(sys.argv[1:])
    except KeyboardInterrupt:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        print("fedgen: error: interrupted; nothing was finished", file=sys.stderr)
        code = 1
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    sys.exit(code)


def _open_missing_streams() -> None:
    """Let a stream that was closed (``>&-``) swallow what it is told; its number is not left to the next open file."""
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, os.fdopen(os.open(os.devnull, os.O_WRONLY), "w"))


def __getattr__(name: str) -> object:
    if name == "app":  # where typer's own tools look for it
        from fedgen.cli.commands import make_app

        return make_app()
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return [*globals(), "app"]
