"""The data sets of Clauset, Shalizi and Newman 2009 against their published fits (tables 6.1 to 6.3).

The tables count in other units than some files do: blackouts, cities, quakes and surnames in thousands (``data_factor``
of csn2009.csv); only xmin and its error depend on it. Fires are counted in the unit of their file, acres, but in
hundreds of them in the column ``max``.

Ties: quakes have 70 distinct values (magnitudes to one decimal), surnames 152. Their distances are found as the authors
did (:mod:`fitting.scan`); both sides of every jump would turn the published p of .20 for surnames into .27.
"""

import csv
import warnings
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
import powerlaw
import pytest
import scipy.optimize

from fitting.bootstrap import goodness, p_value, resampled
from fitting.comparison import Comparison, compare
from fitting.histogram import Histogram
from fitting.laws.families import CONTINUOUS, DISCRETE
from fitting.laws.law import Law
from fitting.scan import scan
from fitting.zeta import exponent_error

NAMES = ("words", "terrorism", "blackouts", "cities", "fires", "flares", "quakes", "surnames")
XMIN = dict(zip(NAMES, (7, 12, 230, 52.457, 6324, 323, 10**-0.1, 111.919), strict=True))
DataFile = Callable[[str], Path]


class Published(NamedTuple):
    """One row of the tables, as printed."""

    fit: dict[str, str]
    ratios: dict[str, str]


class Measured(NamedTuple):
    """One data set in the unit of the tables."""

    histogram: Histogram
    discrete: bool


@cache
def published(name: str, data_file: DataFile) -> Published:
    rows = []
    for table in ("csn/csn2009.csv", "csn/csn2009_lr.csv"):
        with data_file(table).open() as lines:
            rows.append(next(row for row in csv.DictReader(lines) if row["name"] == name))
    return Published(*rows)


@cache
def measured(name: str, data_file: DataFile) -> Measured:
    fit = published(name, data_file).fit
    values = np.loadtxt(data_file(f"csn/{fit['file']}"))
    discrete = fit["discrete"] == "1"
    values = values.astype(np.int64) if discrete else values * float(fit["data_factor"])
    return Measured(Histogram.of(values), discrete)


def printed(number: float, like: str) -> float:
    """``number`` with as many decimals as ``like``."""
    return round(number, len(like.partition(".")[2]))


def fits_of(name: str, data_file: DataFile) -> tuple[dict[str, Law | None], Histogram]:
    histogram, discrete = measured(name, data_file)
    xmin = float(histogram.values[scan(histogram, discrete=discrete).index])
    tail = histogram.tail(xmin)
    return {f: law.fit(tail, xmin) for f, law in (DISCRETE if discrete else CONTINUOUS).items()}, tail


@pytest.mark.parametrize("name", NAMES)
class TestFit:
    def test_xmin_exponent_and_tail(self, name: str, data_file: DataFile) -> None:
        (histogram, discrete), table = measured(name, data_file), published(name, data_file).fit
        found = scan(histogram, discrete=discrete)
        xmin = float(histogram.values[found.index])
        assert histogram.n == int(table["n"])
        assert xmin == pytest.approx(XMIN[name], rel=1e-12)
        assert printed(xmin, table["xmin"]) == float(table["xmin"])
        assert printed(found.alpha, table["alpha"]) == float(table["alpha"])
        assert histogram.tail(xmin).n == int(table["ntail"])

    def test_printed_errors_are_those_of_the_bootstrap(self, name: str, data_file: DataFile) -> None:
        """500 replicates: a standard deviation within 10 %; the exponent's are printed with one or two digits."""
        (histogram, discrete), table = measured(name, data_file), published(name, data_file).fit
        found = resampled(histogram, 500, np.random.SeedSequence(1), discrete=discrete)
        assert printed(found.alpha.std(), table["alpha_se"]) == float(table["alpha_se"])
        if name != "quakes":  # its replicates jump between xmin = 0.8 and 500: 108 +- 20 against 80
            rounding = 0.5 if table["xmin_se"].isdigit() else 0.0
            assert found.xmin.std() == pytest.approx(float(table["xmin_se"]), rel=0.1, abs=rounding)

    def test_the_error_at_this_xmin_is_smaller(self, name: str, data_file: DataFile) -> None:
        (histogram, discrete), table = measured(name, data_file), published(name, data_file).fit
        found = scan(histogram, discrete=discrete)
        tail = int(table["ntail"])
        error = (
            exponent_error(found.alpha, float(histogram.values[found.index]), tail)
            if discrete
            else (found.alpha - 1) / tail**0.5
        )
        assert 0 < error < float(table["alpha_se"])


