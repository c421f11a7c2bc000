"""Rank the formulas of an unknown ion by its mass, its isotope pattern and its fragments, with probabilities."""

from __future__ import annotations

import functools
import logging
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Float, Int

from molvis_core import ties
from molvis_core.chemistry.adducts import likely_adducts, parse_adduct
from molvis_core.chemistry.formula import parse_formula
from molvis_core.errors import AdductError, ConfigError
from molvis_core.records import PeakList
from molvis_formula.decomposition import FormulaError, formulas_within, masses_of, neutral_window
from molvis_formula.elements import DEFAULT, ELECTRON, MASSES, UNIT, counts_of, hill, parse_elements, units
from molvis_formula.evidence import explain_peaks
from molvis_formula.features import candidate_features, peak_features
from molvis_formula.ions import IonAtoms, ion_atoms
from molvis_formula.isotopes import IsotopeErrors, isotope_evidence, isotope_patterns, measured_pattern
from molvis_formula.rules import COMMON, Rules
from molvis_formula.score import Score, load_score

log = logging.getLogger("molvis")

LOOKED_AT = 600
"""Candidates of an adduct whose peaks are looked at: the likeliest by mass, composition and isotope pattern. The others
keep the probability that those three give them, as if their peaks said what those of the least likely one say."""
KNOWN_WEIGHT = 2.0
"""Added to the logit of a formula that is in a list of known ones."""
TIE = 1e-6
"""Probabilities nearer than this are equal, and their formulas stay in the order of the list."""


@dataclass(frozen=True, slots=True)
class FormulaCandidate:
    """A formula that an ion may have.

    Attributes:
        formula: of the neutral molecule, in Hill's order.
        adduct: that makes the molecule the ion.
        probability: among all formulas of all adducts that were tried.
        ppm: how far the measured m/z is above the formula's.
        exact_mass: of the neutral molecule in Da.
        explained: share of the fragments' intensity that sub-formulas explain; None where peaks were not looked at.
        peaks: how many of the peaks that were looked at are explained.
        isotopes: log-likelihood of the isotope pattern, less that of the candidate that fits it best; None without one.
        known: whether it is in the list of known formulas; None without one.
    """

    formula: str
    adduct: str
    probability: float
    ppm: float
    exact_mass: float
    explained: float | None = None
    peaks: int = 0
    isotopes: float | None = None
    known: bool | None = None


@dataclass(frozen=True, eq=False, slots=True)
class _Listed:
    """The candidates of one adduct."""

    ion: IonAtoms
    counts: np.ndarray
    ppm: np.ndarray
    logits: np.ndarray
    explained: np.ndarray
    peaks: np.ndarray
    isotopes: np.ndarray | None


@dataclass(frozen=True, eq=False, slots=True)
class FormulaList:
    """All formulas that an ion of one adduct may have, as arrays: there may be thousands, few of which are asked for.

    Attributes:
        counts: atoms of each of `molvis_formula.elements.ELEMENTS`.
        masses: in units, exactly.
        logs: logarithms of their probabilities, which add up to 1.
    """

    counts: Int[np.ndarray, "n e"]
    masses: Int[np.ndarray, " n"]
    logs: Float[np.ndarray, " n"]

    def __len__(self) -> int:
        return len(self.logs)

    def log_of(self, formula: str) -> float | None:
        """Logarithm of the probability of a formula; None where it is not listed."""
        wanted, mass = _parsed(formula)
        near = np.flatnonzero(self.masses == mass)
        found = near[(self.counts[near] == wanted).all(axis=1)]
        return float(self.logs[found[0]]) if len(found) else None

    def likely(self, least: float) -> dict[str, float]:
        """Logarithms of the probabilities of the formulas whose own is so large at least, in the order of the list."""
        places = np.flatnonzero(self.logs >= least)
        return dict(zip(map(hill, self.counts[places].tolist()), self.logs[places].tolist(), strict=True))

    @classmethod
    def joined(cls, lists: Sequence[FormulaList], least: float) -> FormulaList:
        """What several ions of one molecule say together.

        They see the same fragments and errors in part: logarithms of n lists are added up and divided by the square
        root of n.

        Args:
            lists: of the ions.
            least: logarithm of the probability of a formula that a list lacks, and of any at least.
        """
        if len(lists) == 1:
            return lists[0]
        every = np.concatenate([one.counts for one in lists])
        counts, where = np.unique(every, axis=0, return_inverse=True)
        logs = np.zeros(len(counts))
        for one, places in zip(lists, np.split(where, np.cumsum([len(one) for one in lists])[:-1]), strict=True):
            own = np.full(len(counts), least)
            own[places] = np.maximum(one.logs, least)
            logs += own / np.sqrt(len(lists))
        return cls(counts, masses_of(counts), logs - np.logaddexp.reduce(logs))


