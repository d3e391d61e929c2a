"""Whether a result can be written, asked before it is computed, so that nobody waits for nothing."""

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fedgen.errors import OutputError, UsageError

ENSEMBLE = "ensemble.json"
"""What is told of an ensemble, beside its federation directories; written last."""
SWEEP, CELLS = "sweep.json", "cells"
"""What is told of a sweep, written last, and the folder of its draws."""
_OF_SWEEP = {SWEEP, CELLS, "plan.json", "sweep.csv", "sweep.png", "mechanisms.png"}
_CELL = re.compile(r".+-x[0-9.e+-]+-seed[0-9]+\.json")


def check_federation(
    path: Path,
    format: str | None,  # noqa: A002
    *,
    force: bool,
    inputs: tuple[Path, ...] = (),
    plan: Mapping[str, Any] | None = None,
) -> None:
    """Refuse a place that :func:`fedgen.io.write` would refuse with the same arguments, or that holds an input.

    Raises:
        UsageError: it is an input or within one, or its suffix names no format.
        OutputError: says what lies there and what to do.
    """
    from fedgen.io import guess

    if (format or guess(path)) != "parquet":
        check_file(path, force=force, inputs=inputs)
        return
    _check_inputs(path, inputs)
    _check_parent(path)
    if not os.path.lexists(path):
        return
    if not path.is_dir():
        raise OutputError(f"{path}: is a file, and the format parquet makes a folder; name another place")
    held = {entry.name for entry in path.iterdir()}
    if "manifest.json" in held and not force:
        raise OutputError(f"{path}: exists; overwrite it with --force or name another place")
    if held and "plan.json" not in held:
        raise OutputError(f"{path}: is a folder with other things in it; name a new one")
    if held and "manifest.json" not in held and plan is not None and not force:
        from fedgen.io.directory import encoded

        if (path / "plan.json").read_bytes() != encoded(plan):
            raise OutputError(f"{path}: holds an unfinished federation of another plan; discard it with --force")


def check_ensemble(
    folder: Path, plans: Mapping[str, Mapping[str, Any]], *, force: bool, inputs: tuple[Path, ...] = ()
) -> None:
    """Refuse a folder that :mod:`fedgen.cli.ensemble` could not fill, or that holds anything else.

    Args:
        folder: of the ensemble.
        plans: of its federation directories, by name; what is done of the same plan is kept.
        force: whether what is there is made anew.
        inputs: what is read.

    Raises:
        UsageError: it is an input or within one.
        OutputError: says what lies there and what to do.
    """
    held = _check_filled(folder, "an ensemble", ENSEMBLE, force=force, inputs=inputs)
    strangers = sorted(held - {ENSEMBLE} - plans.keys())
    if strangers:
        raise OutputError(f"{folder}: holds {strangers[0]}, which is none of this ensemble; name a new folder")
    for name in held & plans.keys():
        if force or not is_finished(folder / name, plans[name]):
            check_federation(folder / name, "parquet", force=force, plan=plans[name])


def check_sweep(folder: Path, plan: Mapping[str, Any], *, force: bool, inputs: tuple[Path, ...] = ()) -> None:
    """Refuse a folder that :mod:`fedgen.cli.cells` could not fill, or that holds anything else.

    Args:
        folder: of the sweep.
        plan: of it; what was drawn by the same plan is kept.
        force: whether what is there is made anew.
        inputs: what is read.

    Raises:
        UsageError: it is an input or within one.
        OutputError: says what lies there and what to do.
    """
    from fedgen.io.directory import encoded

    held = _check_filled(folder, "a sweep", SWEEP, force=force, inputs=inputs)
    cells = folder / CELLS
    if CELLS in held and not cells.is_dir():
        raise OutputError(f"{cells}: is a file, and the draws of a sweep go to a folder; name a new folder")
    strange = held - _OF_SWEEP
    strange |= {f"{CELLS}/{name}" for name in (_held(cells) if CELLS in held else ()) if not _CELL.fullmatch(name)}
    if strange:
        raise OutputError(f"{folder}: holds {min(strange)}, which is none of a sweep; name a new folder")
    there = folder / "plan.json"
    if not force and there.exists() and there.read_bytes() != encoded(plan):
        raise OutputError(
            f"{folder}: holds an unfinished sweep of another plan; discard it with --force or name another place"
        )
    if not there.exists() and cells.is_dir() and _held(cells) and not force:
        raise OutputError(f"{folder}: holds draws of no plan; discard them with --force or name another place")


def _check_filled(folder: Path, what: str, last: str, *, force: bool, inputs: tuple[Path, ...]) -> set[str]:
    """What a folder holds that is filled until a file is written ``last``; refused once that is there."""
    _check_inputs(folder, inputs)
    _check_parent(folder)
    if not os.path.lexists(folder):
        return set()
    if not folder.is_dir():
        raise OutputError(f"{folder}: is a file, and {what} is a folder; name another place")
    held = _held(folder)
    if last in held and not force:
        raise OutputError(f"{folder}: exists; overwrite it with --force or name another place")
    return held


def _held(folder: Path) -> set[str]:
    from fedgen.io.output import PARTIAL

    return {entry.name for entry in folder.iterdir() if not entry.name.endswith(PARTIAL)}


def is_finished(folder: Path, plan: Mapping[str, Any]) -> bool:
    """Whether a federation directory is there, whole, and of this plan."""
    from fedgen.io.directory import MANIFEST, PLAN, encoded

    try:
        return (folder / MANIFEST).is_file() and (folder / PLAN).read_bytes() == encoded(plan)
    except OSError:
        return False


def check_file(path: Path, *, force: bool, inputs: tuple[Path, ...] = ()) -> None:
    """Refuse a place where a file lies already (unless ``force``) or none can be put, or that holds an input.

    Raises:
        UsageError: it is an input or within one.
        OutputError: says why and what to do.
    """
    _check_inputs(path, inputs)
    _check_parent(path)
    if path.is_dir():
        raise OutputError(f"{path}: is a folder; name a file")
    if path.exists() and not path.is_file():
        raise OutputError(f"{path}: is not a file that can be replaced; name another place")
    if os.path.lexists(path) and not force:
        raise OutputError(f"{path}: exists; overwrite it with --force or name another place")


def _check_inputs(path: Path, inputs: tuple[Path, ...]) -> None:
    """Not even ``--force`` destroys what is read."""
    for given in inputs:
        if not given.exists():
            continue
        if path.exists() and path.samefile(given):
            raise UsageError(f"{path}: is the input itself, which is never overwritten; name another place")
        if given.is_dir() and given.resolve() in path.resolve().parents:
            raise UsageError(f"{path}: lies within the input {given}, which is never changed; name another place")


def _check_parent(path: Path) -> None:
    folder = path.absolute().parent
    if not folder.exists():
        raise OutputError(f"{path}: the folder {folder} does not exist; create it or name another place")
    if not folder.is_dir():
        raise OutputError(f"{path}: {folder} is not a folder; name another place")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise OutputError(f"{path}: no right to write into {folder}; name another place")