@pytest.mark.parametrize("name", NAMES[2:])
def test_the_unit_matters_to_xmin_alone(name: str, data_file: DataFile) -> None:
    histogram, _ = measured(name, data_file)
    one = scan(histogram, discrete=False)
    other = scan(Histogram(histogram.values * 1000, histogram.number), discrete=False)
    assert one.index == other.index
    assert (one.alpha, one.distance) == (pytest.approx(other.alpha), pytest.approx(other.distance))


def p_of(name: str, replicates: int, data_file: DataFile) -> float:
    histogram, discrete = measured(name, data_file)
    found = scan(histogram, discrete=discrete)
    xmin = float(histogram.values[found.index])
    distances = goodness(histogram, xmin, found.alpha, replicates, np.random.SeedSequence(1), discrete=discrete)
    return p_value(found.distance, distances)


class TestGoodness:
    """p with 10,000 replicates is that of the table to .03; the printed .49 of words is an error, R's poweRlaw has .67.

    Ours: words .689, terrorism .680, blackouts .622, cities .751, fires .027, flares .990, quakes 0, surnames .200.
    """

    @staticmethod
    def wanted(name: str, data_file: DataFile) -> float:
        return 0.67 if name == "words" else float(published(name, data_file).fit["p"])

    @pytest.mark.parametrize("name", ["words", "terrorism", "blackouts", "surnames"])
    def test_thousand_replicates(self, name: str, data_file: DataFile) -> None:
        """Beside the .03, three standard errors of a share of 1,000."""
        p = self.wanted(name, data_file)
        assert abs(p_of(name, 1000, data_file) - p) <= 0.03 + 3 * np.sqrt(p * (1 - p) / 1000)

    @pytest.mark.slow
    @pytest.mark.parametrize("name", NAMES)
    def test_ten_thousand_replicates(self, name: str, data_file: DataFile) -> None:
        # A replicate of quakes has 12,000 distinct values; 10,000 of them take minutes and find none as bad.
        replicates = 500 if name == "quakes" else 10_000
        assert abs(p_of(name, replicates, data_file) - self.wanted(name, data_file)) <= 0.03


class Ratio(NamedTuple):
    """Ours and `powerlaw`'s: R for the cut-off, else normalised; p. None: the family has no fit of its own."""

    ours: float | None
    p: float | None
    theirs: float
    their_p: float


