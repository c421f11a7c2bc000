"""Contracts of scorers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from molvis_core import interfaces
from molvis_core.records import Structure
from molvis_core.testing.checks._contract import contract, require


@contract("scorer-features")
def scorer_gives_features(scorer: Any, query: Any, candidates: Sequence[Structure]) -> None:
    """A finite row of features for each candidate, none for none."""
    require(isinstance(scorer, interfaces.Scorer), f"{scorer!r:.80} lacks accepts, features or __call__")
    require(isinstance(query, scorer.accepts), f"a {type(query).__name__} is not what the scorer accepts")
    for some in (list(candidates), []):
        found, wanted = np.asarray(scorer(query, some)), (len(some), len(scorer.features))
        require(found.shape == wanted, f"{len(some)} candidates gave shape {found.shape}; {wanted} is wanted")
        require(np.isfinite(found).all(), "a feature is not finite")


@contract("scorer-order")
def scorer_ignores_the_order_of_candidates(scorer: Any, query: Any, candidates: Sequence[Structure]) -> None:
    """The features of a candidate depend neither on the order of the candidates nor on chance.

    They may depend on which others there are: how far a candidate stands above them is evidence too.
    """
    forward = np.asarray(scorer(query, list(candidates)))
    backward = np.asarray(scorer(query, list(candidates)[::-1]))[::-1]
    off = np.abs(forward - backward).max(axis=1)
    worst = int(off.argmax())
    require(off[worst] <= 1e-6, f"candidate {worst} scores differently in another order, by {off[worst]:.2g}")


@contract("scorer-explains")
def scorer_explains_peaks(scorer: Any, query: Any, candidates: Sequence[Structure]) -> None:
    """Where it explains, it names peaks that the query has, with formula, substructure and error."""
    for candidate in candidates if isinstance(scorer, interfaces.Explains) else ():
        for one in scorer.explain(query, candidate):
            require(isinstance(one, interfaces.PeakExplanation), f"{one!r:.80} lacks peak, formula, smiles or ppm")
            require(0 <= one.peak < len(query), f"it explains peak {one.peak} of {len(query)}")
