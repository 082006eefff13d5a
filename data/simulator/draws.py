"""Random draws that are the same on every machine.

Only the raw 64-bit stream of PCG64 is used, which numpy promises to keep, and a mixing of 64-bit integers.
Everything else is made of them with additions, products and comparisons: functions such as ``log`` may differ
in the last bit between machines.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Flags = NDArray[np.bool_]

_ODD = np.uint64(0x9E3779B97F4A7C15)
_MIX = (np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB))


def _fractions(raw: NDArray[np.uint64]) -> Floats:
    """The upper 53 bits as numbers in [0, 1)."""
    return (raw >> np.uint64(11)).astype(np.float64) * 2.0**-53


class Draws:
    """One stream of draws, named after its purpose, and after its day where it has one.

    Streams of different names or days don't disturb each other: what one part of the model draws never shifts
    the draws of another.
    """

    def __init__(self, seed: int, name: str, day: int | None = None) -> None:
        entropy = [seed, zlib.crc32(name.encode())] + ([] if day is None else [day + 1])
        self._sequence = np.random.SeedSequence(entropy)
        self._key = self._sequence.generate_state(1, np.uint64)

    @cached_property
    def _bits(self) -> np.random.PCG64:
        return np.random.PCG64(self._sequence)

    def uniform(self, *shape: int) -> Floats:
        """Numbers in [0, 1), evenly spread."""
        size = int(np.prod(shape, dtype=np.int64))
        return _fractions(np.asarray(self._bits.random_raw(size), dtype=np.uint64)).reshape(shape)

    def keyed(self, keys: Ints) -> Floats:
        """Numbers in [0, 1), one a key: an equal key has an equal number, whichever other keys are asked for."""
        mixed = keys.astype(np.uint64) * _ODD + self._key
        mixed = (mixed ^ (mixed >> np.uint64(30))) * _MIX[0]
        mixed = (mixed ^ (mixed >> np.uint64(27))) * _MIX[1]
        return _fractions(mixed ^ (mixed >> np.uint64(31)))

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
