"""Candidates and their explained peaks in numbers, as the learned score takes them."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Int

from molvis_formula.elements import MASSES, UNIT, VALENCES
from molvis_formula.evidence import Explained, doubled_rings
from molvis_formula.ions import IonAtoms
from molvis_formula.kernels import peak_columns

_KNOWN = 10
"""Elements that the training data hold: C H N O P S F Cl Br I. Those after them share one number."""


def candidate_features(
    counts: Int[np.ndarray, "n e"], deviation: Float[np.ndarray, " n"], ion: IonAtoms
) -> Float[np.ndarray, "n a"]:
    """What a formula is like, whatever the peaks.

    Args:
        counts: atoms of the neutral molecules.
        deviation: of the precursor's m/z, as a multiple of a third of the tolerance.
        ion: what the adduct adds.
    """
    n = np.asarray(counts, dtype=np.float64)
    carbon = np.maximum(n[:, 0], 1.0)
    halogens = n[:, 6:10].sum(axis=1)
    hetero = n[:, 2:].sum(axis=1)
    rings = doubled_rings(counts) / 2.0
    mass = n @ (MASSES / UNIT)
    sign = np.full(len(n), 1.0 if ion.adduct.charge > 0 else -1.0)
    columns = [
        deviation**2, np.abs(deviation), *np.log1p(n[:, :_KNOWN]).T, *(n[:, 2:_KNOWN] > 0).T, n[:, _KNOWN:].sum(axis=1),
        (n[:, 1] + halogens) / carbon, n[:, 2] / carbon, n[:, 3] / carbon, halogens / carbon,
        n[:, 4:6].sum(axis=1) / carbon, hetero / carbon, rings / 10, rings / carbon, (n[:, 4:] > 0).sum(axis=1),
        mass / 500, np.mod(rings * 2, 2), sign,
        n[:, 6:10].max(axis=1) / np.maximum(halogens, 1), np.log1p(halogens), (n[:, 6:10] > 0).sum(axis=1),
        sign * (n[:, 2] > 0), np.full(len(n), float(len(ion.metals) > 0)),
    ]  # fmt: skip
    return np.stack(columns, axis=1)


def peak_features(peaks: Explained, ion: IonAtoms, masses: Int[np.ndarray, " n"]) -> Float[np.ndarray, "n p b"]:
    """What each peak is to each candidate.

    Args:
        peaks: explained by the candidates.
        ion: what the adduct adds.
        masses: of the neutral candidates, in units.
    """
    tops = masses / UNIT * ion.adduct.molecules / abs(ion.adduct.charge)
    atoms = int(max(peaks.fragment.max(initial=0), peaks.lost.max(initial=0)))
    return peak_columns(
        peaks.found, peaks.error, peaks.fragment, peaks.lost, peaks.metal, peaks.charge, peaks.ways, peaks.chance,
        peaks.share, peaks.mz, tops, VALENCES, np.log1p(np.arange(atoms + 1)), _KNOWN,
    )  # fmt: skip
