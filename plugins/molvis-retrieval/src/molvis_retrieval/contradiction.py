"""Which of the measurements of an unknown are probably of another compound, in numbers and in words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from molvis_core.interfaces import SaysHowFar
from molvis_core.records import EiSpectrum, PeakList, ShiftList, Trace, Value
from molvis_retrieval.evidence import Weigher
from molvis_retrieval.pieces import UNLIKELY, words
from molvis_retrieval.results import Identification
from molvis_retrieval.weighing import Weighed

if TYPE_CHECKING:
    from molvis_retrieval.index import Index

_NOUNS: dict[type[Any], str] = {
    PeakList: "spectrum", EiSpectrum: "spectrum", Trace: "spectrum", ShiftList: "shifts", Value: "",
}  # fmt: skip


def with_pieces(one: Identification, weighed: Sequence[Weighed | str], index: Index, weigh: Weigher) -> Identification:
    """An identification with the probability that each piece is of its unknown, and what is said of those that are not.

    Args:
        one: without them.
        weighed: the candidates of each reading of the unknown.
        index: that they are from.
        weigh: what gave the evidence.
    """
    found = [w for w in weighed if not isinstance(w, str)]
    doubted = [w.scored.doubted for w in found]
    if not found or any(d is None for d in doubted):
        return one
    total = np.concatenate([w.logits for w in found])
    chosen = np.exp(total - np.logaddexp.reduce(total))
    parts = np.split(chosen, np.cumsum([len(w.places) for w in found])[:-1])
    own: dict[str, float] = {}
    for share, d in zip(parts, doubted, strict=True):
        for modality, foreign in d.foreign.items() if d else ():
            own[modality] = own.get(modality, 0.0) + float(share @ (1 - foreign))
    likely = int(np.argmax([share.sum() for share in parts]))
    first, fits = found[likely], doubted[likely]
    said: list[str] = []
    for modality, probability in own.items():
        if probability < UNLIKELY and fits is not None:
            records = first.unknown.measured[modality]
            fits_none = fits.fits.get(modality, 0.0) > UNLIKELY
            detail = _misfit(records, modality, first, index, weigh) if fits_none else ""
            said.append(words(modality, _NOUNS.get(type(records[0]), "measurement"), probability, fits_none, detail))
    return replace(one, pieces=own, contradictions=tuple(said))


def _misfit(records: Sequence[Any], modality: str, first: Weighed, index: Index, weigh: Weigher) -> str:
    """How far a piece is off all candidates, by the scorers that can say."""
    told: Mapping[str, None] = dict.fromkeys(
        text
        for key, channel in weigh.scorers.items()
        if isinstance(channel.scorer, SaysHowFar)
        for record in records
        if weigh.takes(key, modality, record)
        if (text := channel.scorer.misfit(record, index.library.structures(first.places)))
    )
    return ", ".join(told)
