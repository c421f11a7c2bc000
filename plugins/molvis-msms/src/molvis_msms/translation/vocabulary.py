"""Fragments and neutral losses that are common: formulas that the spectra of several compounds share."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Bool, Float, Int16, Int64

from molvis_core.chemistry.formula import ELECTRON_MASS
from molvis_msms.translation.formulas import ELEMENTS, MASSES

COMPOSITION = 2 * len(ELEMENTS) + 4
"""Numbers that describe a formula."""


@dataclass(frozen=True, eq=False)
class Vocabulary:
    """Formulas of fragments and of neutral losses, each of one polarity.

    Attributes:
        atoms: of each formula.
        loss: which are losses; the others are fragments.
        negative: which are of negative ions.
    """

    atoms: Int16[np.ndarray, "v e"]
    loss: Bool[np.ndarray, " v"]
    negative: Bool[np.ndarray, " v"]

    def __len__(self) -> int:
        return len(self.atoms)

    @classmethod
    def of(
        cls,
        fragments: Int16[np.ndarray, "p e"],
        losses: Int16[np.ndarray, "p e"],
        negative: Bool[np.ndarray, " p"],
        compound: Int64[np.ndarray, " p"],
        min_compounds: int,
    ) -> Vocabulary:
        """The formulas that so many compounds share.

        Args:
            fragments: sub-formula of each peak.
            losses: what is left of the ion without it.
            negative: polarity of each peak.
            compound: which each peak is of.
            min_compounds: so many.
        """
        parts: list[tuple[np.ndarray, bool, bool]] = []
        for minus in (False, True):
            chosen = negative == minus
            for atoms, loss in ((fragments, False), (losses, True)):
                parts.append((_shared(atoms[chosen], compound[chosen], min_compounds), loss, minus))
        counts = [len(atoms) for atoms, _, _ in parts]
        return cls(
            np.concatenate([atoms for atoms, _, _ in parts]),
            np.repeat([loss for _, loss, _ in parts], counts),
            np.repeat([minus for _, _, minus in parts], counts),
        )

    @cached_property
    def mass(self) -> Float[np.ndarray, " v"]:
        """m/z of fragments and masses of losses, in Da."""
        signs = np.where(self.negative, 1, -1)
        return np.where(self.loss, self.atoms @ MASSES, self.atoms @ MASSES + signs * ELECTRON_MASS)

    @cached_property
    def sides(self) -> dict[tuple[bool, bool], Int64[np.ndarray, " q"]]:
        """Places of the formulas by (negative, loss), ascending in mass."""
        found: dict[tuple[bool, bool], np.ndarray] = {}
        for minus in (False, True):
            for loss in (False, True):
                places = np.flatnonzero((self.negative == minus) & (self.loss == loss))
                found[minus, loss] = places[np.argsort(self.mass[places], kind="stable")]
        return found

    def composition(self) -> Float[np.ndarray, "v q"]:
        """Each formula as numbers: atoms, mass, rings and double bonds, parity."""
        atoms = self.atoms.astype(np.float32)
        unsaturated = (atoms @ _VALENCES + 2) / 2
        extra = [self.mass / 200, unsaturated / 5, unsaturated % 1 * 2, np.where(self.loss, 1.0, -1.0)]
        return np.concatenate([atoms / 5, np.log1p(atoms), np.stack(extra, axis=1)], axis=1).astype(np.float32)


_VALENCES = np.array([2, -1, 1, 0, 0, 1, -1, -1, -1, -1, 2, -1, -1, 1, 0], dtype=np.float32)
"""What an atom of each element adds to twice the rings and double bonds, less 2."""


def _shared(atoms: np.ndarray, compound: np.ndarray, least: int) -> np.ndarray:
    """The formulas that so many compounds have."""
    if not len(atoms):
        return np.empty((0, len(ELEMENTS)), dtype=np.int16)
    formulas, owner = np.unique(atoms, axis=0, return_inverse=True)
    span = int(compound.max()) + 1
    pairs = np.unique(owner.reshape(-1).astype(np.int64) * span + compound)
    return formulas[np.bincount(pairs // span, minlength=len(formulas)) >= least]


def nearest(
    values: Float[np.ndarray, " n"], among: Float[np.ndarray, " m"], width: Float[np.ndarray, " n"] | float
) -> Int64[np.ndarray, " n"]:
    """Place of the nearest of some ascending numbers to each value; -1 where none is so near."""
    if not len(among):
        return np.full(len(values), -1)
    right = np.searchsorted(among, values).clip(0, len(among) - 1)
    left = (right - 1).clip(0)
    place = np.where(np.abs(among[left] - values) <= np.abs(among[right] - values), left, right)
    return np.where(np.abs(among[place] - values) <= width, place, -1)
