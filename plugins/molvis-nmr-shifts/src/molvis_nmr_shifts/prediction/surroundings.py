"""Shifts that were measured in the same surroundings as an atom's.

The surroundings of an atom are what lies within so many bonds of it, as a number that counts neighbors as Weisfeiler
and Leman do; tables of shifts by surroundings go back to W. Bremser, HOSE, a novel substructure code, Anal. Chim.
Acta 103 (1978) 355, doi:10.1016/S0003-2670(01)83100-7.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float, Float32, UInt64

from molvis_nmr_shifts.prediction.graphs import ATOM_KINDS, BOND_KINDS, Graph
from molvis_nmr_shifts.prediction.network import USUAL

if TYPE_CHECKING:
    from molvis_nmr_shifts.prediction.lessons import Lesson

NUCLEI = ("13C", "1H")
REACHES = (1, 2, 3, 4, 5)
"""In bonds: how much of an atom's surroundings shifts are looked up by."""
_SALTS = (0x9E3779B97F4A7C15, 0xC2B2AE3D27D4EB4F, 0x165667B19E3779F9)


def surroundings(graphs: Sequence[Graph]) -> UInt64[np.ndarray, "a r"]:
    """Of each atom of some molecules, numbered through, a number for what lies within each of `REACHES` bonds.

    That a double bond is Z or E is left out.
    """
    sizes = [len(g.atoms) for g in graphs]
    starts = np.cumsum([0, *sizes])[:-1]
    atoms = np.concatenate([np.empty((0, len(ATOM_KINDS)), np.int64), *(g.atoms for g in graphs)])
    bonds = np.concatenate([np.empty((0, len(BOND_KINDS)), np.int64), *(g.bonds for g in graphs)])
    edges = [np.empty((2, 0), np.int64), *(g.edges + s for g, s in zip(graphs, starts, strict=True))]
    source, target = np.concatenate(edges, axis=1)
    now = _mixed(np.ravel_multi_index(tuple(atoms.T), ATOM_KINDS).astype(np.uint64))
    plain = bonds * np.array([1, 0, 1, 1])
    bond = _mixed(np.ravel_multi_index(tuple(plain.T), BOND_KINDS).astype(np.uint64) + np.uint64(_SALTS[1]))
    out = []
    for _ in range(max(REACHES)):
        around = np.zeros(len(now), np.uint64)
        np.add.at(around, target, _mixed(now[source] ^ bond))
        now = _mixed(now * np.uint64(_SALTS[2]) + around)
        out.append(now)
    return np.stack([out[reach - 1] for reach in REACHES], axis=1)


def _mixed(values: UInt64[np.ndarray, "*s"]) -> UInt64[np.ndarray, "*s"]:
    """Numbers with all bits spread: the finalizer of SplitMix64, doi:10.1145/2660193.2660195."""
    values = values + np.uint64(_SALTS[0])
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return values ^ (values >> np.uint64(31))


@dataclass(frozen=True, eq=False)
class SeenShifts:
    """Sums over the shifts that were seen in each surroundings.

    Attributes:
        keys: surroundings with their nucleus, ascending.
        sums: of each, of weights, and of weights times shifts and their squares, in units of `USUAL`.
    """

    keys: UInt64[np.ndarray, " k"]
    sums: Float[np.ndarray, "k 3"]

    @classmethod
    def of(cls, lessons: Sequence[Lesson]) -> SeenShifts:
        """From lessons, signals whose atoms are known or were guessed."""
        codes = surroundings([one.graph for one in lessons])
        rows: list[tuple[int, int, float, float]] = []
        start = 0
        for one in lessons:
            for signal, trust in one.guessed:
                mean, spread = USUAL[signal.nucleus]
                value, share = (signal.shift - mean) / spread, trust / len(signal.atoms)
                rows += [(start + atom, NUCLEI.index(signal.nucleus), value, share) for atom in signal.atoms]
            start += len(one.graph.atoms)
        atom, nucleus, value, weight = np.array(rows, dtype=np.float64).reshape(-1, 4).T
        keys = _of_nucleus(codes[atom.astype(np.int64)], nucleus.astype(np.uint64)[:, None])
        found, place = np.unique(keys, return_inverse=True)
        place = place.reshape(keys.shape)
        sums = np.zeros((len(found), 3))
        for column in range(keys.shape[1]):
            for k in range(3):
                sums[:, k] += np.bincount(place[:, column], weight * value**k, minlength=len(found))
        return cls(found, sums)

    @classmethod
    def of_arrays(cls, arrays: Mapping[str, np.ndarray]) -> SeenShifts:
        """Keys and sums that were kept.

        Raises:
            ValueError: they do not belong together.
            KeyError: one of them is missing.
        """
        keys, sums = arrays["keys"], arrays["sums"].astype(np.float64)
        if keys.dtype != np.uint64 or sums.shape != (len(keys), 3) or (keys[1:] <= keys[:-1]).any():
            raise ValueError("the shifts by surroundings do not add up")
        return cls(keys, sums)

    def given(self, graphs: Sequence[Graph]) -> list[Float32[np.ndarray, "a k"]]:
        """Of each atom of each molecule, by nucleus and reach: mean, spread and weight of what was seen.

        Means and spreads are in units of `USUAL`, weights are logarithms of 1 more; all are 0 where nothing was seen.
        """
        if not graphs:
            return []
        codes = surroundings(graphs)
        sums = np.stack([self._found(_of_nucleus(codes, np.uint64(n))) for n in range(len(NUCLEI))], axis=1)
        weight = np.maximum(sums[..., 0], 1e-9)
        mean = sums[..., 1] / weight
        spread = np.sqrt(np.maximum(sums[..., 2] / weight - mean**2, 0.0))
        told = np.stack([mean, spread, np.log1p(sums[..., 0])], axis=-1).reshape(len(sums), -1).astype(np.float32)
        return np.split(told, np.cumsum([len(g.atoms) for g in graphs])[:-1])

    def _found(self, keys: UInt64[np.ndarray, "a r"]) -> Float[np.ndarray, "a r 3"]:
        if not len(self.keys):
            return np.zeros((*keys.shape, 3))
        at = np.minimum(np.searchsorted(self.keys, keys), len(self.keys) - 1)
        return np.where((self.keys[at] == keys)[..., None], self.sums[at], 0.0)


def _of_nucleus(codes: UInt64[np.ndarray, "*s"], nucleus: np.uint64 | UInt64[np.ndarray, "*t"]) -> np.ndarray:
    return codes ^ (nucleus * np.uint64(_SALTS[1]))