CUTOFF = "power law with cut-off"
COLUMNS = {
    "lognormal": ("lognormal_LR", "lognormal_p", "lognormal"),
    "exponential": ("exponential_LR", "exponential_p", "exponential"),
    "stretched exponential": ("stretched_LR", "stretched_p", "stretched_exponential"),
    CUTOFF: ("cutoff_rawLR", "cutoff_p", "truncated_power_law"),
}
RATIOS = {
    ("words", "lognormal"): Ratio(None, None, 0.4405, 0.660),
    ("words", "exponential"): Ratio(9.1436, 0.0, 9.1368, 0.0),
    ("words", "stretched exponential"): Ratio(None, None, 3.2716, 0.001),
    ("words", CUTOFF): Ratio(-0.9064, 0.178, -0.9064, 0.178),
    ("terrorism", "lognormal"): Ratio(-0.2784, 0.781, -0.2784, 0.781),
    ("terrorism", "exponential"): Ratio(2.4588, 0.014, 2.4577, 0.014),
    ("terrorism", "stretched exponential"): Ratio(-0.2780, 0.781, 0.5448, 0.586),
    ("terrorism", CUTOFF): Ratio(-0.0770, 0.6947, -0.0770, 0.6947),
    ("blackouts", "lognormal"): Ratio(-0.4157, 0.678, -0.4157, 0.678),
    ("blackouts", "exponential"): Ratio(1.4330, 0.152, 1.4315, 0.152),
    ("blackouts", "stretched exponential"): Ratio(-0.4243, 0.671, -0.3582, 0.720),
    ("blackouts", CUTOFF): Ratio(-0.3818, 0.382, -0.3818, 0.382),
    ("cities", "lognormal"): Ratio(-0.0915, 0.927, -0.0915, 0.927),
    ("cities", "exponential"): Ratio(3.5953, 0.0, 3.5947, 0.0),
    ("cities", "stretched exponential"): Ratio(-0.0916, 0.927, 0.9368, 0.349),
    ("cities", CUTOFF): Ratio(-0.1231, 0.620, -0.1231, 0.620),
    ("fires", "lognormal"): Ratio(-1.7835, 0.0745, -1.7835, 0.0745),
    ("fires", "exponential"): Ratio(3.9764, 0.0, 3.9744, 0.0),
    ("fires", "stretched exponential"): Ratio(-1.8224, 0.068, -1.8224, 0.068),
    ("fires", CUTOFF): Ratio(-5.0204, 0.0015, -5.0204, 0.0015),
    ("flares", "lognormal"): Ratio(-0.8038, 0.422, -0.8038, 0.422),
    ("flares", "exponential"): Ratio(13.7212, 0.0, 13.7222, 0.0),
    ("flares", "stretched exponential"): Ratio(-0.8147, 0.415, 1.1709, 0.242),
    ("flares", CUTOFF): Ratio(-4.5190, 0.003, -4.5190, 0.003),
    ("quakes", "lognormal"): Ratio(-7.1333, 0.0, -7.1333, 0.0),
    ("quakes", "exponential"): Ratio(11.4752, 0.0, 14.4239, 0.0),
    ("quakes", "stretched exponential"): Ratio(-7.1102, 0.0, -6.7252, 0.0),
    ("quakes", CUTOFF): Ratio(-24.4231, 0.0, -24.4231, 0.0),
    ("surnames", "lognormal"): Ratio(-0.8376, 0.402, -0.8376, 0.402),
    ("surnames", "exponential"): Ratio(2.8643, 0.004, 2.8646, 0.004),
    ("surnames", "stretched exponential"): Ratio(-0.8597, 0.390, -0.7446, 0.457),
    ("surnames", CUTOFF): Ratio(-1.3572, 0.099, -1.3572, 0.099),
}
# Where R or p is not the printed one.
RUNS_AWAY = "the likelihood rises up to where the family is a rounded Pareto law (R = .003); optimisers stop on the way"
SHORT = "the optimisers of the authors and of powerlaw stop short: our law is likelier than powerlaw's"
LAST_DIGITS = "powerlaw has our figure; the printed one is up to 1 % off, p is the same to .006"
RATE = "powerlaw has our figure; a rate up to 1.5 % off the maximum, of closed form, gives the printed one"
LEAST = "powerlaw has our figure; the printed one is the least that any rate gives"
EXPLAINED = {
    ("words", "lognormal"): RUNS_AWAY,
    ("words", "stretched exponential"): RUNS_AWAY,
    ("words", CUTOFF): LAST_DIGITS,
    ("terrorism", "stretched exponential"): SHORT,
    ("blackouts", "stretched exponential"): SHORT,
    ("cities", "stretched exponential"): SHORT,
    ("flares", "stretched exponential"): SHORT,
    ("quakes", "stretched exponential"): SHORT,
    ("surnames", "stretched exponential"): SHORT,
    ("words", "exponential"): RATE,
    ("terrorism", "exponential"): RATE,
    ("cities", "exponential"): RATE,
    ("fires", "exponential"): RATE,
    ("quakes", "exponential"): RATE + "; powerlaw's own counts densities below 1e-307 as that",
    ("surnames", "exponential"): RATE,
    ("blackouts", "exponential"): LEAST,
    ("terrorism", CUTOFF): LAST_DIGITS,
    ("blackouts", "lognormal"): LAST_DIGITS,
    ("cities", "lognormal"): LAST_DIGITS,
    ("fires", "lognormal"): LAST_DIGITS,
    ("flares", "lognormal"): LAST_DIGITS,
    ("quakes", "lognormal"): LAST_DIGITS,
    ("surnames", "lognormal"): LAST_DIGITS,
}


def compared(name: str, family: str, data_file: DataFile) -> Comparison | None:
    laws, tail = fits_of(name, data_file)
    power, rival = laws["power law"], laws[family]
    assert power is not None
    return None if rival is None else compare(power, rival, tail)


def reference(name: str, family: str, data_file: DataFile) -> tuple[float, float, float]:
    """`powerlaw`'s ratio, p, and the rival's log-likelihood."""
    histogram, discrete = measured(name, data_file)
    values = np.repeat(histogram.values, histogram.number)
    xmin = float(histogram.values[scan(histogram, discrete=discrete).index])
    rival = COLUMNS[family][2]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        fit = powerlaw.Fit(values, discrete=discrete, xmin=xmin, estimate_discrete=False, verbose=0)
        ratio, p = fit.distribution_compare("power_law", rival, normalized_ratio=family != CUTOFF)
        likelihoods = getattr(fit, rival).loglikelihoods(fit.data)
    return float(ratio), float(p), float(likelihoods.sum())


