"""The pace of requests: evenly spaced, and none while the homeserver has asked to wait."""

from __future__ import annotations

import asyncio
from time import monotonic


class Pace:
    """Turns that are at least an interval apart.

    Attributes:
        interval: seconds.
    """

    def __init__(self, interval: float) -> None:
        self.interval = interval
        self._free = 0.0  # when the next turn may be taken
        self._queue = asyncio.Lock()

    async def turn(self, with_: Pace | None = None) -> None:
        """Wait for the next turn; first come, first served.

        Args:
            with_: another pace whose turn is taken at the same moment, once this one's has come.
        """
        async with self._queue:
            while (wait := self._free - monotonic()) > 0:  # again after each: hold() may have come in between
                await asyncio.sleep(wait)
            if with_ is not None:
                await with_.turn()
            self._free = max(self._free, monotonic() + self.interval)

    def hold(self, seconds: float) -> None:
        """No turn before ``seconds`` from now."""
        self._free = max(self._free, monotonic() + seconds)
