"""Reference spectra of known structures, to hold beside an unknown's, and how sure an identification then is."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Int64

from molvis_core.errors import ReadError
from molvis_core.records import EiSpectrum, Measurement, PeakList, Structure
from molvis_retrieval.presence import UNLIKELY

if TYPE_CHECKING:
    from molvis_retrieval.results import Identification

Spectrum = PeakList | EiSpectrum
Reference = Callable[[Structure, Spectrum], Spectrum | None]
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


def match(one: PeakList, other: PeakList, *, ppm: float = 10.0, least: float = 0.005) -> Match:
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
    """References among measured spectra of known structures: those of the same adduct, the most alike in energy."""
    known: dict[str, list[PeakList]] = {}
    for item in measurements:
        if item.structure is not None and isinstance(item.record, PeakList) and len(item.record):
            known.setdefault(item.structure.inchikey14, []).append(item.record)

    def reference(structure: Structure, like: Spectrum) -> PeakList | None:
        if not isinstance(like, PeakList):
            return None
        found = [
            r for r in known.get(structure.inchikey14, ()) if None in (r.adduct, like.adduct) or r.adduct == like.adduct
        ]
        return min(found, key=lambda r: _distance(r.collision_energy, like.collision_energy), default=None)

    return reference


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


def confidence(one: Identification, best: Match | None = None) -> tuple[str, str]:
    """Level of an identification after Schymanski et al., and what it means.

    Levels 1 and 2b want a standard or further experiments, level 4 a formula that nothing else fits: none is given
    here.

    Args:
        one: the identification.
        best: of its spectrum with a reference spectrum of the first candidate.

    Reference: Environmental Science & Technology 48 (2014) 2097, doi:10.1021/es5002105
    """
    # A spectrum that agrees with that of a known structure is stronger evidence than the shape of the ranking.
    if one.candidates and best is not None and best.agrees:
        return "2a", "probable structure, by a library spectrum"
    if not one.candidates or (one.probability_among is not None and one.probability_among < UNLIKELY):
        return ("5", "exact mass of interest") if one.mass else ("-", "no mass is known")
    return "3", "tentative candidates"
