"""Spectra and spin systems from one format to another."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from molvis_core.errors import ConfigError
from molvis_nmr.formats import spin_systems as systems
from molvis_nmr.formats import writers
from molvis_nmr.formats.opening import read_fid, read_spectrum
from molvis_nmr.processing import Processed, process


@dataclass(frozen=True, slots=True)
class Converted:
    """What a conversion wrote.

    Attributes:
        kind: `spectrum` or `spin system`.
        out: the file.
        identifier: of what is in it, as far as known.
        size: its points, or its groups of spins.
        frequency: in MHz, where known.
    """

    kind: Literal["spectrum", "spin system"]
    out: Path
    identifier: str
    size: int
    frequency: float | None


def convert(
    source: Path | str,
    out: Path | str,
    *,
    entry: str | None = None,
    raw: bool = False,
    frequency: float | None = None,
    resample: bool = False,
) -> Converted:
    """Read a spectrum or a spin system and write it in the format of the ending of `out`.

    Args:
        source: see `molvis_nmr.formats.opening.read_spectrum` and `molvis_nmr.formats.spin_systems.read_system`.
        out: .csv, .tsv, .txt, .jdx or .dx for a spectrum; .json, .toml or .xml (GISSMO) for a spin system.
        entry: which of several in `source`.
        raw: of spectra: process the fid, even where there is a processed spectrum.
        frequency: of spectra: in MHz, where `source` does not state it.
        resample: of spectra: points of text onto an even axis.

    Raises:
        ReadError: `source` cannot be read.
        WriteError: `out` cannot be written.
        ConfigError: no format has this ending.
    """
    out = Path(out)
    suffix = Path(out.name.lower().removesuffix(".gz")).suffix
    if suffix in systems.SUFFIXES:
        system = systems.read_system(source, entry)
        systems.write_system(out, system)
        return Converted("spin system", out, system.identifier or system.name, len(system), system.frequency)
    if suffix not in writers.SUFFIXES:
        raise ConfigError(
            f"{out}: no format has the ending {suffix!r}; spectra go to {', '.join(writers.SUFFIXES)}, spin systems to "
            f"{', '.join(systems.SUFFIXES)}"
        )
    trace = read_spectrum(source, entry, raw=raw, frequency=frequency, resample=resample)
    writers.write_spectrum(out, trace)
    return Converted("spectrum", out, trace.identifier or "", len(trace), trace.frequency)


def process_file(
    source: Path | str,
    *,
    entry: str | None = None,
    frequency: float | None = None,
    size: int | None = None,
    broadening: float = 0.3,
    gaussian: float = 0.0,
    phase: str = "auto",
    baseline: bool = True,
    reference: str = "auto",
) -> Processed:
    """Read a fid and process it, with settings as a command line gives them.

    Args:
        source: see `molvis_nmr.formats.opening.read_fid`.
        entry: which of several in `source`.
        frequency: in MHz, where `source` does not state it.
        size: points of the spectrum.
        broadening: full width in Hz of the exponential.
        gaussian: full width in Hz of the Gaussian.
        phase: `auto`, or two angles in degrees such as `-95.1,40`.
        baseline: subtract a smooth one.
        reference: `auto`, `none`, or the shift in ppm to add.

    Raises:
        ReadError: `source` cannot be read, or holds no fid.
        ConfigError: a phase or reference that cannot be read.
        RecordError: settings that cannot be.
    """
    try:
        angles = "auto" if phase == "auto" else tuple(float(part) for part in phase.split(","))
        move = {"auto": "auto", "none": None}[reference] if reference in ("auto", "none") else float(reference)
    except ValueError as error:
        raise ConfigError(
            f"{error}: a phase is 'auto' or P0,P1 in degrees, a reference 'auto', 'none' or ppm"
        ) from error
    if angles != "auto" and len(angles) != 2:
        raise ConfigError(f"phase must be 'auto' or two angles in degrees such as -95.1,40, got {phase!r}")
    return process(
        read_fid(source, entry, frequency=frequency),
        size=size,
        broadening=broadening,
        gaussian=gaussian,
        phase="auto" if angles == "auto" else (angles[0], angles[1]),
        baseline=baseline,
        reference="auto" if move == "auto" else move,
    )
