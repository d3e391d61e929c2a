"""The folder of an ensemble: a federation directory per seed, and what differs between them, written last.

A run that was killed goes on where it was: reconstructions that are done are read, not made again.
"""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fedgen.cli import terminal
from fedgen.cli.findings import interval_words, number_words, source_words
from fedgen.cli.output import ENSEMBLE, check_ensemble, is_finished
from fedgen.cli.recipe import Recipe
from fedgen.errors import FedgenError, FiguresError, UnmetError

if TYPE_CHECKING:
    from fedgen.federation import Federation
    from fedgen.progress import Progress
    from gen.reconstruct.ensemble import Ensemble


@dataclass(frozen=True)
class Member:
    """One reconstruction of an ensemble.

    Attributes:
        seed: of it.
        digest: of its manifest.
        met, judged: figures that it meets, of how many that take part in the verdict.
        inferred_met, inferred: likewise of the inferred ones.
    """

    seed: int
    digest: str
    met: int
    judged: int
    inferred_met: int
    inferred: int


@dataclass(frozen=True)
class Folder:
    """An ensemble that is being made.

    Attributes:
        recipe: what it is made from.
        path: of the folder.
        seeds: of the reconstructions.
        force: whether what is there is made anew.
        jobs: workers that write.
        members: the reconstructions that are there, in the order of their seeds.
        unmet: the seeds that came to nothing, and why.
    """

    recipe: Recipe
    path: Path
    seeds: Sequence[int]
    force: bool
    jobs: int
    members: list[Member] = field(default_factory=list)
    unmet: dict[int, str] = field(default_factory=dict)

    def place(self, seed: int) -> Path:
        """Where the reconstruction of a seed lies."""
        return self.path / f"seed-{seed}"

    def check(self) -> None:
        """Refuse a folder that cannot be filled (:func:`fedgen.cli.output.check_ensemble`)."""
        plans = {self.place(seed).name: self.recipe.plan(seed) for seed in self.seeds}
        check_ensemble(self.path, plans, force=self.force, inputs=self.recipe.inputs)

    def fill(self, progress: "Progress", *, quiet: bool) -> "Ensemble":
        """Make what is not there, measure everything, and write what was measured.

        Raises:
            FiguresError, UnmetError: no seed gives a federation; what was wrong with the first.
            OutputError: the system refuses.
        """
        from fedgen.io.output import told, write_file
        from gen.reconstruct.ensemble import spread

        with told(self.path):
            self.path.mkdir(exist_ok=True)
            (self.path / ENSEMBLE).unlink(missing_ok=True)
        try:
            ensemble = spread(self.recipe.figures, self._federations(progress, quiet))
        except KeyboardInterrupt:
            kept = f"{len(self.members)} of {len(self.seeds)} reconstructions are in {self.path}"
            raise FedgenError(f"interrupted; {kept}; the same command goes on from there") from None
        document = self.document(ensemble)
        write_file(self.path / ENSEMBLE, [terminal.as_json(document).encode(), b"\n"], force=True)
        return ensemble

    def _federations(self, progress: "Progress", quiet: bool) -> Iterator["Federation"]:
        from fedgen.provenance import digest
        from validate.published import hold

        failed: FedgenError | None = None
        for number, seed in enumerate(self.seeds, start=1):
            prefix = f"seed {seed} ({number} of {len(self.seeds)}), "

            def report(stage: str, done: int, total: int, prefix: str = prefix) -> None:
                progress(prefix + stage, done, total)

            try:
                federation = self._one(seed, report)
            except (FiguresError, UnmetError) as error:
                if isinstance(error, FiguresError) and not self.members:
                    raise  # the figures contradict each other, whatever the seed
                failed = failed or error
                self.unmet[seed] = " ".join(str(error).split())
                if not quiet:
                    terminal.say(f"seed {seed}: {self.unmet[seed]}")
                continue
            held = hold(federation, self.recipe.figures)
            self.members.append(
                Member(seed, digest(self.place(seed)), held.met, held.judged, held.inferred_met, held.inferred)
            )
            yield federation
        if failed is not None and not self.members:
            raise failed

    def _one(self, seed: int, progress: "Progress") -> "Federation":
        """The reconstruction of a seed: read if it is there, else made and written."""
        from fedgen.io import read_snapshot, write
        from gen.reconstruct.reconstruct import reconstruct

        place, plan = self.place(seed), self.recipe.plan(seed)
        if not self.force and is_finished(place, plan):
            return read_snapshot(place).federation
        federation = reconstruct(self.recipe.figures, seed=seed, progress=progress)
        provenance = self.recipe.provenance(seed)
        write(federation, place, "parquet", force=self.force, jobs=self.jobs, plan=plan, provenance=provenance)
        return federation

    def document(self, ensemble: "Ensemble") -> dict[str, Any]:
        """What is written to ``ensemble.json`` (fedgen/schemas/ensemble.schema.json)."""
        figures = self.recipe.figures
        return {
            "kind": "fedgen ensemble",
            "format": 1,
            "note": self.recipe.note,
            "figures": {
                "title": figures.title,
                "authors": figures.authors,
                "reference": figures.source,
                "snapshot": figures.snapshot,
                "digest": figures.digest,
            },
            "reconstructions": [asdict(member) for member in self.members],
            "unmet": [{"seed": seed, "reason": reason} for seed, reason in self.unmet.items()],
            "statistics": [one.to_dict() for one in ensemble.ranges],
            "provenance": self.recipe.provenance(None),
        }


def print_ensemble(folder: Folder, ensemble: "Ensemble") -> None:
    """Print the ranges of what no figure fixes, and what the reconstructions meet."""
    header = ("left open by the figures", "published", "smallest", "median", "largest")
    rows = [
        (
            one.label,
            interval_words(one.low, one.high) if one.figures else "",
            *map(number_words, (one.least, one.median, one.most)),
        )
        for one in ensemble.open
    ]
    title = f"{len(ensemble)} reconstructions, not measurements, from {source_words(folder.recipe.figures)}"
    terminal.print_table(title, header, rows)
    member = folder.members[0]
    fewest = min(one.met for one in folder.members)
    print(f"\n{fewest} of {member.judged} figures met by each")
    if member.inferred:
        met = [one.inferred_met for one in folder.members]
        print(f"of {member.inferred} inferred ones, told only, {interval_words(min(met), max(met))} met")
    print(folder.path)
