"""What the forward model says of a molecule's fragments before any peak is looked at, as evidence and as a picture."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from rdkit import Chem

from molvis_core.records import PeakList, Structure
from molvis_fragmentation.ions import polarity
from molvis_fragmentation.matching import LARGEST_SHIFT
from molvis_fragmentation.parts import Parts
from molvis_msms.explanation.composition import (
    Composition,
    charged,
    composition,
    element_counts,
    hill,
    ion_counts,
    members,
)
from molvis_msms.explanation.matching import Matches
from molvis_msms.forward.ladder import LOWEST, by_mz
from molvis_msms.forward.model import ForwardModel, Fragments
from molvis_msms.forward.predictor import loaded
from molvis_msms.forward.settings import Setting

_SHOWN = 0.1
"""Root intensity, relative to the highest peak's, of the lowest predicted peak that is shown."""


@dataclass(frozen=True, eq=False, slots=True)
class Predicted:
    """What a forward model says of the peaks of one spectrum.

    Attributes:
        match: probability of each match: of its part, in its form, with its hydrogens; 0 where it was not looked at.
        stray: of each peak of being a fragment that formed anew.
        fragments: all that was predicted.
    """

    match: Float[np.ndarray, " m"]
    stray: Float[np.ndarray, " p"]
    fragments: Fragments


def predict(
    spectrum: PeakList, structure: Structure, made: Parts, matches: Matches, model: ForwardModel | None = None
) -> Predicted:
    """The probabilities of the matches of a spectrum under its settings.

    Args:
        spectrum: whose settings are taken.
        structure: the molecule.
        made: its parts, of which the matches are.
        matches: of the spectrum's peaks.
        model: that predicts; the one that comes with molvis-msms, if none is given.

    Raises:
        molvis_core.errors.BundleError: there is no model, or it is damaged.
        molvis_core.errors.StructureError: RDKit refuses the structure.
    """
    (found,) = (model or loaded()).fragments(structure, [Setting.of(spectrum)])
    # The forward model looks at some of the parts; both know them by their atoms.
    places = {words.tobytes(): place for place, words in enumerate(found.parts.sets)}
    place = np.array([places.get(words.tobytes(), -1) for words in made.sets[matches.part]], dtype=np.int64)
    beyond = matches.gained - matches.forms[matches.form, 2].astype(np.int64) + LARGEST_SHIFT
    match = np.where(place >= 0, found.probability[np.maximum(place, 0), matches.form, beyond], 0.0)
    order = np.argsort(found.stray_mz, kind="stable")
    total = np.concatenate([[0.0], np.cumsum(found.stray_probability[order])])
    low, high = (np.searchsorted(found.stray_mz[order], spectrum.mz + s * matches.tolerance) for s in (-1, 1))
    return Predicted(match, np.maximum(total[high] - total[low], 0.0), found)


@dataclass(frozen=True, slots=True)
class PredictedPeak:
    """A peak of a predicted spectrum.

    Attributes:
        mz: calculated.
        height: its intensity as a share of the highest peak's.
        formula: of the ion that most of it is, with its charge; empty for a fragment that formed anew.
        smiles: of the atoms of that ion.
        atoms: that it holds, by their places in the SMILES.
    """

    mz: float
    height: float
    formula: str
    smiles: str
    atoms: tuple[int, ...]


def predicted_peaks(found: Fragments, structure: Structure, spectrum: PeakList) -> list[PredictedPeak]:
    """The predicted spectrum by ascending m/z, with what most of each peak is.

    Args:
        found: of the structure under the settings of the spectrum.
        structure: the molecule.
        spectrum: whose adduct is taken.
    """
    own = np.flatnonzero(found.probability.ravel() > 0)
    mz = np.concatenate([found.mz.ravel()[own], found.stray_mz, [found.precursor_mz]])
    share = np.concatenate([found.probability.ravel()[own], found.stray_probability, [found.precursor]])
    group, peaks = by_mz(mz, (share > 0) & (mz > LOWEST))
    total = np.bincount(group, share, minlength=len(peaks))[: len(peaks)]
    out: list[PredictedPeak] = []
    of = composition(structure.smiles)
    for one in np.flatnonzero(total >= _SHOWN * total.max(initial=0.0)).tolist():
        inside = np.flatnonzero(group == one)
        first = int(inside[np.argmax(share[inside])])
        formula, atoms = "", ()
        if first == len(mz) - 1:
            formula, atoms = spectrum.adduct or "precursor", tuple(range(len(of.of)))
        elif first < len(own):
            formula, atoms = _ion(found, int(own[first]), of, spectrum)
        smiles = Chem.MolFragmentToSmiles(of.mol, list(atoms)) if atoms else ""
        out.append(PredictedPeak(float(mz[first]), float(total[one] / total.max()) ** 2, formula, smiles, atoms))
    return out


def _ion(found: Fragments, place: int, of: Composition, spectrum: PeakList) -> tuple[str, tuple[int, ...]]:
    """Formula and atoms of a part in a form with some hydrogens, by its place among all of them."""
    part, form, shift = np.unravel_index(place, found.probability.shape)
    inside = members(found.parts.sets[part : part + 1], len(of.of))
    row = found.forms[form]
    gained = int(shift) - LARGEST_SHIFT + int(row[2])
    ion = ion_counts(of, element_counts(of, inside)[0], gained, tuple(row.tolist()), spectrum.adduct)
    return hill(ion) + charged(polarity(spectrum) * int(row[0])), tuple(np.flatnonzero(inside[0]).tolist())
