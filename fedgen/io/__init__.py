"""Reading and writing federations: one module per format, one step from labelled pairs to a federation.

Formats are recognised by content on reading and chosen by name or suffix on writing (docs/formats.md):

========== ================================================ ===========================
format     module                                           file
========== ================================================ ===========================
parquet    :mod:`~fedgen.io.directory`                      a federation directory
csv        :mod:`~fedgen.io.csv`                            ``user,server,room``
petgraph   :mod:`~fedgen.io.petgraph`                       JSON, as the 2018 measurement
graphml    :mod:`~fedgen.io.graphml`                        XML
node-link  :mod:`~fedgen.io.nodelink`                       JSON, as networkx's
locust     :mod:`~fedgen.io.locust`                         JSON, written only
========== ================================================ ===========================
"""

from fedgen.io.formats import FORMATS, guess, write
from fedgen.io.snapshot import Snapshot, format_of, read, read_snapshot

__all__ = ["FORMATS", "Snapshot", "format_of", "guess", "read", "read_snapshot", "write"]
