"""Groups of unequal length, laid end to end: item i of group g is at ``offsets[g] + i``; and how to sort items so."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from fedgen.federation import Integers


def offsets_of(sizes: Integers) -> Integers:
    """(G + 1,) where each group begins, from its size."""
    offsets = np.zeros(len(sizes) + 1, dtype=np.int64)
    np.cumsum(sizes, out=offsets[1:])
    return offsets


def take(offsets: Integers, groups: Integers) -> Integers:
    """The positions of all items of ``groups``, group after group."""
    sizes = offsets[groups + 1] - offsets[groups]
    shift = offsets[groups] - offsets_of(sizes)[:-1]
    return np.arange(int(sizes.sum())) + np.repeat(shift, sizes)


def order_of(*keys: Integers) -> Integers:
    """The positions of items sorted by whole numbers, the first key first, equals in their order.

    Keys and position are packed into one number where they fit, since numbers sort several times as fast as positions.

    Args:
        keys: (N,) integers each, of any sign.
    """
    size = len(keys[0])
    if size == 0:
        return np.zeros(0, dtype=np.int64)
    low = [int(key.min()) for key in keys]
    spans = [int(key.max()) - least + 1 for key, least in zip(keys, low, strict=True)]
    bits = (size - 1).bit_length()
    if sum(span.bit_length() for span in spans) + bits > 63:
        return np.lexsort(keys[::-1])
    packed = np.zeros(size, dtype=np.int64)
    for key, least, span in zip(keys, low, spans, strict=True):
        packed *= span
        packed += key
        packed -= least
    packed <<= bits
    packed |= np.arange(size)
    packed.sort()
    packed &= (1 << bits) - 1
    return packed
