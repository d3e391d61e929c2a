"""What every measurement ends with: the snapshot is written, and told how it came about."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fedgen.cli import terminal
from fedgen.cli.info import attendance_counts, counts

if TYPE_CHECKING:
    from fedgen.attendance import Attendance
    from fedgen.federation import Federation


def finish(
    snapshot: "Federation | Attendance",
    output: Path,
    format: str | None,  # noqa: A002
    *,
    force: bool,
    words: Sequence[str],
    measurement: Mapping[str, Any],
) -> None:
    """Write a snapshot with its provenance.

    Args:
        snapshot: what was seen.
        output: where it goes.
        format: of a federation.
        force: whether an existing result is overwritten.
        words: the command as provenance tells it, without what may name a server: addresses, and names of files.
        measurement: what provenance tells of how it was measured (fedgen/schemas/manifest.schema.json).
    """
    from fedgen.attendance import Attendance
    from fedgen.io import write
    from fedgen.io.attendance import write as pieces
    from fedgen.io.output import write_file
    from fedgen.provenance import record

    chosen = ["--format", format] if format else []
    command = ["fedgen", "measure", *words, "-o", output.name, *chosen]
    provenance = {**record(command), "measurement": dict(measurement)}
    if isinstance(snapshot, Attendance):
        write_file(output, pieces(snapshot, provenance), force=force)
    else:
        write(snapshot, output, format, force=force, provenance=provenance, signed=True)


def tell(snapshot: "Federation | Attendance", output: Path, measurement: Mapping[str, Any], *, json: bool) -> None:
    """Tell on stdout how large a snapshot is, and what was left out of it."""
    from fedgen.attendance import Attendance

    terminal.ignore_interrupts()
    sizes = attendance_counts(snapshot) if isinstance(snapshot, Attendance) else counts(snapshot)
    if json:
        terminal.print_json({**sizes, "measurement": measurement, "output": str(output)})
        return
    terminal.print_pairs(f"Snapshot {output}", list(sizes.items()))
    unit = "Presences" if isinstance(snapshot, Attendance) else "Memberships"
    for title, reasons in (("Rooms", measurement["rooms"]), (f"{unit} left out", measurement["left_out"])):
        if reasons:
            terminal.print_pairs(title, list(reasons.items()))
