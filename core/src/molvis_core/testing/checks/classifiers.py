"""Contracts of classifiers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from molvis_core import interfaces
from molvis_core.records import Structure
from molvis_core.testing.checks._contract import contract, require


@contract("classifier-classes")
def classifier_gives_classes(classifier: Any, structures: Sequence[Structure]) -> None:
    """A row of truth values for each structure, none for none, which do not depend on the other structures."""
    require(isinstance(classifier, interfaces.Classifier), f"{classifier!r:.80} lacks names, groups or __call__")
    names = list(classifier.names)
    require(len(names) == len(set(names)) > 0, "its names are none, or some are alike")
    require(len(classifier.groups) == len(names), f"it has {len(names)} names and {len(classifier.groups)} groups")
    rows = np.asarray(classifier(list(structures)))
    for found, count in ((rows, len(structures)), (np.asarray(classifier([])), 0)):
        expected = (count, len(names))
        require(found.shape == expected, f"{count} structures gave shape {found.shape}; it must be {expected}")
        require(found.dtype == bool, f"its values are {found.dtype}; they must be bool")
    backward = np.asarray(classifier(list(structures)[::-1]))[::-1]
    require(np.array_equal(rows, backward), "the classes of a structure depend on the others")
