"""Queries as arrays: the peaks of each spectrum, and the parts of its candidates that fit them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np
from jaxtyping import Bool, Float, Int64, UInt8

from molvis_core.chemistry.formula import ISOTOPE_MASS
from molvis_core.records import PeakList, Structure
from molvis_fragmentation.atoms import SURROUNDINGS
from molvis_fragmentation.ions import adduct_of, forms_of, polarity
from molvis_fragmentation.matching import COLUMNS, CROSSED, describe, ends_of_bonds, fits
from molvis_fragmentation.parts import parts

PEAKS = 40
"""Of a spectrum that are looked at: the highest."""
NOISE = 10
"""Peaks of other spectra that are kept beside them, to be mixed in while training."""
ABSOLUTE = 0.0008
"""Da. Below m/z 80 a tolerance of 10 ppm is finer than instruments are."""
UNKNOWN = -1.0
"""An energy that is not known."""
SETTINGS = ("precursor", "polarity", "energy", "adduct", "instrument")
ADDUCTS = ("protonated", "metal", "ammonium", "acid", "radical", "loss", "other")
INSTRUMENTS = ("unknown", "time of flight", "Fourier transform", "ion trap and Fourier transform")


@dataclass(frozen=True, eq=False, slots=True)
class Cases:
    """Queries, one after the other; `*_end` is where what belongs to each ends.

    Attributes:
        rows: of the matches, columns as `molvis_fragmentation.matching.COLUMNS` names them.
        candidate, peak: of each match, counted within its query.
        match_end: matches up to and with each query.
        mz, intensity: of the peaks.
        noise: which of them come from another spectrum.
        peak_end: peaks up to and with each query.
        settings: of each spectrum, columns as in `SETTINGS`.
        candidates, truth: how many each query has, and which is true.
        ends: of the matches, atoms at both ends of the broken bonds, counted within their candidate.
        atoms: what stands around each atom of each candidate of each query.
        atom_end: atoms up to and with each query.
        sizes: atoms of each candidate of each query.
        size_end: candidates up to and with each query.
    """

    rows: UInt8[np.ndarray, "m c"]
    candidate: Int64[np.ndarray, " m"]
    peak: Int64[np.ndarray, " m"]
    match_end: Int64[np.ndarray, " n"]
    mz: Float[np.ndarray, " p"]
    intensity: Float[np.ndarray, " p"]
    noise: Bool[np.ndarray, " p"]
    peak_end: Int64[np.ndarray, " n"]
    settings: Float[np.ndarray, "n 5"]
    candidates: Int64[np.ndarray, " n"]
    truth: Int64[np.ndarray, " n"]
    ends: UInt8[np.ndarray, "m e"]
    atoms: UInt8[np.ndarray, "a s"]
    atom_end: Int64[np.ndarray, " n"]
    sizes: Int64[np.ndarray, " k"]
    size_end: Int64[np.ndarray, " n"]

    def __len__(self) -> int:
        return len(self.truth)

    def matches_of(self, query: int) -> slice:
        """Where the matches of a query are."""
        return _of(self.match_end, query)

    def peaks_of(self, query: int) -> slice:
        """Where the peaks of a query are."""
        return _of(self.peak_end, query)

    def atoms_of(self, query: int) -> slice:
        """Where the atoms of a query's candidates are."""
        return _of(self.atom_end, query)

    def first_atoms(self, query: int) -> Int64[np.ndarray, " c"]:
        """The first atom of each candidate of a query, counted within the query."""
        sizes = self.sizes[_of(self.size_end, query)]
        return np.cumsum(sizes) - sizes


def _of(ends: Int64[np.ndarray, " n"], query: int) -> slice:
    return slice(int(ends[query - 1]) if query else 0, int(ends[query]))


def join(some: Sequence[Cases]) -> Cases:
    """Several one after the other.

    Raises:
        ValueError: there is none.
    """
    joined = {f.name: np.concatenate([getattr(one, f.name) for one in some]) for f in fields(Cases)}
    for name, length in (("match_end", "rows"), ("peak_end", "mz"), ("atom_end", "atoms"), ("size_end", "sizes")):
        before = np.cumsum([0, *(len(getattr(one, length)) for one in some[:-1])])
        joined[name] = np.concatenate([getattr(one, name) + b for one, b in zip(some, before.tolist(), strict=True)])
    return Cases(**joined)


