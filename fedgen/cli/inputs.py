"""What a command is given to read: a federation, a model or figures, told apart when one is given for the other."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from fedgen.cli import terminal
from fedgen.errors import FiguresError, FormatError, ModelError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from fedgen.federation import Federation
    from fedgen.io import Snapshot
    from fedgen.io.stored import Stored
    from fedgen.statistics.published import Figures
    from fitting.model import Model

MODEL = Path("model.json")
"""Where commands look for a model if none is named."""
_FEDERATION = "a federation"
_UNSEEN = {"n": "users per server", "e": "memberships per server", "d": "rooms per user"}
_FIGURES_BYTES = 1 << 20  # as much of a file as is looked at for a figure
_OTHERS = (b"{", b"<", b"PK", b"\x1f\x8b", b"PAR1")  # JSON, XML, zip, gzip, parquet


def read_federation(path: Path, *, quiet: bool, named: bool = False) -> "Snapshot":
    """The federation at ``path``; remarks on it go to stderr unless ``quiet``, with its name where there are several.

    Raises:
        FormatError: it is none.
    """
    from fedgen.io import read_snapshot

    try:
        snapshot = read_snapshot(path)
    except FormatError:
        if is_model(path):
            raise FormatError(f"{path}: is a model, not a federation; sample it first: fedgen sample {path}") from None
        if path.is_file() and is_figures(path):
            advice = f"hold a federation against it: fedgen validate FEDERATION --against {path}"
            raise FormatError(f"{path}: is a file of published figures, not a federation; {advice}") from None
        raise
    if not quiet:
        terminal.remark(f"{path}: {text}" if named else text for text in snapshot.remarks)
    return snapshot


@dataclass(frozen=True, eq=False)
class Read:
    """Tables of a federation, and of their source the format and the digest."""

    tables: "Federation | Stored"
    format: str
    digest: str


def read_tables(path: Path, *, quiet: bool, named: bool = False) -> Read:
    """The federation at ``path``, which stays there if it is a directory with too many memberships for the memory.

    Errors and remarks: as :func:`read_federation`; that it is streamed is a remark too.
    """
    from fedgen.io.stored import is_large, read_stored

    if not is_large(path):
        snapshot = read_federation(path, quiet=quiet, named=named)
        return Read(snapshot.federation, snapshot.format, snapshot.digest)
    with terminal.progress(quiet) as progress:
        stored = read_stored(path, progress)
    if not quiet:
        streamed = f"its {stored.n_memberships:,} memberships are streamed, not read into memory"
        told = (streamed, *stored.remarks)
        terminal.remark(f"{path}: {text}" if named else text for text in told)
    return Read(stored, "parquet", stored.digest)


def read_model(path: Path) -> "Model":
    """The model at ``path``.

    Raises:
        ModelError: it is none.
    """
    from fitting.model import Model

    try:
        return Model.load(path)
    except ModelError:
        if what := _federation(path):
            raise ModelError(f"{path}: is {what}, not a model; fit it first: fedgen fit {path}") from None
        if path.is_dir():
            raise ModelError(f"{path}: is a folder, not a model; give the file that fedgen fit wrote") from None
        raise


@dataclass(frozen=True)
class Chosen:
    """A model to sample.

    Attributes:
        model: as read.
        path: of its file; None for the built-in one.
    """

    model: "Model"
    path: Path | None

    @property
    def origin(self) -> str:
        """What provenance calls it."""
        return "built-in" if self.path is None else str(self.path)

    @property
    def inputs(self) -> tuple[Path, ...]:
        """What no result may overwrite."""
        return () if self.path is None else (self.path,)


def choose_model(path: Path | None, *, quiet: bool) -> Chosen:
    """The model that is meant: the one given, else the file ``model.json`` here, else the built-in one.

    Says on stderr which, unless it was given, and what of it was assumed and not measured; not if ``quiet``.

    Raises:
        ModelError: the file holds none.
    """
    from fitting.model import Model

    if path is None:
        path = MODEL if MODEL.exists() else None
        if not quiet:
            which = f"{MODEL} of this folder" if path else f"the built-in one (no {MODEL} in this folder)"
            terminal.say(f"model: {which}")
    chosen = Chosen(Model.builtin() if path is None else read_model(path), path)
    if not quiet and chosen.model.unmeasured:
        terminal.remark([f"{chosen.origin}: {assumed(chosen.model.unmeasured)}"])
    return chosen


def assumed(unmeasured: "Iterable[str]") -> str:
    """That quantities, by their symbols, were assumed."""
    *others, last = (_UNSEEN.get(symbol, symbol) for symbol in unmeasured)
    named = f"{', '.join(others)} and {last}" if others else last
    return f"memberships were not seen; {named} are assumed, not measured (docs/attendance.md)"


def read_figures(path: Path) -> "Figures":
    """The published figures at ``path``.

    Raises:
        FiguresError: there are none.
    """
    from fedgen.statistics import published

    try:
        return published.read_figures(path)
    except FiguresError:
        if is_model(path):
            raise FiguresError(f"{path}: is a model, not a file of figures; sample it: fedgen sample {path}") from None
        if what := _federation(path):
            own = f"hold it against figures: fedgen validate {path} --against FIGURES"
            advice = own if what == _FEDERATION else f"only fedgen fit takes it: fedgen fit {path}"
            raise FiguresError(f"{path}: is {what}, not a file of published figures; {advice}") from None
        raise


def is_model(path: Path) -> bool:
    """Whether the file calls itself a model; what is wrong with it is for its reader to tell."""
    import msgspec

    from fedgen.io.content import decode_json
    from fitting.model import FORMAT

    if not path.is_file():
        return False
    try:
        with path.open("rb") as stream:
            if stream.read(1) != b"{":
                return False
            stream.seek(0)
            keys = decode_json(stream.read(), dict[str, msgspec.Raw])
    except (FormatError, OSError):
        return False
    return bytes(keys.get("format", b"")) == f'"{FORMAT}"'.encode()


def is_figures(path: Path) -> bool:
    """Whether the path is meant as a file of published figures; what is wrong with it is for its reader to tell.

    Content decides before the name: what is a federation, or packed, or JSON, or XML, is none. Of the rest, a file is
    one if it is called .toml or if a line of it begins a figure.
    """
    import re

    from fedgen.io.recognise import recognise

    named = path.suffix.lower() == ".toml"
    if not path.is_file():
        return named and not path.exists()
    try:
        with path.open("rb") as stream:
            content = stream.read(_FIGURES_BYTES)
    except OSError:
        return named
    head = content.removeprefix(b"\xef\xbb\xbf").lstrip()
    if head.startswith(_OTHERS) or (not named and re.search(rb"(?m)^\s*\[\[\s*figure\s*\]\]", content) is None):
        return False
    try:
        recognise(content)
    except FormatError:
        return True
    return False


def _federation(path: Path) -> str | None:
    """What messages call the federation or attendance at a path; None if there is neither."""
    from fedgen.io import format_of

    try:
        return "an attendance" if format_of(path) == "attendance" else _FEDERATION
    except FormatError:
        return None
