"""Spectra of known structures to hold beside an unknown's: of a library, of a bundle, or of one's own standards."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Int64

from molvis_core.errors import ConfigError, ReadError
from molvis_core.interfaces import UsesReferences
from molvis_core.records import EiSpectrum, Measurement, PeakList, Structure, Trace

if TYPE_CHECKING:
    from molvis_retrieval.bundle import Bundle

Spectrum = PeakList | EiSpectrum
Reference = Callable[[Structure, Any], Any]
"""A spectrum of a structure, measured or predicted, as like a measured one as there is; None where there is none."""


@dataclass(frozen=True, eq=False, slots=True)
class Match:
    """Peaks of two spectra that belong together.

    Attributes:
        pairs: places in the first and in the second spectrum.
        cosine: of square roots of intensities, over all peaks of both.
    """

    pairs: Int64[np.ndarray, "k 2"]
    cosine: float

    @property
    def agrees(self) -> bool:
        """Whether it counts as a match of library spectra: a cosine of 0.7 or more over six peaks or more.

        Reference: Wang et al., Nature Biotechnology 34 (2016) 828, doi:10.1038/nbt.3597
        """
        return self.cosine >= 0.7 and len(self.pairs) >= 6


def match(one: Spectrum, other: Spectrum, *, ppm: float = 10.0, least: float = 0.005) -> Match:
    """Pair the peaks of two spectra, each at most once, highest products first.

    Args:
        one: a spectrum.
        other: another.
        ppm: how far in m/z a pair may be apart.
        least: the same in Da, where it is more.
    """
    a, b = (np.sqrt(np.asarray(s.intensity, dtype=np.float64)) for s in (one, other))
    reach = np.maximum(least, one.mz * ppm * 1e-6)
    rows, columns = np.nonzero(np.abs(one.mz[:, None] - other.mz[None]) <= reach[:, None])
    pairs: list[tuple[int, int]] = []
    taken: tuple[set[int], set[int]] = set(), set()
    for k in np.argsort(-a[rows] * b[columns], kind="stable"):
        i, j = int(rows[k]), int(columns[k])
        if i not in taken[0] and j not in taken[1] and a[i] * b[j] > 0:
            taken[0].add(i)
            taken[1].add(j)
            pairs.append((i, j))
    norm = float(np.linalg.norm(a) * np.linalg.norm(b))
    found = np.array(sorted(pairs), dtype=np.int64).reshape(-1, 2)
    return Match(found, float(a[found[:, 0]] @ b[found[:, 1]]) / norm if norm else 0.0)


def from_measurements(measurements: Iterable[Measurement]) -> Reference:
    """References among measured spectra of known structures: those of the same adduct, the most alike in energy.

    Of a trace, such as an infrared spectrum, the first that shares most of its range.
    """
    items = list(measurements)
    traces: dict[str, list[Trace]] = {}
    for item in items:
        if item.structure is not None and isinstance(item.record, Trace):
            traces.setdefault(item.structure.inchikey14, []).append(item.record)
    known: dict[str, list[PeakList]] = {}
    for item in items:
        if item.structure is not None and isinstance(item.record, PeakList) and len(item.record):
            known.setdefault(item.structure.inchikey14, []).append(item.record)

    def reference(structure: Structure, like: Any) -> PeakList | Trace | None:
        if isinstance(like, Trace):
            shared = {_shared(one, like): one for one in reversed(traces.get(structure.inchikey14, []))}
            return shared[max(shared)] if shared else None
        if not isinstance(like, PeakList):
            return None
        found = [
            r for r in known.get(structure.inchikey14, ()) if None in (r.adduct, like.adduct) or r.adduct == like.adduct
        ]
        return min(found, key=lambda r: _distance(r.collision_energy, like.collision_energy), default=None)

    return reference


def _shared(one: Trace, other: Trace) -> float:
    """What both have of the axis."""
    return float(min(one.x[-1], other.x[-1]) - max(one.x[0], other.x[0]))


def _distance(one: float | None, other: float | None) -> float:
    return float("inf") if one is None or other is None else abs(one - other)


def read_references(path: Path | str) -> Reference:
    """References from a file of spectra that name their structures.

    Raises:
        ReadError: it cannot be read, or no spectrum in it names its structure.
    """
    from molvis_retrieval.queries import read_queries

    good, _ = read_queries(path)
    if not any(item.structure is not None for item in good):
        raise ReadError(Path(path), "no spectrum in it names its structure by SMILES or InChI")
    return from_measurements(good)


OWN_MINUTES = 0.2
"""Retention times of a compound and of its standard, by one method, differ by less."""


@dataclass(frozen=True, eq=False, slots=True)
class OwnStandards:
    """Spectra of known compounds that the user measured, each with its retention time.

    Attributes:
        spectra: with retention times in minutes, by the first block of the compound's InChIKey.
        minutes: that the times of a compound may differ.
    """

    spectra: Mapping[str, Sequence[tuple[PeakList, float]]]
    minutes: float = OWN_MINUTES

    def of(self, structure: Structure, like: PeakList) -> list[tuple[PeakList, float]]:
        """Spectra of a compound as the ion of another spectrum, with their times in minutes."""
        return [
            (spectrum, time)
            for spectrum, time in self.spectra.get(structure.inchikey14, ())
            if spectrum.adduct is not None and spectrum.adduct == like.adduct
        ]


def read_own_standards(path: Path | str, minutes: float = OWN_MINUTES) -> OwnStandards:
    """Standards from a file of spectra that name structure, adduct and retention time.

    Raises:
        ConfigError: the tolerance is not positive.
        ReadError: it cannot be read, or no spectrum in it names all three.
    """
    from molvis_retrieval.queries import read_queries

    if not minutes > 0:
        raise ConfigError(f"the tolerance of retention times must be positive, got {minutes:g} min")
    known: dict[str, list[tuple[PeakList, float]]] = {}
    for item in read_queries(path)[0]:
        record, time = item.record, item.origin.rt_min
        if item.structure is not None and isinstance(record, PeakList) and record.adduct and time is not None:
            known.setdefault(item.structure.inchikey14, []).append((record, time))
    if not known:
        raise ReadError(Path(path), "no spectrum in it names its structure, its adduct and its retention time")
    return OwnStandards(known, minutes)


def known_references(bundle: Bundle | None) -> Reference | None:
    """Spectra that a bundle's scorers know of a structure, where they support it; the first scorer's that knows one."""
    using: list[Any] = [s for s in bundle.scorers.values() if isinstance(s, UsesReferences)] if bundle else []
    if not using:
        return None

    def reference(structure: Structure, like: Spectrum) -> Spectrum | None:
        known = (s.reference(structure, like) for s in using if isinstance(like, s.accepts))
        return next((spectrum for spectrum in known if spectrum is not None), None)

    return reference
