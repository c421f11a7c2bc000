"""How probable it is that the truth is among the candidates at all.

A ranking has a first candidate whatever the library holds, and a softmax over one candidate is 1. So the first
candidate is looked at by itself: how near its embedding is, how much of the measurement it explains, from how many it
was chosen. A logistic regression turns this into a probability; `presence_calibration` fits it on queries whose truth
was taken out of the library, on noise, and on other compounds' measurements.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Float

MEASURED = "has."
"""Before the name of a modality: the feature that it was measured."""
VERSION = 1
"""Of what the features of `describe` mean. A fit of another version is not used."""


@dataclass(frozen=True, slots=True)
class Presence:
    """A fitted probability that the truth is among the candidates. Without weights nothing is known.

    Attributes:
        version: of the features.
        modalities: that were measured in the fit.
        offset: of the logit.
        weights: of standardised features, and of products of two, whose names are joined by `*`.
        features: for each the bounds within which it counts, since beyond what was seen nothing is extrapolated; and
            mean and standard deviation.
        fitted_on: what it was fitted on, for people.
    """

    version: int = VERSION
    modalities: tuple[str, ...] = ()
    offset: float = 0.0
    weights: dict[str, float] = field(default_factory=dict)
    features: dict[str, tuple[float, float, float, float]] = field(default_factory=dict)
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
        design = expand(np.array([[value(features, n) for n in self.features]]), self.features, self.weights)
        logit = self.offset + float(design[0] @ np.array(list(self.weights.values())))
        return 1 / (1 + math.exp(-logit))


def value(features: Mapping[str, float], name: str) -> float:
    """Of a feature of `describe`, NaN where it is missing; 0 for a modality that was not measured."""
    return features.get(name, 0.0 if name.startswith(MEASURED) else math.nan)


def expand(
    values: Float[np.ndarray, "n f"],
    features: Mapping[str, tuple[float, float, float, float]],
    terms: Iterable[str],
) -> Float[np.ndarray, "n t"]:
    """Features within their bounds and standardised, what is missing as the mean; and their products.

    Args:
        values: a column for each feature, NaN where it is missing.
        features: bounds, mean and standard deviation of each.
        terms: names of features, or of two joined by `*`.
    """
    low, high, mean, sd = np.array(list(features.values())).T if features else np.ones((4, 0))
    x = np.nan_to_num((np.clip(values, low, high) - mean) / sd)
    place = {name: column for column, name in enumerate(features)}
    columns = [[place[part] for part in term.split("*")] for term in terms]
    out = [x[:, c[0]] if len(c) == 1 else np.clip(x[:, c[0]] * x[:, c[1]], -_FAR, _FAR) for c in columns]
    return np.stack(out, axis=1) if out else np.zeros((len(x), 0))


_FAR = 5.0
"""Standard deviations squared, beyond which a product counts no more."""


UNLIKELY = 0.25
"""Odds of three to one against."""


def words(probability: float | None) -> str:
    """A probability that the truth is among the candidates, for people."""
    if probability is None:
        return "not calibrated"
    text = f"{100 * probability:.0f}%" if 0.01 <= probability <= 0.99 else "> 99%" if probability > 0.5 else "< 1%"
    return f"{text}, probably not among them" if probability < UNLIKELY else text
