"""Random draws that are the same on every machine.

Only the raw 64-bit stream of PCG64 is used, which numpy promises to keep. Everything else is made of it with
additions, products and comparisons: functions such as ``log`` may differ in the last bit between machines.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Flags = NDArray[np.bool_]


class Draws:
    """One stream of draws; streams of different names don't disturb each other."""

    def __init__(self, seed: int, name: str) -> None:
        self._bits = np.random.PCG64(np.random.SeedSequence([seed, zlib.crc32(name.encode())]))

    def uniform(self, *shape: int) -> Floats:
        """Numbers in [0, 1), evenly spread."""
        size = int(np.prod(shape, dtype=np.int64))
        raw = np.asarray(self._bits.random_raw(size), dtype=np.uint64)
        return ((raw >> np.uint64(11)).astype(np.float64) * 2.0**-53).reshape(shape)

    def below(self, bound: ArrayLike, size: int) -> Ints:
        """Whole numbers from 0 up to, not including, ``bound`` (one for all, or one each)."""
        limits = np.asarray(bound, dtype=np.int64)
        return np.minimum((self.uniform(size) * limits).astype(np.int64), limits - 1)

    def choose(self, weights: Sequence[int], size: int) -> Ints:
        """Positions in ``weights``, each as often as its weight says."""
        edges = np.cumsum(np.asarray(weights, dtype=np.int64))
        return np.searchsorted(edges, self.below(int(edges[-1]), size), side="right").astype(np.int64)

    def happens(self, chance: ArrayLike, size: int) -> Flags:
        """True with this chance (one for all, or one each)."""
        return self.uniform(size) < np.asarray(chance, dtype=np.float64)
