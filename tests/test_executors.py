"""Who does the work: the same result by whomever, and one line where somebody is lost."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
import warnings
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import gen.executors
from fedgen.cli.commands import run
from fedgen.cli.sample import processors
from gen.executors import WorkerError, executor
from tests.test_cli import is_one_error_line
from tests.test_streaming import listed, until

if TYPE_CHECKING:
    from collections.abc import Iterator

SHARED = {"base": 100}


def add(shared: dict[str, int], item: int) -> int:
    return shared["base"] + item


def late(shared: dict[str, int], item: int) -> int:
    """The first ones last."""
    time.sleep(0.05 * max(0, 4 - item))
    return shared["base"] + item


def whoever(_: object, item: int) -> int:
    time.sleep(0.02 * (item % 2))
    return os.getpid()


def wrong(_: object, item: int) -> int:
    if item == 3:
        raise ValueError("three is wrong")
    return item


def die(_: object, item: int) -> int:
    if item == 3:
        os.kill(os.getpid(), signal.SIGKILL)
    return item


def once_deadly(shared: dict[str, int], item: tuple[str, int]) -> int:
    """Kills the worker, once."""
    folder, number = item
    mark = Path(folder) / str(number)
    if number == 2 and not mark.exists():
        mark.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return shared["base"] + number


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def ignores_interrupts(_: object, item: int) -> bool:  # noqa: ARG001
    """Whether a Ctrl-C does nothing to a worker."""
    return signal.SIGINT in signal.pthread_sigmask(signal.SIG_BLOCK, [])


@pytest.mark.parametrize("jobs", [1, 2, 3])
class TestProcesses:
    def test_all_are_done_once(self, jobs: int) -> None:
        with executor(SHARED, jobs) as do:
            for task in (add, late):
                results = list(do(task, range(7)))
                assert sorted(results) == [(i, 100 + i) for i in range(7)]
            assert list(do(add, [])) == []

    def test_exception_of_a_task_comes_through(self, jobs: int) -> None:
        with pytest.raises(ValueError, match="three is wrong"), executor(SHARED, jobs) as do:
            list(do(wrong, range(9)))

    def test_no_worker_is_left(self, jobs: int) -> None:
        with executor(SHARED, jobs) as do:
            workers = {pid for _, pid in do(whoever, range(12))}
        assert len(workers) <= jobs
        for worker in workers - {os.getpid()}:
            with pytest.raises(ProcessLookupError):
                os.kill(worker, 0)


class TestWorkers:
    def test_in_any_order(self) -> None:
        with executor(SHARED, 3) as do:
            results = list(do(late, range(5)))
        assert results != sorted(results)
        assert dict(results) == {i: 100 + i for i in range(5)}

    def test_one_that_dies(self) -> None:
        with pytest.raises(WorkerError, match="a process that draws was killed") as lost, executor(SHARED, 2) as do:
            list(do(die, range(9)))
        assert "\n" not in str(lost.value)
        assert lost.value.exit_code == 1

    def test_deaf_to_interrupts(self) -> None:
        """A terminal sends them to all processes; the parent ends them."""
        with executor(SHARED, 2) as do:
            assert all(deaf for _, deaf in do(ignores_interrupts, range(4)))
        assert signal.SIGINT not in signal.pthread_sigmask(signal.SIG_BLOCK, [])

    def test_spawned_where_forking_is_unsafe(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Beside a thread, and on other systems."""
        monkeypatch.setattr(sys, "platform", "darwin")
        with executor(SHARED, 2) as do:
            assert dict(do(add, range(4))) == {i: 100 + i for i in range(4)}

    def test_interrupt_ends_quickly(self) -> None:
        """Tasks that have begun are ended, those that have not are not begun."""
        code = """
import time
from gen.executors import executor
def slow(shared, item):
    time.sleep(0.3)
    return item
try:
    with executor(None, 2) as do:
        for i, _ in do(slow, range(1000)):
            print(i, flush=True)
except KeyboardInterrupt:
    print("interrupted", flush=True)
"""
        process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
        assert process.stdout is not None
        process.stdout.readline()
        begin = time.monotonic()
        process.send_signal(signal.SIGINT)
        out, _ = process.communicate(timeout=30)
        assert time.monotonic() - begin < 3
        assert out.endswith("interrupted\n")


