"""What a search among spectra of other compounds says of candidates, for benchmarks/msms_peers.py.

No query's compound is among the references, so a search names none of them. Two ways from its hits to the candidates:

- `best analogue`: the largest, over the hits, of similarity of the spectra times similarity of the structures;
- `vote`: the sum over the best hits of the one, to a power, times the other, to a power.

Structures are compared by Tanimoto's coefficient of Morgan fingerprints, radius 2, 2,048 bits.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from msms_peers_exchange import Hits, Spectra
from msms_peers_task import Question
from rdkit.Chem import rdFingerprintGenerator

from molvis_core.chemistry.structures import parse_smiles

RADIUS, BITS = 2, 2048


@functools.cache
def _generator() -> object:
    return rdFingerprintGenerator.GetMorganGenerator(radius=RADIUS, fpSize=BITS)


@functools.lru_cache(maxsize=100_000)
def _bits(smiles: str) -> np.ndarray:
    return np.packbits(_generator().GetFingerprintAsNumPy(parse_smiles(smiles)))  # pyright: ignore[reportAttributeAccessIssue]


def fingerprints(smiles: Sequence[str]) -> np.ndarray:
    """A row of bits for each structure.

    Raises:
        StructureError: RDKit refuses one.
    """
    return np.unpackbits(np.stack([_bits(one) for one in smiles]), axis=1).astype(np.float32)


def tanimoto(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Of each row of the one with each of the other."""
    shared = a @ b.T
    return shared / np.maximum(a.sum(axis=1)[:, None] + b.sum(axis=1)[None] - shared, 1.0)


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
        alike = tanimoto(
            fingerprints([one.smiles for one in question.candidates]),
            fingerprints([str(self.references.smiles[i]) for i in named.tolist()]),
        )
        out: list[list[np.ndarray]] = [[] for _ in votes]
        for row, heights in zip(found, of_spectra, strict=True):
            known = row >= 0
            mine = alike[:, np.searchsorted(named, row[known])]
            for number, vote in enumerate(votes):
                out[number].append(_counted(mine, np.clip(heights[known], 0, None), vote))
        return out


def _counted(structures: np.ndarray, spectra: np.ndarray, vote: Vote) -> np.ndarray:
    if not structures.shape[1]:
        return np.zeros(len(structures))
    if not vote.hits:
        return (structures * spectra).max(axis=1)
    first = slice(0, vote.hits)
    return (structures[:, first] ** vote.structures) @ (spectra[first] ** vote.spectra)
