"""A curve of a million points as the few that a page can show.

*M4* (Jugel, Jerzak, Hackenbroich and Markl, PVLDB 7 (2014) 797): of all points that fall into one column of pixels
only the first, the last, a lowest and a highest are kept. A line through them covers the pixels that the whole line
would have covered: no spike is lost, however narrow, and the size of a file no longer depends on the data.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from fedgen.federation import Floats, Integers

COLUMNS = 1000
"""More than the pixels of a panel across one column of a paper at 300 per inch."""


def envelope(position: Integers | Floats, values: Integers | Floats, columns: int = COLUMNS) -> Integers:
    """The indices of the points to draw, rising.

    Args:
        position: (N,) where each point lies across the page, never falling.
        values: (N,) its height.
        columns: into how many columns of equal width the positions are divided.

    Returns:
        All indices up to 4 * ``columns`` points; of more, at most four for each column.
    """
    count = len(values)
    if count <= 4 * columns:
        return np.arange(count)
    width = (position[-1] - position[0]) / columns
    column = np.minimum((position - position[0]) / (width or 1.0), columns - 1).astype(np.int64)
    first = np.flatnonzero(np.diff(column, prepend=-1))
    last = np.append(first[1:], count) - 1
    by_height = np.lexsort((values, column))
    return np.unique(np.concatenate((first, last, by_height[first], by_height[last])))
