"""How a molecule comes to a part: a path from the whole, each step a connected set of atoms within the one before."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Int64

from molvis_fragmentation.parts import Parts

_UNSEEN = 6
"""Parts without a peak that are tried as the last step before another: the cheapest."""
_SPLIT = -1.5
"""Value of a step that loses several pieces at once."""


@dataclass(eq=False, slots=True)
class Paths:
    """Paths to the parts of one molecule.

    Of all ways to a part the one is taken whose steps are seen: a step that is a probable substructure of a peak counts
    for its probability, one that no peak shows against, by what its bonds cost. A step loses one connected piece where
    there is such a way.

    Attributes:
        made: the parts.
        seen: probability of the parts that are substructures of peaks.
    """

    made: Parts
    seen: Mapping[int, float]
    _known: dict[int, tuple[float, tuple[int, ...]]] = field(default_factory=dict)

    def to(self, part: int) -> tuple[int, ...]:
        """The parts from the whole to one, both included."""
        return self._best(part)[1]

    def _best(self, part: int) -> tuple[float, tuple[int, ...]]:
        if self.made.depth[part] == 0:
            return 0.0, (part,)
        if part not in self._known:
            ways = [self._by(parent, part) for parent in self._parents(part)]
            # Of equal values the shorter path, then the one of the first parents.
            self._known[part] = max(ways, key=lambda way: (round(way[0], 9), -len(way[1])))
        return self._known[part]

    def _by(self, parent: int, part: int) -> tuple[float, tuple[int, ...]]:
        value, path = self._best(parent)
        return value + self._value(parent) + (0.0 if self._one_piece(parent, part) else _SPLIT), (*path, part)

    def _value(self, part: int) -> float:
        if self.made.depth[part] == 0:
            return 0.0
        seen = self.seen.get(part)
        return seen if seen is not None else -1.0 - float(self.made.cost[part]) / 200

    def _parents(self, part: int) -> list[int]:
        """The whole, the parts that are seen, and the cheapest others that hold a part and need fewer cuts."""
        lo, hi = self.made.sets[part]
        sets, depth = self.made.sets, self.made.depth
        around: Int64[np.ndarray, " k"] = np.flatnonzero(
            (depth < depth[part]) & ((sets[:, 0] & lo) == lo) & ((sets[:, 1] & hi) == hi)
        )
        found = [i for i in around.tolist() if i in self.seen or depth[i] == 0]
        others = [i for i in around[np.argsort(self.made.cost[around], kind="stable")].tolist() if i not in self.seen]
        return list(dict.fromkeys([*found, *others[:_UNSEEN]]))

    def _one_piece(self, parent: int, part: int) -> bool:
        """Whether what a step loses is connected."""
        lost = _atoms(self.made.sets[parent]) & ~_atoms(self.made.sets[part])
        neighbours = self.made.molecule.neighbours
        reached = front = lost & -lost
        while front:
            place = (front & -front).bit_length() - 1
            front &= front - 1
            fresh = _atoms(neighbours[place]) & lost & ~reached
            reached |= fresh
            front |= fresh
        return reached == lost


def _atoms(words: np.ndarray) -> int:
    return int(words[0]) | int(words[1]) << 64
