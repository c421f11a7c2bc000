"""Scans of a run, and the features found in one or several: frozen dataclasses of NumPy arrays.

Times are in seconds, energies in eV, m/z in Th; a field that is not known is None. Spectra of fragments are
`molvis_core.records.PeakList`s, as everywhere.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Float

from molvis_core.errors import RecordError
from molvis_core.records import PeakList

__all__ = ["AdductHypothesis", "Feature", "FeatureTable", "Scan"]


@dataclass(frozen=True, eq=False, slots=True)
class Scan:
    """One scan, as peaks.

    Attributes:
        level: 1 of a survey scan, 2 of MS/MS.
        time: since the run began, in s.
        mz: ascending.
        intensity: above 0.
        ionmode: `positive` or `negative`.
        precursor_mz: of the ion that was isolated, for MS/MS.
        isolation: lowest and highest m/z that was isolated.
        charge: of the precursor, signed.
        collision_energy: in eV.
        centroid: whether the file held peaks; else they were picked from a profile.
        number: that the file gives the scan, such as `381`.
        line: of the file, where the scan ends.
    """

    level: int
    time: float
    mz: Float[np.ndarray, " p"]
    intensity: Float[np.ndarray, " p"]
    ionmode: str | None = None
    precursor_mz: float | None = None
    isolation: tuple[float, float] | None = None
    charge: int | None = None
    collision_energy: float | None = None
    centroid: bool = True
    number: str = ""
    line: int | None = None

    def __len__(self) -> int:
        return len(self.mz)


@dataclass(frozen=True, slots=True)
class AdductHypothesis:
    """Which ion of its molecule a feature may be.

    Attributes:
        adduct: such as `[M+Na]+`.
        evidence: logarithm of how much more probable the other ions beside it are if this is so than if it is not; 0
            where nothing beside it says anything.
        weight: probability among the hypotheses of its feature, how often molecules form the ion counted in.
        reasons: for people, such as `[M+H]+ at 181.0707, r 0.98`.
    """

    adduct: str
    evidence: float
    weight: float
    reasons: tuple[str, ...] = ()


_NONE = np.empty(0)


@dataclass(frozen=True, eq=False, slots=True)
class Feature:
    """An ion that left the column at a time: what the survey scans and the MS/MS scans of a run say of it.

    Attributes:
        identifier: within its table: that of the program which found it, where another did.
        mz: monoisotopic, as far as can be told.
        time: of the apex, in s; None where it is not known.
        start, end: of the chromatographic peak, in s; None where no survey scan shows one.
        ionmode: `positive` or `negative`.
        charge: signed; None where neither the file nor isotopes tell.
        height: of the apex, in the unit of the run.
        areas: by file, in that unit times s; 0 where the file shows no peak.
        isotope_mz, isotope_intensity: of the isotopes around the apex, the feature's own first; empty where unknown.
        spectra: MS/MS, merged over repeats: one for each collision energy.
        merged: over the energies too; None without MS/MS.
        scans: numbers of the MS/MS scans behind them, with their file where there are several.
        adducts: which ion it may be, the likeliest first; empty where nothing was tried.
        group: number of the ions of one molecule that it is among.
        adduct: that another program or a target names.
        formula: of the molecule, that another program or a target names.
        name: of the molecule, that another program or a target names.
        trace_time, trace_intensity: the chromatogram between start and end.
        notes: what is odd about it, for people.
        usis: universal spectrum identifiers of its MS/MS scans, where these are public.
    """

    identifier: str
    mz: float
    time: float | None = None
    start: float | None = None
    end: float | None = None
    ionmode: str | None = None
    charge: int | None = None
    height: float | None = None
    areas: dict[str, float] = field(default_factory=dict)
    isotope_mz: Float[np.ndarray, " i"] = field(default_factory=lambda: _NONE)
    isotope_intensity: Float[np.ndarray, " i"] = field(default_factory=lambda: _NONE)
    spectra: tuple[PeakList, ...] = ()
    merged: PeakList | None = None
    scans: tuple[str, ...] = ()
    adducts: tuple[AdductHypothesis, ...] = ()
    group: int | None = None
    adduct: str | None = None
    formula: str | None = None
    name: str | None = None
    trace_time: Float[np.ndarray, " t"] = field(default_factory=lambda: _NONE, repr=False)
    trace_intensity: Float[np.ndarray, " t"] = field(default_factory=lambda: _NONE, repr=False)
    notes: tuple[str, ...] = ()
    usis: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not (np.isfinite(self.mz) and self.mz > 0):
            raise RecordError(f"Feature.mz must be a positive number, got {self.mz}")
        if len(self.isotope_mz) != len(self.isotope_intensity):
            raise RecordError(
                f"Feature has {len(self.isotope_mz)} m/z of isotopes and {len(self.isotope_intensity)} intensities"
            )

    @property
    def area(self) -> float | None:
        """The largest of the areas; None where none is known."""
        return max(self.areas.values(), default=None)


@dataclass(frozen=True, slots=True)
class FeatureTable:
    """The features of one or several runs.

    Attributes:
        features: in the order of their identifiers.
        files: that have areas, in the order in which they were given.
        notes: a line for each thing that was left out or is odd, counted.
    """

    features: tuple[Feature, ...]
    files: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        seen: set[str] = set()
        for one in self.features:
            if one.identifier in seen:
                raise RecordError(f"FeatureTable has two features called {one.identifier!r}; ids must differ")
            seen.add(one.identifier)

    def __len__(self) -> int:
        return len(self.features)

    def areas(self, files: Sequence[str] | None = None) -> Float[np.ndarray, "f s"]:
        """Areas of the features in files; NaN where one was not measured."""
        names = self.files if files is None else files
        return np.array([[one.areas.get(name, np.nan) for name in names] for one in self.features]).reshape(
            len(self.features), len(names)
        )
