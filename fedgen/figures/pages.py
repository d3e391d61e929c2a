"""The figures there are, and a figure as the bytes of a file: the same figure, the same bytes."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

from fedgen import __version__
from fedgen.figures import histograms, load, spikes, style

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from matplotlib.figure import Figure

    from fedgen.federation import Federation

FIGURES: Mapping[str, Callable[[Sequence[Federation], Sequence[str]], Figure]] = {
    "servers": spikes.servers,
    "rooms": spikes.rooms,
    "room-histograms": histograms.rooms,
    "load-curves": load.curves,
    "load-largest": load.largest,
}
"""Every figure of federations, by the name of its file."""

FORMATS = ("svg", "png", "pdf")
DOTS_PER_INCH = 300


def encoded(figure: Figure, format: str, source: str) -> bytes:  # noqa: A002
    """``figure`` as a file of one of :data:`FORMATS`.

    Vector formats hold text as text. Nothing depends on the time, the place or the user's settings.

    Args:
        figure: the figure.
        format: svg, png or pdf.
        source: what it was drawn from; kept in the file beside the version of fedgen.
    """
    creator, source = f"fedgen {__version__}", style.printable(source)
    metadata: dict[str, str | None]
    match format:
        case "svg":
            metadata = {"Creator": creator, "Source": source, "Date": None}
        case "pdf":
            metadata = {"Creator": creator, "Subject": source, "CreationDate": None}
        case _:
            metadata = {"Software": creator, "Source": source}
    sink = io.BytesIO()
    with style.paper():
        figure.savefig(sink, format=format, dpi=DOTS_PER_INCH, metadata=metadata)
    return sink.getvalue()
