"""Retention times as evidence, beside what a bundle weighs: `molvis_lcms.retention` predicts them from standards."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from molvis_core import ties
from molvis_lcms.retention import Retention
from molvis_retrieval import metrics
from molvis_retrieval.results import Candidate, Identification

__all__ = ["NAME", "with_retention"]

NAME = "retention"
"""Of the evidence, in tables and reports."""
WEIGHT = 0.5
"""Of the evidence. Candidates of one mass are alike, and so are the errors of their predicted times: with the whole
likelihood ratio the ranking of validation compounds gained nothing, with the half of it a little (docs/identify.md)."""
_TIE = 1e-9


def with_retention(found: Sequence[Identification], retention: Retention | None) -> list[Identification]:
    """Identifications whose listed candidates are weighed by their retention times as well, and ordered anew.

    Half of the logarithm of the likelihood ratio enters the logit. Candidates that are not listed keep their share:
    their times are not looked at. An unknown without a retention time stays as it is, and a note says so; so does one
    of which nothing was found, and without standards all do. How probable it is that the truth is among the candidates
    is not changed.
    """
    return [_weighed(one, retention) for one in found] if retention else list(found)


def _weighed(one: Identification, retention: Retention) -> Identification:
    if not one.candidates:
        return one
    if one.origin.rt_min is None:
        return replace(one, notes=(*one.notes, "no retention time is known of it, so that the standards tell nothing"))
    told = WEIGHT * retention.evidence([c.structure.smiles for c in one.candidates], one.origin.rt_min)
    share = np.array([c.probability for c in one.candidates]) * np.exp(told)
    total = share.sum() + max(0.0, 1.0 - sum(c.probability for c in one.candidates))
    changed = [
        replace(c, probability=float(p / total), score=c.score + float(e), evidence=c.evidence | {NAME: float(e)})
        for c, p, e in zip(one.candidates, share, told, strict=True)
    ]
    order = ties.ascending(-np.array([c.score for c in changed]), _TIE)
    ranked = tuple(replace(changed[place], rank=rank) for rank, place in enumerate(order, start=1))
    margin = ranked[0].probability - (ranked[1].probability if len(ranked) > 1 else 0.0)
    return replace(one, candidates=ranked, margin=margin, truth_rank=_truth_rank(one, ranked))


def _truth_rank(one: Identification, ranked: Sequence[Candidate]) -> float | None:
    """Where the truth is now, if it is listed; what is not listed stays where it was."""
    if one.truth is None or one.truth_rank is None:
        return one.truth_rank
    listed = [place for place, c in enumerate(ranked) if c.structure.inchikey14 == one.truth.inchikey14]
    if not listed:
        return one.truth_rank
    return float(metrics.rank_of_truth(np.array([[c.score for c in ranked]]), np.array(listed[:1])).rank[0])
