"""A sweep: sizes x assumptions x seeds, as a TOML file that says which (docs/sweep.md).

The first scenario is the reference, what the others are compared with. A scenario is a name of those that come with
fedgen or the path of a file, relative to that of the sweep; its growth laws and its move hold, its factor does not.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from fedgen.errors import FedgenError, UsageError
from fedgen.shipped import shipped
from gen.growth import number, whole
from gen.scenario import FOLDER, Scenario, known_scenarios, read_scenario, read_toml

BUILTIN = "sweep"
"""The name of the sweep that comes with fedgen."""
MOST = 1e6
"""A factor beyond which nothing is asked for by intent."""


@dataclass(frozen=True)
class Sweep:
    """What is drawn: every scenario at every factor, so many times.

    Attributes:
        title: in words.
        factors: (F,) times as many servers, rising.
        seeds: how many draws of each.
        scenarios: by name, the reference first; at no size of their own.

    Raises:
        UsageError: a value out of its range, or a scenario that has no place in a sweep; begins with the key.
    """

    title: str
    factors: tuple[float, ...]
    seeds: int
    scenarios: dict[str, Scenario]

    def __post_init__(self) -> None:
        title: object = self.title
        if not isinstance(title, str) or not title.strip():
            raise UsageError("title: is no text; say in a few words what is swept")
        for factor in self.factors:
            if not number(factor) or not 0 < factor <= MOST:
                raise UsageError(f"factors: {factor!r} is not a factor; give numbers above 0, at most {MOST:,.0f}")
        if not self.factors:
            raise UsageError("factors: there is none; give one at least, as [1, 2, 4]")
        if len(set(self.factors)) < len(self.factors):
            twice = next(factor for factor in self.factors if self.factors.count(factor) > 1)
            raise UsageError(f"factors: {twice:g} stands twice; leave one out")
        object.__setattr__(self, "factors", tuple(sorted(map(float, self.factors))))
        if not whole(self.seeds) or self.seeds < 1:
            raise UsageError(f"seeds: {self.seeds!r} is not a number of seeds; give a whole number from 1 up")
        if not self.scenarios:
            raise UsageError(f"scenarios: there is none; give one at least, of {', '.join(known_scenarios())}")
        for name, scenario in self.scenarios.items():
            _fit_for_a_sweep(name, scenario)

    @property
    def reference(self) -> str:
        """The name of the scenario that others are compared with."""
        return next(iter(self.scenarios))

    def to_dict(self) -> dict[str, Any]:
        """The sweep as it is written to ``plan.json``, with all that its files of scenarios say."""
        return {
            "title": self.title,
            "factors": list(self.factors),
            "seeds": self.seeds,
            "reference": self.reference,
            "scenarios": [
                {
                    "name": name,
                    "title": scenario.title,
                    "laws": asdict(scenario.growth),
                    "decentralize": asdict(scenario.decentralize) if scenario.decentralize else None,
                }
                for name, scenario in self.scenarios.items()
            ],
        }

    def differs(self, name: str) -> dict[str, tuple[Any, Any]]:
        """What a scenario assumes otherwise than the reference: (the reference's, its own), by parameter."""
        reference, other = self.scenarios[self.reference], self.scenarios[name]
        laws, others = asdict(reference.growth), asdict(other.growth)
        found = {key: (laws[key], others[key]) for key in laws if laws[key] != others[key]}
        if reference.decentralize != other.decentralize:
            moves = [how and how.assumption() for how in (reference.decentralize, other.decentralize)]
            found["decentralize"] = (moves[0], moves[1])
        return found


def factor_word(factor: float) -> str:
    """A factor as names of files and tables have it: as short as tells it from every other number."""
    return f"{factor:g}" if float(f"{factor:g}") == factor else repr(factor)


def read_sweep(path: str | Path) -> Sweep:
    """Read the file of a sweep; the name ``sweep`` is the one that comes with fedgen.

    Raises:
        UsageError: there is none, it is no TOML, or holds what no sweep has; one line with the line of the file.
    """
    path = find_sweep(path)
    document, lines = read_toml(path, f"give a file, or {BUILTIN} for the one that comes with fedgen")
    names = [one.name for one in fields(Sweep)]
    for key in document:
        if key not in names:
            raise UsageError(f"{path}:{lines.top(key)}: unknown key {key}; known are {', '.join(names)}")
    for name in names:
        if name not in document:
            raise UsageError(f"{path}: has no {name}; a sweep has {', '.join(names)}")
    try:
        factors = tuple(_listed(document, "factors"))
        scenarios = _scenarios(_listed(document, "scenarios"), path.parent)
        return Sweep(document["title"], factors, document["seeds"], scenarios)
    except FedgenError as error:
        raise UsageError(f"{path}:{lines.top(str(error).split(':')[0])}: {error}") from None


def find_sweep(name: str | Path) -> Path:
    """The file that is meant: one that is there, else the one that comes with fedgen if it has that name."""
    path = Path(name)
    return shipped(f"{BUILTIN}.toml") if path == Path(BUILTIN) and not path.is_file() else path


def _listed(document: dict[str, Any], key: str) -> list[Any]:
    value = document[key]
    if not isinstance(value, list):
        raise UsageError(f"{key}: is not a list; write it in brackets")
    return value


def _scenarios(words: list[Any], folder: Path) -> dict[str, Scenario]:
    found: dict[str, Scenario] = {}
    for word in words:
        if not isinstance(word, str) or not word:
            raise UsageError(f"scenarios: {word!r} is neither a name nor a file; known are {_known()}")
        path = folder / word
        if not path.is_file() and word in known_scenarios():
            path = shipped(f"{FOLDER}/{word}.toml")
        if not path.is_file():
            raise UsageError(f"scenarios: {word} is neither a file in {folder} nor a name; known are {_known()}")
        name = path.stem
        if name in found:
            raise UsageError(f"scenarios: two are called {name}, after their files; rename one")
        try:
            found[name] = read_scenario(path)
        except UsageError as error:
            raise UsageError(f"scenarios: {error}") from None
    return found


def _known() -> str:
    return ", ".join(known_scenarios())


def _fit_for_a_sweep(name: str, scenario: Scenario) -> None:
    if scenario.mode == "crawl":
        raise UsageError(
            f"scenarios: {name} is a larger crawl, which is estimated, not assumed; leave it out and sample it"
        )
    sizes = [size for size in ("servers", "users", "rooms") if getattr(scenario, size) is not None]
    if sizes:
        raise UsageError(f"scenarios: {name} gives {' and '.join(sizes)}, and sizes come from factors; leave them out")
