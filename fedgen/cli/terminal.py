"""The two streams: results on stdout, talk on stderr; rich where a person looks on, plain text elsewhere."""

from __future__ import annotations

import signal
import sys
from contextlib import contextmanager
from threading import Timer
from typing import TYPE_CHECKING, Any

from fedgen.progress import silent

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from fedgen.progress import Progress

PATIENCE = 2.0  # seconds of silence that nobody minds


def say(text: str) -> None:
    """One line of talk, on stderr."""
    print(f"fedgen: {text}", file=sys.stderr)


def remark(texts: Iterable[str]) -> None:
    """What a person should know about the input, on stderr."""
    for text in texts:
        say(f"note: {text}")


def fail(message: str) -> None:
    """Tell a failure in one line, on stderr."""
    say("error: " + " ".join(message.split()))


def as_json(result: object) -> str:
    """``result`` (built-in types, dataclasses, numpy scalars) as JSON; what is not a finite number becomes null."""
    import msgspec

    return msgspec.json.format(msgspec.json.encode(result, enc_hook=_builtin)).decode()


def print_json(result: object) -> None:
    """Print ``result`` as JSON on stdout."""
    print(as_json(result))


def _builtin(value: Any) -> object:
    if hasattr(value, "tolist"):
        return value.tolist()
    return dict(value)  # any other mapping


def ignore_interrupts() -> None:
    """From here on the result stands: an interrupt would come too late and must not make it look like a failure."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def print_table(title: str, header: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Print a table on stdout: the first column and words to the left, numbers to the right."""
    cells = [[_text(value) for value in row] for row in rows]
    right = [i > 0 and any(_is_number(row[i]) for row in rows) for i in range(len(header))]
    if not (sys.stdout.isatty() and _print_rich(title, header, cells, right)):
        _print_plain(title, header, cells, right)


def _print_rich(title: str, header: Sequence[str], cells: Sequence[Sequence[str]], right: Sequence[bool]) -> bool:
    """Print it for a person, unless the terminal is too narrow to show it without folding: then False."""
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(title=title, title_justify="left", title_style="bold", box=SIMPLE_HEAD)
    for name, flush in zip(header, right, strict=True):
        table.add_column(name, justify="right" if flush else "left", no_wrap=True)
    for row in cells:
        table.add_row(*(Text(cell) for cell in row))
    console = Console()
    if console.measure(table, options=console.options.update(width=sys.maxsize)).maximum > console.width:
        return False
    console.print(table)
    return True


def _print_plain(title: str, header: Sequence[str], cells: Sequence[Sequence[str]], right: Sequence[bool]) -> None:
    print(title)
    lines = [header, *cells]
    widths = [max(len(line[i]) for line in lines) for i in range(len(header))]
    for line in lines:
        columns = (
            cell.rjust(width) if flush else cell.ljust(width)
            for cell, width, flush in zip(line, widths, right, strict=True)
        )
        print("  " + "  ".join(columns).rstrip())


def print_pairs(title: str, pairs: Sequence[tuple[str, object]]) -> None:
    """Print names and values on stdout, values aligned."""
    width = max(len(name) for name, _ in pairs)
    print(title)
    for name, value in pairs:
        print(f"  {name.ljust(width)}  {_text(value)}")


def _text(value: object) -> str:
    """A value as a person reads it: 12,345; 0.0123; - for none."""
    if value is None or value == "" or value != value:  # only what is not a number differs from itself
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        return f"{value:,.0f}" if abs(value) >= 1e4 else f"{value:,.4g}"
    return str(value)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float)


@contextmanager
def progress(quiet: bool) -> Iterator[Progress]:
    """A progress display on stderr for work that outlasts ``PATIENCE``; silent if ``quiet`` or nobody looks on."""
    if quiet or not sys.stderr.isatty():
        yield silent
        return
    from rich import progress as bars
    from rich.console import Console

    display = bars.Progress(
        bars.TextColumn("{task.description}"),
        bars.BarColumn(),
        bars.MofNCompleteColumn(),
        _rate_column(),
        bars.TimeRemainingColumn(),
        console=Console(stderr=True),
        transient=True,
    )
    tasks: dict[str, bars.TaskID] = {}

    timer = Timer(PATIENCE, display.start)
    timer.daemon = True

    def report(stage: str, done: int, total: int) -> None:
        if timer.ident is None:  # not before there is work: processes are forked before there are threads
            timer.start()
        if stage not in tasks:
            for task in tasks.values():
                display.update(task, visible=False)
            tasks[stage] = display.add_task(stage, total=None)
        display.update(tasks[stage], completed=done, total=total or None)

    try:
        yield report
    finally:
        timer.cancel()
        if timer.ident is not None:
            timer.join()
        display.stop()


def _rate_column() -> Any:
    from rich import progress as bars

    class Rate(bars.ProgressColumn):
        """Units per second."""

        def render(self, task: bars.Task) -> Any:
            from rich.text import Text

            speed = task.speed or 0.0
            rate = f"{speed:,.0f}/s" if speed >= 1 else f"{60 * speed:,.1f}/min" if speed else ""
            return Text(rate, style="progress.data.speed")

    return Rate()