def sampled(place: Path, *words: str) -> list[dict[str, Any]]:
    """Two districts of the built-in model."""
    done = subprocess.run(
        [sys.executable, "-m", "fedgen.cli", "sample", "--servers", "33000", "-q", "-o", str(place), *words],
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    return listed(place)


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    return sampled(tmp_path_factory.mktemp("alone") / "out", "--jobs", "1")


@contextmanager
def cluster(workers: int) -> Iterator[Any]:
    """One on this machine, in processes of their own."""
    from distributed import LocalCluster

    with warnings.catch_warnings():
        # What distributed leaves open is not ours to close.
        warnings.simplefilter("ignore", ResourceWarning)
        warnings.simplefilter("ignore", DeprecationWarning)
        with LocalCluster(n_workers=workers, threads_per_worker=1, dashboard_address=None, silence_logs=50) as there:
            yield there


class TestDask:
    @pytest.mark.parametrize(
        "workers", ["1", pytest.param("2", marks=pytest.mark.slow), pytest.param("3", marks=pytest.mark.slow)]
    )
    def test_same_files_as_alone(self, workers: str, alone: list[dict[str, Any]], tmp_path: Path) -> None:
        assert sampled(tmp_path / "out", "--dask", "local", "--jobs", workers) == alone

    @pytest.mark.slow
    @pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")
    def test_a_worker_killed_in_mid_run_changes_nothing(self, tmp_path: Path) -> None:
        words = ["sample", "--servers", "120000", "-q", "--json"]
        with cluster(2) as there:
            process = subprocess.Popen(
                [sys.executable, "-m", "fedgen.cli", *words, "-o", tmp_path / "out", "--dask", there.scheduler_address],
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )
            until(lambda: any((tmp_path / "out/memberships").glob("part-*")) or process.poll() is not None, 120)
            assert process.poll() is None
            nanny = next(iter(there.workers.values()))
            os.kill(nanny.pid, signal.SIGKILL)
            out, err = process.communicate(timeout=120)
        assert (process.returncode, err) == (0, "")
        assert json.loads(out)["servers"] == 120_000
        assert run([*words, "-o", str(tmp_path / "alone"), "--jobs", "1"]) == 0
        assert listed(tmp_path / "out") == listed(tmp_path / "alone")

    @pytest.mark.slow
    @pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")
    def test_tasks(self) -> None:
        """Any order; what a task raises; one that kills every worker that does it."""
        with cluster(2) as there:
            address = there.scheduler_address
            with executor(SHARED, 1, address) as do:
                assert dict(do(late, range(6))) == {i: 100 + i for i in range(6)}
            with pytest.raises(ValueError, match="three is wrong"), executor(SHARED, 1, address) as do:
                list(do(wrong, range(6)))
            with pytest.raises(WorkerError, match="lost again and again"), executor(SHARED, 1, address) as do:
                list(do(die, [3]))

    @pytest.mark.slow
    @pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")
    def test_the_only_worker_killed_changes_nothing(self, tmp_path: Path) -> None:
        """What all tasks share was there alone; it is made again."""
        with cluster(1) as there, executor(SHARED, 1, there.scheduler_address) as do:
            results = do(once_deadly, [(str(tmp_path), i) for i in range(4)])
            assert dict(results) == {i: 100 + i for i in range(4)}
        assert (tmp_path / "2").exists()

    @pytest.mark.slow
    def test_a_lost_scheduler_is_one_line(self, tmp_path: Path) -> None:
        port = free_port()
        dask = [sys.executable, "-m", "dask"]
        quiet: dict[str, Any] = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        address = f"tcp://127.0.0.1:{port}"
        scheduler = subprocess.Popen([*dask, "scheduler", "--port", str(port), "--no-dashboard"], **quiet)
        options = ["--nworkers", "1", "--nthreads", "1", "--no-dashboard", "--no-nanny"]
        worker = subprocess.Popen([*dask, "worker", address, *options], **quiet, cwd=tmp_path)
        words = ["sample", "--servers", "120000", "-q", "-o", str(tmp_path / "out"), "--dask", address]
        process = subprocess.Popen(
            [sys.executable, "-m", "fedgen.cli", *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        try:
            until(lambda: any((tmp_path / "out/memberships").glob("part-*")) or process.poll() is not None, 120)
            assert process.poll() is None
            scheduler.kill()
            out, err = process.communicate(timeout=60)
        finally:
            for each in (process, scheduler, worker):
                each.kill()
                each.wait()
        assert (process.returncode, out) == (1, "")
        assert is_one_error_line(err)
        assert "scheduler was lost" in err
        assert not (tmp_path / "out/manifest.json").exists()

    @pytest.mark.parametrize(
        ("address", "code", "part"),
        [
            ("nonsense", 2, "--dask nonsense: is no address of a scheduler"),
            ("http://x:1", 2, "--dask http://x:1: is no address of a scheduler"),
            ("tcp://127.0.0.1", 2, "--dask tcp://127.0.0.1: is no address of a scheduler"),
            ("tcp://127.0.0.1:9", 1, "--dask tcp://127.0.0.1:9: no scheduler answers there"),
            ("127.0.0.1:9", 1, "--dask 127.0.0.1:9: no scheduler answers there"),
            ("tcp://no.such.host.invalid:8786", 1, "no scheduler answers there"),
        ],
    )
    @pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")
    def test_nobody_there(
        self,
        address: str,
        code: int,
        part: str,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        monkeypatch.setattr(gen.executors, "PATIENCE", "1s")
        words = ["sample", "--servers", "100", "-q", "-o", str(tmp_path / "out"), "--dask", address]
        assert run(words) == code
        out, err = capsys.readouterr()
        assert not out
        assert is_one_error_line(err)
        assert part in err
        # What was begun is continued without a cluster.
        assert not (tmp_path / "out/manifest.json").exists()
        assert run(words[:-2]) == 0

    def test_not_installed(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        monkeypatch.setitem(sys.modules, "distributed", None)
        assert run(["sample", "--servers", "100", "-q", "-o", str(tmp_path / "out"), "--dask", "local"]) == 2
        out, err = capsys.readouterr()
        assert not out
        assert is_one_error_line(err)
        assert "--dask needs Dask; pip install 'fedgen[dask]'" in err

    @pytest.mark.parametrize(
        "words", [["--move-hub-users", "0.1"], ["--format", "csv", "-o", "out.csv"]], ids=["moves", "csv"]
    )
    def test_refused_for_what_is_drawn_in_one_piece(self, words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
        assert run(["sample", "--servers", "100", "-q", "--dask", "local", *words]) == 2
        out, err = capsys.readouterr()
        assert not out
        assert is_one_error_line(err)
        assert "--dask draws federation directories" in err


@pytest.mark.skipif(not hasattr(os, "sched_getaffinity"), reason="not every system says which processors a process has")
def test_jobs_default_to_processors() -> None:
    assert processors() == len(os.sched_getaffinity(0)) >= 1
