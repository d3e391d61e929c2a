"""What a command takes: seconds, CPU seconds and memory of its whole process tree."""

from __future__ import annotations

import ctypes
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

UNIT = 1 if sys.platform == "darwin" else 1024  # of ru_maxrss, in bytes
PAUSE = 0.05  # seconds between two looks at memory; longer where a look itself takes long
LONGEST_PAUSE = 0.5
PATIENCE = 60.0  # seconds beyond which nothing is repeated
ADOPT = 36  # PR_SET_CHILD_SUBREAPER: workers that outlive their parent are ours to wait for, and their seconds count


@dataclass(frozen=True)
class Run:
    """One run of a command.

    Attributes:
        printed: its stdout.
        refused: why it failed, the last line of its stderr; empty if it did not.
        seconds: from start to end, start of the process included.
        cpu: user and system, of all processes of the tree.
        peak: bytes; shared pages count once.
    """

    printed: str
    refused: str
    seconds: float
    cpu: float
    peak: int


def measured(command: list[str], environment: Mapping[str, str] | None = None) -> Run:
    """Run a command to its end."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(ADOPT, 1, 0, 0, 0)
    others, start = descendants(os.getpid()), time.perf_counter()
    with tempfile.TemporaryFile("w+") as printed, tempfile.TemporaryFile("w+") as complaints:
        with subprocess.Popen(command, stdout=printed, stderr=complaints, env=environment) as process:
            with watched(process.pid) as peak:
                _, status, usage = os.wait4(process.pid, 0)
            process.returncode = os.waitstatus_to_exitcode(status)
        seconds = time.perf_counter() - start
        cpu = usage.ru_utime + usage.ru_stime + sum(map(buried, descendants(os.getpid()) - others))
        printed.seek(0)
        complaints.seek(0)
        lines = complaints.read().strip().splitlines() or [f"ended with {process.returncode}"]
        refused = lines[-1] if process.returncode else ""
        # The largest single process is known exactly, unless it held less than this one, whose peak a child inherits.
        own = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        largest = usage.ru_maxrss * UNIT if usage.ru_maxrss > own else 0
        return Run(printed.read(), refused, seconds, cpu, max(peak.bytes, largest))


def median(measure: Callable[[], Run], repeat: int) -> Run:
    """The median of every figure over several runs; long runs are not repeated, nor are those that fail."""
    runs = [measure()]
    while len(runs) < repeat and not runs[-1].refused and sum(run.seconds for run in runs) < PATIENCE:
        runs.append(measure())
    seconds, cpu, peak = (statistics.median(getattr(run, name) for run in runs) for name in ("seconds", "cpu", "peak"))
    return replace(runs[-1], seconds=seconds, cpu=cpu, peak=int(peak))


def buried(pid: int) -> float:
    """CPU seconds of a process that outlived its tree, such as the server that workers are forked from."""
    deadline = time.perf_counter() + 5
    while time.perf_counter() < deadline:
        try:
            found, _, usage = os.wait4(pid, os.WNOHANG)
        except ChildProcessError:  # another orphan's child: counted there
            return 0
        if found:
            return usage.ru_utime + usage.ru_stime
        time.sleep(0.01)
    return 0


@dataclass
class Peak:
    """Most bytes of a process tree so far."""

    bytes: int = 0


@contextmanager
def watched(root: int) -> Iterator[Peak]:
    """The peak memory of a process tree while the block runs; 0 where the system does not tell.

    It is the most that was seen of all processes together, or the most that one of them ever had, if that is more.
    """
    peak, over = Peak(), threading.Event()

    def watch() -> None:
        pause = 0.0
        while not over.wait(pause):
            start = time.perf_counter()
            tree = descendants(root) | {root}
            together = sum(kibibytes(pid, "smaps_rollup", "Pss:") for pid in tree)
            peak.bytes = max(peak.bytes, together, *(kibibytes(pid, "status", "VmHWM:") for pid in tree))
            pause = min(max(PAUSE, 20 * (time.perf_counter() - start)), LONGEST_PAUSE)

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield peak
    finally:
        over.set()
        thread.join()


def descendants(root: int) -> set[int]:
    """All processes below one."""
    below: dict[int, list[int]] = {}
    for entry in Path("/proc").glob("[0-9]*"):
        below.setdefault(parent_of(entry.name), []).append(int(entry.name))
    found, left = set(), [root]
    while left:
        children = below.get(left.pop(), [])
        found.update(children)
        left.extend(children)
    return found


def parent_of(pid: str) -> int:
    """The parent of a process; 0 when it has ended."""
    try:
        return int(Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()[1])
    except OSError:
        return 0


def kibibytes(pid: int, file: str, label: str) -> int:
    """A figure that the system has on a process, in bytes; 0 when it has ended.

    ``Pss`` counts pages that k processes share as a k-th; ``VmHWM`` is the most that a process ever had.
    """
    try:
        lines = Path(f"/proc/{pid}/{file}").read_text(errors="replace").splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith(label)), 0)


def size_of(folder: Path) -> int:
    """Bytes of all files in a folder."""
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())


def fits(folder: Path, needed: float) -> bool:
    """Whether a file system has room for so many bytes and some air."""
    return shutil.disk_usage(folder).free > 1.1 * needed + 2**30
