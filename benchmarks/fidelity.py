"""The scorecard of equal-size samples, over data sets and seeds: which rows are within their floor, and which are not.

    python benchmarks/fidelity.py [--seeds N] [DATA ...]

DATA: federations in any format; default: the example and what lies in the folder FEDGEN_DATA (../shared/data).
"""

import argparse
import os
import statistics
from pathlib import Path

import fedgen

ROOT = Path(__file__).parents[1]
KNOWN = ("matrix-2018-standin.json.gz", "kernel_mail.csv.gz")


def main() -> None:
    """Print one table per data set."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", nargs="*", type=Path, help="federations in any format")
    parser.add_argument("--seeds", type=int, default=10, help="samples per data set (default: %(default)s)")
    arguments = parser.parse_args()
    folder = Path(os.environ.get("FEDGEN_DATA", ROOT / ".." / "shared" / "data"))
    known = [ROOT / "configs" / "debian_teams.csv.gz", *(folder / name for name in KNOWN)]
    for path in arguments.data or [path for path in known if path.is_file()]:
        show(path, arguments.seeds)


def show(path: Path, seeds: int) -> None:
    """Fit one data set, sample it anew with each seed and print the ratios distance / floor."""
    measured = fedgen.read(path)
    model = fedgen.fit(measured)
    measurement = fedgen.Measurement(measured)
    cards = [fedgen.validate(fedgen.sample(model, seed=seed), measurement) for seed in range(1, seeds + 1)]
    within = [card.within for card in cards]
    rejected = sum(card.rejected for card in cards)
    print(f"{path.name}: {measured}")
    print(f"within, of {cards[0].judged}: median {statistics.median(within):g}; {within}; rejected: {rejected} times")
    print(f"{'row':<5}{'floor':>9}{'median':>8}{'worst':>8}  ratio over {seeds} seeds")
    for row in cards[0].rows:
        ratios = [card[row.name].ratio for card in cards]
        print(f"{row.name:<5}{row.floor:>9.4f}{statistics.median(ratios):>8.2f}{max(ratios):>8.2f}  {row.statistic}")
    print()


if __name__ == "__main__":
    main()
