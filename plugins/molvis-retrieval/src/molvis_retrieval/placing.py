"""The candidates of an unknown under each of its readings, before anything of them is weighed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float, Int64

from molvis_core.errors import MolvisError
from molvis_retrieval.ions import betaines, fitting_ion
from molvis_retrieval.posterior import FORMULA_WEIGHT, Hypotheses, kept
from molvis_retrieval.scope import Search
from molvis_retrieval.unknowns import Unknown

if TYPE_CHECKING:
    from molvis_retrieval.index import Index

__all__ = ["Placed", "likely", "nearest", "place_candidates"]

NEAREST = 1000
"""Structures of a library with clusters that a measurement without a mass is compared with, each of its records."""


@dataclass(frozen=True, slots=True)
class Placed:
    """The candidates of an unknown, its ion taken for one adduct, before anything is weighed.

    Attributes:
        unknown: with that adduct.
        rows: of the candidates in the library; None for all of it.
        prior: logarithm of how often each forms the ion, and what was seen beside it; None where the ion is known.
        formulas: of the candidates, for rows of the library.
        formula: weighed logarithm of the probability of each candidate's formula; None where none were looked at.
    """

    unknown: Unknown
    rows: Int64[np.ndarray, " m"] | None
    prior: Float[np.ndarray, " m"] | None
    formulas: Sequence[str]
    formula: Float[np.ndarray, " m"] | None = None


def likely(placed: Sequence[Placed | str], hypotheses: Hypotheses) -> list[Placed | str]:
    """Candidates whose adduct and formula are not far less probable than others', with their formulas' shares."""
    some = [p for p in placed if not isinstance(p, str) and p.rows is not None]
    logs = [hypotheses.values(p.unknown.adduct, p.formulas) for p in some]
    keep = iter(kept([v if p.prior is None else v + p.prior for p, v in zip(some, logs, strict=True)]))
    told = iter(logs)
    out: list[Placed | str] = []
    for p in placed:
        if isinstance(p, str) or p.rows is None:
            out.append(p)
            continue
        good, values = next(keep), next(told)
        fewer = Placed(
            p.unknown, p.rows[good], None if p.prior is None else p.prior[good],
            [f for f, k in zip(p.formulas, good, strict=True) if k], FORMULA_WEIGHT * values[good],
        )  # fmt: skip
        out.append(fewer if good.any() else f"no candidate of a likely formula as {p.unknown.adduct}")
    return out


def nearest(index: Index, placed: Placed | str, vectors: Mapping[str, np.ndarray]) -> Placed | str:
    """What was placed among all of a library, among the nearest of it where its clusters tell which these are."""
    if isinstance(placed, str) or placed.rows is not None or not vectors or index.clusters is None:
        return placed
    found = index.clusters.search(np.concatenate(list(vectors.values())), NEAREST)
    return replace(placed, rows=np.unique(np.concatenate([rows for _, rows in found])))


def place_candidates(index: Index, search: Search, unknown: Unknown) -> Placed | str:
    """The candidates of an unknown, or why there are none."""
    if unknown.problem:
        return unknown.problem
    try:
        rows = search.rows(index, unknown)
        prior = None
        if unknown.betaine and rows is not None:
            rows = betaines(index.library, rows)
        if unknown.share < 1 and rows is not None:
            rows, prior = fitting_ion(index.library, rows, str(unknown.adduct), unknown.share)
            prior = prior + unknown.support
    except MolvisError as error:
        return str(error)
    return Placed(unknown, rows, prior, [] if rows is None else index.library.formulas(rows))
