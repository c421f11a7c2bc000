"""Classes that an unknown probably belongs to: what candidates and compounds of similar measurements agree on."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float

from molvis_core import registry
from molvis_core.interfaces import Classifier, NamesAnalogues
from molvis_core.records import Structure

MOST = 50
"""Candidates that are looked at, the most probable ones."""
LEAST = 0.05
"""Probability below which a class is not reported."""
_ABSENT: dict[tuple[str, ...], tuple[float, ...]] = {
    ("candidates", "window", "analogues"): (0.189, 0.345, 0.136, 0.483),
    ("candidates", "window"): (-0.888, 0.437, 0.266),
    ("analogues",): (-0.606, 0.737),
}
"""Offset and weights of logits by which a class is probable where the truth is no candidate, for what is known: fitted
on 419 compounds of MassBank's validation fold that were taken out of the library. See `_absent`."""
_FARTHEST = 0.004
"""Shares count as at least this and at most one less this: fifty candidates tell no more."""


@dataclass(frozen=True, slots=True)
class ClassProbability:
    """A class with the probability that an unknown belongs to it.

    Attributes:
        name: such as `flavonoid`.
        group: such as `natural product`.
        probability: the sum of the probabilities of the candidates that are in it: given, as theirs are, that the truth
            is among the candidates.
        candidates: how many of those that were looked at are in it.
        probability_overall: whether or not the truth is among the candidates; None where how probable that is is not
            known.
    """

    name: str
    group: str
    probability: float
    candidates: int
    probability_overall: float | None = None

    @property
    def told(self) -> float:
        """The probability for people: overall, where that is known."""
        return self.probability if self.probability_overall is None else self.probability_overall


def installed_classifiers() -> list[Classifier]:
    """Every classifier that a plugin offers, with its default arguments."""
    return [registry.build("classifier", c.name) for c in registry.components("classifier")]


def analogues(asked: Iterable[tuple[Any, Sequence[Any]]]) -> list[tuple[float, Structure]]:
    """Compounds whose measurements are like an unknown's, with their similarities: the best of all that are known.

    Args:
        asked: scorers, each with the records of the unknown that it takes.
    """
    named = [(one, records) for one, records in asked if isinstance(one, NamesAnalogues)]
    found = [like for one, records in named for record in records for like in one.analogues(record)]
    return sorted(found, key=lambda like: -like[0])[:_NEAREST]


_NEAREST = 10


def class_probabilities(
    structures: Sequence[Structure],
    probabilities: Float[np.ndarray, " m"],
    classifiers: Sequence[Classifier],
    *,
    among: float | None = None,
    alike: Sequence[tuple[float, Structure]] = (),
) -> tuple[ClassProbability, ...]:
    """Classes by falling probability, those of at least `LEAST`.

    Args:
        structures: the most probable candidates.
        probabilities: of each. What they lack to 1 belongs to candidates further down, and is left out by scaling.
        classifiers: whose classes.
        among: how probable it is that the truth is among the candidates; None where that is not known.
        alike: compounds of similar measurements, with the similarities.

    Raises:
        molvis_core.errors.StructureError: RDKit refuses a structure.
    """
    shares = probabilities / max(float(probabilities.sum()), 1e-300)
    votes = np.array([value**2 for value, _ in alike])
    found: list[ClassProbability] = []
    for classifier in classifiers:
        inside = np.asarray(classifier(structures), dtype=bool).reshape(len(structures), len(classifier.names))
        totals, counts = np.minimum(shares @ inside, 1.0), inside.sum(axis=0)
        overall: Sequence[float | None] = [None] * len(totals)
        if among is not None and (structures or alike):
            said = {"candidates": totals, "window": inside.mean(axis=0)} if structures else {}
            if alike:
                near = np.asarray(classifier([one for _, one in alike]), dtype=bool)
                said["analogues"] = votes @ near / votes.sum()
            overall = (among * totals + (1 - among) * _absent(said)).tolist()
        rows = zip(classifier.names, classifier.groups, totals.tolist(), counts.tolist(), overall, strict=True)
        found += [ClassProbability(*row) for row in rows]
    kept = [one for one in found if max(one.probability, one.told) >= LEAST]
    return tuple(sorted(kept, key=lambda one: (-round(one.told, 6), one.name)))


def _absent(said: Mapping[str, Float[np.ndarray, " k"]]) -> Float[np.ndarray, " k"]:
    """How probable each class is where the truth is no candidate.

    Args:
        said: shares of the class: `candidates`, by probability; `window`, of the candidates as such, which tells what
            is usual at this mass; `analogues`, of the most similar known compounds, by squared similarity.
    """
    offset, *weights = _ABSENT[tuple(said)]
    logit = np.full(len(next(iter(said.values()))), offset)
    for weight, share in zip(weights, said.values(), strict=True):
        within = np.clip(share, _FARTHEST, 1 - _FARTHEST)
        logit = logit + weight * np.log(within / (1 - within))
    return 1 / (1 + np.exp(-logit))
