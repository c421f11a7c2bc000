"""Records: what instruments measured, and the structures behind it, as frozen dataclasses of NumPy arrays.

They live in core so that two plugins for one modality share them without importing each other. Numbers are always in
the units given here; only readers convert. A field that is not known is None, never a made-up value.

A record converts and checks its arrays itself, so that a bad one is a `RecordError` which names the field:
`__no_type_check__` keeps the checker of shapes that our tests run under from answering first.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any, ClassVar, TypeAlias, get_args

import numpy as np
from jaxtyping import Float

from molvis_core.errors import RecordError


def _vector(record: object, name: str, dtype: type) -> np.ndarray:
    given = getattr(record, name)
    try:
        values = np.ascontiguousarray(given, dtype=dtype)
    except (TypeError, ValueError) as error:
        raise RecordError(f"{type(record).__name__}.{name} is not an array of numbers: {error}") from error
    if values.ndim != 1:
        raise RecordError(f"{type(record).__name__}.{name} must have one axis, got shape {values.shape}")
    bad = ~np.isfinite(values)
    if bad.any():
        where = int(np.flatnonzero(bad)[0])
        raise RecordError(f"{type(record).__name__}.{name}[{where}] must be finite, got {values[where]}")
    if isinstance(given, np.ndarray) and values.flags.writeable and np.may_share_memory(values, given):
        # Frozen means that nobody else holds a way to change it either. A read-only array, such as a view of a
        # memory-mapped file, is taken as it is.
        values = values.copy()
    _keep(record, **{name: values})
    return values


def _same_length(record: object, **arrays: np.ndarray) -> None:
    lengths = {name: len(values) for name, values in arrays.items()}
    if len(set(lengths.values())) > 1:
        raise RecordError(f"{type(record).__name__} has arrays of different lengths: {lengths}")


def _finite(record: object, name: str, *, positive: bool = False) -> None:
    value = getattr(record, name)
    if value is None:
        return
    if not np.isfinite(value) or (positive and value <= 0):
        kind = "a positive number" if positive else "a finite number"
        raise RecordError(f"{type(record).__name__}.{name} must be {kind}, or None where unknown, got {value}")


def _peaks(record: Any) -> None:
    """Checks m/z and intensities, and puts them into the order of m/z."""
    mz, intensity = _vector(record, "mz", np.float64), _vector(record, "intensity", np.float32)
    _same_length(record, mz=mz, intensity=intensity)
    kind = type(record).__name__
    if (mz <= 0).any():
        raise RecordError(f"{kind}.mz holds {mz[mz <= 0][0]}; an m/z is positive")
    for where in np.flatnonzero(intensity < 0).tolist():
        raise RecordError(f"{kind}.intensity[{where}] is {intensity[where]}; an intensity is not negative")
    if (np.diff(mz) < 0).any():
        order = np.argsort(mz, kind="stable")
        _keep(record, mz=mz[order], intensity=intensity[order])


def _keep(record: object, **arrays: np.ndarray) -> None:
    for name, values in arrays.items():
        values.flags.writeable = False
        object.__setattr__(record, name, values)


class _Arrays:
    """A record whose first field is an array: it is as long as that."""

    __slots__ = ()
    __no_type_check__: ClassVar[bool] = True

    def __len__(self) -> int:
        return len(getattr(self, fields(self)[0].name))  # ty: ignore[invalid-argument-type]


@dataclass(frozen=True, eq=False, slots=True)
class PeakList(_Arrays):
    """Peaks of one mass spectrum with the ion that gave them.

    Attributes:
        mz: mass-to-charge ratios, ascending.
        intensity: heights in any linear unit, not negative.
        precursor_mz: m/z of the isolated ion.
        adduct: such as `[M+H]+`.
        charge: of the precursor, signed.
        ionmode: `positive` or `negative`.
        collision_energy: in eV.
        instrument_type: as MassBank spells it, such as `LC-ESI-QTOF`.
        ms_level: 2 for MS/MS.
        identifier: what the source calls this spectrum.

    Raises:
        RecordError: arrays of different lengths, NaN, an m/z that is not positive, a negative intensity, or a
            precursor or collision energy that cannot be.
    """

    mz: Float[np.ndarray, " p"]
    intensity: Float[np.ndarray, " p"]
    precursor_mz: float | None = None
    adduct: str | None = None
    charge: int | None = None
    ionmode: str | None = None
    collision_energy: float | None = None
    instrument_type: str | None = None
    ms_level: int | None = None
    identifier: str | None = None

    def __post_init__(self) -> None:
        _peaks(self)
        _finite(self, "precursor_mz", positive=True)
        _finite(self, "collision_energy")
        if self.ionmode not in (None, "positive", "negative"):
            raise RecordError(f"PeakList.ionmode must be 'positive', 'negative' or None, got {self.ionmode!r}")


@dataclass(frozen=True, eq=False, slots=True)
class EiSpectrum(_Arrays):
    """Peaks of an electron ionization spectrum, and when its compound left the gas chromatograph.

    Attributes:
        mz, intensity: as of a `PeakList`.
        energy: of the electrons, in eV.
        retention_index, column: on the scale of the stationary phase, such as `DB-5MS`.
        derivative: such as `2 TMS; 1 MeOX`, `n TMS` for an unknown number, and `none` for the compound as it is.
        instrument_type: as MassBank spells it, such as `GC-EI-TOF`.
        identifier: what the source calls this spectrum.
    """

    mz: Float[np.ndarray, " p"]
    intensity: Float[np.ndarray, " p"]
    energy: float | None = None
    retention_index: float | None = None
    column: str | None = None
    derivative: str | None = None
    instrument_type: str | None = None
    identifier: str | None = None

    def __post_init__(self) -> None:
        _peaks(self)
        for name in ("energy", "retention_index"):
            _finite(self, name, positive=True)


@dataclass(frozen=True, eq=False, slots=True)
class ShiftList(_Arrays):
    """Chemical shifts of the signals of one NMR spectrum in ppm, ascending; what is known of each has its order.

    Attributes:
        nucleus, experiment: such as `13C`, and `HSQC` of a spectrum with two axes.
        intensity: of each; of 1H the number of protons.
        partners: shifts on the second axis.
        multiplicity: of each or empty: `dd`; of 13C `S`, `D`, `T`, `Q` for 0 to 3 attached hydrogens.
        atoms: that each is of or empty: places from 0 in the structure's SMILES, such as `3,7`.
    """

    shifts: Float[np.ndarray, " p"]
    nucleus: str = "13C"
    intensity: Float[np.ndarray, " p"] | None = None
    partners: Float[np.ndarray, " p"] | None = None
    multiplicity: tuple[str, ...] = ()
    atoms: tuple[str, ...] = ()
    experiment: str | None = None
    solvent: str | None = None
    identifier: str | None = None

    def __post_init__(self) -> None:
        given = [name for name in ("shifts", "intensity", "partners") if getattr(self, name) is not None]
        kept = {name: _vector(self, name, np.float64) for name in given}
        texts = {
            name: np.array(getattr(self, name), object) for name in ("multiplicity", "atoms") if getattr(self, name)
        }
        _same_length(self, **kept, **texts)
        order = np.argsort(self.shifts, kind="stable")
        _keep(self, **{name: values[order] for name, values in kept.items()})
        for name, values in texts.items():
            object.__setattr__(self, name, tuple(values[order].tolist()))


@dataclass(frozen=True, eq=False, slots=True)
class Trace(_Arrays):
    """A signal along an axis: an infrared spectrum, a Raman spectrum, a 1D NMR spectrum.

    Attributes:
        x: the axis in the modality's unit, ascending.
        y: the signal in the modality's unit.
        frequency: of the spectrometer in MHz, for NMR.
        identifier: what the source calls this trace.

    Raises:
        RecordError: arrays of different lengths, NaN, or an axis that is not strictly monotonic.
    """

    x: Float[np.ndarray, " t"]
    y: Float[np.ndarray, " t"]
    frequency: float | None = None
    identifier: str | None = None

    def __post_init__(self) -> None:
        x, y = _vector(self, "x", np.float64), _vector(self, "y", np.float64)
        _same_length(self, x=x, y=y)
        _finite(self, "frequency", positive=True)
        step = np.diff(x)
        if (step < 0).all() and len(step):
            _keep(self, x=x[::-1].copy(), y=y[::-1].copy())
        elif not (step > 0).all():
            where = int(np.flatnonzero(step <= 0)[0])
            raise RecordError(f"Trace.x turns round or repeats at point {where + 1} ({x[where]} to {x[where + 1]})")


@dataclass(frozen=True, eq=False, slots=True)
class Value:
    """One measured number: a collision cross section, a retention index.

    Attributes:
        value: in the modality's unit.
        sd: its standard deviation, same unit.
        precursor_mz, adduct, charge: the ion it was measured on, where there was one.
        gas: the drift gas, such as `N2`.
        instrument_type: such as `DT`, `TIMS`, `TW`.
        identifier: what the source calls this measurement.

    Raises:
        RecordError: a value or a standard deviation that is not finite and positive.
    """

    value: float
    sd: float | None = None
    precursor_mz: float | None = None
    adduct: str | None = None
    charge: int | None = None
    gas: str | None = None
    instrument_type: str | None = None
    identifier: str | None = None

    def __post_init__(self) -> None:
        _finite(self, "value", positive=True)
        _finite(self, "sd", positive=True)
        _finite(self, "precursor_mz", positive=True)


@dataclass(frozen=True, eq=False, slots=True)
class Distribution(_Arrays):
    """Fractions that add up to one: a mass isotopomer distribution of one fragment.

    Attributes:
        fractions: M+0, M+1, ...
        sd: their standard deviations.
        identifier: the fragment or metabolite.

    Raises:
        RecordError: arrays of different lengths or numbers that are not finite.
    """

    fractions: Float[np.ndarray, " k"]
    sd: Float[np.ndarray, " k"] | None = None
    identifier: str | None = None

    def __post_init__(self) -> None:
        fractions = _vector(self, "fractions", np.float64)
        if self.sd is not None:
            _same_length(self, fractions=fractions, sd=_vector(self, "sd", np.float64))


@dataclass(frozen=True, slots=True)
class Structure:
    """One molecule. Make it with `molvis_core.structure("CCO")`, which fills in what follows from the SMILES.

    Attributes:
        smiles: canonical, as RDKit writes it.
        inchikey: standard InChIKey, 27 characters.
        formula: Hill order, such as `C2H6O`.
        exact_mass: monoisotopic mass in Da of its atoms. That of an ion has all their electrons: what it lacks or has
            too many is part of its adduct, `[M]+` or `[M]-`.
        charge: net formal charge.
        name: for people.
        identifiers: in databases, as compact identifiers (CURIEs) such as `hmdb:HMDB0000122`.
    """

    smiles: str
    inchikey: str
    formula: str
    exact_mass: float
    charge: int = 0
    name: str | None = None
    identifiers: tuple[str, ...] = ()

    @property
    def inchikey14(self) -> str:
        """First block of the InChIKey: the connectivity, without stereo. By default compounds match on it."""
        return self.inchikey[:14]


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a measurement was found: what leads from a result back to the feature table and the chromatogram.

    Attributes:
        feature_id: that the feature finder gave, MZmine's `FEATURE_ID`.
        scans: numbers of the scans, as the file writes them: `17` or `392-397`.
        rt_min: retention time in minutes.
        source_file: name of the file that was read.
    """

    feature_id: str | None = None
    scans: str | None = None
    rt_min: float | None = None
    source_file: str | None = None

    def __post_init__(self) -> None:
        _finite(self, "rt_min")


