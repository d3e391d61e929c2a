"""The folder of a sweep: the plan, a small file per cell, and what follows from them, written last.

A run that was killed goes on where it was: cells that are there are read, not drawn again.
"""

import csv
import io
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass
from math import nan
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fedgen.cli import terminal
from fedgen.cli.output import CELLS, SWEEP, check_sweep
from fedgen.errors import FedgenError

if TYPE_CHECKING:
    from fedgen.progress import Progress
    from fedgen.statistics.outline import Outline
    from fitting.model import Model
    from gen.cells import Cell
    from gen.plan import Plan
    from gen.sweep import Sweep
    from gen.trends import Trends

PANELS = (
    "load_per_user",
    "hub_share_tx",
    "largest_tx",
    "median_tx",
    "effective_servers",
    "servers_per_room_max",
)
"""The statistics of the figure."""


@dataclass(frozen=True)
class Folder:
    """A sweep that is being made.

    Attributes:
        path: of the folder.
        sweep: what is drawn.
        model: that is sampled.
        plans: of the cells.
        inputs: what no result may overwrite.
        provenance: of what is made now.
    """

    path: Path
    sweep: "Sweep"
    model: "Model"
    plans: Mapping["Cell", "Plan"]
    inputs: tuple[Path, ...]
    provenance: Mapping[str, Any]

    @property
    def seeds(self) -> list[int]:
        """Of the draws."""
        return sorted({cell.seed for cell in self.plans})

    def plan(self) -> dict[str, Any]:
        """What is written first (fedgen/schemas/sweep-plan.schema.json)."""
        return {
            "fedgen": self.provenance["fedgen"],
            "kind": "fedgen sweep plan",
            "format": 1,
            "model": self.model.digest,
            **self.sweep.to_dict(),
            "seeds": self.seeds,
            "versions": self.provenance["versions"],
        }

    def check(self, *, force: bool) -> None:
        """Refuse a folder that cannot be filled (:func:`fedgen.cli.output.check_sweep`)."""
        check_sweep(self.path, self.plan(), force=force, inputs=self.inputs)

    def fill(self, progress: "Progress", *, jobs: int, force: bool) -> "Trends":
        """Draw the cells that are not there, and write what follows from all.

        Raises:
            OutputError: the system refuses.
            FedgenError: interrupted; how far it came.
        """
        from fedgen.io.output import write_file
        from gen.trends import Trends

        self._begin(force=force)
        outlines = self._read()
        try:
            self._draw(outlines, jobs, progress)
        except KeyboardInterrupt:
            kept = f"{len(outlines)} of {len(self.plans)} cells are in {self.path}"
            raise FedgenError(f"interrupted; {kept}; the same command goes on from there") from None
        trends = Trends(self.sweep, {cell: outlines[cell] for cell in self.plans})
        files = {
            "sweep.csv": as_csv(trends.outlines),
            **as_png(trends, f"{self.model.digest}, {self.sweep.title}"),
            SWEEP: terminal.as_json(self.document(trends)).encode() + b"\n",
        }
        for name, content in files.items():
            write_file(self.path / name, [content], force=True)
        return trends

    def document(self, trends: "Trends") -> dict[str, Any]:
        """What is written to ``sweep.json`` (fedgen/schemas/sweep.schema.json)."""
        return {
            "kind": "fedgen sweep",
            "format": 1,
            "model": self.model.digest,
            "seeds": self.seeds,
            **trends.to_dict(),
            "provenance": self.provenance,
        }

    def place(self, cell: "Cell") -> Path:
        """Where the outline of a cell lies."""
        return self.path / CELLS / f"{cell.name}.json"

    def _begin(self, *, force: bool) -> None:
        """The folder and its plan; with ``force`` nothing else."""
        from fedgen.io.directory import encoded
        from fedgen.io.output import told, write_file

        with told(self.path):
            (self.path / CELLS).mkdir(parents=True, exist_ok=True)
            if force:
                for old in (self.path / SWEEP, *(self.path / CELLS).iterdir()):
                    old.unlink(missing_ok=True)
        plan = self.path / "plan.json"
        if force or not plan.exists():
            write_file(plan, [encoded(self.plan())], force=True)

    def _read(self) -> dict["Cell", "Outline"]:
        """The cells that are there; one that cannot be read is none."""
        found = {cell: read_cell(self.place(cell), cell) for cell in self.plans}
        return {cell: one for cell, one in found.items() if one is not None}

    def _draw(self, outlines: dict["Cell", "Outline"], jobs: int, progress: "Progress") -> None:
        """Draw the others, write each, and put it to ``outlines``."""
        from fedgen.io.output import write_file
        from gen.cells import draw_cells

        todo = {cell: plan for cell, plan in self.plans.items() if cell not in outlines}
        # Counted in memberships, which is what takes time: the last size takes as long as all others together.
        work = {cell: max(1, plan.memberships // 1000) for cell, plan in todo.items()}
        stage, done, total = f"drawing {len(todo)} cells, thousand memberships", 0, sum(work.values())
        progress(stage, done, total)
        with closing(draw_cells(self.model, todo, jobs)) as drawn:  # its processes end before anything else goes on
            for cell, one in drawn:
                document = {"kind": "fedgen cell", "format": 1, **asdict(cell), "statistics": asdict(one)}
                write_file(self.place(cell), [terminal.as_json(document).encode(), b"\n"], force=True)
                outlines[cell] = one
                done += work[cell]
                progress(stage, done, total)


def read_cell(path: Path, cell: "Cell") -> "Outline | None":
    """The outline in the file of a cell; None if there is none."""
    import msgspec

    from fedgen.statistics.outline import LABELS, Outline

    try:
        found = msgspec.json.decode(path.read_bytes(), type=dict[str, Any])
        values = msgspec.convert(found["statistics"], dict[str, int | float | None])
    except (OSError, msgspec.MsgspecError, KeyError):
        return None
    if values.keys() != LABELS.keys() or any(found.get(key) != value for key, value in asdict(cell).items()):
        return None
    numbers: dict[str, Any] = {name: nan if value is None else value for name, value in values.items()}
    return Outline(**numbers)


def as_csv(outlines: Mapping["Cell", "Outline"]) -> bytes:
    """One line per cell, all statistics; empty where there is no number."""
    from fedgen.statistics.outline import LABELS

    sink = io.StringIO()
    writer = csv.writer(sink, lineterminator="\n")
    writer.writerow(["scenario", "factor", "seed", *LABELS])
    for cell, one in outlines.items():
        values: Sequence[Any] = list(asdict(one).values())
        writer.writerow([*asdict(cell).values(), *("" if value != value else value for value in values)])
    return sink.getvalue().encode()


def as_png(trends: "Trends", source: str) -> dict[str, bytes]:
    """The figures by name: :data:`PANELS` against size, and the largest load under each mechanism."""
    from fedgen.figures.mechanisms import LOOKS
    from fedgen.figures.pages import encoded
    from fedgen.figures.sweep import Line
    from fedgen.figures.sweep import trends as draw
    from fedgen.statistics.outline import LABELS, LARGEST_LOADS

    def line(label: str, scenario: str, statistic: str, look: Mapping[str, Any] | None = None) -> Line:
        return Line(label, trends.bands(scenario, statistic), trends.declared(scenario).get(statistic), look)

    factors, scenarios = trends.sweep.factors, trends.sweep.scenarios
    by_statistic = {LABELS[one]: [line(name, name, one) for name in scenarios] for one in PANELS}
    by_scenario = {name: [line(way, name, one, LOOKS[way]) for way, one in LARGEST_LOADS.items()] for name in scenarios}
    return {
        "sweep.png": encoded(draw(factors, by_statistic), "png", source),
        "mechanisms.png": encoded(draw(factors, by_scenario, LABELS["largest_load"]), "png", source),
    }
