"""How probable it is that each kind of measurement is of the unknown at all.

Of what was measured in several ways, one piece may be another compound's: vials are exchanged, files are misnamed. The
likelihood of each piece has a second component for that, the same for every candidate:

    P(c | x) ∝ Π_k [(1 - π) exp(E_k(c)) + π exp(-h_k)]

E_k is what the piece adds to the logit of a candidate, π how probable it is beforehand that it is of another compound,
and h_k how much likelier its fit to the candidate that it supports most is for a compound's own piece than for
another's: a linear function of the evidence for that candidate, fitted with pieces exchanged on purpose
(`molvis_retrieval.calibration.pieces`). A piece that fits nothing then hardly counts, and is told of.

The mixture is that of G. E. P. Box and G. C. Tiao, A Bayesian approach to some outlier problems, Biometrika 55 (1968)
119, doi:10.1093/biomet/55.1.119.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Float

VERSION = 1
"""Of what the features mean. A fit of another version is not used."""
DOUBT = 0.05
"""How probable it is beforehand that one of the pieces of an unknown is another compound's."""
UNLIKELY = 0.5
"""A piece whose probability to be of the unknown is below is told of."""


@dataclass(frozen=True, slots=True)
class Piece:
    """What one kind of measurement says of the candidates.

    Attributes:
        evidence: what it adds to the logit of each.
        fit: features of the candidate that it supports most, see `fit_of`.
    """

    evidence: Float[np.ndarray, " m"]
    fit: dict[str, float]


def fit_of(evidence: Float[np.ndarray, " m"], columns: Mapping[str, Float[np.ndarray, " m"]]) -> dict[str, float]:
    """How well a piece fits the candidate that it supports most, and among how many that is.

    Args:
        evidence: what it adds to the logit of each candidate.
        columns: its evidence before it is weighed, by name.
    """
    best = int(np.argmax(evidence))
    mean = float(np.logaddexp.reduce(evidence)) - math.log(len(evidence))
    stands = {"stands": float(evidence[best]) - mean, "rivals": math.log(len(evidence))}
    return {name: float(values[best]) for name, values in columns.items()} | stands


@dataclass(frozen=True, slots=True)
class Doubted:
    """What is left of the evidence where each piece may be another compound's.

    Attributes:
        added: to the logit of each candidate; 0 or more but for a constant.
        foreign: how probable it is that a piece is another compound's, were the candidate the truth; by modality.
        fits: the same for the candidate that the piece supports most.
    """

    added: Float[np.ndarray, " m"]
    foreign: dict[str, Float[np.ndarray, " m"]]
    fits: dict[str, float]


@dataclass(frozen=True, slots=True)
class Pieces:
    """A fitted probability that a piece is of the unknown. Without weights nothing is known.

    Attributes:
        version: of the features.
        weights: of standardised features, `MODALITY/FEATURE`, and of `MODALITY/` alone, the offset.
        features: for each the bounds within which it counts; and mean and standard deviation.
        fitted_on: what it was fitted on, for people.
    """

    version: int = VERSION
    weights: dict[str, float] = field(default_factory=dict)
    features: dict[str, tuple[float, float, float, float]] = field(default_factory=dict)
    fitted_on: str = ""

    @property
    def usable(self) -> bool:
        """Whether it was fitted, and to features as this molvis makes them."""
        return bool(self.weights) and self.version == VERSION

    def names(self, modality: str) -> list[str]:
        """The features of a modality; empty where it was not fitted."""
        return [name.partition("/")[2] for name in self.features if name.startswith(f"{modality}/")]

    def takes(self, modality: str, piece: Piece) -> bool:
        """Whether it was fitted for this kind of measurement, with this evidence."""
        own = self.names(modality)
        return self.usable and bool(own) and set(own) <= set(piece.fit)

    def support(self, modality: str, fit: Mapping[str, float]) -> float:
        """Logarithm of how much likelier such a fit is for a compound's own piece than for another's."""
        out = self.weights[f"{modality}/"]
        for name in self.names(modality):
            low, high, mean, sd = self.features[f"{modality}/{name}"]
            out += self.weights[f"{modality}/{name}"] * (min(max(fit[name], low), high) - mean) / sd
        return out

    def doubted(self, pieces: Mapping[str, Piece], doubt: float = DOUBT) -> Doubted | None:
        """The evidence of several pieces, one of which may be another compound's; None where that cannot be told.

        Args:
            pieces: by modality.
            doubt: how probable it is beforehand that one of them is.
        """
        known = {modality: piece for modality, piece in pieces.items() if self.takes(modality, piece)}
        if len(known) < 2 or not doubt:
            return None
        prior = doubt / len(known)
        return mixed(
            {modality: piece.evidence for modality, piece in known.items()},
            {modality: self.support(modality, piece.fit) for modality, piece in known.items()},
            prior,
        )


def mixed(evidence: Mapping[str, Float[np.ndarray, " m"]], support: Mapping[str, float], prior: float) -> Doubted:
    """The equation of the module for each candidate.

    Args:
        evidence: of each piece.
        support: h of each piece.
        prior: that a piece is another compound's.
    """
    added: list[np.ndarray] = []
    foreign: dict[str, np.ndarray] = {}
    for modality, own in evidence.items():
        other = math.log(prior) - support[modality]
        both = np.logaddexp(math.log1p(-prior) + own, other)
        added.append(both - own)
        foreign[modality] = np.exp(other - both)
    fits = {m: float(foreign[m][np.argmax(own)]) for m, own in evidence.items()}
    return Doubted(np.sum(added, axis=0), foreign, fits)


def words(modality: str, noun: str, probability: float, fits_none: bool, detail: str = "") -> str:
    """What is said of a piece that is probably of another compound.

    Args:
        modality: of the piece.
        noun: what it is: a spectrum, a value.
        probability: that it is of the unknown.
        fits_none: it fits no candidate, or else others than those that the other measurements speak for.
        detail: how far it is off, where a scorer can say.
    """
    name = modality.upper() if len(modality) <= _SHORT else modality
    said = "fits none of these candidates" if fits_none else "fits other candidates than what else was measured"
    told = f" ({detail})" if detail and fits_none else ""
    share = "< 1%" if probability < 0.01 else f"{100 * probability:.0f}%"
    return f"the {name}{f' {noun}' if noun else ''} {said}{told}; that it is of this unknown: {share}"


_SHORT = 4
"""Letters of names that are abbreviations."""


def unjudged_words(modalities: Sequence[str]) -> str:
    """That nobody looked whether some pieces are of the unknown, for people.

    Args:
        modalities: of the pieces.
    """
    *others, last = [modality.upper() for modality in modalities]
    named = f"{', '.join(others)} and {last} are" if others else f"{last} is"
    return (
        f"whether {named} of this unknown was not looked at: the bundle has no fit for that, which molvis calibrate "
        "makes, or --doubt is 0"
    )
