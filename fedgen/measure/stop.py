"""The wish that a crawl ends as soon as it politely can."""

from __future__ import annotations

from fedgen.errors import MeasureError


class StoppedError(MeasureError):
    """The crawl ended because that was asked for."""

    def __init__(self) -> None:
        super().__init__("interrupted; go on by the same command")


class Stop:
    """Whether the crawl is to end, once it has left the rooms that it is in."""

    def __init__(self) -> None:
        self.asked_for = False

    def check(self) -> None:
        """Nothing, or the end.

        Raises:
            StoppedError: it was asked for.
        """
        if self.asked_for:
            raise StoppedError
