"""Files appear whole or not at all; what the system refuses is one line. And: where a result came from."""

from __future__ import annotations

import os
import platform
import re
import resource
import signal
import subprocess
import sys
import zipfile
from datetime import datetime
from typing import TYPE_CHECKING

import numpy as np
import pytest

from fedgen.errors import OutputError
from fedgen.federation import Federation
from fedgen.io import csv, formats, read, write
from fedgen.io.output import replacing
from fedgen.provenance import digest, record

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

FEDERATION = Federation.from_pairs([0, 0, 1], [0, 2, 0, 1, 2], [0, 0, 1, 1, 1])


def test_existing_file_stays_unless_forced(tmp_path: Path) -> None:
    path = tmp_path / "f.csv"
    path.write_text("mine")
    with pytest.raises(OutputError, match=r"f\.csv: exists; choose another name or overwrite it with --force$"):
        write(FEDERATION, path)
    assert path.read_text() == "mine"
    write(FEDERATION, path, force=True)
    assert read(path).same_as(FEDERATION)
    assert [entry.name for entry in tmp_path.iterdir()] == ["f.csv"]


@pytest.mark.parametrize("error", [KeyboardInterrupt, OSError(28, "No space left on device"), RuntimeError])
@pytest.mark.parametrize("name", ["f.csv", "f.csv.gz", "f.csv.zip"])
def test_nothing_is_left_behind(
    name: str, error: BaseException | type[BaseException], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(federation: Federation) -> Iterator[bytes]:
        yield from csv.write(federation)
        raise error

    monkeypatch.setitem(formats.WRITERS, "csv", failing)
    (tmp_path / name).write_text("mine")
    expected = OutputError if isinstance(error, OSError) else error
    with pytest.raises(expected):  # type: ignore[arg-type]
        write(FEDERATION, tmp_path / name, force=True)
    assert [entry.name for entry in tmp_path.iterdir()] == [name]
    assert (tmp_path / name).read_text() == "mine"


@pytest.mark.parametrize("name", ["f.csv", "f.json.gz", "f.graphml.zip", "out"])
def test_file_that_grows_beyond_what_the_system_allows(name: str, tmp_path: Path) -> None:
    crowd = Federation.from_pairs(np.zeros(9999, int), np.random.default_rng(0).permutation(9999), np.arange(9999))
    limits, handler = resource.getrlimit(resource.RLIMIT_FSIZE), signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, limits[1]))
    try:
        with pytest.raises(OutputError) as caught:
            write(crowd, tmp_path / name)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, handler)
    assert re.fullmatch(
        rf"{tmp_path}/{name}\S*: cannot be written \(.*File too large.*\); write elsewhere", str(caught.value)
    )
    assert not list(tmp_path.rglob("*.partial"))
    assert not list(tmp_path.rglob("manifest.json"))


@pytest.mark.parametrize(
    ("place", "reason"),
    [
        ("none/f.csv", "No such file or directory); create its folder, or see"),
        ("f/f.csv", "Not a directory); choose a"),
    ],
)
def test_places_that_cannot_hold_it(place: str, reason: str, tmp_path: Path) -> None:
    (tmp_path / "f").touch()
    with pytest.raises(OutputError, match=re.escape(f"{place}: cannot be written ({reason}")):
        write(FEDERATION, tmp_path / place)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_no_right_to_write(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(OutputError, match=r"\(Permission denied\); choose a place that you may write to$"):
        write(FEDERATION, tmp_path / "f.csv")


def test_neither_folders_nor_devices_are_replaced(tmp_path: Path) -> None:
    (tmp_path / "f.csv").mkdir()
    os.mkfifo(tmp_path / "fifo")
    for path, name in ((tmp_path / "f.csv", None), (tmp_path / "fifo", "csv")):
        with pytest.raises(OutputError, match=r"is not a file that can be replaced; choose another name$"):
            write(FEDERATION, path, name, force=True)


@pytest.mark.parametrize(("suffix", "member"), [(".json.zip", "federation.json"), (".CSV.ZIP", "federation.csv")])
def test_zip_under_another_name_has_the_same_bytes(suffix: str, member: str, tmp_path: Path) -> None:
    for name in ("one", "two"):
        write(FEDERATION, tmp_path / f"{name}{suffix}")
    assert zipfile.ZipFile(tmp_path / f"one{suffix}").namelist() == [member]
    assert (tmp_path / f"one{suffix}").read_bytes() == (tmp_path / f"two{suffix}").read_bytes()


def test_what_killed_runs_left_is_removed(tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", ""]) as child:
        pass
    dead, alive = (f".f.csv.{process}.partial" for process in (child.pid, os.getppid()))
    kept = {alive, ".f.csv.mine.partial", f".g.csv.{child.pid}.partial"}
    for name in (dead, *kept):
        (tmp_path / name).write_text("half")
    write(FEDERATION, tmp_path / "f.csv")
    assert {entry.name for entry in tmp_path.iterdir()} == {"f.csv", *kept}


def test_a_run_whose_files_vanish_says_what_may_be_the_matter(tmp_path: Path) -> None:
    advice = "No such file or directory); create its folder, or see whether another run works there"
    with pytest.raises(OutputError, match=re.escape(advice)), replacing(tmp_path / "f") as temporary:
        temporary.with_name("f").unlink()


def test_record_says_how_and_never_who(tmp_path: Path) -> None:
    before = datetime.now().astimezone()
    made = record(("fedgen", "fit", "data.csv"), seed=7, inputs={"data.csv": "sha256:0"})
    assert made["command"] == ["fedgen", "fit", "data.csv"]
    assert made["seed"] == 7
    assert made["inputs"] == {"data.csv": "sha256:0"}
    assert made["versions"]["numpy"] == np.__version__
    assert made["versions"]["python"] == platform.python_version()
    assert abs((datetime.fromisoformat(made["time"]) - before).total_seconds()) < 60
    values = " ".join(map(str, made.values()))
    assert platform.node() not in values.split()
    assert str(tmp_path) not in values
    assert made["platform"] == f"{platform.system()} {platform.machine()}"
    known = {"fedgen", "versions", "command", "seed", "inputs", "time", "platform", "processor"}
    assert made.keys() == known


def test_digest_of_files_and_folders(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"abc")
    # FIPS 180-2, appendix B.1
    assert digest(tmp_path / "a") == "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    seen = {digest(tmp_path)}
    (tmp_path / "b").write_bytes(b"abc")
    seen.add(digest(tmp_path))
    (tmp_path / "b").rename(tmp_path / "c")
    seen.add(digest(tmp_path))
    (tmp_path / "c").write_bytes(b"abd")
    seen.add(digest(tmp_path))
    assert len(seen) == 4
    (tmp_path / "manifest.json").write_bytes(b"abc")
    assert digest(tmp_path) == digest(tmp_path / "a")
