"""Where directories lie: a folder and a store behind fsspec keep the same promises."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import fsspec
import pytest

import gen.districts
from fedgen.cli.commands import run
from fedgen.errors import OutputError, UsageError
from fedgen.federation import Federation
from fedgen.io import parts, read
from fedgen.io.store import Bucket, Folder, Store, is_url, open_store, spelled
from fedgen.provenance import record
from fitting.model import Model
from gen.plan import make_plan
from gen.streaming import write_sample
from tests.test_cli import is_one_error_line

if TYPE_CHECKING:
    from collections.abc import Iterator

FEDERATION = Federation.from_pairs([0, 0, 1], [0, 2, 0, 1, 2], [0, 0, 1, 1, 1])
PLAN = {"fedgen": "0.1.0", "sizes": {"servers": 2, "users": 3, "rooms": 2}, "seed": 7}


@pytest.fixture
def memory() -> Iterator[str]:
    """A store that is in this process alone."""
    files = fsspec.filesystem("memory")
    files.store.clear()
    files.pseudo_dirs[:] = [""]
    yield "memory://bucket/out"
    files.store.clear()
    files.pseudo_dirs[:] = [""]


@pytest.fixture(params=["folder", "memory", "file"])
def place(request: pytest.FixtureRequest, tmp_path: Path, memory: str) -> Path | str:
    places: dict[str, Path | str] = {
        "folder": tmp_path / "out",
        "memory": memory,
        "file": f"file://{tmp_path}/out",
    }
    return places[request.param]


class TestStores:
    def test_holds_what_was_written(self, place: Path | str) -> None:
        store = open_store(place)
        assert store.names() == []
        store.make(["users", "rooms"])
        assert store.names() == []
        store.write("plan.json", b"{}")
        store.write("users/part-1", memoryview(b"abc"))
        assert open_store(place).names() == ["plan.json", "users/part-1"]
        assert store.read("users/part-1") == b"abc"
        store.write("users/part-1", b"abcd")
        assert store.read("users/part-1") == b"abcd"
        store.make(["users", "rooms"])
        assert store.names() == ["plan.json", "users/part-1"]
        store.remove("users/part-1")
        store.remove("users/part-1")
        assert store.names() == ["plan.json"]

    def test_what_is_missing_is_an_os_error(self, place: Path | str) -> None:
        store = open_store(place)
        store.make(["users"])
        with pytest.raises(OSError, match="nothing"):
            store.read("users/nothing")

    def test_at_most_one_folder_deep(self, memory: str) -> None:
        store, deeper = open_store(memory), open_store(f"{memory}/users/more")
        store.make(["users"])
        store.write("a", b"")
        store.write("users/b", b"")
        deeper.make([])
        deeper.write("c", b"")
        assert store.names() == ["a", "users/b"]
        assert deeper.names() == ["c"]

    def test_neighbours_do_not_meet(self, place: Path | str) -> None:
        """Not even where one's name begins with the other's."""
        store, other = open_store(place), open_store(f"{place}put" if isinstance(place, str) else Path(f"{place}put"))
        for one in (store, other):
            one.make([])
        other.write("a", b"")
        assert store.names() == []

    def test_a_directory(self, place: Path | str) -> None:
        assert parts.begin(place, PLAN) == set()
        store, files = open_store(place), []
        for name, table in FEDERATION.to_arrow().items():
            files.append(parts.put(store, name, table, None if f"{name}.parquet" in SINGLE else 0))
            assert parts.begin(place, PLAN) == {file.path for file in files}
        assert [parts.listed(store, file.path) for file in files] == files
        with pytest.raises(OutputError, match="holds an unfinished federation of another plan"):
            parts.begin(place, {**PLAN, "seed": 8})
        manifest = parts.finish(store, parts.counts_of(FEDERATION), record([]), files)
        assert {file.path for file in manifest.files} == {file.path for file in files}
        with pytest.raises(OutputError, match="exists; choose another name"):
            parts.begin(place, PLAN)
        assert parts.begin(place, PLAN, force=True) == set()
        assert store.names() == ["plan.json"]

    def test_other_things_are_never_touched(self, place: Path | str) -> None:
        store = open_store(place)
        store.make([])
        store.write("mine", b"precious")
        for force in (False, True):
            with pytest.raises(OutputError, match="is a folder with other things in it"):
                parts.begin(place, PLAN, force=force)
        assert store.names() == ["mine"]
        assert store.read("mine") == b"precious"

    def test_a_federation_from_memory(self, place: Path | str, tmp_path: Path) -> None:
        for _ in range(2):
            parts.write(FEDERATION, place, plan=PLAN, provenance=record([]), force=True, jobs=2)
        store = open_store(place)
        for name in store.names():
            (tmp_path / "copy" / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / "copy" / name).write_bytes(store.read(name))
        assert read(tmp_path / "copy").same_as(FEDERATION)


SINGLE = ("servers.parquet", "rooms.parquet")


class TestPlaces:
    @pytest.mark.parametrize(
        ("place", "url"),
        [
            ("s3://bucket/out", True),
            ("s3:/bucket/out", True),  # what pathlib makes of it
            ("memory://a", True),
            ("file:///tmp/out", True),
            ("file:/tmp/out", True),
            ("out", False),
            ("/tmp/s3:/out", False),
            ("c:out", False),
            ("C:/out", False),
        ],
    )
    def test_urls(self, place: str, url: bool) -> None:
        assert is_url(place) is url
        assert is_url(Path(place)) is url
        if not url:
            assert isinstance(open_store(place), Folder)
            assert spelled(place) == place

    @pytest.mark.parametrize("place", ["file:///tmp/out", "file:/tmp/out/", Path("file:///tmp/out")])
    def test_files_of_this_machine_are_in_a_folder(self, place: Path | str) -> None:
        """Where they appear whole or not at all, as fsspec's do not; and not below where the command runs."""
        store = open_store(place)
        assert isinstance(store, Folder)
        assert store.path == Path("/tmp/out")
        assert spelled(place) == "file:///tmp/out"

    def test_spelled(self) -> None:
        assert spelled(Path("s3://bucket/out/")) == spelled("s3://bucket/out") == "s3://bucket/out"

    def test_what_packages_raise_is_one_line(self, memory: str, monkeypatch: pytest.MonkeyPatch) -> None:
        """Those of S3 have kinds of their own: no credentials, nobody there."""

        class UnableError(Exception):
            pass

        def unable(*_: object, **__: object) -> Any:
            raise UnableError("Unable to locate\ncredentials")

        store = open_store(memory)
        for name in ("exists", "cat_file", "pipe_file", "makedirs"):
            monkeypatch.setattr(type(store.files), name, unable)  # type: ignore[attr-defined]
        for use in (store.names, lambda: store.read("a"), lambda: store.write("a", b""), lambda: store.make(["a"])):
            with pytest.raises(OutputError, match=r"memory://bucket/out.*reached \(Unable to locate credentials\)"):
                use()

    def test_unknown_protocol(self) -> None:
        with pytest.raises(UsageError, match="nowhere://a: is no place that fsspec knows") as refused:
            open_store("nowhere://a")
        assert "\n" not in str(refused.value)

    def test_package_of_the_protocol_is_missing(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def missing(_: str) -> Any:
            raise ImportError("Install s3fs to access S3")

        monkeypatch.setattr(fsspec.core, "url_to_fs", missing)
        with pytest.raises(UsageError, match=r"s3://b/out: needs fsspec and .* \(Install s3fs to access S3\)"):
            open_store("s3://b/out")


def listed(store: Store) -> list[dict[str, Any]]:
    files: list[dict[str, Any]] = json.loads(store.read("manifest.json"))["files"]
    return files


class TestSample:
    def test_into_memory(self, memory: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(gen.districts, "MEMBERSHIPS", 1)
        model = Model.builtin()
        plan = make_plan(model, servers=33_000, seed=1)
        folder = tmp_path / "out"
        one, other = (write_sample(model, plan, to, provenance=record([])) for to in (folder, memory))
        assert one == other
        store = Bucket(memory)
        assert listed(store) == listed(Folder(folder))
        # Continued likewise.
        for name in ("manifest.json", "presences/part-00001.parquet", "rooms.parquet"):
            store.remove(name)
        again = write_sample(model, plan, memory, provenance=record([]))
        assert again.kept == len(listed(store)) - 2
        assert listed(store) == listed(Folder(folder))

    def test_command(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        words = ["sample", "--servers", "3000", "-q", "--jobs", "1", "--json"]
        url = f"file://{tmp_path}/url"
        assert run([*words, "-o", str(tmp_path / "folder")]) == 0
        assert run([*words, "-o", url]) == 0
        assert capsys.readouterr().out.count('"servers": 3000') == 2
        assert listed(Folder(tmp_path / "url")) == listed(Folder(tmp_path / "folder"))
        assert run([*words, "-o", url]) == 1
        assert f"{url}: exists; choose another name" in capsys.readouterr().err
        assert run([*words, "-o", url, "--force"]) == 0

    @pytest.mark.parametrize(
        ("words", "part"),
        [
            (["-o", "nowhere://bucket/out"], "nowhere://bucket/out: is no place that fsspec knows"),
            (["-o", "memory://bucket/out", "--move-hub-users", "0.1"], "without moves of hub users, goes there"),
            (["-o", "memory://bucket/out.csv", "--format", "csv"], "only a federation directory"),
        ],
    )
    def test_refused_in_one_line(self, words: list[str], part: str, capsys: pytest.CaptureFixture[str]) -> None:
        assert run(["sample", "--servers", "100", "-q", *words]) == 2
        out, err = capsys.readouterr()
        assert not out
        assert is_one_error_line(err)
        assert part in err
