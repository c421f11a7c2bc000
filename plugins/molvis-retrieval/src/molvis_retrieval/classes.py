"""Classes that an unknown probably belongs to: what its candidates agree on, whichever of them is the truth."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from molvis_core import registry
from molvis_core.interfaces import Classifier
from molvis_core.records import Structure

MOST = 50
"""Candidates that are looked at, the most probable ones."""
LEAST = 0.05
"""Probability below which a class is not reported."""


@dataclass(frozen=True, slots=True)
class ClassProbability:
    """A class with the probability that an unknown belongs to it.

    Attributes:
        name: such as `flavonoid`.
        group: such as `natural product`.
        probability: the sum of the probabilities of the candidates that are in it: given, as theirs are, that the truth
            is among the candidates.
        candidates: how many of those that were looked at are in it.
    """

    name: str
    group: str
    probability: float
    candidates: int


def installed_classifiers() -> list[Classifier]:
    """Every classifier that a plugin offers, with its default arguments."""
    return [registry.build("classifier", c.name) for c in registry.components("classifier")]


def class_probabilities(
    structures: Sequence[Structure], probabilities: Float[np.ndarray, " m"], classifiers: Sequence[Classifier]
) -> tuple[ClassProbability, ...]:
    """Classes by falling probability, those of at least `LEAST`.

    Args:
        structures: the most probable candidates.
        probabilities: of each. What they lack to 1 belongs to candidates further down, and is left out by scaling.
        classifiers: whose classes.

    Raises:
        molvis_core.errors.StructureError: RDKit refuses a structure.
    """
    shares = probabilities / max(float(probabilities.sum()), 1e-300)
    found: list[ClassProbability] = []
    for classifier in classifiers:
        inside = np.asarray(classifier(structures), dtype=bool)
        totals, counts = shares @ inside, inside.sum(axis=0)
        found += [
            ClassProbability(name, group, min(float(total), 1.0), int(count))
            for name, group, total, count in zip(classifier.names, classifier.groups, totals, counts, strict=True)
            if total >= LEAST
        ]
    return tuple(sorted(found, key=lambda one: (-round(one.probability, 6), one.name)))
