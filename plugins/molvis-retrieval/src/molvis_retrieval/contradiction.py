"""Which of the measurements of an unknown are probably of another compound, in numbers and in words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import numpy as np

from molvis_core.records import EiSpectrum, PeakList, ShiftList, Structure, Trace, Value
from molvis_retrieval.evidence import Weigher
from molvis_retrieval.pieces import UNLIKELY, Doubted, words
from molvis_retrieval.results import Identification
from molvis_retrieval.weighing import Weighed

if TYPE_CHECKING:
    from molvis_retrieval.index import Index


@runtime_checkable
class SaysHowFar(Protocol):
    """A scorer that can say how far a record is off all candidates, for people."""

    def misfit(self, query: Any, candidates: Sequence[Structure], /) -> str:
        """Such as `45% off every candidate`; empty where it is near one, or where it cannot be told."""


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
    found = [(w, w.scored.doubted) for w in weighed if not isinstance(w, str) and w.scored.doubted is not None]
    if not found or len(found) < sum(not isinstance(w, str) for w in weighed):
        return one
    total = np.concatenate([w.logits for w, _ in found])
    chosen = np.exp(total - np.logaddexp.reduce(total))
    shares = np.split(chosen, np.cumsum([len(w.places) for w, _ in found])[:-1])
    own: dict[str, float] = {}
    for share, (_, doubted) in zip(shares, found, strict=True):
        for modality, foreign in doubted.foreign.items():
            own[modality] = own.get(modality, 0.0) + float(share @ (1 - foreign))
    first, doubted = found[int(np.argmax([share.sum() for share in shares]))]
    said = [
        _said(modality, probability, first, doubted, index, weigh)
        for modality, probability in own.items()
        if probability < UNLIKELY and modality in doubted.fits
    ]
    return replace(one, pieces=own, contradictions=tuple(said))


def _said(modality: str, probability: float, first: Weighed, doubted: Doubted, index: Index, weigh: Weigher) -> str:
    """What there is to say of a piece that is probably another compound's."""
    records = first.unknown.measured[modality]
    # A scorer that says how far it is off knows better than a fit, which tells by what was exchanged in calibration.
    detail = _misfit(records, modality, first, index, weigh)
    none = bool(detail) or doubted.fits[modality] > UNLIKELY
    return words(modality, _NOUNS.get(type(records[0]), "measurement"), probability, none, detail)


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
