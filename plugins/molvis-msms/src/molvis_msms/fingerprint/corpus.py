"""What fingerprint networks learn from: spectra as tokens, the fingerprints of their compounds, and of rivals."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Bool, Float, Int64, UInt8

from molvis_core.errors import TrainingError
from molvis_core.records import RankedQuery, Structure
from molvis_msms.fingerprint.bits import packed_fingerprints, unpacked
from molvis_msms.fingerprint.network import Bag, Vocabulary
from molvis_msms.fingerprint.tokens import describe, tokens

FREQUENT = (0.02, 0.99)
"""Bits are used that so many of the compounds have: the others say nothing that can be learned from these spectra."""


@dataclass(frozen=True, eq=False)
class Corpus:
    """Spectra of compounds, with structures of equal mass for each compound.

    Attributes:
        spectra: keys of each spectrum's tokens, or with `in_places` their places in a vocabulary; and their weights.
        described: the ion and its settings.
        negative: whether the ion is negative.
        compound: which compound each spectrum is of.
        precursor: m/z of each spectrum; 0 where unknown.
        mass: of each compound, Da.
        truth: fingerprint of each compound, packed, all bits.
        rivals: fingerprints of other structures, packed, all bits.
        windows: of each compound, which of the rivals have its mass.
        of_compound: of each compound, which spectra are of it.
    """

    spectra: Sequence[tuple[np.ndarray, np.ndarray]]
    described: Float[np.ndarray, "n q"]
    negative: Bool[np.ndarray, " n"]
    compound: Int64[np.ndarray, " n"]
    precursor: Float[np.ndarray, " n"]
    mass: Float[np.ndarray, " c"]
    truth: UInt8[np.ndarray, "c bytes"]
    rivals: UInt8[np.ndarray, "r bytes"]
    windows: Sequence[np.ndarray]
    of_compound: Sequence[np.ndarray]

    def in_places(self, vocabulary: Vocabulary) -> Corpus:
        """The same with the tokens that a vocabulary knows, as their places in it."""
        return replace(self, spectra=[vocabulary.places(key, weight) for key, weight in self.spectra])

    def bag(self, spectra: Int64[np.ndarray, " n"]) -> Bag:
        """All tokens of these spectra, which must be in places."""
        return Bag.of([self.spectra[i] for i in spectra], self.described[spectra])


def frequencies(packed: UInt8[np.ndarray, "c bytes"]) -> tuple[Int64[np.ndarray, " b"], Float[np.ndarray, " b"]]:
    """The bits that can be learned, and how frequent they are."""
    share = unpacked(packed).mean(axis=0)
    chosen = np.flatnonzero((share > FREQUENT[0]) & (share < FREQUENT[1]))
    return chosen, share[chosen]


def corpus_of(
    queries: Sequence[RankedQuery], top_peaks: int, name: str = "learned-fingerprint", differences: int = 0
) -> Corpus:
    """Prepare queries; those of one compound may stand anywhere.

    Args:
        queries: with candidates of equal mass.
        top_peaks: so many of the highest peaks of a spectrum are used.
        name: of the component that learns, for messages.
        differences: so many of the highest peaks are looked at in pairs.

    Raises:
        TrainingError: there is no query.
        molvis_core.errors.StructureError: RDKit refuses a candidate.
    """
    if not queries:
        raise TrainingError(f"{name}: there are no spectra to learn from")
    groups = _by_compound(queries)
    number = {key: i for i, key in enumerate(groups)}
    compound = np.array([number[q.compound] for q in queries])
    truth = [mine[0].candidates[mine[0].truth] for mine in groups.values()]
    rivals, windows = _windows(groups.values())
    cut = [tokens(q.record, top_peaks, differences) for q in queries]
    return Corpus(
        spectra=[(t.key, t.weight) for t in cut],
        described=np.stack([describe(q.record) for q in queries]),
        negative=np.array([q.record.ionmode == "negative" for q in queries]),
        compound=compound,
        precursor=np.array([q.record.precursor_mz or 0.0 for q in queries]),
        mass=np.array([structure.exact_mass for structure in truth]),
        truth=packed_fingerprints(truth),
        rivals=packed_fingerprints(rivals),
        windows=windows,
        of_compound=[np.flatnonzero(compound == i) for i in range(len(groups))],
    )


def _by_compound(queries: Sequence[RankedQuery]) -> dict[str, list[RankedQuery]]:
    """Queries by the first block of the InChIKey of their truth, in the order of its first appearance."""
    groups: dict[str, list[RankedQuery]] = {}
    for query in queries:
        groups.setdefault(query.compound, []).append(query)
    return groups


def _windows(groups: Iterable[Sequence[RankedQuery]]) -> tuple[list[Structure], list[Int64[np.ndarray, " w"]]]:
    """All candidates that are no truth of their own query, and which of them each compound has."""
    place: dict[str, int] = {}
    rivals: list[Structure] = []
    windows: list[np.ndarray] = []
    for queries in groups:
        mine = {s.inchikey14: s for query in queries for s in query.candidates}
        mine.pop(queries[0].compound)
        for key, structure in mine.items():
            if place.setdefault(key, len(rivals)) == len(rivals):
                rivals.append(structure)
        windows.append(np.array([place[key] for key in mine], dtype=np.int64))
    return rivals, windows
