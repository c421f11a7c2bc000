"""How sure an identification is, in the words of the field: levels after Schymanski, by one rule for all of molvis.

Reference: E. L. Schymanski et al., Identifying small molecules via high resolution mass spectrometry: communicating
confidence, Environ. Sci. Technol. 48 (2014) 2097, doi:10.1021/es5002105
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from molvis_core.records import EiSpectrum, PeakList, Structure
from molvis_retrieval.references import Match, OwnStandards, Reference, Spectrum, match
from molvis_retrieval.results import Identification

__all__ = ["MEANINGS", "Known", "best_known", "confidence_level"]

MEANINGS = {
    "1": "confirmed structure",
    "2a": "probable structure, by a spectrum of it",
    "2b": "probable structure, by what fits no other",
    "3": "tentative candidates",
    "4": "molecular formula",
    "5": "exact mass of interest",
    "-": "nothing",
}
"""The levels in words."""

_PROBABLE = 0.9
"""Joint probability of one structure, or of one formula, from which it is taken as the probable or the only one."""
_TENTATIVE = 0.5
"""Probability that the truth is among the candidates, from which these are tentative candidates."""


@dataclass(frozen=True, slots=True)
class Known:
    """What a spectrum of the first candidate, measured by somebody, says.

    Attributes:
        match: of the unknown's spectrum with it.
        minutes_off: how far the unknown's retention time is above that of the user's own standard; None where the
            spectrum is from a library, or a time is not known.
        within: minutes that the times may differ.
    """

    match: Match
    minutes_off: float | None = None
    within: float = 0.0

    @property
    def confirms(self) -> bool:
        """Whether mass, MS/MS and retention time are those of the user's own standard."""
        return self.match.agrees and self.minutes_off is not None and abs(self.minutes_off) <= self.within


def best_known(
    one: Identification, references: Iterable[Reference] = (), standards: OwnStandards | None = None
) -> Known | None:
    """The known spectrum of the first candidate that agrees best with one of the unknown's; None where there is none.

    A standard of the user's own, with its retention time, goes before spectra of libraries where it agrees.

    Args:
        one: the identification; its spectra are `records`.
        references: spectra of structures.
        standards: what the user measured of known compounds.
    """
    if not one.candidates:
        return None
    first = one.candidates[0].structure
    spectra = [r for r in one.records if isinstance(r, PeakList | EiSpectrum) and len(r)]
    found = [k for r in spectra for k in _standards(standards, first, r, one.origin.rt_min)]
    found += [Known(match(r, s)) for r in spectra for s in _spectra(references, first, r)]
    return max(found, key=lambda k: (k.confirms, k.match.agrees, k.match.cosine), default=None)


def _standards(known: OwnStandards | None, first: Structure, like: Spectrum, minutes: float | None) -> list[Known]:
    if known is None or not isinstance(like, PeakList):
        return []
    return [
        Known(match(like, spectrum), None if minutes is None else minutes - time, known.minutes)
        for spectrum, time in known.of(first, like)
    ]


def _spectra(references: Iterable[Reference], first: Structure, like: Spectrum) -> list[Spectrum]:
    """Known spectra of a structure, those of the same ion."""
    found = [reference(first, like) for reference in references]
    return [s for s in found if s is not None and _same_ion(s, like)]


def _same_ion(one: Spectrum, other: Spectrum) -> bool:
    adducts = {a for s in (one, other) if (a := getattr(s, "adduct", None))}
    return len(adducts) < 2


def confidence_level(one: Identification, known: Known | None = None) -> tuple[str, str]:
    """The level and, in a few words, why.

    `1`, a confirmed structure: m/z, MS/MS and retention time are those of the user's own standard. `2a`, a probable
    structure: its spectrum in a library agrees. `2b`, a probable structure: it is the truth with a probability of 0.9
    or more, that it is among the candidates at all counted in. `3`, tentative candidates: the truth is among them with
    a probability of 0.5 or more, or that is not calibrated. `4`, a molecular formula: one has a probability of 0.9 or
    more. `5`, a mass; `-` where not even that is known.

    Args:
        one: the identification.
        known: what a spectrum of its first candidate says, see `best_known`.
    """
    if known is not None and one.candidates:
        words = f"cosine {known.match.cosine:.2f}, {len(known.match.pairs)} peaks"
        if known.confirms:
            return "1", f"your standard: {words}, retention time {known.minutes_off:+.2f} min"
        if known.match.agrees:
            return "2a", f"library spectrum: {words}"
    if one.candidates and (found := _by_probability(one)):
        return found
    formula, share = max(one.formulas.items(), key=lambda item: item[1], default=("", 0.0))
    if share >= _PROBABLE:
        return "4", f"{formula} with probability {share:.2f}"
    if one.mass is None and one.precursor_mz is None:
        return "-", "no mass is known"
    if not one.candidates:
        return "5", "no candidate"
    return "5", f"the truth is among the candidates with probability {one.probability_among or 0.0:.2f} only"


def _by_probability(one: Identification) -> tuple[str, str] | None:
    """Level 2b or 3 by what the ranking says; None where it says less."""
    among = one.probability_among
    if among is None:
        return "3", f"{one.n_candidates} candidates; whether the truth is among them is not calibrated"
    best = among * one.candidates[0].probability
    if best >= _PROBABLE:
        return "2b", f"one structure with probability {best:.2f}"
    if among >= _TENTATIVE:
        return "3", f"{one.n_candidates} candidates, the truth among them with probability {among:.2f}"
    return None
