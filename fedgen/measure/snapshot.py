"""From the visits of a crawl to its snapshot, and what is told of how it came about: counts, and no names."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import numpy as np

from fedgen.attendance import Attendance
from fedgen.errors import MeasureError
from fedgen.measure.sightings import Sightings
from fedgen.ragged import offsets_of

if TYPE_CHECKING:
    from fedgen.federation import Federation
    from fedgen.measure.config import Config
    from fedgen.measure.crawl import Crawled


def federation(crawled: Crawled) -> Federation:
    """The federation that was seen from within.

    Raises:
        MeasureError: nobody was seen.
    """
    seen = Sightings()
    for visit in crawled.visits:
        if visit.fate == "seen":
            seen.see_room(visit.room, visit.people)
    return seen.federation()


def attendance(crawled: Crawled, rng: np.random.Generator | None = None) -> tuple[Attendance, int]:
    """The attendance that was seen from outside, numbered at random, and in how many rooms users had to be added.

    The two numbers of a room are read one after the other, and people come and go: where more servers than users were
    told, it gets one user a server.

    Raises:
        MeasureError: no room was seen.
    """
    seen = [visit for visit in crawled.visits if visit.fate == "seen"]
    if not seen:
        raise MeasureError("no room was seen, and a snapshot has at least one; ask more rooms")
    rng = np.random.default_rng() if rng is None else rng
    names = sorted(frozenset().union(*(visit.servers for visit in seen)))
    number = dict(zip(names, rng.permutation(len(names)).tolist(), strict=True))
    rooms = [seen[i] for i in rng.permutation(len(seen))]
    servers = [sorted(number[server] for server in room.servers) for room in rooms]
    few = sum(room.users < len(room.servers) for room in rooms)
    found = Attendance(
        len(names),
        offsets_of(np.array([len(of_room) for of_room in servers])),
        np.array([server for of_room in servers for server in of_room]),
        np.array([max(room.users, len(room.servers)) for room in rooms]),
    )
    found.check()
    return found, few


def told(crawled: Crawled, config: Config) -> dict[str, Any]:
    """What provenance says of a crawl (docs/measure.md)."""
    left_out = sum((visit.left_out for visit in crawled.visits), Counter[str]())
    return {
        "way": "crawl, joining" if config.join else "crawl, not joining",
        "began": crawled.began,
        "ended": crawled.ended,
        "asked": {
            "listed": len(set(config.rooms.list)),
            "directories": len(set(config.rooms.directories)),
            "spaces": len(set(config.rooms.spaces)),
        },
        "lookups": dict(sorted(crawled.lookups.items())),
        "malformed_entries": crawled.malformed,
        "rooms": dict(sorted(Counter(visit.fate for visit in crawled.visits).items())),
        "left_out": dict(sorted(left_out.items())),
        "servers_opted_out": len(config.leave_out.servers),
        "not_left": sum(visit.stayed for visit in crawled.visits),
        "at_home": crawled.at_home,
        "remembered": crawled.remembered,
    }
