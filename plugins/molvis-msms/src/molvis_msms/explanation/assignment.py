"""Which matches a peak has, and the probability of each: what explanations and measurements of them are made of."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int64

from molvis_core.records import PeakList, Structure
from molvis_fragmentation.parts import Parts, parts
from molvis_msms.explanation.composition import Composition, composition, element_counts, members
from molvis_msms.explanation.features import match_numbers, peak_numbers, predicted_numbers, stray_numbers
from molvis_msms.explanation.matching import PPM, Matches, match_peaks
from molvis_msms.explanation.model import FragmentModel, MassErrors, estimate_errors, probabilities, shipped_model
from molvis_msms.explanation.prediction import predict
from molvis_msms.forward.model import ForwardModel, Fragments

ISOTOPES = {
    "13C": ("C", 1.00335484, 0.0108),
    "37Cl": ("Cl", 1.99705, 0.3200),
    "81Br": ("Br", 1.9979535, 0.9728),
    "34S": ("S", 1.9957959, 0.0447),
}
"""Element, Da above the most abundant isotope, and abundance relative to it. NIST, 2012 mass evaluation."""
_ODDS = 20.0
"""Of being an isotope rather than unexplained, for a peak of fitting distance and height above a sure ion."""


@dataclass(frozen=True, slots=True)
class HeavyIsotope:
    """A peak that can be a lower peak's ion with one heavier atom.

    Attributes:
        peak: its number.
        match: the most probable match of the lower peak.
        name: such as `13C`.
        shift: Da between the two, of one charge.
        probability: that it is.
    """

    peak: int
    match: int
    name: str
    shift: float
    probability: float


@dataclass(frozen=True, eq=False, slots=True)
class Assignment:
    """Peaks of a spectrum with the probabilities of what they can be.

    Attributes:
        spectrum: whose they are.
        made: parts of the molecule, and `of` its elements.
        matches: of the peaks.
        probability: of each match.
        isotopes: peaks that are probably isotopes, each once.
        unexplained: probability of each peak of being nothing of this.
        evidence: of each peak for the structure, as `molvis_msms.explanation.model.Probabilities` has it.
        errors: of the masses, estimated from the spectrum.
        share: of the peaks that are the molecule's, estimated from the spectrum.
        fragments: what is predicted for the molecule under the settings of the spectrum.
    """

    spectrum: PeakList
    made: Parts
    of: Composition
    matches: Matches
    probability: Float[np.ndarray, " m"]
    isotopes: tuple[HeavyIsotope, ...]
    unexplained: Float[np.ndarray, " p"]
    evidence: Float[np.ndarray, " p"]
    errors: MassErrors
    share: float
    fragments: Fragments


@dataclass(frozen=True, eq=False, slots=True)
class Looked:
    """What is known of the matches of a spectrum before they are compared.

    Attributes:
        made: parts of the molecule, and `of` its elements.
        matches: of the peaks.
        inside: atoms of each match.
        own, none: logits of the matches with the evidence of their errors, and of each peak being none of them.
        predicted, stray: numbers of what was predicted of both, as `molvis_msms.explanation.features` makes them.
        errors: of the masses, estimated from the spectrum.
        fragments: all that was predicted.
    """

    made: Parts
    of: Composition
    matches: Matches
    inside: Bool[np.ndarray, "m a"]
    own: Float[np.ndarray, " m"]
    none: Float[np.ndarray, " p"]
    predicted: Float[np.ndarray, "m f"]
    stray: Float[np.ndarray, "p g"]
    errors: MassErrors
    fragments: Fragments


def look(
    spectrum: PeakList,
    structure: Structure,
    *,
    ppm: float = PPM,
    model: FragmentModel | None = None,
    forward: ForwardModel | None = None,
) -> Looked:
    """What of a molecule fits the peaks of a spectrum, and what speaks for each.

    Raises:
        molvis_core.errors.StructureError: RDKit refuses the structure.
    """
    made, of = parts(structure.smiles), composition(structure.smiles)
    matches = match_peaks(spectrum, structure.exact_mass, made, ppm)
    inside = members(made.sets[matches.part], len(of.of))
    per_peak = np.bincount(matches.peak, minlength=len(spectrum)).astype(np.float64)
    own, none = (model or shipped_model()).logits(
        matches,
        match_numbers(matches.rows, inside.sum(axis=1).astype(np.float64), len(of.of)),
        peak_numbers(spectrum, per_peak, len(made.sets), len(of.of)),
    )
    errors = estimate_errors(matches, len(spectrum))
    predicted = predict(spectrum, structure, made, matches, forward)
    height = spectrum.intensity.astype(np.float64)
    return Looked(
        made, of, matches, inside, own + errors.evidence(matches.error), none,
        predicted_numbers(predicted.match, matches.peak, height), stray_numbers(predicted.stray), errors,
        predicted.fragments,
    )  # fmt: skip


def assign(
    spectrum: PeakList,
    structure: Structure,
    *,
    ppm: float = PPM,
    model: FragmentModel | None = None,
    forward: ForwardModel | None = None,
) -> Assignment:
    """What each peak of a spectrum can be, given a structure; see `molvis_msms.explanation.peaks.explain`.

    Raises:
        molvis_core.errors.StructureError: RDKit refuses the structure.
    """
    model = model or shipped_model()
    seen = look(spectrum, structure, ppm=ppm, model=model, forward=forward)
    matches = seen.matches
    found = probabilities(matches, *model.with_predicted(seen.own, seen.none, seen.predicted, seen.stray))
    probability, unexplained = found.match, found.unexplained
    heavy = _isotopes(spectrum, matches, probability, unexplained, element_counts(seen.of, seen.inside), seen.of)
    for one in heavy:
        left = 1 - one.probability
        probability[matches.peak == one.peak] *= left
        unexplained[one.peak] *= left
    return Assignment(
        spectrum, seen.made, seen.of, matches, probability, tuple(heavy), unexplained, found.evidence, seen.errors,
        found.share, seen.fragments,
    )  # fmt: skip


def _isotopes(
    spectrum: PeakList,
    matches: Matches,
    probability: Float[np.ndarray, " m"],
    unexplained: Float[np.ndarray, " p"],
    counts: Int64[np.ndarray, "m e"],
    of: Composition,
) -> list[HeavyIsotope]:
    """The most probable isotope that each peak can be; with a height of up to twice what its atoms give."""
    best: dict[int, HeavyIsotope] = {}
    sure = _most_probable(matches.peak, probability, len(spectrum))
    for name, (element, shift, abundance) in ISOTOPES.items():
        column = of.elements.index(element) if element in of.elements else None
        for light in np.flatnonzero(sure >= 0) if column is not None else ():
            k = int(sure[light])
            charges = float(matches.forms[matches.form[k], 0])
            wanted = spectrum.mz[light] + shift / charges
            expected = abundance * counts[k, column] * spectrum.intensity[light]
            first, last = np.searchsorted(
                spectrum.mz, [wanted - matches.tolerance[light], wanted + matches.tolerance[light]]
            )
            for peak in range(int(first), int(last)):
                if not 0 < spectrum.intensity[peak] <= 2 * expected:
                    continue
                odds = float(unexplained[peak]) * _ODDS * float(1 - unexplained[light])
                found = HeavyIsotope(peak, k, name, shift, odds / (1 + odds))
                if peak not in best or found.probability > best[peak].probability:
                    best[peak] = found
    return [best[peak] for peak in sorted(best)]


def _most_probable(peak: Int64[np.ndarray, " m"], probability: Float[np.ndarray, " m"], count: int) -> np.ndarray:
    """The match of the highest probability of each peak; -1 where it has none."""
    out = np.full(count, -1, dtype=np.int64)
    order = np.argsort(probability, kind="stable")
    out[peak[order]] = order
    return out
