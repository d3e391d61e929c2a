"""Federations written as they are drawn: the same files by whomever and however often it was interrupted."""

from __future__ import annotations

import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from pyarrow import parquet

import fedgen
import gen.districts
import gen.parts
import gen.streaming
from fedgen.cli.commands import run
from fedgen.errors import OutputError
from fedgen.io import read_snapshot
from fedgen.io.directory import MANIFEST, PLAN, tables
from fedgen.provenance import record
from fedgen.traffic.equations import load
from fitting.fit import fit
from gen.districts import divide
from gen.plan import make_plan
from gen.sample import draw
from gen.streaming import Written, estimate, write_sample
from tests.test_cli import is_one_error_line

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from fedgen.federation import Federation
    from fitting.model import Model
    from gen.plan import Plan


pytestmark = pytest.mark.usefixtures("small_districts")


@pytest.fixture(scope="module")
def model(teams: Federation) -> Model:
    return fit(teams)


@pytest.fixture(scope="module")
def plan(model: Model) -> Plan:
    return make_plan(model, servers=24 * 930, users=58_001, rooms=12_801, seed=3)


def written(model: Model, plan: Plan, place: Path, **options: Any) -> Written:
    return write_sample(model, plan, place, provenance=record([]), **options)


def listed(place: Path) -> list[dict[str, Any]]:
    """The files and their digests, as the manifest says."""
    files: list[dict[str, Any]] = json.loads((place / MANIFEST).read_text())["files"]
    return files


@pytest.fixture(scope="module")
def done(model: Model, plan: Plan, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Written]:
    """A federation of three districts."""
    place = tmp_path_factory.mktemp("streaming") / "done"
    return place, written(model, plan, place)