@functools.lru_cache(maxsize=4096)
def _parsed(formula: str) -> tuple[Int[np.ndarray, " e"], int]:
    """Atoms of a formula, and its mass in units; a mass that no formula has where it has other elements."""
    try:
        counts = counts_of(parse_formula(formula))
    except (KeyError, ValueError):
        return np.zeros(len(MASSES), dtype=np.int64), -1
    return counts, int(masses_of(counts[None])[0])


@dataclass(frozen=True, slots=True)
class FormulaSettings:
    """How formulas are listed and ranked.

    Attributes:
        ppm: tolerance of the precursor's m/z, which counts as three standard deviations of its errors.
        peak_ppm: tolerance of the fragments' m/z.
        elements: to try, see `molvis_formula.elements.parse_elements`.
        rules: see `molvis_formula.rules`.
        isotope_errors: how far off isotope patterns are.
        known: formulas in Hill's order that are likelier than others; none by default.
        known_weight: what is added to their logits.
    """

    ppm: float = 10.0
    peak_ppm: float = 10.0
    elements: str = DEFAULT
    rules: Rules = COMMON
    isotope_errors: IsotopeErrors = field(default_factory=IsotopeErrors)
    known: Collection[str] | None = None
    known_weight: float = KNOWN_WEIGHT


def formulas(
    spectrum: PeakList | None = None,
    *,
    precursor_mz: float | None = None,
    adduct: str | Mapping[str, float] | None = None,
    isotope_pattern: PeakList | None = None,
    settings: FormulaSettings | None = None,
    score: Score | None = None,
) -> list[FormulaCandidate]:
    """All formulas that an ion may have, the likeliest first.

    Args:
        spectrum: fragments of the ion. Without it, mass, composition and isotope pattern decide.
        precursor_mz: of the ion, instead of the spectrum's.
        adduct: of the ion; or several with how probable each is before anything is looked at. Without it the
            spectrum's, or else the usual adducts of its polarity (`molvis_core.chemistry.adducts.likely_adducts`): all
            their formulas are in one list, those of each adduct with its probability in all.
        isotope_pattern: peaks of an MS1 spectrum around the ion; others are left out.
        settings: tolerances, elements, rules and priors.
        score: learned weights; the shipped ones by default.

    Of several adducts, one that no formulas can be listed for, as they are too many or the ion is too light, is left
    out and logged.

    Raises:
        AdductError: an adduct cannot be read, or none fits the polarity.
        ConfigError: there is no precursor, or elements cannot be read.
        FormulaError: a tolerance or an m/z that cannot be, or more formulas than can be listed.
    """
    settings = settings or FormulaSettings()
    score = score or load_score()
    mz = precursor_mz if precursor_mz is not None else spectrum.precursor_mz if spectrum is not None else None
    if mz is None:
        raise ConfigError("formulas are listed for the m/z of a precursor: the spectrum has none, and none was given")
    parse_elements(settings.elements)
    shares = _shares(spectrum, adduct)
    listed: list[_Listed] = []
    refused: list[AdductError | FormulaError] = []
    for name, share in shares.items():
        try:
            one = _listed(name, mz, spectrum, isotope_pattern, settings, score)
        except (AdductError, FormulaError) as error:
            if len(shares) == 1:
                raise
            log.info("%s at m/z %.4f is left out: %s", name, mz, error)
            refused.append(error)
            continue
        if len(one.counts):
            # The networks learned lists of one adduct each: nothing fixes the level of one adduct's logits against
            # another's, so that each adduct's formulas share what the adduct had before.
            one.logits[:] += np.log(share) - np.logaddexp.reduce(one.logits)
            listed.append(one)
    if refused and not listed and len(refused) == len(shares):
        raise refused[0]
    return _ranked(listed, settings)


def formula_list(
    spectrum: PeakList,
    *,
    adduct: str,
    isotope_pattern: PeakList | None = None,
    settings: FormulaSettings | None = None,
    score: Score | None = None,
) -> FormulaList:
    """What `formulas` finds for one adduct, as arrays, without an object for each.

    Args:
        spectrum: fragments of the ion, with the m/z of the precursor.
        adduct: of the ion.
        isotope_pattern: peaks of an MS1 spectrum around the ion.
        settings: tolerances, elements and rules; known formulas are not looked at.
        score: learned weights; the shipped ones by default.

    Raises:
        AdductError: the adduct cannot be read.
        ConfigError: there is no precursor, or elements cannot be read.
        FormulaError: a tolerance or an m/z that cannot be, or more formulas than can be listed.
    """
    if spectrum.precursor_mz is None:
        raise ConfigError("formulas are listed for the m/z of a precursor: the spectrum has none")
    found = _listed(
        parse_adduct(adduct).name, spectrum.precursor_mz, spectrum, isotope_pattern, settings or FormulaSettings(),
        score or load_score(),
    )  # fmt: skip
    logs = found.logits - np.logaddexp.reduce(found.logits) if len(found.counts) else found.logits
    return FormulaList(found.counts, masses_of(found.counts), logs)


