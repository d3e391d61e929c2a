"""Columns of a federation directory, some rows at a time, whatever their encoding."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fedgen.errors import FormatError
from fedgen.io.directory import check_file

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import pyarrow as pa
    from numpy.typing import NDArray

    from fedgen.io.directory import Manifest

ROWS = 1 << 20
"""Rows at a time, at most."""


def columns(
    path: Path, manifest: Manifest, table: str, names: tuple[str, ...], *, checked: bool = False
) -> Iterator[list[NDArray[Any]]]:
    """Columns of a table, part after part.

    Args:
        path: of the directory.
        manifest: of it.
        table: its name.
        names: of the columns.
        checked: the files are known to be as the manifest lists them; else each is checked before it is read.

    Raises:
        FormatError: a file is not as the manifest lists it, or cannot be read, or a column holds anything but whole
            numbers (weights: numbers). The message lacks the path.
    """
    import pyarrow
    from pyarrow import parquet

    for file in manifest.files:
        if file.path.split("/")[0].removesuffix(".parquet") != table:
            continue
        if not checked:
            check_file(path, file)
        try:
            for batch in parquet.ParquetFile(path / file.path).iter_batches(ROWS, columns=list(names)):
                yield [_numbers(batch.column(name), table, name) for name in names]
        except (pyarrow.ArrowException, KeyError) as error:
            reason = str(error).splitlines()[0][:120]
            raise FormatError(f"{file.path} cannot be read ({reason}); write the directory again") from None


def _numbers(values: pa.Array, table: str, name: str) -> NDArray[Any]:
    found: NDArray[Any] = values.to_numpy(zero_copy_only=False)
    if values.null_count or found.dtype.kind not in ("iuf" if name == "weight" else "iu"):
        what = "numbers" if name == "weight" else "integers"
        raise FormatError(f"{table}: column {name} is not all {what}; write the directory again")
    return found