NO_ORIGIN = Origin()
Record: TypeAlias = PeakList | EiSpectrum | ShiftList | Trace | Value | Distribution | Structure
RECORD_TYPES: dict[str, type[Any]] = {t.__name__: t for t in get_args(Record)}


@dataclass(frozen=True, slots=True)
class RankedQuery:
    """A query whose structure is known, with the candidates that it is ranked among: what a scorer learns from.

    Attributes:
        record: what was measured.
        candidates: structures, the true one among them.
        truth: place of the true structure among the candidates.

    Raises:
        RecordError: there is no candidate at the place of the truth.
    """

    record: Any
    candidates: tuple[Structure, ...]
    truth: int

    def __post_init__(self) -> None:
        if not 0 <= self.truth < len(self.candidates):
            raise RecordError(f"RankedQuery.truth is {self.truth}, no place among {len(self.candidates)} candidates")

    @property
    def compound(self) -> str:
        """First block of the InChIKey of the true structure."""
        return self.candidates[self.truth].inchikey14


@dataclass(frozen=True, slots=True)
class Measurement:
    """A record with what is known of its compound and its origin. What readers yield.

    Attributes:
        record: what was measured, of the type that the modality names.
        structure: of the compound; None for an unknown.
        modality: name of the modality.
        fold: `train`, `val`, `test` or a name of the source's own.
        cluster: of structurally similar compounds, as the source numbers them.
        name: of the compound or the query, for people.
        source, licence, contributor, authors: where it comes from and on what terms.
        origin: where in which file it was found. A dataset does not keep it.
    """

    record: Any
    structure: Structure | None
    modality: str
    fold: str | None = None
    cluster: int | None = None
    name: str | None = None
    source: str | None = None
    licence: str | None = None
    contributor: str | None = None
    authors: str | None = None
    origin: Origin = NO_ORIGIN
