"""What benchmarks/msms_peers.py and the programs that it starts give each other, as files. It needs NumPy alone."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np

HITS = 100
"""Reference compounds that a search hands back for each query."""


@dataclass(frozen=True, eq=False)
class Spectra:
    """Spectra one after the other.

    Attributes:
        mz, intensity: of all peaks; the highest of a spectrum is 1.
        offsets: where the peaks of each spectrum begin, and where the last end.
        precursor_mz: of each spectrum.
        polarity: of each: 1 or -1.
        compound: of each, a number.
        inchikey, smiles: of each compound.
    """

    mz: np.ndarray
    intensity: np.ndarray
    offsets: np.ndarray
    precursor_mz: np.ndarray
    polarity: np.ndarray
    compound: np.ndarray
    inchikey: np.ndarray
    smiles: np.ndarray

    def __len__(self) -> int:
        return len(self.precursor_mz)

    def peaks(self, number: int) -> tuple[np.ndarray, np.ndarray]:
        """m/z and intensity of a spectrum."""
        part = slice(int(self.offsets[number]), int(self.offsets[number + 1]))
        return self.mz[part], self.intensity[part]

    def save(self, path: Path) -> None:
        """Write to a file."""
        save(path, **{f.name: getattr(self, f.name) for f in fields(self)})

    @classmethod
    def load(cls, path: Path) -> Spectra:
        """Read from a file."""
        with np.load(path, allow_pickle=False) as file:
            return cls(**{f.name: file[f.name] for f in fields(cls)})


@dataclass(frozen=True, eq=False)
class Hits:
    """The reference compounds that are most like each query, the best first; -1 where there are no more.

    Attributes:
        compound: number of the reference compound, a row for each query.
        score: largest over its spectra of the query's polarity.
    """

    compound: np.ndarray
    score: np.ndarray

    def save(self, path: Path) -> None:
        """Write to a file."""
        save(path, compound=self.compound, score=self.score)

    @classmethod
    def load(cls, path: Path) -> Hits:
        """Read from a file."""
        with np.load(path, allow_pickle=False) as file:
            return cls(file["compound"], file["score"])


def save(path: Path, **arrays: np.ndarray) -> None:
    """Write arrays under another name, then rename: a file that is there is whole."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f"{path.stem}.partial.npz")
    np.savez(partial, allow_pickle=False, **arrays)
    partial.replace(path)


def best(references: Spectra, queries: Spectra, blocks: Iterable[tuple[Sequence[int], np.ndarray, np.ndarray]]) -> Hits:
    """The best reference compounds of each query.

    Args:
        references: what was searched.
        queries: what was searched for.
        blocks: numbers of some queries, numbers of the references that they were compared with, and the scores.
    """
    compound = np.full((len(queries), HITS), -1, dtype=np.int32)
    score = np.zeros((len(queries), HITS), dtype=np.float32)
    for chosen, compared, scores in blocks:
        owner = references.compound[compared]
        order = np.argsort(owner, kind="stable")
        names, starts = np.unique(owner[order], return_index=True)
        largest = np.maximum.reduceat(scores[:, order], starts, axis=1)
        first = np.argsort(-largest, axis=1, kind="stable")[:, :HITS]
        compound[chosen, : first.shape[1]] = names[first]
        score[chosen, : first.shape[1]] = np.take_along_axis(largest, first, axis=1)
    return Hits(compound, score)


def of_polarity(spectra: Spectra, polarity: int) -> np.ndarray:
    """Numbers of the spectra of a polarity."""
    return np.flatnonzero(spectra.polarity == polarity)


def searched(
    references: Spectra,
    queries: Spectra,
    compare: Callable[[np.ndarray, np.ndarray], np.ndarray],
    say: Callable[[int, int], None],
    block: int = 500,
) -> Hits:
    """Search block by block, each polarity in itself.

    Args:
        references: what is searched.
        queries: what is searched for.
        compare: scores of some queries and some references, given by their numbers.
        say: called with how many queries are done, and how many there are.
        block: queries at a time.
    """

    def blocks() -> Iterable[tuple[np.ndarray, np.ndarray, np.ndarray]]:
        done = 0
        for polarity in (1, -1):
            compared, asked = of_polarity(references, polarity), of_polarity(queries, polarity)
            for start in range(0, len(asked) if len(compared) else 0, block):
                chosen = asked[start : start + block]
                yield chosen, compared, compare(chosen, compared)
                done += len(chosen)
                say(done, len(queries))

    return best(references, queries, blocks())
