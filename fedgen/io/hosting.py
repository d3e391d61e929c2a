"""Who hosts whom: servers with their users, and where they are present; all that the load needs.

Of a federation directory only servers and presences are read, the presences as they come; so a directory of any size
is looked at in the memory of its servers. Any other format is read whole first.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from fedgen.errors import FormatError
from fedgen.federation import Presences
from fedgen.io.columns import columns
from fedgen.io.directory import read_manifest
from fedgen.io.snapshot import Snapshot, read_snapshot, told_by_name
from fedgen.provenance import digest
from fedgen.ragged import offsets_of
from fedgen.traffic.activity import spoken
from fedgen.traffic.equations import Stretch

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from fedgen.federation import Integers
    from fedgen.io.directory import Manifest
    from fedgen.traffic.activity import Activity


@dataclass(frozen=True, eq=False)
class Hosting:
    """Servers and their presences.

    Attributes:
        users: (S,) n.
        rooms: (S,) m.
        n_rooms: R.
        presences: begins to read the presences anew, sorted by room.
        gather: reads all of them at once.
        digest: of the source.
    """

    users: Integers
    rooms: Integers
    n_rooms: int
    presences: Callable[[], Iterator[Stretch]]
    gather: Callable[[], Presences]
    digest: str

    @classmethod
    def of(cls, snapshot: Snapshot, activity: Activity | None = None) -> Hosting:
        """Of a federation in memory; ``activity``: who says how much, and where; None: all alike."""
        federation = snapshot.federation
        return cls(
            federation.users_per_server,
            federation.rooms_per_server,
            federation.n_rooms,
            lambda: iter([spoken(federation, activity)]),
            lambda: replace(federation.presences, weight=spoken(federation, activity).weight),
            snapshot.digest,
        )


def read_hosting(path: str | Path) -> Hosting:
    """The hosting of the federation at a path, whatever its format.

    Raises:
        FormatError: there is none that can be trusted. What is wrong with a presence of a directory is told where it is
            read: rooms that fall, an id beyond the counts, a damaged part.
    """
    place = Path(path)
    if not place.is_dir():
        return Hosting.of(read_snapshot(place))
    with told_by_name(place):
        manifest = read_manifest(place)
        users, rooms = _servers(place, manifest)
        return Hosting(
            users,
            rooms,
            manifest.counts.rooms,
            lambda: _named(place, manifest),
            lambda: _gathered(place, manifest),
            digest(place),
        )


def _named(path: Path, manifest: Manifest) -> Iterator[Stretch]:
    with told_by_name(path):
        yield from _stretches(path, manifest)


def _gathered(path: Path, manifest: Manifest) -> Presences:
    """All presences of a directory in memory."""
    parts = list(_named(path, manifest))
    server, room, weight = (np.concatenate(column) for column in zip(*parts, strict=True))
    with told_by_name(path):
        users = np.concatenate([part for (part,) in columns(path, manifest, "presences", ("users",))])
    offsets = offsets_of(np.bincount(room, minlength=manifest.counts.rooms))
    return Presences(server.astype(np.int64), room.astype(np.int64), users, weight, offsets)


def _servers(path: Path, manifest: Manifest) -> tuple[Integers, Integers]:
    """n and m of each server, (S,), as the directory states them."""
    parts = zip(*columns(path, manifest, "servers", ("server", "users", "rooms")), strict=True)
    server, users, rooms = (np.concatenate(part) for part in parts)
    if not np.array_equal(server, np.arange(manifest.counts.servers)):
        raise FormatError("servers: ids are not 0, 1, 2, ... in order; write the directory again with fedgen convert")
    return users.astype(np.int64), rooms.astype(np.int64)


def _stretches(path: Path, manifest: Manifest) -> Iterator[Stretch]:
    """The presences of a directory, sorted by room."""
    last, rows = -1, 0
    for server, room, weight in columns(path, manifest, "presences", ("server", "room", "weight")):
        if len(server) == 0:
            continue
        if int(server.max()) >= manifest.counts.servers or int(room.max()) >= manifest.counts.rooms:
            raise FormatError("presences: an id is beyond the counts in manifest.json; write the directory again")
        if int(room[0]) < last or np.any(room[1:] < room[:-1]):
            raise FormatError("presences: are not sorted by room; write the directory again with fedgen convert")
        if not np.all(np.isfinite(weight) & (weight > 0)):
            raise FormatError("presences: a weight is not a number above 0; write the directory again")
        last, rows = int(room[-1]), rows + len(room)
        yield Stretch(server, room, weight)
    if rows != manifest.counts.presences:
        raise FormatError(f"presences: {rows} rows, manifest.json states {manifest.counts.presences}")
