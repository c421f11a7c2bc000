"""From files to fits and quantifications: what the commands call."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from molvis_core.errors import ConfigError
from molvis_core.progress import Progress
from molvis_nmr.formats.opening import read_spectrum
from molvis_nmr.formats.spin_systems import read_system
from molvis_nmr.spins.system import SpinSystem

if TYPE_CHECKING:
    from molvis_nmr.fitting.spin_system import SpinSystemFit

FAR = 1e4
"""ppm beyond any spectrum."""
GIVEN, BY_RULE = 0.05, 0.25
"""ppm by which shifts of a file, and those of a structure, may be off."""


def read_window(text: str) -> tuple[float, float]:
    """`4.7:4.9` to a window in ppm; the order does not matter.

    Raises:
        ConfigError: it is none.
    """
    try:
        low, high = sorted(float(part) for part in text.split(":"))
    except ValueError:
        low = high = float("nan")
    if not low < high:
        raise ConfigError(f"a window must be two different numbers of ppm such as 4.7:4.9, got {text!r}")
    return low, high


def read_numbers(text: str, option: str) -> tuple[float, ...]:
    """`4,1,0` to numbers.

    Raises:
        ConfigError: it is none.
    """
    try:
        return tuple(float(part) for part in text.split(","))
    except ValueError:
        raise ConfigError(f"{option} must be numbers with commas between them such as 4,1,0, got {text!r}") from None


def outside(regions: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """What lies between and around windows in ppm; nothing where there is none."""
    if not regions:
        return []
    ends = [-FAR]
    for low, high in sorted(regions):
        ends += [max(low, ends[-1]), max(high, ends[-1])]
    ends.append(FAR)
    return [(a, b) for a, b in zip(ends[::2], ends[1::2], strict=True) if a < b]


def fit_files(
    spectra: Sequence[Path],
    *,
    system: str | None = None,
    smiles: str | None = None,
    nucleus: str = "1H",
    exclude: Sequence[tuple[float, float]] = (),
    phase: bool = False,
    baseline: int | None = None,
    line_shape: bool = False,
    couplings: str = "all",
    starts: int = 24,
    seed: int = 0,
    ties: Sequence[Sequence[str]] | None = None,
    broadening: Sequence[float] | None = None,
    width: float | None = None,
    regions: Sequence[tuple[float, float]] = (),
    auto: bool = False,
    solvent: str | None = None,
    progress: Progress | None = None,
) -> SpinSystemFit:
    """Read spectra and a start, and fit. See `molvis_nmr.fitting.spin_system.fit`.

    `spectra` are files or folders of one sample, whose fits share their couplings. The start is the file `system`
    (`FILE#ENTRY` picks one of several), or the structure `smiles`: shifts and couplings by rule. `width` replaces the
    start's line widths; `regions` are windows in ppm outside of which nothing counts. `auto` leaves out water,
    `solvent`, reference and impurities (`molvis_nmr.fitting.automatic`); without it, `advice` of the result names them.

    Raises:
        ConfigError: both or neither of the start's two, or no spectrum; a solvent that is not known.
        ReadError, RecordError: a file cannot be read, or cannot be fitted.
    """
    from molvis_nmr.fitting.automatic import advised, fit_automatically
    from molvis_nmr.fitting.foreign import solvent_named
    from molvis_nmr.fitting.priors import of_shifts
    from molvis_nmr.fitting.spin_system import fit

    if (system is None) == (smiles is None):
        raise ConfigError("a start is needed: either a spin system (--start FILE) or a structure (--smiles)")
    if not spectra:
        raise ConfigError("no spectrum is named")
    if smiles is not None:
        from molvis_nmr.prediction.structure import from_smiles

        begin = from_smiles(smiles)
    else:
        begin = read_system(Path(str(system)))
    if width is not None:
        if not width > 0:
            raise ConfigError(f"a line width must be positive, got {width:g} Hz")
        begin = replace(begin, widths=np.full(len(begin), width))
    known = None if solvent is None else solvent_named(solvent)
    traces = [read_spectrum(path) for path in spectra]
    windows = [*exclude, *outside(regions)]
    settings: dict[str, Any] = {
        "ties": ties, "broadening": broadening, "phase": phase, "line_shape": line_shape, "couplings": couplings,
        "starts": starts, "seed": seed, "progress": progress,
    }  # fmt: skip
    if auto:
        return fit_automatically(
            traces, begin, solvent=known, uncertain=BY_RULE if smiles is not None else GIVEN, exclude=windows,
            nucleus=nucleus, baseline=baseline, **settings,
        )  # fmt: skip
    if smiles is not None:
        settings["prior"] = of_shifts(begin, BY_RULE, len(traces))
    found = fit(traces, begin, nucleus=nucleus, exclude=windows, baseline=baseline, **settings)
    return advised(found, traces, windows, solvent=known, nucleus=nucleus)


def differences(found: SpinSystem, truth: SpinSystem) -> tuple[float, float]:
    """Largest deviations of shifts in ppm and of couplings in Hz."""
    return float(np.abs(found.shifts - truth.shifts).max()), float(np.abs(found.couplings - truth.couplings).max())
