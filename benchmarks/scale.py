"""Time and peak memory of fit and sample, through the command line, at growing numbers of servers."""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

EXAMPLE = Path(__file__).parents[1] / "configs" / "debian_teams.csv.gz"
SIZES = (1_000, 10_000, 100_000)
UNIT = 1 if sys.platform == "darwin" else 1024  # of ru_maxrss, in bytes


def main() -> None:
    """Print one line per run."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("sizes", nargs="*", type=int, default=SIZES, help="numbers of servers")
    parser.add_argument("--data", type=Path, default=EXAMPLE, help="the federation that is fitted")
    arguments = parser.parse_args()
    sizes: tuple[int, ...] = arguments.sizes
    print(f"{'run':<24}{'seconds':>10}{'memberships':>14}{'per second':>14}{'peak MiB':>10}")
    with tempfile.TemporaryDirectory() as folder:
        model = Path(folder) / "model.json"
        fitted, seconds, peak = run("fit", arguments.data, "-o", model)
        show("fit", seconds, fitted["sizes"]["memberships"], peak)
        for size in sizes:
            output = Path(folder) / f"sample-{size}"
            sampled, seconds, peak = run("sample", model, "--servers", size, "-o", output)
            show(f"sample {size:,} servers", seconds, sampled["memberships"], peak)


def run(*words: object) -> tuple[dict[str, Any], float, float]:
    """What a command prints, its seconds and its peak memory in bytes."""
    command = [sys.executable, "-m", "fedgen.cli", *map(str, words), "--json", "-q"]
    start = time.perf_counter()
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        printed = process.stdout.read()
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        sys.exit(process.returncode)
    return json.loads(printed), time.perf_counter() - start, usage.ru_maxrss * UNIT


def show(name: str, seconds: float, memberships: int, peak: float) -> None:
    """One line of the table."""
    print(f"{name:<24}{seconds:>10.2f}{memberships:>14,}{memberships / seconds:>14,.0f}{peak / 2**20:>10.0f}")


if __name__ == "__main__":
    main()
