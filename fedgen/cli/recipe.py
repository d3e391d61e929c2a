"""What a reconstruction is made from, and how it is recorded: as a reconstruction, never as a measurement."""

from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fedgen.statistics.published import Figures


BUILTIN = "matrix-2018.toml"


@dataclass(frozen=True)
class Recipe:
    """Published figures, and where they were got.

    Attributes:
        figures: to be met.
        path: of the file, as it was given; None for the built-in one.
        command: the command line, word by word.
    """

    figures: "Figures"
    path: Path | None
    command: Sequence[str]

    @property
    def origin(self) -> str:
        """What provenance calls the figures."""
        return "built-in" if self.path is None else str(self.path)

    @property
    def inputs(self) -> tuple[Path, ...]:
        """What no result may overwrite."""
        return () if self.path is None else (self.path,)

    @property
    def stem(self) -> str:
        """What results are called after."""
        return (self.path or Path(BUILTIN)).stem

    @property
    def note(self) -> str:
        """What every artefact says of itself."""
        title = " ".join(self.figures.title.split())
        return f"reconstructed from the figures of {title} ({self.figures.source}); not a measurement"

    def plan(self, seed: int) -> dict[str, Any]:
        """The plan of one reconstruction (fedgen/schemas/plan.schema.json); no sizes, they follow from the rest."""
        from fedgen.provenance import versions

        figures = self.figures
        return {
            "fedgen": version("fedgen"),
            "kind": "reconstruction",
            "figures": {"title": figures.title, "reference": figures.source, "digest": figures.digest},
            "seed": seed,
            "versions": versions(),
        }

    def provenance(self, seed: int | None) -> dict[str, Any]:
        """The provenance of what is made now; None for an ensemble, which has a seed per reconstruction."""
        from fedgen.provenance import record

        return {**record(self.command, seed=seed, inputs={self.origin: self.figures.digest}), "note": self.note}
