"""What fragment spectra say of formulas: which peaks are sub-formulas of an ion, and how many would be by chance."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int

from molvis_core.records import PeakList
from molvis_formula.elements import MASSES, UNIT, VALENCES, tolerance, units
from molvis_formula.ions import IonAtoms
from molvis_formula.kernels import collect, explain, subformulas

PEAKS = 30
"""Most intense peaks of a spectrum that are looked at."""
LEAST_TOLERANCE = 0.0008
"""Da that a peak may be off at least, however small its m/z."""
SPREAD = 1 / 3
"""Standard deviation of the errors of peaks, as a share of the tolerance."""
RADICAL = 2.0
"""Cost of a fragment with an odd number of electrons, as half the square of an error."""
_MOST_PARTS = 20_000
"""Sub-formulas of one peak that are looked at; peaks of more decide nothing."""
_WORD = 62
"""Bits of a word in which atoms are counted side by side."""
_DEFECT = 0.00048
"""Mass above the nominal mass for each Da, about: it tells the nominal mass of a peak."""
_NOMINAL = np.round(MASSES / UNIT)


@dataclass(frozen=True, eq=False, slots=True)
class Explained:
    """Sub-formulas of candidates' ions for the peaks of a spectrum.

    Attributes:
        mz: of the peaks that were looked at, ascending.
        share: their intensities; those of the whole spectrum add up to 1.
        found: whether a sub-formula fits.
        fragment: its atoms without metals; 0 where none fits.
        lost: the other atoms of the ion.
        metal: whether it has kept the ion's metal.
        charge: its number of charges.
        error: of the peak's mass, as a share of the tolerance.
        ways: how many sub-formulas fit.
        chance: how many would fit by chance: the expected number for a peak anywhere near.
    """

    mz: Float[np.ndarray, " p"]
    share: Float[np.ndarray, " p"]
    found: Bool[np.ndarray, "n p"]
    fragment: Int[np.ndarray, "n p e"]
    lost: Int[np.ndarray, "n p e"]
    metal: Bool[np.ndarray, "n p"]
    charge: Int[np.ndarray, "n p"]
    error: Float[np.ndarray, "n p"]
    ways: Int[np.ndarray, "n p"]
    chance: Float[np.ndarray, "n p"]

    def __len__(self) -> int:
        return len(self.found)


def explain_peaks(
    spectrum: PeakList, counts: Int[np.ndarray, "n e"], ion: IonAtoms, ppm: float = 10.0, peaks: int = PEAKS
) -> Explained:
    """Which peaks are sub-formulas of the ions of these molecules.

    A fragment is part of the ion: of the molecules with what the adduct adds. The ion's metal is kept or lost. Peaks of
    up to half the ion's mass are decomposed themselves, heavier ones by what they have lost, which has fewer formulas.

    Args:
        spectrum: its most intense peaks count, those above the precursor excluded.
        counts: of the neutral molecules.
        ion: what the adduct adds.
        ppm: tolerance of the peaks, `LEAST_TOLERANCE` at least.
        peaks: how many are looked at.
    """
    bounds = np.maximum(np.asarray(counts, dtype=np.int64) * ion.adduct.molecules + ion.added, 0)
    weights = bounds @ MASSES
    chosen, share = _chosen(spectrum, weights, ion, peaks)
    mz = spectrum.mz[chosen]
    forms = ion.forms()
    active = np.flatnonzero(bounds.max(axis=0, initial=0))
    asked = [_target(float(m), form, ppm) for m in mz for form in forms]
    parts, starts, losses = _parts(bounds, weights, asked, active)
    targets = np.array([target for target, _ in asked], dtype=np.int64)
    widths = np.array([width for _, width in asked], dtype=np.int64)
    metals = np.tile((forms[:, 0] > 0).astype(np.int64), len(mz))
    charges = np.tile(forms[:, 2], len(mz))
    packed, guards = _packed(bounds, parts, active)
    found, error, ways, which = explain(
        packed[: len(bounds)], guards, weights, doubled_rings(bounds), packed[len(bounds) :], parts @ MASSES,
        doubled_rings(parts), starts, losses, targets, widths, metals, charges, len(forms), SPREAD, RADICAL,
    )  # fmt: skip
    return _collected(
        mz, share, bounds, parts, losses.reshape(len(mz), len(forms)), forms, found, error, ways, which,
        chance_matches(bounds, targets.reshape(len(mz), len(forms)), widths.reshape(len(mz), len(forms))),
    )  # fmt: skip


def doubled_rings(counts: Int[np.ndarray, "*n e"]) -> Int[np.ndarray, "*n"]:
    """Twice the rings and double bonds of formulas; of an ion with as many electrons as atoms would bring."""
    return 2 + np.asarray(counts, dtype=np.int64) @ (VALENCES - 2)


def chance_matches(
    bounds: Int[np.ndarray, "n e"], targets: Int[np.ndarray, "p f"], widths: Int[np.ndarray, "p f"]
) -> Float[np.ndarray, "n p"]:
    """How many sub-formulas of an ion are expected within the tolerance of a mass, wherever it lies.

    The numbers of atoms of all sub-formulas are spread evenly and independently of each other, so that nominal mass and
    mass defect are spread nearly as two correlated normal variables, whose density at a peak times the width of the
    tolerance is the number expected there. A large formula of many elements explains more by chance.
    """
    counts = bounds.astype(np.float64)
    defect = MASSES / UNIT - _NOMINAL
    variance = counts * (counts + 2) / 12
    nn = np.maximum(variance @ _NOMINAL**2, 1.0)
    nd = variance @ (_NOMINAL * defect)
    dd = np.maximum(variance @ defect**2, 1e-8)
    free = np.maximum(dd - nd**2 / nn, 1e-8)
    total = np.log1p(counts).sum(axis=1)
    mass = targets / UNIT
    nominal = np.round(mass - _DEFECT * mass)
    chance = np.zeros((len(bounds), len(targets)))
    for f in range(targets.shape[1]):
        off = nominal[:, f] - (counts @ _NOMINAL / 2)[:, None]
        away = (mass - nominal)[:, f] - (counts @ defect / 2)[:, None] - (nd / nn)[:, None] * off
        log = total[:, None] - off**2 / nn[:, None] / 2 - away**2 / free[:, None] / 2
        log -= np.log(2 * np.pi) + (np.log(nn) + np.log(free))[:, None] / 2
        chance += np.exp(np.minimum(log + np.log(2 * widths[:, f] / UNIT), 50.0))
    return chance


def _packed(
    bounds: Int[np.ndarray, "n e"], parts: Int[np.ndarray, "m e"], active: Int[np.ndarray, " a"]
) -> tuple[Int[np.ndarray, "nm w"], Int[np.ndarray, " w"]]:
    """Atoms of ions, then of parts of them, in words of 62 bits, and the bits above each element, set in those of ions.

    A part is inside an ion if each of these bits is set in the difference of their words: one step in place of ten.
    """
    every = np.concatenate([bounds, parts])
    words: list[np.ndarray] = [np.zeros(len(every), dtype=np.int64)]
    guards, used = [0], 0
    for e in active.tolist():
        wide = int(bounds[:, e].max()).bit_length() + 1
        if used + wide > _WORD:
            words.append(np.zeros(len(every), dtype=np.int64))
            guards.append(0)
            used = 0
        words[-1] += every[:, e] << used
        used += wide
        guards[-1] |= 1 << (used - 1)
    found, over = np.stack(words, axis=1), np.array(guards, dtype=np.int64)
    found[: len(bounds)] |= over
    return found, over


def _chosen(
    spectrum: PeakList, weights: Int[np.ndarray, " n"], ion: IonAtoms, peaks: int
) -> tuple[Int[np.ndarray, " p"], Float[np.ndarray, " p"]]:
    """Places of the peaks that are looked at, and their share of the intensity."""
    top = (float(weights.max(initial=0)) + sum(ion.metals)) / UNIT * 1.00002 + 0.001
    usable = np.flatnonzero((spectrum.mz <= top) & (spectrum.intensity > 0))
    height = spectrum.intensity[usable].astype(np.float64)
    largest = np.sort(np.argsort(-height, kind="stable")[:peaks])
    return usable[largest], height[largest] / max(height.sum(), 1e-300)


def _target(mz: float, form: Int[np.ndarray, " 3"], ppm: float) -> tuple[int, int]:
    metal, electrons, charge = (int(value) for value in form)
    exact = units(mz)
    width = max(tolerance(exact, ppm), units(LEAST_TOLERANCE)) * charge
    return exact * charge + electrons - metal, width


def _parts(
    bounds: Int[np.ndarray, "n e"],
    weights: Int[np.ndarray, " n"],
    asked: list[tuple[int, int]],
    active: Int[np.ndarray, " a"],
) -> tuple[Int[np.ndarray, "m e"], Int[np.ndarray, " q1"], Bool[np.ndarray, " q"]]:
    """Sub-formulas for each peak and form, where those of each begin, and whether they are losses."""
    most = bounds.max(axis=0, initial=0)
    order = np.array([e for e in active[np.argsort(-MASSES[active])] if e > 1], dtype=np.int64)
    low, high = int(weights.min(initial=0)), int(weights.max(initial=0))
    found: list[np.ndarray] = []
    starts, losses = [0], []
    for target, width in asked:
        loss = 2 * target > high
        first, last = (low - target - width, high - target + width) if loss else (target - width, target + width)
        parts = subformulas(max(first, 0), last, MASSES, most, order, _MOST_PARTS) if last >= 0 else _NONE
        if len(parts) >= _MOST_PARTS:
            parts = _NONE
        if not loss and len(parts):
            parts = parts[doubled_rings(parts) >= -2]
        found.append(parts)
        starts.append(starts[-1] + len(parts))
        losses.append(loss)
    together = np.concatenate([_NONE, *found]).astype(np.int64)
    return together, np.array(starts, dtype=np.int64), np.array(losses, dtype=bool)


_NONE = np.zeros((0, len(MASSES)), dtype=np.int16)


def _collected(
    mz: np.ndarray,
    share: np.ndarray,
    bounds: np.ndarray,
    parts: np.ndarray,
    losses: np.ndarray,
    forms: np.ndarray,
    found: np.ndarray,
    error: np.ndarray,
    ways: np.ndarray,
    which: np.ndarray,
    chance: np.ndarray,
) -> Explained:
    """The sub-formulas that were found, as fragments and losses."""
    fragment, lost, metal, charge = collect(bounds, parts, losses, forms, found, which)
    return Explained(
        mz=mz,
        share=share,
        found=found >= 0,
        fragment=fragment,
        lost=lost,
        metal=metal,
        charge=charge,
        error=error.astype(np.float64),
        ways=ways.astype(np.int64),
        chance=chance,
    )
