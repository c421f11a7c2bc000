"""What a search among spectra of other compounds says of candidates, for benchmarks/msms_peers.py.

No query's compound is among the references, so a search names none of them. Two ways from its hits to the candidates:

- `best analogue`: the largest, over the hits, of similarity of the spectra times similarity of the structures;
- `vote`: the sum over the best hits of the one, to a power, times the other, to a power.

Structures are compared by Tanimoto's coefficient of Morgan fingerprints, radius 2, 2,048 bits.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from msms_peers_exchange import Hits, Spectra
from msms_peers_task import Question

from molvis_msms.scorers.nearest_spectra import similarity


@dataclass(frozen=True)
class Vote:
    """How hits vote.

    Attributes:
        hits: that have a vote; 0 for the best analogue among all.
        spectra, structures: powers of the similarities.
    """

    hits: int = 0
    spectra: float = 1.0
    structures: float = 1.0


ANALOGUE = Vote()
TRIED = tuple(Vote(k, p, t) for k in (1, 3, 10, 30, 100) for p in (1.0, 2.0, 4.0) for t in (1.0, 2.0))
"""Ways that are tried on the validation fold."""


@dataclass(frozen=True, eq=False)
class Voter:
    """Candidates' scores by the hits of a search.

    Attributes:
        references: that were searched.
        hits: of each control.
    """

    references: Spectra
    hits: dict[str, Hits]

    def scores(self, question: Question, kind: str, votes: Sequence[Vote]) -> list[list[np.ndarray]]:
        """For each way and each query, the scores of the candidates."""
        found, of_spectra = self.hits[kind].compound[question.queries], self.hits[kind].score[question.queries]
        named = np.unique(found[found >= 0])
        if not len(named):
            return [[np.zeros(len(question.candidates)) for _ in question.queries] for _ in votes]
        known = [str(self.references.smiles[i]) for i in named.tolist()]
        alike = similarity([one.smiles for one in question.candidates], known)
        out: list[list[np.ndarray]] = [[] for _ in votes]
        for row, heights in zip(found, of_spectra, strict=True):
            hit = row >= 0
            mine = alike[:, np.searchsorted(named, row[hit])]
            for number, vote in enumerate(votes):
                out[number].append(_counted(mine, np.clip(heights[hit], 0, None), vote))
        return out


def _counted(structures: np.ndarray, spectra: np.ndarray, vote: Vote) -> np.ndarray:
    if not structures.shape[1]:
        return np.zeros(len(structures))
    if not vote.hits:
        return (structures * spectra).max(axis=1)
    first = slice(0, vote.hits)
    return (structures[:, first] ** vote.structures) @ (spectra[first] ** vote.spectra)