def agrees(found: Ratio, name: str, family: str, data_file: DataFile) -> bool:
    """R and p are the printed ones, to half a unit of the last digit printed."""
    if found.ours is None or found.p is None:
        return False
    row = published(name, data_file).ratios
    ratio, p = (row[column] for column in COLUMNS[family][:2])
    return printed(found.ours, ratio) == float(ratio) and printed(found.p, p) == float(p)


def with_rates(name: str, off: float, data_file: DataFile) -> float:
    """The normalised ratio where the exponential's rate is ``off`` times the most likely one."""
    laws, tail = fits_of(name, data_file)
    power, rival = laws["power law"], laws["exponential"]
    assert power is not None
    assert rival is not None
    found = compare(power, type(rival)(off * rival.parameters["lambda"], xmin=rival.xmin), tail).normalised  # type: ignore[call-arg]
    assert found is not None
    return found


def edge(tail: Histogram) -> float:
    """The likelihood of the rounded Pareto law: where a rounded lognormal or stretched exponential has no bend."""
    below, above, xmin = tail.values - 0.5, tail.values + 0.5, tail.values[0] - 0.5

    def minus(a: float) -> float:
        return -float(tail.number @ np.log((below / xmin) ** -a - (above / xmin) ** -a))

    return -float(scipy.optimize.minimize_scalar(minus, bounds=(0.1, 8), options={"xatol": 1e-9}).fun)


@pytest.mark.parametrize(("name", "family"), RATIOS)
class TestRatios:
    def test_ours(self, name: str, family: str, data_file: DataFile) -> None:
        found, wanted = compared(name, family, data_file), RATIOS[name, family]
        if wanted.ours is None:
            assert found is None
            return
        assert found is not None
        assert (found.ratio if family == CUTOFF else found.normalised) == pytest.approx(wanted.ours, abs=2e-4)
        assert found.p == pytest.approx(wanted.p, abs=6e-4)

    def test_as_printed_or_explained(self, name: str, family: str, data_file: DataFile) -> None:
        assert agrees(RATIOS[name, family], name, family, data_file) == ((name, family) not in EXPLAINED)

    def test_the_explanation(self, name: str, family: str, data_file: DataFile) -> None:
        why, found = EXPLAINED.get((name, family), ""), RATIOS[name, family]
        row = published(name, data_file).ratios
        ratio, p = (float(row[column]) for column in COLUMNS[family][:2])
        if why == LAST_DIGITS:
            assert found.ours == pytest.approx(ratio, rel=0.02)
            assert found.ours == pytest.approx(found.theirs, rel=1e-3)
            assert found.p == pytest.approx(p, abs=0.006)
        elif why.startswith(RATE):
            assert with_rates(name, 1.015, data_file) - 0.005 <= ratio <= with_rates(name, 0.985, data_file) + 0.005
            assert found.p == pytest.approx(p, abs=0.005)
        elif why == LEAST:
            least = min(with_rates(name, off, data_file) for off in np.linspace(0.5, 2, 151))
            assert least == pytest.approx(ratio, abs=0.005)
        elif why == RUNS_AWAY:
            laws, tail = fits_of(name, data_file)
            power = laws["power law"]
            assert power is not None
            assert power.log_likelihood(tail) - edge(tail) == pytest.approx(0.0034, abs=1e-4)
        elif why == SHORT:
            assert found.ours is not None
            assert found.ours < found.theirs

    @pytest.mark.slow
    def test_powerlaw(self, name: str, family: str, data_file: DataFile) -> None:
        wanted = RATIOS[name, family]
        ratio, p, likelihood = reference(name, family, data_file)
        assert ratio == pytest.approx(wanted.theirs, abs=2e-3)
        assert p == pytest.approx(wanted.their_p, abs=1e-3)
        laws, tail = fits_of(name, data_file)
        rival = laws[family]
        if (name, family) == ("quakes", "exponential"):
            assert rival is not None
            assert rival.log_pmf(tail.values).min() < np.log(1e-307)
        elif rival is not None:
            assert rival.log_likelihood(tail) >= likelihood - 1e-6
