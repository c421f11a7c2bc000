"""What a feature was identified as: plain values between the program that identifies and the files that tell of it."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Annotation", "NamedCandidate"]


@dataclass(frozen=True, slots=True)
class NamedCandidate:
    """A structure that a feature may be.

    Attributes:
        smiles: of the molecule.
        inchikey: 27 characters, or its first block.
        formula: of the molecule.
        exact_mass: monoisotopic mass of the molecule in Da.
        adduct: as which ion the feature was taken.
        probability: that it is the truth, where that is known to be among the candidates.
        joint: that the truth is among the candidates and that it is this one; None where that is not calibrated.
        name: for people.
        identifiers: in databases, as compact identifiers such as `hmdb:HMDB0000122`.
    """

    smiles: str
    inchikey: str
    formula: str
    exact_mass: float
    adduct: str | None = None
    probability: float = 0.0
    joint: float | None = None
    name: str | None = None
    identifiers: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Annotation:
    """What is known of one feature.

    Attributes:
        feature: its identifier.
        candidates: the best, in order.
        among: probability that the truth is among the candidates at all; None where that is not calibrated.
        level: after Schymanski et al. (doi:10.1021/es5002105): `1`, `2a`, `2b`, `3`, `4` or `5`.
        evidence: why it has that level, in a few words.
    """

    feature: str
    candidates: tuple[NamedCandidate, ...] = ()
    among: float | None = None
    level: str = "5"
    evidence: str = ""
