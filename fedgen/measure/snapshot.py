"""From the visits of a crawl to its snapshot, and what is told of how it came about: counts, and no names."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from fedgen.measure.sightings import Sightings

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
    }
