"""The options that several commands share: same flag, same meaning everywhere (DESIGN section 4)."""

from pathlib import Path
from typing import Annotated, Literal

import typer

FormatName = Literal["parquet", "csv", "petgraph", "graphml", "node-link", "locust"]

Force = Annotated[bool, typer.Option("--force", help="Overwrite an existing result.")]

Format = Annotated[
    FormatName | None,
    typer.Option("--format", help="Default: by the suffix of the output, else parquet (a folder).", show_default=False),
]

Jobs = Annotated[
    int,
    typer.Option("--jobs", min=1, metavar="N", help="Workers that write at once; the result is the same for any N."),
]

Json = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]

Quiet = Annotated[bool, typer.Option("-q", "--quiet", help="No progress and no remarks on stderr.")]

Seed = Annotated[int, typer.Option("--seed", min=0, metavar="N", help="Same seed, same result.")]

Output = Annotated[
    Path | None, typer.Option("-o", "--output", metavar="PATH", help="Where the result goes.", show_default=False)
]
