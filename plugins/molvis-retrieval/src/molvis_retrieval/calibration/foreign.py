"""Measurements of other compounds in the place of an unknown's own, to fit what tells the two apart."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float

from molvis_core.records import Measurement, PeakList, Trace, Value

_NEAREST = 30


@dataclass(frozen=True)
class Pool:
    """Measurements to make false ones from.

    Attributes:
        records, owners, modes: by modality, with the first block of the InChIKey and the ion mode of each.
        place: m/z of their precursors, 0 where there is none.
        peaks: of all of them, m/z and intensity.
    """

    records: dict[str, list[Any]]
    owners: dict[str, np.ndarray]
    modes: dict[str, np.ndarray]
    place: dict[str, Float[np.ndarray, " n"]]
    peaks: dict[str, tuple[np.ndarray, np.ndarray]]

    @classmethod
    def of(cls, measurements: Sequence[Measurement]) -> Pool:
        """Those of known structures."""
        records: dict[str, list[Any]] = {}
        owners: dict[str, list[str]] = {}
        for item in measurements:
            if item.structure is not None:
                records.setdefault(item.modality, []).append(item.record)
                owners.setdefault(item.modality, []).append(item.structure.inchikey14)
        return cls(
            records,
            {m: np.array(v) for m, v in owners.items()},
            {m: np.array([str(getattr(r, "ionmode", None)) for r in some]) for m, some in records.items()},
            {
                m: np.array([getattr(r, "precursor_mz", None) or 0.0 for r in some], dtype=np.float64)
                for m, some in records.items()
            },
            {
                m: (np.concatenate([r.mz for r in some]), np.concatenate([r.intensity for r in some]))
                for m, some in records.items()
                if isinstance(some[0], PeakList)
            },
        )

    def foreign(self, modality: str, record: Any, key: str, rng: np.random.Generator, *, near: bool = True) -> Any:
        """The record with what was measured of another compound; None if there is none.

        Args:
            modality: of the record.
            record: whose ion is kept.
            key: of its own compound.
            rng: draws the other.
            near: take one of those nearest in m/z of the precursor, and not any.
        """
        mode = str(getattr(record, "ionmode", None))
        others = np.flatnonzero((self.owners[modality] != key) & (self.modes[modality] == mode))
        if not len(others):
            return None
        away = np.abs(self.place[modality][others] - (getattr(record, "precursor_mz", None) or 0.0))
        # Where no precursor distinguishes them all are equally near, and any is taken.
        order = np.argsort(away + rng.random(len(others)) * 1e-6)[: _NEAREST if near else len(others)]
        other = self.records[modality][int(rng.choice(others[order]))]
        if isinstance(record, PeakList):
            keep = other.mz < (record.precursor_mz or np.inf) + 0.5
            return with_peaks(record, other.mz[keep], other.intensity[keep])
        if isinstance(record, Trace):
            return dataclasses.replace(record, x=other.x, y=other.y)
        return dataclasses.replace(record, value=other.value, sd=other.sd) if isinstance(record, Value) else None

    def shuffled(self, modality: str, record: Any, rng: np.random.Generator) -> Any:
        """As many peaks as the record has, each from any spectrum; None for what has no peaks."""
        if not isinstance(record, PeakList):
            return None
        mz, intensity = self.peaks[modality]
        below = np.flatnonzero(mz < (record.precursor_mz or np.inf) + 0.5)
        chosen = rng.choice(below, min(len(record), len(below)), replace=False)
        return with_peaks(record, mz[chosen], intensity[chosen])


def random_peaks(record: Any, rng: np.random.Generator) -> Any:
    """A spectrum's heights at random m/z from 50 to its precursor; None for what is no spectrum with a precursor."""
    if not isinstance(record, PeakList) or (record.precursor_mz or 0) <= 60:
        return None
    mz = rng.uniform(50.0, float(record.precursor_mz or 0) - 1.0, len(record))
    return with_peaks(record, mz, rng.permutation(record.intensity))


def with_peaks(record: PeakList, mz: np.ndarray, intensity: np.ndarray) -> PeakList | None:
    """A spectrum of the same ion with other peaks; None where too little is left."""
    if len(mz) < 2 or not (intensity > 0).any():
        return None
    return dataclasses.replace(record, mz=mz, intensity=intensity)
