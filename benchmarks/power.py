"""What the scorecard sees, and what it cries wolf at.

    python benchmarks/power.py [--seeds N] [DATA ...]            power: corrupted copies of the measurement
    python benchmarks/power.py --alarms [--seeds N] [DATA ...]   false alarms: two samples of one model

DATA: federations in any format; default: the example and what lies in the folder FEDGEN_DATA (../shared/data).

*Power*: for each corruption (validate/corruptions.py) the share of seeds in which a copy of the measurement, corrupted,
is rejected by a row that the corruption is meant to break; which of these rows, and how often; other rows besides.
*False alarms*: a model is fitted to each data set; a sample of it is the measurement, another one is held against it.
Nothing is wrong, so that every rejection is a false alarm. Intervals are Clopper-Pearson, 95 %.
"""

import argparse
import os
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from scipy.stats import binomtest

import fedgen
from validate.corruptions import CORRUPTIONS, Corruption
from validate.measurement import Measurement
from validate.scorecard import judge

ROOT = Path(__file__).parents[1]
KNOWN = ("matrix-2018-standin.json.gz", "kernel_mail.csv.gz")


def main() -> None:
    """Print one table per data set."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", nargs="*", type=Path, help="federations in any format")
    parser.add_argument("--seeds", type=int, default=100, help="copies, or pairs of samples (default: %(default)s)")
    parser.add_argument("--alarms", action="store_true", help="measure false alarms instead of power")
    arguments = parser.parse_args()
    folder = Path(os.environ.get("FEDGEN_DATA", ROOT / ".." / "shared" / "data"))
    known = [ROOT / "configs" / "debian_teams.csv.gz", *(folder / name for name in KNOWN)]
    for path in arguments.data or [path for path in known if path.is_file()]:
        measured = fedgen.read(path)
        print(f"{path.name}: {measured}", flush=True)
        for line in (false_alarms if arguments.alarms else power)(measured, arguments.seeds):
            print(line, flush=True)
        print()


def power(measured: fedgen.Federation, seeds: int) -> Iterator[str]:
    """One line per corruption."""
    measurement = Measurement(measured)
    for corruption in CORRUPTIONS:
        yield seen(corruption, measurement, seeds)


def seen(corruption: Corruption, measurement: Measurement, seeds: int) -> str:
    """How often a corruption is seen, and by which rows."""
    meant, besides, rejected = Counter[str](), Counter[str](), 0
    for seed in range(seeds):
        corrupted = corruption.apply(measurement.federation, np.random.default_rng(seed))
        corrupted.check()
        found = {row.name for row in judge(corrupted, measurement) if row.verdict == "rejected"}
        hit = found & set(corruption.breaks)
        meant.update(hit)
        besides.update(found - hit)
        rejected += bool(hit)
    others = f"; besides: {listed(besides)}" if besides else ""
    return f"  {corruption.name}: {rejected} of {seeds}; {listed(meant) or 'no row'}{others}"


def false_alarms(measured: fedgen.Federation, seeds: int) -> Iterator[str]:
    """The family-wise rate, and which rows; how often each row is above its floor."""
    model = fedgen.fit(measured)
    alarms, rejecting, above = 0, Counter[str](), Counter[str]()
    for seed in range(seeds):
        measurement = Measurement(fedgen.sample(model, seed=2 * seed + 1), seed=seed)
        rows = judge(fedgen.sample(model, seed=2 * seed + 2), measurement)
        found = [row.name for row in rows if row.verdict == "rejected"]
        rejecting.update(found)
        above.update(row.name for row in rows if row.ratio > 1)
        alarms += bool(found)
    interval = binomtest(alarms, seeds).proportion_ci()
    rate = f"{alarms} of {seeds} ({interval.low:.1%} to {interval.high:.1%})"
    yield f"  rejected: {rate}; by {listed(rejecting) or 'no row'}"
    yield f"  above floor: {listed(above) or 'no row'}"


def listed(rows: Counter[str]) -> str:
    """Rows and how often, most often first."""
    return ", ".join(f"{row} {count}" for row, count in rows.most_common())


if __name__ == "__main__":
    main()
