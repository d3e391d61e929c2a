"""The federation directory: what it holds, what is refused, and what an interrupted or repeated run leaves."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jsonschema
import pyarrow
import pytest
from pyarrow import parquet

from fedgen.errors import FormatError, OutputError
from fedgen.federation import Federation
from fedgen.io import directory, parts, read, read_snapshot, write
from fedgen.io.store import Folder
from fedgen.provenance import digest, record

if TYPE_CHECKING:
    from collections.abc import Callable

SCHEMAS = Path(directory.__file__).parents[1] / "schemas"
FEDERATION = Federation.from_pairs([0, 0, 1], [0, 2, 0, 1, 2], [0, 0, 1, 1, 1])
OTHER = Federation.from_pairs([0, 1], [0, 1], [0, 0])
PRESENCES = {"server": [0, 1, 0, 1], "room": [0, 0, 1, 1], "users": [1, 1, 2, 1], "weight": [0.5, 0.5, 1.5, 0.5]}
PLAN = {"fedgen": "0.1.0", "sizes": {"servers": 2, "users": 3, "rooms": 2}, "seed": 7}


def schema(name: str) -> jsonschema.protocols.Validator:
    document = json.loads((SCHEMAS / f"{name}.schema.json").read_text())
    jsonschema.Draft202012Validator.check_schema(document)
    return jsonschema.Draft202012Validator(document)


def contents(path: Path) -> dict[str, bytes]:
    return {str(file.relative_to(path)): file.read_bytes() for file in sorted(path.rglob("*")) if file.is_file()}


def unfinished(path: Path, plan: dict[str, Any]) -> None:
    parts.begin(path, plan)
    parts.put(Folder(path), "memberships", pyarrow.table({"user": [9]}), 7)


def test_layout_plan_and_manifest(tmp_path: Path) -> None:
    path = tmp_path / "out"
    provenance = record(["fedgen", "sample"], seed=7, inputs={"model.json": "sha256:" + 64 * "0"})
    write(FEDERATION, path, plan=PLAN, provenance=provenance)
    parted = [f"{table}/part-00000.parquet" for table in ("users", "memberships", "presences")]
    tables = ["servers.parquet", "rooms.parquet", *parted]
    assert set(contents(path)) == {"plan.json", "manifest.json", *tables}
    plan, manifest = (json.loads((path / name).read_text()) for name in ("plan.json", "manifest.json"))
    schema("plan").validate(plan)
    schema("manifest").validate(manifest)
    assert plan == PLAN
    assert manifest["provenance"] == provenance
    assert manifest["counts"] == {"servers": 2, "users": 3, "rooms": 2, "memberships": 5, "presences": 4}
    assert [file["path"] for file in manifest["files"]] == tables
    for file in manifest["files"]:
        place = path / file["path"]
        assert file["sha256"] == digest(place).removeprefix("sha256:")
        assert (file["bytes"], file["rows"]) == (place.stat().st_size, parquet.read_metadata(place).num_rows)
    for name, table in FEDERATION.to_arrow().items():
        place = path / (f"{name}.parquet" if name in directory.SINGLE else f"{name}/part-00000.parquet")
        assert parquet.ParquetFile(place).read().equals(table)


def test_plan_and_provenance_by_default(tmp_path: Path) -> None:
    write(FEDERATION, tmp_path / "out")
    plan = json.loads((tmp_path / "out/plan.json").read_text())
    schema("plan").validate(plan)
    schema("manifest").validate(json.loads((tmp_path / "out/manifest.json").read_text()))
    assert plan["source"] == "convert"
    assert plan["sizes"] == {"servers": 2, "users": 3, "rooms": 2}


def test_parts_do_not_depend_on_jobs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parts, "PART_ROWS", 2)
    provenance = record([])
    for jobs in (1, 3):
        write(FEDERATION, tmp_path / str(jobs), jobs=jobs, provenance=provenance)
    assert contents(tmp_path / "1") == contents(tmp_path / "3")
    assert (tmp_path / "1/memberships/part-00002.parquet").exists()
    assert read(tmp_path / "1").same_as(FEDERATION)


def test_streaming_writers_give_the_same_directory(tmp_path: Path) -> None:
    provenance = record([])
    write(FEDERATION, tmp_path / "whole", plan=PLAN, provenance=provenance)
    path = tmp_path / "streamed"
    assert parts.begin(path, PLAN) == set()
    store, files = Folder(path), []
    for name, table in reversed(FEDERATION.to_arrow().items()):
        files.append(parts.put(store, name, table, None if name in directory.SINGLE else 0))
        assert parts.begin(path, PLAN) == {file.path for file in files}  # a second run of the same plan finds them
    assert [parts.listed(store, file.path) for file in files] == files
    parts.finish(store, parts.counts_of(FEDERATION), provenance, files)
    assert contents(path) == contents(tmp_path / "whole")


def test_finished_result_stays_unless_forced(tmp_path: Path) -> None:
    path = tmp_path / "out"
    write(FEDERATION, path)
    before = contents(path)
    with pytest.raises(OutputError, match=r"out: exists; choose another name or overwrite it with --force$"):
        write(OTHER, path)
    assert contents(path) == before
    write(OTHER, path, force=True)
    assert read(path).same_as(OTHER)


def test_unfinished_is_not_read_and_is_begun_anew(tmp_path: Path) -> None:
    path = tmp_path / "out"
    unfinished(path, PLAN)
    with pytest.raises(FormatError, match=r"out: is an unfinished federation directory \(no manifest.json\); run"):
        read_snapshot(path)
    write(FEDERATION, path, plan=PLAN, provenance=record([]))
    assert not (path / "memberships/part-00007.parquet").exists()
    assert read(path).same_as(FEDERATION)


def test_unfinished_of_another_plan_is_refused_unless_forced(tmp_path: Path) -> None:
    path = tmp_path / "out"
    unfinished(path, PLAN | {"seed": 8})
    before = contents(path)
    with pytest.raises(OutputError, match="out: holds an unfinished federation of another plan; finish that one or"):
        write(FEDERATION, path, plan=PLAN)
    assert contents(path) == before
    write(FEDERATION, path, plan=PLAN, force=True)
    assert read(path).same_as(FEDERATION)


@pytest.mark.parametrize("name", ["thesis.tex", "plan.json", "manifest.json", "users/part-00000.parquet"])
def test_folder_of_something_else_is_never_touched(name: str, tmp_path: Path) -> None:
    path = tmp_path / "out"
    (path / name).parent.mkdir(parents=True)
    (path / name).write_text('{"name": "something else"}')
    before = contents(path)
    for force in (False, True):
        with pytest.raises(OutputError, match="out: is a folder with other things in it; choose a new or an empty"):
            write(FEDERATION, path, force=force)
    assert contents(path) == before


def test_force_leaves_foreign_files_alone(tmp_path: Path) -> None:
    path = tmp_path / "out"
    write(FEDERATION, path)
    (path / "notes.txt").write_text("mine")
    (path / "users/.draft.partial").write_text("mine too")
    write(OTHER, path, force=True)
    assert (path / "notes.txt").read_text() == "mine"
    assert (path / "users/.draft.partial").read_text() == "mine too"


def test_empty_folder_is_used(tmp_path: Path) -> None:
    write(FEDERATION, tmp_path)
    assert read(tmp_path).same_as(FEDERATION)


@pytest.mark.parametrize(
    ("place", "reason"),
    [
        ("none/out", "No such file or directory); create its folder, or see"),
        ("f/out", "Not a directory); choose a path"),
    ],
)
def test_places_that_cannot_hold_it(place: str, reason: str, tmp_path: Path) -> None:
    (tmp_path / "f").touch()
    with pytest.raises(OutputError, match=re.escape(f"{place}: cannot be written ({reason}")):
        write(FEDERATION, tmp_path / place, "parquet")


def test_file_in_the_place(tmp_path: Path) -> None:
    (tmp_path / "out").touch()
    with pytest.raises(OutputError, match="out: is not a folder; choose another name"):
        write(FEDERATION, tmp_path / "out", force=True)


def test_interrupt_leaves_it_unfinished(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "out"
    put = parts.put

    def interrupted(store: Folder, table: str, rows: pyarrow.Table, part: int | None = None) -> directory.File:
        if table == "memberships":
            raise KeyboardInterrupt
        return put(store, table, rows, part)

    monkeypatch.setattr(parts, "put", interrupted)
    with pytest.raises(KeyboardInterrupt):
        write(FEDERATION, path)
    assert not (path / "manifest.json").exists()
    monkeypatch.undo()
    write(FEDERATION, path)
    assert read(path).same_as(FEDERATION)


def rewrite_manifest(path: Path, change: Callable[[dict[str, Any]], Any]) -> None:
    manifest = json.loads((path / "manifest.json").read_text())
    change(manifest)
    (path / "manifest.json").write_text(json.dumps(manifest))


def replace_table(path: Path, name: str, **columns: Any) -> None:
    """Another table in place of a part, with a manifest that vouches for it."""
    part = path / f"{name}/part-00000.parquet"
    parquet.write_table(pyarrow.table(columns), part)

    def vouch(manifest: dict[str, Any]) -> None:
        for file in manifest["files"]:
            if file["path"].startswith(name):
                file |= {"sha256": digest(part).removeprefix("sha256:"), "bytes": part.stat().st_size}

    rewrite_manifest(path, vouch)


def rewrite_and_remove(path: Path, table: str) -> None:
    """A directory without the parts of a table, with a manifest that agrees."""
    (path / f"{table}/part-00000.parquet").unlink()
    rewrite_manifest(path, lambda m: m.update(files=[file for file in m["files"] if table not in file["path"]]))


DAMAGE: dict[str, tuple[Callable[[Path], object], str]] = {
    "no federation": (
        lambda path: [(path / name).unlink() for name in ("plan.json", "manifest.json")],
        "is a folder without plan.json and manifest.json, so no federation directory; give one, or a file",
    ),
    "manifest cut off": (
        lambda path: os.truncate(path / "manifest.json", 99),
        "manifest.json is broken JSON (Input data was truncated); fetch or write it again",
    ),
    "manifest of a list": (
        lambda path: (path / "manifest.json").write_text("[]"),
        "manifest.json is JSON of the wrong shape (Expected `object`, got `array`)",
    ),
    "newer version": (
        lambda path: rewrite_manifest(path, lambda m: m.update(version=2)),
        "manifest.json is of format version 2, this fedgen reads up to 1; use a newer fedgen",
    ),
    "path out of the folder": (
        lambda path: rewrite_manifest(path, lambda m: m["files"][0].update(path="../../etc/passwd")),
        "manifest.json is JSON of the wrong shape (Expected `str` matching regex",
    ),
    "counts of nothing": (
        lambda path: rewrite_manifest(path, lambda m: m["counts"].update(servers=0)),
        "manifest.json states counts that no federation has",
    ),
    "other counts": (
        lambda path: rewrite_manifest(path, lambda m: m["counts"].update(memberships=6)),
        "memberships: 5 rows, manifest.json states 6; write the directory again",
    ),
    "other presences": (
        lambda path: rewrite_manifest(path, lambda m: m["counts"].update(presences=5)),
        "manifest.json states 5 presences, its memberships make 4; write the directory again",
    ),
    "no part listed": (
        lambda path: rewrite_and_remove(path, "presences"),
        "manifest.json lists no part of presences; write the directory again",
    ),
    "no weights": (
        lambda path: replace_table(path, "presences", **{k: v for k, v in PRESENCES.items() if k != "weight"}),
        "presences: has no column weight; write the directory again",
    ),
    "counts of words": (
        lambda path: replace_table(path, "presences", **PRESENCES | {"users": ["a", "b", "c", "d"]}),
        "presences: column users is not all numbers; write the directory again",
    ),
    "file missing": (
        lambda path: (path / "rooms.parquet").unlink(),
        "rooms.parquet is missing or damaged (sha256); copy or write the directory again",
    ),
    "file cut off": (
        lambda path: os.truncate(path / "users/part-00000.parquet", 99),
        "users/part-00000.parquet is missing or damaged (sha256); copy or write",
    ),
    "file too many": (
        lambda path: (path / "users/part-00001.parquet").touch(),
        "users/part-00001.parquet is not in manifest.json; remove it or write the directory again",
    ),
    "plan changed": (
        lambda path: (path / "plan.json").write_text(json.dumps(PLAN)),
        "plan.json is missing or was changed after manifest.json was written (sha256)",
    ),
    "plan missing": (lambda path: (path / "plan.json").unlink(), "plan.json is missing or was changed after"),
    "junk vouched for": (
        lambda path: replace_table(path, "users", user=[0, 1, 2]),
        "users: has no column server; write the directory again",
    ),
    "users out of order": (
        lambda path: replace_table(path, "users", user=[0, 2, 1], server=[0, 0, 1]),
        "users: ids are not 0, 1, 2, ... in order; write the directory again with fedgen convert",
    ),
    "user with null": (
        lambda path: replace_table(path, "memberships", user=[0, None, 0, 1, 2], room=[0, 0, 1, 1, 1]),
        "memberships: column user is not all integers; write the directory again",
    ),
    "user beyond": (
        lambda path: replace_table(path, "memberships", user=[0, 3, 0, 1, 2], room=[0, 0, 1, 1, 1]),
        "memberships: column user goes beyond the 3 in manifest.json; write the directory again",
    ),
    "membership twice": (
        lambda path: replace_table(path, "memberships", user=[0, 2, 0, 2, 2], room=[0, 0, 1, 1, 1]),
        "membership 4 stands twice",
    ),
}


@pytest.mark.parametrize(("damage", "message"), DAMAGE.values(), ids=DAMAGE.keys())
def test_damage_is_refused_in_one_line(damage: Callable[[Path], object], message: str, tmp_path: Path) -> None:
    path = tmp_path / "out"
    write(FEDERATION, path)
    damage(path)
    with pytest.raises(FormatError) as caught:
        read_snapshot(path)
    assert str(caught.value).startswith(f"{path}: {message}")
    assert "\n" not in str(caught.value)


def test_presences_that_disagree_are_told(tmp_path: Path) -> None:
    write(FEDERATION, tmp_path / "a")
    replace_table(
        tmp_path / "a", "presences", server=[0, 0, 1], room=[0, 1, 1], users=[1, 2, 1], weight=[0.5, 1.5, 0.5]
    )
    (remark,) = read_snapshot(tmp_path / "a").remarks
    assert remark == "1 server-room pair missing from the file, added from the memberships, first server 1 in room 0"
    write(FEDERATION, tmp_path / "b")
    presences = PRESENCES | {"users": [1, 1, 1, 1], "weight": [0.5, 0.5 + 1e-12, 1.5 + 1e-6, None]}
    replace_table(tmp_path / "b", "presences", **presences)
    assert read_snapshot(tmp_path / "b").remarks == (
        "1 presence states another count of users than its memberships, which were used",
        "2 presences state another weight than their memberships, which were used",
    )
    write(FEDERATION, tmp_path / "c")
    replace_table(tmp_path / "c", "presences", **{name: [*column, column[-1]] for name, column in PRESENCES.items()})
    assert read_snapshot(tmp_path / "c").remarks == ("1 repeated server-room pair left out",)


def test_unsorted_tables_of_others_are_read(tmp_path: Path) -> None:
    write(FEDERATION, tmp_path / "a")
    replace_table(tmp_path / "a", "memberships", user=[2, 1, 0, 2, 0], room=[1, 1, 1, 0, 0])
    replace_table(tmp_path / "a", "presences", **{name: column[::-1] for name, column in PRESENCES.items()})
    assert read_snapshot(tmp_path / "a").remarks == ()
    assert read(tmp_path / "a").same_as(FEDERATION)


def test_one_table_alone_is_refused_with_a_hint(tmp_path: Path) -> None:
    write(FEDERATION, tmp_path / "a")
    with pytest.raises(FormatError, match="is a single parquet table; give the federation directory that it belongs"):
        read_snapshot(tmp_path / "a/rooms.parquet")
    with pytest.raises(FormatError, match="is JSON but no federation"):
        read_snapshot(tmp_path / "a/manifest.json")