def case(
    spectrum: PeakList,
    candidates: Sequence[Structure],
    truth: int = 0,
    *,
    ppm: float = 10.0,
    noise: tuple[Float[np.ndarray, " q"], Float[np.ndarray, " q"]] | None = None,
) -> Cases:
    """One query as arrays.

    Args:
        spectrum: what was measured.
        candidates: structures.
        truth: place of the true one.
        ppm: tolerance of m/z; it is not less than 0.8 mDa.
        noise: m/z and intensity of peaks that are kept beside those of the spectrum, relative to its highest.

    Raises:
        molvis_core.errors.StructureError: RDKit refuses a candidate.
    """
    mz, intensity = informative_peaks(spectrum)
    foreign = np.zeros(len(mz), dtype=bool)
    if noise is not None:
        mz, intensity = np.concatenate([mz, noise[0]]), np.concatenate([intensity, noise[1]])
        foreign = np.arange(len(mz)) >= len(foreign)
        order = np.argsort(mz, kind="stable")
        mz, intensity, foreign = mz[order], intensity[order], foreign[order]
    rows: list[np.ndarray] = [np.zeros((0, len(COLUMNS)), dtype=np.uint8)]
    peak: list[np.ndarray] = [np.zeros(0, dtype=np.int64)]
    owner: list[np.ndarray] = [np.zeros(0, dtype=np.int64)]
    ends: list[np.ndarray] = [np.zeros((0, 2 * CROSSED), dtype=np.uint8)]
    atoms: list[np.ndarray] = [np.zeros((0, SURROUNDINGS), dtype=np.uint8)]
    for number, one in enumerate(candidates):
        made, forms = parts(one.smiles), forms_of(spectrum, one.exact_mass)
        found = fits(mz, made.mass, made.hydrogens, made.cost, forms, ppm, ABSOLUTE, ISOTOPE_MASS["H"])
        molecule = made.molecule
        described, mine = describe(
            *found, forms, made.sets, made.depth, made.cost, made.hydrogens, molecule.neighbours, molecule.classes,
            molecule.sites,
        )  # fmt: skip
        rows.append(described)
        peak.append(mine)
        owner.append(np.full(len(mine), number))
        ends.append(ends_of_bonds(found[0], made.sets, molecule.neighbours))
        atoms.append(molecule.surroundings)
    return Cases(
        rows=np.concatenate(rows),
        candidate=np.concatenate(owner),
        peak=np.concatenate(peak),
        match_end=np.array([sum(map(len, rows))]),
        mz=mz,
        intensity=intensity,
        noise=foreign,
        peak_end=np.array([len(mz)]),
        settings=np.array([_settings(spectrum, mz)]),
        candidates=np.array([len(candidates)]),
        truth=np.array([truth]),
        ends=np.concatenate(ends),
        atoms=np.concatenate(atoms),
        atom_end=np.array([sum(map(len, atoms))]),
        sizes=np.array([len(some) for some in atoms[1:]], dtype=np.int64),
        size_end=np.array([len(candidates)]),
    )


def informative_peaks(spectrum: PeakList) -> tuple[Float[np.ndarray, " p"], Float[np.ndarray, " p"]]:
    """m/z and intensity, the highest 1, of the highest peaks that are not the precursor's own."""
    keep = spectrum.intensity > 0
    precursor, adduct = spectrum.precursor_mz, adduct_of(spectrum.adduct)
    if precursor is not None:
        if adduct is not None and abs(adduct.charge) > 1:  # fragments of one charge may be above it
            keep = keep & ((spectrum.mz < precursor - 0.5) | (spectrum.mz > precursor + 1.5))
        else:
            keep = keep & (spectrum.mz < precursor - 0.5)
    places = np.flatnonzero(keep)
    if len(places) > PEAKS:
        places = np.sort(places[np.argsort(-spectrum.intensity[places], kind="stable")[:PEAKS]])
    heights = spectrum.intensity[places].astype(np.float64)
    return spectrum.mz[places], heights / heights.max(initial=1e-30)


def _settings(spectrum: PeakList, mz: np.ndarray) -> list[float]:
    precursor = spectrum.precursor_mz or float(mz.max(initial=100.0))
    energy = spectrum.collision_energy
    known = energy is not None and math.isfinite(energy) and energy >= 0
    return [
        precursor,
        float(polarity(spectrum)),
        float(energy) if known and energy is not None else UNKNOWN,
        float(adduct_class(spectrum.adduct)),
        float(instrument_class(spectrum.instrument_type or "")),
    ]


def adduct_class(name: str | None) -> int:
    """Place in `ADDUCTS` of an adduct; one that cannot be read is of the last."""
    adduct = adduct_of(name)
    if adduct is None:
        return ADDUCTS.index("other")
    inside = adduct.name[adduct.name.index("M") + 1 : adduct.name.index("]")]
    simple = {
        "+H": "protonated", "-H": "protonated", "": "radical", "+NH4": "ammonium", "+HCOO": "acid", "+CH3COO": "acid",
        "+Cl": "acid", "+Br": "acid", "+2H": "protonated", "-2H": "protonated",
    }  # fmt: skip
    if inside in simple:
        return ADDUCTS.index(simple[inside])
    if any(metal in inside for metal in ("Na", "K", "Li")):
        return ADDUCTS.index("metal")
    return ADDUCTS.index("loss" if "-" in inside else "other")


def instrument_class(name: str) -> int:
    """Place in `INSTRUMENTS` of an instrument as MassBank spells it."""
    kind = name.upper()
    if "TOF" in kind:
        return 1
    if "ITFT" in kind:
        return 3
    return 2 if "FT" in kind or "ORBI" in kind else 0
