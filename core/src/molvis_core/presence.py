"""How probable it is that the truth is among the candidates at all.

A ranking has a first candidate whatever the library holds, and a softmax over one candidate is 1. So the first
candidate is looked at by itself: how near its embedding is, how much of the measurement it explains, from how many it
was chosen. A logistic regression turns this into a probability; `presence_calibration` fits it on queries whose truth
was taken out of the library, on noise, and on other compounds' measurements.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Bool, Float

from molvis_core.records import PeakList, Structure

if TYPE_CHECKING:
    from molvis_core.identification import Scored

VERSION = 1
"""Of what the features of `describe` mean. A fit of another version is not used."""


@dataclass(frozen=True, slots=True)
class Presence:
    """A fitted probability that the truth is among the candidates. Without weights nothing is known.

    Attributes:
        version: of the features.
        modalities: that were measured in the fit.
        offset: of the logit.
        weights: by feature of `describe`.
        low, high: bounds within which a feature counts: beyond what was seen nothing is extrapolated.
        fitted_on: what it was fitted on, for people.
    """

    version: int = VERSION
    modalities: tuple[str, ...] = ()
    offset: float = 0.0
    weights: dict[str, float] = field(default_factory=dict)
    low: dict[str, float] = field(default_factory=dict)
    high: dict[str, float] = field(default_factory=dict)
    fitted_on: str = ""

    @property
    def usable(self) -> bool:
        """Whether it was fitted, and to features as this molvis makes them."""
        return bool(self.weights) and self.version == VERSION

    def takes(self, modalities: Sequence[str]) -> bool:
        """Whether it was fitted for what was measured, all of it."""
        return self.usable and bool(modalities) and set(modalities) <= set(self.modalities)

    def probability(self, features: Mapping[str, float]) -> float:
        """That the truth is among the candidates, for an unknown of which half of all would be."""
        logit = self.offset
        for name, weight in self.weights.items():
            if name in features:
                logit += weight * min(max(features[name], self.low[name]), self.high[name])
        return 1 / (1 + math.exp(-logit))


def words(probability: float | None) -> str:
    """A probability that the truth is among the candidates, for people."""
    if probability is None:
        return "not calibrated"
    text = f"{100 * probability:.0f}%" if 0.01 <= probability <= 0.99 else "> 99%" if probability > 0.5 else "< 1%"
    return f"{text}, probably not among them" if probability < 0.5 else text


def describe(
    records: Mapping[str, Sequence[Any]],
    cosine: Mapping[str, Float[np.ndarray, "r m"]],
    scored: Scored,
    first: int,
    structure: Structure,
) -> dict[str, float]:
    """What is known of how well the first candidate fits, and of what it was chosen from.

    Args:
        records: what was measured, by modality.
        cosine: of the records with the candidates, before weighing.
        scored: the evidence.
        first: place of the first candidate.
        structure: of the first candidate.
    """
    total = scored.logits
    out = {f"has.{name}": 1.0 for name in records}
    out |= {name: float(np.mean(values[:, first])) for name, values in cosine.items()}
    place = np.flatnonzero(scored.near == first)
    row = int(place[0]) if len(place) else 0
    for key, columns in scored.columns.items():
        out |= {f"{key}.{name}": float(values[row]) for name, values in columns.items()}
    spectra = [r for some in records.values() for r in some if isinstance(r, PeakList)]
    if spectra:
        out["peaks"] = float(np.mean([math.log1p(_below(r).sum()) for r in spectra]))
        out["fragmented"] = float(
            np.mean([r.intensity[_below(r)].sum() / max(r.intensity.sum(), 1e-9) for r in spectra])
        )
    others = np.delete(total, first)
    if len(others):
        out["lead"] = float(np.log1p(total[first] - others.max()))
        out["deviation"] = float((total[first] - others.mean()) / (others.std() + 0.5))
        out["excess"] = float(total[first] - others.mean())
    else:
        out["single"] = 1.0
    for name, values in cosine.items():
        mean = values.mean(axis=0)
        out[f"{name}.best"] = float(mean.max())
        out[f"{name}.above"] = float(mean[first] - mean.mean())
    for name, values in scored.scorers.items():
        out[f"score.{name}"] = float(values[row])
    odds = np.exp(total - total[first])
    out["rivals"] = math.log(len(total))
    out["first"] = float(1 / odds.sum())
    out["records"] = math.log(sum(len(some) for some in records.values()))
    out["mass"] = math.log(structure.exact_mass)
    return out


def _below(record: PeakList) -> Bool[np.ndarray, " p"]:
    """Peaks that are not the precursor's own: those say something of the structure."""
    return record.mz < (record.precursor_mz or np.inf) - 0.5
