"""What all tests share: the data folder, and how hypothesis runs."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, settings

import fedgen

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from fedgen.federation import Federation
    from tests.homeservers import Postgres, World

DATA = Path(os.environ.get("FEDGEN_DATA") or Path(__file__).parents[1] / "../shared/data")

settings.register_profile("default", deadline=None, max_examples=60, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("ci", settings.get_profile("default"), derandomize=True, database=None)
settings.load_profile("ci" if os.environ.get("CI") else "default")


@pytest.fixture(autouse=True)
def _interrupts() -> Iterator[None]:
    """A command that ran in this process ends deaf to interrupts; what is started later must not be."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def data_file() -> Callable[[str], Path]:
    """The path of a file in the data folder; the test is skipped where it is missing."""

    def find(name: str) -> Path:
        path = DATA / name
        if not path.exists():
            pytest.skip(f"no {name} in the data folder; set FEDGEN_DATA to where it is")
        return path

    return find


@pytest.fixture(scope="session")
def teams() -> Federation:
    """The example that comes along: Debian's maintainer teams."""
    return fedgen.read(Path(__file__).parents[1] / "configs" / "debian_teams.csv.gz")


@pytest.fixture(scope="module")
def small_districts() -> Iterator[None]:
    """Districts may have any number of memberships, so that small federations have several."""
    import gen.districts

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(gen.districts, "MEMBERSHIPS", 1)
        yield


@pytest.fixture(scope="session")
def synapse_python() -> Path:
    """The Python that has Synapse, installed when first asked for; the test is skipped where it cannot be."""
    from tests.homeservers import UnavailableError, synapse

    try:
        return synapse()
    except UnavailableError as error:
        pytest.skip(str(error))


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """An empty PostgreSQL cluster; the test is skipped where PostgreSQL is not installed."""
    from tests.homeservers import Postgres, UnavailableError

    try:
        cluster = Postgres()
    except UnavailableError as error:
        pytest.skip(str(error))
    yield cluster
    cluster.close()


@pytest.fixture(scope="session")
def small_world(synapse_python: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """Three homeservers that `furnish` filled. Tests share it: use users that you registered at a homeserver yourself,
    which are no part of the truth, and leave alone who else is in a room.
    """
    from tests.homeservers import World, furnish

    with World(synapse_python, tmp_path_factory.mktemp("small-world")) as world:
        world.start(None, None, None)
        furnish(world)
        yield world


@pytest.fixture
def world(synapse_python: Path, tmp_path: Path) -> Iterator[World]:
    """No homeservers yet; those that the test starts end with it."""
    from tests.homeservers import World

    with World(synapse_python, tmp_path / "world") as world:
        yield world