def deviations(
    counts: Int[np.ndarray, "n e"], precursor_mz: float, ion: IonAtoms, ppm: float
) -> Float[np.ndarray, " n"]:
    """How far the measured m/z is above that of each candidate's ion, as a multiple of a third of the tolerance."""
    return errors_ppm(counts, precursor_mz, ion) / (ppm / 3)


def errors_ppm(counts: Int[np.ndarray, "n e"], precursor_mz: float, ion: IonAtoms) -> Float[np.ndarray, " n"]:
    """How far the measured m/z is above that of each candidate's ion, in ppm."""
    charge = abs(ion.adduct.charge)
    mz = units(precursor_mz) * charge
    away = mz - (masses_of(counts) * ion.adduct.molecules + ion.mass - ion.adduct.charge * ELECTRON)
    return away / mz * 1e6


def _shares(spectrum: PeakList | None, adduct: str | Mapping[str, float] | None) -> dict[str, float]:
    """The adducts to try, by their names here, and how probable each is."""
    given = adduct if adduct is not None else spectrum.adduct if spectrum is not None else None
    if isinstance(given, str):
        return {parse_adduct(given).name: 1.0}
    if given is None:
        return likely_adducts(None) if spectrum is None else likely_adducts(spectrum.ionmode, spectrum.charge)
    total = sum(given.values())
    if not given or min(given.values()) <= 0:
        raise ConfigError(f"adducts {dict(given)}: each is given with a probability larger than 0")
    return {parse_adduct(name).name: share / total for name, share in given.items()}


def _listed(
    name: str,
    mz: float,
    spectrum: PeakList | None,
    pattern: PeakList | None,
    settings: FormulaSettings,
    score: Score,
) -> _Listed:
    """The formulas of one adduct, with logits."""
    ion = ion_atoms(name)
    counts = formulas_within(
        neutral_window(mz, name, settings.ppm), elements=settings.elements, rules=settings.rules, any_shell=ion.bare
    )
    # What an adduct takes away, the molecule must have.
    counts = counts[(counts.astype(np.int64) * ion.adduct.molecules + ion.added >= 0).all(axis=1)]
    off = errors_ppm(counts, mz, ion)
    nothing = np.zeros(len(counts))
    if not len(counts):
        return _Listed(ion, counts, off, nothing, nothing, nothing, None)
    candidates = candidate_features(counts, off / (settings.ppm / 3), ion)
    logits = score.prior(candidates) / score.temperature
    isotopes = _isotopes(counts, ion, mz, pattern, settings)
    if isotopes is not None:
        logits = logits + isotopes
    explained, peaks = np.full(len(counts), np.nan), np.zeros(len(counts))
    if spectrum is not None and len(spectrum):
        chosen = np.sort(np.argsort(-logits, kind="stable")[:LOOKED_AT])
        found = explain_peaks(spectrum, counts[chosen], ion, settings.peak_ppm)
        added = score.joint(candidates[chosen], peak_features(found, ion, masses_of(counts[chosen])))
        rest = np.full(len(counts), added.min() / score.temperature)
        rest[chosen] = added / score.temperature
        logits = logits + rest
        explained[chosen] = found.found @ found.share
        peaks[chosen] = found.found.sum(axis=1)
    return _Listed(ion, counts, off, logits, explained, peaks, isotopes)


def _isotopes(
    counts: np.ndarray, ion: IonAtoms, mz: float, pattern: PeakList | None, settings: FormulaSettings
) -> np.ndarray | None:
    """Log-likelihoods of the isotope pattern, the largest being 0; None where there is none."""
    if pattern is None:
        return None
    measured = measured_pattern(pattern, mz, ion.adduct.charge, settings.ppm)
    if measured is None:
        return None
    evidence = isotope_evidence(measured, *isotope_patterns(counts, ion), settings.isotope_errors)
    return evidence - evidence.max()


def _ranked(listed: list[_Listed], settings: FormulaSettings) -> list[FormulaCandidate]:
    """Candidates of all adducts in one softmax."""
    if not listed:
        return []
    names = [[hill(row) for row in one.counts.tolist()] for one in listed]
    logits = np.concatenate([one.logits for one in listed])
    known = [None if settings.known is None else name in settings.known for part in names for name in part]
    if settings.known is not None:
        logits = logits + settings.known_weight * np.array(known, dtype=np.float64)
    probability = np.exp(logits - logits.max())
    probability /= probability.sum()
    found: list[FormulaCandidate] = []
    for one, part in zip(listed, names, strict=True):
        mass = masses_of(one.counts) / UNIT
        for i, name in enumerate(part):
            place = len(found)
            found.append(
                FormulaCandidate(
                    formula=name,
                    adduct=one.ion.adduct.name,
                    probability=float(probability[place]),
                    ppm=float(one.ppm[i]),
                    exact_mass=float(mass[i]),
                    explained=None if np.isnan(one.explained[i]) else float(one.explained[i]),
                    peaks=int(one.peaks[i]),
                    isotopes=None if one.isotopes is None else float(one.isotopes[i]),
                    known=known[place],
                )
            )
    return [found[i] for i in ties.ascending(-logits, TIE)]
