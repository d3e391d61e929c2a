"""A scenario: what a larger federation is assumed to be, as a TOML file that says all of it.

Two questions that are never mixed (docs/growth.md). ``mode = "crawl"``: the same federation, had more of its rooms been
seen; that is estimated from the model. ``mode = "scenario"``: a larger federation; that is declared, by the laws of
:mod:`gen.growth`. The files that come with fedgen are in ``configs/scenarios``; the keys are in docs/growth.md.
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Literal, get_args

from fedgen.errors import UsageError
from fedgen.shipped import shipped
from fedgen.statistics.toml_lines import Lines, syntax_error
from gen.decentralization import Decentralization
from gen.growth import Growth, number, whole

Mode = Literal["scenario", "crawl"]
FOLDER = "scenarios"
_TABLES = {"growth": Growth, "decentralize": Decentralization}


@dataclass(frozen=True)
class Scenario:
    """What is assumed of a federation of another size than the measured one.

    Attributes:
        title: in words.
        mode: ``scenario`` or ``crawl``.
        factor: how many times as many servers (crawl: rooms), > 0; None: as many, or what sizes say.
        servers, users, rooms: sizes that are given, exact; they win over what ``factor`` and ``growth`` make of them.
        growth: the declared laws.
        decentralize: who moves out afterwards; None: nobody.

    Raises:
        UsageError: a value out of its range, or assumptions that contradict each other.
    """

    title: str = "proportional growth"
    mode: Mode = "scenario"
    factor: float | None = None
    servers: int | None = None
    users: int | None = None
    rooms: int | None = None
    growth: Growth = field(default_factory=Growth)
    decentralize: Decentralization | None = None

    def __post_init__(self) -> None:
        if self.mode not in get_args(Mode):
            raise UsageError(f"mode: {self.mode!r} is not known; give {' or '.join(get_args(Mode))}")
        title: object = self.title
        if not isinstance(title, str) or not title.strip():
            raise UsageError("title: is no text; say in a few words what is assumed")
        if self.factor is not None and (not number(self.factor) or self.factor <= 0):
            raise UsageError(f"factor: {self.factor!r} is not a factor; give a number above 0")
        for name in ("servers", "users", "rooms"):
            size = getattr(self, name)
            if size is not None and (not whole(size) or size < 1):
                raise UsageError(f"{name}: {size} is not a size; give a whole number from 1 up")
        if self.mode == "crawl":
            for name in ("servers", "users"):
                if getattr(self, name) is not None:
                    raise UsageError(
                        f"{name}: a larger crawl finds as many {name} as it finds, they cannot be given; "
                        "give rooms, or the mode scenario"
                    )
            if self.growth != Growth():
                raise UsageError("growth: a larger crawl does not grow by declared laws; give the mode scenario")
            if self.decentralize is not None:
                raise UsageError("decentralize: in a larger crawl nobody moves; give the mode scenario")


def read_scenario(path: str | Path) -> Scenario:
    """Read the file of a scenario; a name without folder and suffix is one of those that come with fedgen.

    Raises:
        UsageError: there is none, it is no TOML, or holds what no scenario has; one line with the line of the file.
    """
    path = find(path)
    document, lines = read_toml(path, f"give a file, or one of {', '.join(known_scenarios())}")

    def at(table: str, key: str = "") -> str:
        return f"{path}:{lines.top(table, key)}"

    parts: dict[str, Any] = {}
    _known(document, Scenario, lambda key: at(key))
    for name, value in document.items():
        if name not in _TABLES:
            parts[name] = value
            continue
        if not isinstance(value, dict):
            raise UsageError(f"{at(name)}: {name} is not a table; begin it with [{name}]")
        _known(value, _TABLES[name], lambda key, name=name: at(name, key), f"{name}.")
        try:
            parts[name] = _TABLES[name](**value)
        except UsageError as error:
            raise UsageError(f"{at(name)}: {error}") from None
    try:
        scenario = Scenario(**parts)
    except UsageError as error:
        raise UsageError(f"{at(str(error).split(':')[0])}: {error}") from None
    if "title" not in parts:
        raise UsageError(f"{path}: has no title; say in a few words what is assumed")
    if scenario.mode == "crawl" and "growth" in parts:
        raise UsageError(f"{at('growth')}: growth: a larger crawl does not grow by declared laws; leave [growth] out")
    return scenario


def read_toml(path: Path, advice: str) -> tuple[dict[str, Any], Lines]:
    """What a file of TOML holds, and on which lines.

    Raises:
        UsageError: it cannot be read, with ``advice`` on what to give instead; or it is no TOML, with the line.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
        return tomllib.loads(text), Lines(text, "")
    except OSError as error:
        raise UsageError(f"{path}: cannot be read ({error.strerror or error}); {advice}") from None
    except UnicodeDecodeError:
        raise UsageError(f"{path}: is not UTF-8; convert the file to UTF-8") from None
    except (ValueError, RecursionError) as error:
        line, what = syntax_error(str(error), text)
        raise UsageError(f"{path}:{line}: is not TOML: {what}; mend the line") from None


def find(name: str | Path) -> Path:
    """The file that is meant: one that is there, else the one of that name that comes with fedgen."""
    path = Path(name)
    if path.is_file() or path.suffix or len(path.parts) != 1:
        return path
    there = shipped(f"{FOLDER}/{name}.toml")
    return there if there.is_file() else path


def known_scenarios() -> list[str]:
    """The names of those that come with fedgen."""
    return sorted(path.stem for path in shipped(f"{FOLDER}/proportional.toml").parent.glob("*.toml"))


def _known(table: dict[str, Any], kind: type[Any], where: Any, prefix: str = "") -> None:
    names = [f.name for f in fields(kind)]
    for key in table:
        if key not in names:
            raise UsageError(f"{where(key)}: unknown key {prefix}{key}; known are {', '.join(names)}")
