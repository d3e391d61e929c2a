"""What ``fedgen fit`` is given: a federation, or an attendance, which is completed under assumptions that are told."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fedgen.cli import terminal
from fedgen.cli.inputs import assumed, read_federation, read_model
from fedgen.errors import NoUsersError, UsageError

if TYPE_CHECKING:
    from fedgen.federation import Federation
    from fedgen.io.attendance import AttendanceSnapshot
    from fitting.completion import Completion


@dataclass(frozen=True, eq=False)
class Measured:
    """What is fitted.

    Attributes:
        source: what :func:`fitting.fit.fit` takes.
        federation: of it.
        inputs: digests by name, for provenance.
        assumed: what provenance says of assumptions; empty where there are none.
    """

    source: "Federation | Completion"
    federation: "Federation"
    inputs: dict[str, str]
    assumed: dict[str, Any] = field(default_factory=dict)


def read_measured(
    path: Path, users_like: Path | None, rooms_per_user: float | None, *, seed: int, quiet: bool
) -> Measured:
    """The federation at ``path``, or a completion of the attendance there; remarks go to stderr unless ``quiet``.

    Raises:
        FormatError: it is neither.
        UsageError: assumptions about a federation, which has no need of any.
        InfeasibleError: the attendance does not allow them.
    """
    try:
        snapshot = read_federation(path, quiet=quiet)
    except NoUsersError:
        return _completed(path, users_like, rooms_per_user, seed=seed, quiet=quiet)
    if users_like is not None or rooms_per_user is not None:
        raise UsageError(
            f"{path}: is a federation, of which nothing is assumed; leave --users-like and --rooms-per-user out"
        )
    return Measured(snapshot.federation, snapshot.federation, {str(path): snapshot.digest})


def read_attendance(path: Path, *, quiet: bool) -> "AttendanceSnapshot":
    """The attendance at ``path``; remarks on it go to stderr unless ``quiet``.

    Raises:
        FormatError: it is none.
    """
    from fedgen.io.attendance import read_attendance_snapshot

    read = read_attendance_snapshot(path)
    if not quiet:
        terminal.remark(read.remarks)
    return read


def _completed(
    path: Path, users_like: Path | None, rooms_per_user: float | None, *, seed: int, quiet: bool
) -> Measured:
    from fitting.completion import complete
    from fitting.model import Model

    read = read_attendance(path, quiet=quiet)
    donor = Model.builtin() if users_like is None else read_model(users_like)
    completion = complete(read.attendance, donor=donor, rooms_per_user=rooms_per_user, seed=seed)
    name = "built-in" if users_like is None else str(users_like)
    told = {**completion.to_dict(), "users_like": name}
    if not quiet:
        fewest, most = completion.users_range
        mean = "given" if rooms_per_user is not None else "theirs"
        if donor.unmeasured:
            terminal.remark([f"{users_like}: lends users that were assumed themselves"])
        terminal.remark(
            [
                assumed(completion.unmeasured),
                f"assumed: users like those of {'the built-in model' if users_like is None else users_like}, in "
                f"{told['rooms_per_user']:.3g} rooms on average ({mean}): {told['users']:,} users; what was seen "
                f"allows {fewest:,} to {most:,}",
            ]
        )
    inputs = {str(path): read.digest, name: completion.donor}
    return Measured(completion, completion.federation, inputs, {"assumed": told})
