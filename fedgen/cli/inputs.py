"""What a command is given to read: a federation or a model, told apart when one is given for the other."""

from pathlib import Path
from typing import TYPE_CHECKING

from fedgen.cli import terminal
from fedgen.errors import FormatError, ModelError

if TYPE_CHECKING:
    from fedgen.io import Snapshot
    from fitting.model import Model


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
        raise
    if not quiet:
        terminal.remark(f"{path}: {text}" if named else text for text in snapshot.remarks)
    return snapshot


def read_model(path: Path) -> "Model":
    """The model at ``path``.

    Raises:
        ModelError: it is none.
    """
    from fitting.model import Model

    try:
        return Model.load(path)
    except ModelError:
        if _is_federation(path):
            raise ModelError(f"{path}: is a federation, not a model; fit it first: fedgen fit {path}") from None
        if path.is_dir():
            raise ModelError(f"{path}: is a folder, not a model; give the file that fedgen fit wrote") from None
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


def _is_federation(path: Path) -> bool:
    from fedgen.io import format_of

    try:
        format_of(path)
    except FormatError:
        return False
    return True