class TestWritten:
    def test_is_what_is_drawn(self, model: Model, plan: Plan, done: tuple[Path, Written]) -> None:
        place, told = done
        assert len(divide(plan)) == 3
        snapshot = read_snapshot(place)
        assert not snapshot.remarks
        federation = snapshot.federation
        federation.check()
        assert federation.same_as(draw(model, plan))
        counts = told.counts
        assert (counts.servers, counts.users, counts.rooms) == (plan.servers, plan.users, plan.rooms)
        assert (counts.memberships, counts.presences) == (federation.n_memberships, federation.n_presences)
        assert told.transactions == pytest.approx(load(federation).tx.sum(), rel=1e-9)
        assert told.kept == 0

    def test_tables_agree(self, done: tuple[Path, Written]) -> None:
        place, told = done
        federation = fedgen.read(place)
        servers, rooms, users = (
            parquet.ParquetDataset(place / name).read() for name in ("servers.parquet", "rooms.parquet", "users")
        )
        for table, columns in (
            (servers, {"users": federation.users_per_server, "rooms": federation.rooms_per_server}),
            (rooms, {"users": federation.users_per_room, "servers": federation.servers_per_room}),
            (users, {"server": federation.user_server, "rooms": federation.rooms_per_user}),
        ):
            assert table.column(0).to_pylist() == list(range(len(table)))
            for name, values in columns.items():
                assert np.array_equal(table.column(name).to_numpy(), values)
        assert told.bytes == sum(file["bytes"] for file in listed(place))
        assert told.bytes == sum((place / file["path"]).stat().st_size for file in listed(place))

    def test_narrowest_types_and_orders(self, plan: Plan, done: tuple[Path, Written]) -> None:
        place, _ = done
        schema = parquet.read_schema(place / "memberships/part-00001.parquet")
        assert [str(field.type) for field in schema] == ["uint16", "uint16"]
        assert plan.users < 2**16
        for part in range(3):
            room = parquet.read_table(place / f"memberships/part-{part:05d}.parquet").column("room").to_numpy()
            assert np.all(np.diff(room.astype(int)) >= 0)
        home = parquet.ParquetDataset(place / "users").read().column("server").to_numpy().astype(int)
        assert np.all(np.diff(home) >= 0)

    @pytest.mark.parametrize("jobs", [2, 3])
    def test_bytes_do_not_depend_on_jobs(
        self, jobs: int, model: Model, plan: Plan, done: tuple[Path, Written], tmp_path: Path
    ) -> None:
        told = written(model, plan, tmp_path / "out", jobs=jobs)
        assert listed(tmp_path / "out") == listed(done[0])
        assert told == done[1]

    def test_parts_of_head_servers(
        self, model: Model, plan: Plan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """However many there are they hold the users of head servers one after the other."""
        monkeypatch.setattr(gen.parts, "HEAD_ROWS", 5_000)
        monkeypatch.setattr(gen.streaming, "HEAD_ROWS", 5_000)
        written(model, plan, tmp_path / "out")
        of_heads = divide(plan).of_heads
        parts = sorted((tmp_path / "out/users").iterdir())
        assert len(parts) == -(-of_heads // 5_000) + 3
        assert [parquet.read_metadata(part).num_rows for part in parts[: of_heads // 5_000]] == [5_000] * (
            of_heads // 5_000
        )
        assert fedgen.read(tmp_path / "out").same_as(draw(model, plan))
        (tmp_path / "out" / MANIFEST).unlink()
        parts[1].unlink()
        told = written(model, plan, tmp_path / "out")
        assert told.kept == len(listed(tmp_path / "out")) - 1

    def test_one_district(self, model: Model, tmp_path: Path) -> None:
        """As large as measured, and smaller."""
        for servers in (930, 20):
            plan = make_plan(model, servers=servers, seed=5)
            written(model, plan, tmp_path / str(servers))
            assert fedgen.read(tmp_path / str(servers)).same_as(draw(model, plan))

    def test_measured_margins(self, model: Model, tmp_path: Path) -> None:
        plan = make_plan(model, margins="measured", seed=5)
        written(model, plan, tmp_path / "out")
        assert fedgen.read(tmp_path / "out").same_as(draw(model, plan))

    def test_progress(self, model: Model, plan: Plan, tmp_path: Path) -> None:
        heard: list[tuple[str, int, int]] = []
        told = written(model, plan, tmp_path / "out", progress=lambda *step: heard.append(step))
        drawing = [(done, total) for stage, done, total in heard if stage == "drawing memberships"]
        assert [done for done, _ in drawing] == sorted(done for done, _ in drawing)
        assert drawing[0][0] == 0
        assert drawing[-1][0] == told.counts.memberships
        assert all(done <= total for done, total in drawing)


class TestContinued:
    def removed(self, done: tuple[Path, Written], place: Path, names: list[str]) -> None:
        """A copy without the manifest and some parts."""
        shutil.copytree(done[0], place)
        for name in (MANIFEST, *names):
            (place / name).unlink()

    @pytest.mark.parametrize("table", ["memberships", "presences", "users", "servers", "rooms"])
    def test_without_a_table(
        self, table: str, model: Model, plan: Plan, done: tuple[Path, Written], tmp_path: Path
    ) -> None:
        names = [file["path"] for file in listed(done[0]) if file["path"].split(".")[0].split("/")[0] == table]
        assert names
        self.removed(done, tmp_path / "out", names)
        told = written(model, plan, tmp_path / "out")
        assert listed(tmp_path / "out") == listed(done[0])
        assert told.kept == len(listed(done[0])) - len(names)
        assert told.counts == done[1].counts
        assert told.transactions == done[1].transactions

    @pytest.mark.parametrize("seed", range(6))
    def test_without_any_of_them(
        self, seed: int, model: Model, plan: Plan, done: tuple[Path, Written], tmp_path: Path
    ) -> None:
        rng = np.random.default_rng(seed)
        names = [file["path"] for file in listed(done[0]) if rng.random() < [0, 0.1, 0.3, 0.5, 0.9, 1][seed]]
        self.removed(done, tmp_path / "out", names)
        told = written(model, plan, tmp_path / "out", jobs=1 + seed % 2)
        assert listed(tmp_path / "out") == listed(done[0])
        assert told.kept == len(listed(done[0])) - len(names)
        assert (told.counts, told.transactions, told.bytes) == (
            done[1].counts,
            done[1].transactions,
            done[1].bytes,
        )

    def test_half_written_ones_are_swept(
        self, model: Model, plan: Plan, done: tuple[Path, Written], tmp_path: Path
    ) -> None:
        self.removed(done, tmp_path / "out", ["presences/part-00001.parquet"])
        gone = subprocess.Popen(["true"])
        gone.wait()
        left = tmp_path / f"out/presences/.part-00001.parquet.{gone.pid}.partial"
        left.write_bytes(b"half")
        written(model, plan, tmp_path / "out")
        assert not left.exists()
        assert listed(tmp_path / "out") == listed(done[0])

    def test_another_plan_is_refused(
        self, model: Model, plan: Plan, done: tuple[Path, Written], tmp_path: Path
    ) -> None:
        self.removed(done, tmp_path / "out", [])
        other = make_plan(model, servers=plan.servers, users=plan.users, rooms=plan.rooms, seed=4)
        with pytest.raises(OutputError, match="holds an unfinished federation of another plan"):
            written(model, other, tmp_path / "out")
        told = written(model, other, tmp_path / "out", force=True)
        assert told.kept == 0
        assert listed(tmp_path / "out") != listed(done[0])
        with pytest.raises(OutputError, match="exists; choose another name or overwrite it with --force"):
            written(model, other, tmp_path / "out")


LARGE = ("sample", "--servers", "66000", "-q")
"""Four districts of the built-in model: what is killed in its middle."""


def command(*words: object) -> list[str]:
    return [sys.executable, "-m", "fedgen.cli", *map(str, words)]


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    place = tmp_path_factory.mktemp("large") / "out"
    assert run([*LARGE, "--jobs", "1", "-o", str(place)]) == 0
    return listed(place)


def started(place: Path, *words: object) -> subprocess.Popen[str]:
    """A run that has finished a part but not all."""
    process = subprocess.Popen(
        command(*LARGE, "-o", place, *words), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    until(lambda: any((place / "memberships").glob("part-*")) or process.poll() is not None, 60)
    assert process.poll() is None
    return process


def until(holds: Callable[[], bool], seconds: float) -> None:
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end, "never happened"
        time.sleep(0.005)


def children(process: subprocess.Popen[str]) -> list[int]:
    return [int(child) for child in Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()]


def alive(process: int) -> bool:
    """Whether it runs; one that nobody waited for does not."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def nothing_looks_finished(place: Path) -> None:
    """No manifest, and every part that has its name can be read to the end."""
    assert not (place / MANIFEST).exists()
    assert (place / PLAN).exists()
    for name in tables(str(file.relative_to(place)) for file in place.rglob("*.parquet")):
        parquet.read_table(place / name)


def continued(place: Path, jobs: int) -> list[dict[str, Any]]:
    assert run([*LARGE, "-o", str(place), "--jobs", str(jobs)]) == 0
    return listed(place)


needs_proc = pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="needs /proc to see processes")


@needs_proc
class TestKilled:
    def test_all_at_once(self, large: list[dict[str, Any]], tmp_path: Path) -> None:
        """kill -9 of the command: its workers end by themselves, and the same command goes on."""
        place = tmp_path / "out"
        process = started(place, "--jobs", 2)
        workers = children(process)
        assert len(workers) == 2
        process.kill()
        process.communicate()
        until(lambda: not any(map(alive, workers)), 3)
        nothing_looks_finished(place)
        assert continued(place, 2) == large

    def test_a_worker(self, large: list[dict[str, Any]], tmp_path: Path) -> None:
        place = tmp_path / "out"
        process = started(place, "--jobs", 2)
        workers = children(process)
        os.kill(workers[0], signal.SIGKILL)
        out, err = process.communicate(timeout=30)
        assert (process.returncode, out) == (1, "")
        assert is_one_error_line(err)
        assert "a process that draws was killed" in err
        until(lambda: not any(map(alive, workers)), 3)
        nothing_looks_finished(place)
        assert continued(place, 2) == large

    @pytest.mark.parametrize("jobs", [2, pytest.param(1, marks=pytest.mark.slow)])
    def test_interrupted(self, jobs: int, large: list[dict[str, Any]], tmp_path: Path) -> None:
        """Ctrl-C reaches all processes of the terminal."""
        place = tmp_path / "out"
        process = subprocess.Popen(
            command(*LARGE, "-o", place, "--jobs", jobs),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        until(lambda: any((place / "memberships").glob("part-*")) or process.poll() is not None, 60)
        workers = children(process)
        os.killpg(process.pid, signal.SIGINT)
        begin = time.monotonic()
        out, err = process.communicate(timeout=30)
        assert time.monotonic() - begin < 5
        assert (process.returncode, out) == (1, "")
        assert is_one_error_line(err)
        assert "interrupted" in err
        until(lambda: not any(map(alive, workers)), 3)
        nothing_looks_finished(place)
        assert continued(place, 3 - jobs) == large


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Callable[[str], Path]]:
    """A file system of a size that can be given again."""
    place = tmp_path / "disk"
    place.mkdir()
    mounted = False

    def mount(size: str) -> Path:
        nonlocal mounted
        options = f"remount,size={size}" if mounted else f"size={size}"
        try:
            subprocess.run(
                ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(place)], check=True, capture_output=True
            )
        except (OSError, subprocess.CalledProcessError):
            pytest.skip("a small file system cannot be mounted here")
        mounted = True
        return place

    yield mount
    if mounted:
        subprocess.run(["umount", str(place)], check=True)


class TestFullDisk:
    @pytest.mark.parametrize("jobs", [2, pytest.param(1, marks=pytest.mark.slow)])
    def test_in_mid_run(
        self,
        jobs: int,
        large: list[dict[str, Any]],
        small_disk: Callable[[str], Path],
        monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        """Others fill it meanwhile: what was free at first tells nothing."""
        place = small_disk("8m") / "out"
        monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=10**12))
        monkeypatch.setattr(gen.districts, "MEMBERSHIPS", 1 << 20)
        assert run([*LARGE, "-o", str(place), "--jobs", str(jobs)]) == 1
        out, err = capsys.readouterr()
        assert not out
        assert is_one_error_line(err)
        assert "No space left on device" in err
        assert str(place) in err
        nothing_looks_finished(place)
        assert not list(place.rglob("*.partial"))
        assert list(place.glob("memberships/part-*"))
        small_disk("60m")
        assert continued(place, jobs) == large

    def test_at_once(
        self,
        small_disk: Callable[[str], Path],
        monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        """Told after the first district, when the second need not be drawn in vain."""
        place = small_disk("8m") / "out"
        monkeypatch.setattr(gen.districts, "MEMBERSHIPS", 1 << 20)
        assert run([*LARGE, "-o", str(place), "--jobs", "1"]) == 1
        out, err = capsys.readouterr()
        assert not out
        assert is_one_error_line(err)
        assert "the federation takes about" in err
        assert len(list(place.glob("memberships/part-*"))) == 1

    def test_files_may_not_be_so_large(self, tmp_path: Path) -> None:
        place = tmp_path / "out"

        def bounded() -> None:
            resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, 1_000_000))

        failed = subprocess.run(
            command(*LARGE, "-o", place, "--jobs", 2),
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
            preexec_fn=bounded,
        )
        assert (failed.returncode, failed.stdout) == (1, "")
        assert is_one_error_line(failed.stderr)
        assert "File too large" in failed.stderr
        nothing_looks_finished(place)
        assert not list(place.rglob("*.partial"))

    def test_too_small_is_refused_early(
        self, model: Model, plan: Plan, done: tuple[Path, Written], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        free = done[1].bytes // 2
        monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=free))
        with pytest.raises(OutputError, match=r"the federation takes about .* GB and .* GB are left") as refused:
            written(model, plan, tmp_path / "out")
        assert "\n" not in str(refused.value)
        assert len(list((tmp_path / "out/memberships").iterdir())) == 1
        monkeypatch.undo()
        written(model, plan, tmp_path / "out")
        assert listed(tmp_path / "out") == listed(done[0])

    def test_enough_is_not_refused(
        self, model: Model, plan: Plan, done: tuple[Path, Written], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """What is there already of a run that is continued needs no more room."""
        place = tmp_path / "out"
        TestContinued().removed(done, place, ["memberships/part-00001.parquet"])
        monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=done[1].bytes // 2))
        written(model, plan, place)
        assert listed(place) == listed(done[0])


class TestEstimate:
    @pytest.mark.parametrize("factor", [1, 16, 40])
    def test_bytes(self, model: Model, tmp_path: Path, factor: int) -> None:
        plan = make_plan(model, servers=930 * factor, seed=2)
        told = estimate(model, plan)
        assert told.bytes == pytest.approx(written(model, plan, tmp_path / "out").bytes, rel=0.2)
        assert told.districts == len(divide(plan))
        assert told.memberships == plan.memberships
        assert told.memory > 50e6
        assert told.seconds > 0

    def test_dry_run_writes_nothing(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        monkeypatch.chdir(tmp_path)
        words = ["sample", "--servers", "33000", "--jobs", "2", "--json", "-q", "-o", "out"]
        monkeypatch.setattr(gen.districts, "MEMBERSHIPS", 1 << 20)
        assert run([*words, "--dry-run"]) == 0
        assert not list(tmp_path.iterdir())
        told = json.loads(capsys.readouterr().out)
        assert run(words) == 0
        done = json.loads(capsys.readouterr().out)
        assert told["districts"] == told["processes"] == 2
        assert told["bytes"] == pytest.approx(sum(file["bytes"] for file in listed(tmp_path / "out")), rel=0.2)
        for name in ("servers", "users", "rooms"):
            assert told[name] == done[name]
        for name in ("memberships", "presences"):
            assert told[name] == pytest.approx(done[name], rel=0.02)
        assert told["free"] > 0


@pytest.mark.parametrize(
    "sizes",
    [
        {"servers": 15_001},
        {"users": 40_003},
        {"rooms": 8_517},
        {"servers": 16_000, "users": 16_100},
        {"servers": 15_000, "users": 60_000, "rooms": 20_000},
    ],
    ids=lambda sizes: " ".join(sizes),
)
def test_exact_sizes(sizes: dict[str, int], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    example = Path(__file__).parents[1] / "configs/debian_teams.csv.gz"
    model = tmp_path.parent / "teams.json"
    if not model.exists():
        assert run(["fit", str(example), "-o", str(model), "-q"]) == 0
    flags = [word for name, size in sizes.items() for word in (f"--{name}", str(size))]
    capsys.readouterr()
    assert run(["sample", str(model), *flags, "-o", str(tmp_path / "out"), "--jobs", "2", "--json", "-q"]) == 0
    told = json.loads(capsys.readouterr().out)
    federation = fedgen.read(tmp_path / "out")
    for name, size in sizes.items():
        assert told[name] == getattr(federation, f"n_{name}") == size
