"""Explains a spectrum by a structure: for every peak what it can be, how probable that is, and its path."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Bool, Float, Int64
from rdkit import Chem

from molvis_core.chemistry.adducts import ion_mz
from molvis_core.records import PeakList, Structure
from molvis_files.substructures import Occurrence
from molvis_fragmentation.ions import adduct_of, polarity
from molvis_msms.explanation.assignment import Assignment, HeavyIsotope, assign
from molvis_msms.explanation.composition import charged, element_counts, hill, ion_counts, members
from molvis_msms.explanation.matching import PPM
from molvis_msms.explanation.model import FragmentModel
from molvis_msms.explanation.paths import Paths
from molvis_msms.forward.model import ForwardModel, Fragments

LEAST = 0.01
"""Probability below which a substructure is not listed."""
_SEEN = 0.1
"""Probability from which on a substructure of a peak is a step that is seen."""


@dataclass(frozen=True, slots=True)
class Step:
    """An ion on the way from the precursor to a substructure.

    Attributes:
        atoms: of the structure that it holds, by their places in the SMILES.
        formula: of the ion.
        loss: formula of what the step before lost; empty for the first. Hydrogens that it kept have a minus.
        peak: number of the peak that shows the ion; None where none does, and its hydrogens are a guess.
    """

    atoms: tuple[int, ...]
    formula: str
    loss: str
    peak: int | None


@dataclass(frozen=True, slots=True)
class Substructure:
    """A substructure that a peak can be.

    Attributes:
        peak: number of the peak in the spectrum.
        mz: measured.
        atoms: connected atoms of the structure, by their places in its SMILES.
        smiles: of these atoms, without the hydrogens that the ion gained or lost.
        formula: of the ion with its charge, such as `C7H7+`.
        hydrogens: gained (+) or lost (-) against the substructure as it is in the molecule, the charge's included.
        charge: of the ion.
        ppm: measured less calculated m/z.
        probability: that the peak is this.
        formula_probability: that the peak has this formula, whichever substructure it is.
        equivalents: how many sets of atoms are equivalent to this one by symmetry; their probabilities are added up.
        isotope: such as `13C` where the peak is the ion with one heavier atom; else empty.
        precursor: whether it is the ion that was isolated.
        path: from the precursor to the substructure.
        classes: of the molecule's classes those whose atoms it holds.
    """

    peak: int
    mz: float
    atoms: tuple[int, ...]
    smiles: str
    formula: str
    hydrogens: int
    charge: int
    ppm: float
    probability: float
    formula_probability: float
    equivalents: int = 1
    isotope: str = ""
    precursor: bool = False
    path: tuple[Step, ...] = ()
    classes: tuple[Occurrence, ...] = ()

    @property
    def elements(self) -> str:
        """The formula without its charge."""
        return self.formula[: -len(charged(self.charge))]


@dataclass(frozen=True, eq=False, slots=True)
class Explanation:
    """A spectrum explained by a structure.

    Attributes:
        spectrum: that is explained.
        structure: by which; atoms are those of its SMILES.
        peaks: for each peak the substructures that it can be, the most probable first.
        unexplained: probability that each peak is none of them.
        evidence: of each peak for the structure: logarithm of how much likelier the peak is in a spectrum of it than of
            another compound.
        offset, width: mean and standard deviation of the mass errors in ppm, estimated from this spectrum.
        share: of the peaks that are this structure's, estimated from this spectrum.
        fragments: what is predicted for the structure under the settings of the spectrum.
    """

    spectrum: PeakList
    structure: Structure
    peaks: tuple[tuple[Substructure, ...], ...] = field(repr=False)
    unexplained: Float[np.ndarray, " p"]
    evidence: Float[np.ndarray, " p"]
    offset: float
    width: float
    share: float
    fragments: Fragments = field(repr=False)

    @property
    def explained(self) -> float | None:
        """Expected share of the intensity below the precursor that is explained; None where there is none."""
        below = self.spectrum.mz < (self.spectrum.precursor_mz or np.inf) - 0.5
        height = self.spectrum.intensity[below].astype(np.float64)
        return float(height @ (1 - self.unexplained[below]) / height.sum()) if height.sum() else None

    @property
    def best(self) -> list[Substructure]:
        """The most probable substructure of each peak that is more probably explained than not."""
        return [some[0] for some, none in zip(self.peaks, self.unexplained, strict=True) if some and none < 0.5]


def explain(
    spectrum: PeakList,
    structure: Structure,
    *,
    ppm: float = PPM,
    most: int = 3,
    classes: Sequence[Occurrence] = (),
    model: FragmentModel | None = None,
    forward: ForwardModel | None = None,
) -> Explanation:
    """For every peak the substructures that it can be.

    Each is a connected set of atoms whose ion, with at most four hydrogens more or less, is within the tolerance, or a
    heavier isotope of one.

    Args:
        spectrum: its peaks, adduct and settings count; without adduct and ion mode it is taken as positive.
        structure: the molecule. One of more than 128 heavy atoms is not broken.
        ppm: tolerance; it is not less than 0.8 mDa.
        most: substructures that are listed of each peak.
        classes: where classes of the molecule are, as `molvis_files.substructures.LocatesClasses` finds them.
        model: that gives probabilities; the one that comes with molvis-msms, if none is given.
        forward: that predicts the fragments of the structure; the one that comes with molvis-msms, if none is given.

    Raises:
        molvis_core.errors.StructureError: RDKit refuses the structure.
    """
    found = assign(spectrum, structure, ppm=ppm, model=model, forward=forward)
    listing = _Listing(found, structure, classes)
    peaks = tuple(tuple(listing.of_peak(peak, most)) for peak in range(len(spectrum)))
    scale = 1e6 * float(np.median(found.matches.tolerance / spectrum.mz)) if len(spectrum) else ppm
    return Explanation(
        spectrum, structure, peaks, found.unexplained, found.evidence, found.errors.offset * scale,
        found.errors.width * scale, found.share, found.fragments,
    )  # fmt: skip


class _Listing:
    """Makes substructures of matches."""

    def __init__(self, found: Assignment, structure: Structure, classes: Sequence[Occurrence]) -> None:
        self.found, self.structure = found, structure
        self.size = len(found.of.of)
        self.classes = [(one, set(one.atoms)) for one in classes]
        self.inside: Bool[np.ndarray, "m a"] = members(found.made.sets[found.matches.part], self.size)
        self.counts: Int64[np.ndarray, "m e"] = element_counts(found.of, self.inside)
        self.sign = polarity(found.spectrum)
        order = np.argsort(found.probability, kind="stable")
        # Of each part the match that is most probable.
        self.seen = {int(found.matches.part[k]): int(k) for k in order if found.probability[k] >= _SEEN}
        self.paths = Paths(found.made, {part: float(found.probability[k]) for part, k in self.seen.items()})
        self.isotopes = {one.peak: one for one in found.isotopes}

    def of_peak(self, peak: int, most: int) -> list[Substructure]:
        """What a peak can be, the most probable first."""
        found = self.found
        if self._is_precursor(peak):
            return [self._precursor(peak)]
        groups: dict[tuple[object, ...], list[int]] = {}
        start, stop = np.searchsorted(found.matches.peak, [peak, peak + 1]).tolist()
        for k in sorted(range(start, stop), key=lambda k: (-round(float(found.probability[k]), 9), k)):
            alike = tuple(np.sort(found.of.like[self.inside[k]]).tolist())
            groups.setdefault((alike, int(found.matches.gained[k]), int(found.matches.form[k])), []).append(k)
        of_formula: dict[tuple[int, ...], float] = defaultdict(float)
        for k in range(start, stop):
            of_formula[self._formula_key(k)] += float(found.probability[k])
        some = [(sum(float(found.probability[k]) for k in group), group) for group in groups.values()]
        likely: list[tuple[float, list[int] | HeavyIsotope]] = [(p, group) for p, group in some if p >= LEAST]
        if isotope := self.isotopes.get(peak):
            likely.append((isotope.probability, isotope))
        likely.sort(key=lambda one: -round(one[0], 9))
        return [
            self._heavier(one)
            if isinstance(one, HeavyIsotope)
            else self._substructure(one, p, of_formula[self._formula_key(one[0])])
            for p, one in likely[:most]
        ]

    def _formula_key(self, k: int) -> tuple[int, ...]:
        """What the formula of a match follows from."""
        matches = self.found.matches
        counts = self.counts[k]
        return (*counts[:-1].tolist(), int(counts[-1] + matches.gained[k]), int(matches.form[k]))

    def _is_precursor(self, peak: int) -> bool:
        ion = adduct_of(self.found.spectrum.adduct)
        if ion is None:
            return False
        gap = abs(self.found.spectrum.mz[peak] - ion_mz(self.structure.exact_mass, ion))
        return bool(gap <= self.found.matches.tolerance[peak])

    def _precursor(self, peak: int) -> Substructure:
        ion = adduct_of(self.found.spectrum.adduct)
        assert ion is not None
        mz, wanted = float(self.found.spectrum.mz[peak]), ion_mz(self.structure.exact_mass, ion)
        atoms = tuple(range(self.size))
        formula = self._precursor_formula(peak)
        return Substructure(
            peak, mz, atoms, self.structure.smiles, formula, 0, ion.charge, (mz - wanted) / wanted * 1e6,
            1 - float(self.found.unexplained[peak]), 1 - float(self.found.unexplained[peak]), precursor=True,
            path=(Step(atoms, formula, "", peak),),
            classes=tuple(one for one, _ in self.classes),
        )  # fmt: skip

    def _precursor_formula(self, peak: int) -> str:
        """That of the whole molecule where it fits with its form; else the adduct with the formula in place of M."""
        found = self.found
        for k in np.flatnonzero(found.matches.peak == peak).tolist():
            if found.made.depth[found.matches.part[k]] == 0:
                return hill(self._ion(k)) + charged(self.sign * int(found.matches.forms[found.matches.form[k], 0]))
        ion = adduct_of(found.spectrum.adduct)
        return ion.name.replace("M", self.structure.formula, 1) if ion else self.structure.formula

    def _substructure(self, group: Sequence[int], probability: float, of_formula: float) -> Substructure:
        found, k = self.found, group[0]
        atoms = tuple(np.flatnonzero(self.inside[k]).tolist())
        peak, charge = int(found.matches.peak[k]), self.sign * int(found.matches.forms[found.matches.form[k], 0])
        mz = float(found.spectrum.mz[peak])
        calculated = mz - float(found.matches.error[k] * found.matches.tolerance[peak])
        return Substructure(
            peak=peak,
            mz=mz,
            atoms=atoms,
            smiles=Chem.MolFragmentToSmiles(found.of.mol, list(atoms)),
            formula=hill(self._ion(k)) + charged(charge),
            hydrogens=int(found.matches.gained[k]),
            charge=charge,
            ppm=(mz - calculated) / calculated * 1e6,
            probability=probability,
            formula_probability=of_formula,
            equivalents=len({tuple(np.flatnonzero(self.inside[g]).tolist()) for g in group}),
            path=self._path(k),
            classes=tuple(one for one, needed in self.classes if needed <= set(atoms)),
        )

    def _ion(self, k: int) -> dict[str, int]:
        matches = self.found.matches
        form = tuple(matches.forms[matches.form[k]].tolist())
        return ion_counts(self.found.of, self.counts[k], int(matches.gained[k]), form, self.found.spectrum.adduct)

    def _heavier(self, one: HeavyIsotope) -> Substructure:
        """An ion with one heavier atom, from the most probable substructure of the peak without it."""
        light = self._substructure([one.match], one.probability, one.probability)
        mz = float(self.found.spectrum.mz[one.peak])
        calculated = light.mz / (1 + light.ppm * 1e-6) + one.shift / abs(light.charge)
        return Substructure(
            one.peak, mz, light.atoms, light.smiles, light.formula, light.hydrogens, light.charge,
            (mz - calculated) / calculated * 1e6, one.probability, one.probability, isotope=one.name, path=light.path,
            classes=light.classes,
        )  # fmt: skip

    def _path(self, k: int) -> tuple[Step, ...]:
        """Steps to a match. Ions that no peak shows are taken to have lost molecules with all electrons paired."""
        found = self.found
        way = self.paths.to(int(found.matches.part[k]))
        inside = members(found.made.sets[np.array(way)], self.size)
        counts = element_counts(found.of, inside)
        form = tuple(found.matches.forms[found.matches.form[k]].tolist())
        adduct = found.spectrum.adduct
        steps: list[Step] = []
        before: dict[str, int] = {}
        gained = int(form[2])
        for number, part in enumerate(way):
            seen = k if number == len(way) - 1 else self.seen.get(part) if number else None
            if seen is not None:
                ion, gained, peak = self._ion(seen), int(found.matches.gained[seen]), int(found.matches.peak[seen])
            else:
                if number and self._odd(inside[number - 1] & ~inside[number]):
                    gained -= 1
                ion, peak = ion_counts(found.of, counts[number], gained, form, adduct), None
            charge = self.sign * int(form[0] if seen is None else found.matches.forms[found.matches.form[seen], 0])
            lost = {e: before.get(e, 0) - ion.get(e, 0) for e in {**before, **ion}} if number else {}
            atoms = tuple(np.flatnonzero(inside[number]).tolist())
            steps.append(Step(atoms, hill(ion) + charged(charge), _loss(lost), peak))
            before = ion
        return tuple(steps)

    def _odd(self, lost: Bool[np.ndarray, " a"]) -> bool:
        """Whether atoms with the hydrogens that they carry have an odd number of electrons."""
        atoms = [self.found.of.mol.GetAtomWithIdx(int(i)) for i in np.flatnonzero(lost)]
        return sum(a.GetAtomicNum() + a.GetTotalNumHs() for a in atoms) % 2 == 1


def _loss(lost: dict[str, int]) -> str:
    """A lost formula, with what was gained behind it: `C2H4O`, or `C6H6-H` where a hydrogen stayed."""
    kept = {e: n for e, n in lost.items() if n > 0}
    more = {e: -n for e, n in lost.items() if n < 0}
    return hill(kept) + (f"-{hill(more)}" if more else "")
