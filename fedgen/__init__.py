"""fedgen: fit, sample and validate federations of users, servers and rooms.

The library's face. Names are imported when first used, so that ``import fedgen`` costs nothing:

    federation = fedgen.read("configs/debian_teams.csv.gz")
    model = fedgen.fit(federation)
    larger = fedgen.sample(model, servers=10_000, seed=1)
    fedgen.write(larger, "larger/")

With other assumptions on growth, or a larger crawl of the same federation:

    fedgen.sample(model, servers=10_000, scenario=fedgen.read_scenario("frozen-hubs"))

Where only the servers and the number of users of each room were seen, what is missing is assumed, and said to be:

    model = fedgen.fit(fedgen.complete(fedgen.read_attendance("attendance.json")))

Or, where there is no measurement but its paper:

    alike = fedgen.reconstruct(fedgen.read_figures("configs/matrix-2018.toml"), seed=1)
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fedgen.attendance import Attendance
    from fedgen.errors import FedgenError
    from fedgen.federation import Federation
    from fedgen.io import read, write
    from fedgen.io.attendance import read_attendance
    from fedgen.statistics.published import read_figures
    from fedgen.traffic.equations import load
    from fitting.completion import complete
    from fitting.fit import fit
    from fitting.model import Model
    from gen.reconstruct.reconstruct import reconstruct
    from gen.sample import sample
    from gen.scenario import Scenario, read_scenario
    from validate.measurement import Measurement
    from validate.scorecard import Scorecard, validate

__version__ = "0.1.0"

__all__ = [
    "Attendance",
    "Federation",
    "FedgenError",
    "Measurement",
    "Model",
    "Scenario",
    "Scorecard",
    "complete",
    "fit",
    "load",
    "read",
    "read_attendance",
    "read_figures",
    "read_scenario",
    "reconstruct",
    "sample",
    "validate",
    "write",
]

_HOME = {
    "Attendance": "fedgen.attendance",
    "FedgenError": "fedgen.errors",
    "Federation": "fedgen.federation",
    "Measurement": "validate.measurement",
    "Model": "fitting.model",
    "Scenario": "gen.scenario",
    "Scorecard": "validate.scorecard",
    "complete": "fitting.completion",
    "fit": "fitting.fit",
    "load": "fedgen.traffic.equations",
    "read": "fedgen.io",
    "read_attendance": "fedgen.io.attendance",
    "read_figures": "fedgen.statistics.published",
    "read_scenario": "gen.scenario",
    "reconstruct": "gen.reconstruct.reconstruct",
    "sample": "gen.sample",
    "validate": "validate.scorecard",
    "write": "fedgen.io",
}


def __getattr__(name: str) -> object:
    if name not in _HOME:
        raise AttributeError(f"module 'fedgen' has no attribute {name!r}; it offers {', '.join(__all__)}")
    value: object = getattr(import_module(_HOME[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
