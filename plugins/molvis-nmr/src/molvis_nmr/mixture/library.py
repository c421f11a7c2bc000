"""From the entries of a library to compounds with multiplets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Float

from molvis_core.errors import RecordError, did_you_mean
from molvis_core.records import Trace
from molvis_nmr.fitting.noise import noise_level
from molvis_nmr.mixture.compounds import Rigid
from molvis_nmr.mixture.results import Entry, Reference
from molvis_nmr.mixture.spectrum import uniform
from molvis_nmr.spins.system import SpinSystem
from molvis_nmr.spins.transitions import Lines, lines

STANDARDS = {"DSS": "trimethylsilyl of DSS", "TSP": "trimethylsilyl of TSP"}
"""Reference compounds that are looked for at 0 ppm; nine equivalent protons each."""
_SILICON = (0.0468, 6.6)  # share of 29Si, and its coupling to methyl protons in Hz


def standard_compound(name: str) -> Rigid:
    """The reference compound's singlet at 0 ppm, with the satellites of 29Si."""
    share, coupling = _SILICON
    methyl = Lines(
        np.array([0.0, -coupling / 2, coupling / 2]),
        9 * np.array([[1 - share], [share / 2], [share / 2]]),
        np.ones((3, 1)),
    )
    return Rigid(name, "", ("Si(CH3)3",), np.zeros(1), np.array([0.01]), [methyl], standard=True)


def library_compounds(
    library: Sequence[Entry],
    measured: Trace,
    window: float,
    windows: Mapping[str, float],
) -> list[Rigid]:
    """Every entry as multiplets that move rigidly within their windows.

    Raises:
        RecordError: an entry that is none, or a window of no entry.
    """
    assert measured.frequency is not None
    made: list[Rigid] = []
    names: set[str] = set()
    keys: set[str] = set()
    for number, entry in enumerate(library, start=1):
        entry = _known_entry(entry, number)
        name = base = entry.name or entry.identifier or f"compound {number}"
        if name in names:
            name = f"{base} ({entry.identifier or number})"
        names.add(name)
        if isinstance(entry, SpinSystem):
            groups, shifts, shapes = multiplets_of_system(entry, measured.frequency)
        else:
            groups, shifts, shapes = multiplets_of_spectrum(entry, measured.frequency)
        keys |= {name, *(f"{name}/{group}" for group in groups)}
        reach = np.array([windows.get(f"{name}/{group}", windows.get(name, window)) for group in groups])
        concentrates = isinstance(entry, SpinSystem) or entry.protons is not None
        made.append(Rigid(name, entry.identifier, groups, shifts, reach, shapes, concentrates))
    _check_windows(windows, keys)
    return made


def _known_entry(entry: Entry, number: int) -> SpinSystem | Reference:
    """An entry of the library by its place; a bare spectrum becomes a reference named after it."""
    if isinstance(entry, Trace):
        return Reference(entry, entry.identifier or f"spectrum {number}", identifier=entry.identifier or "")
    if not isinstance(entry, (SpinSystem, Reference)):
        raise RecordError(
            f"entry {number} of the library must be a SpinSystem, Reference or Trace, got a {type(entry).__name__}"
        )
    return entry


def _check_windows(windows: Mapping[str, float], keys: set[str]) -> None:
    """Raise RecordError of a window that belongs to no compound or multiplet, or is not positive."""
    for key, value in windows.items():
        if key not in keys:
            raise RecordError(f"windows has {key!r}, which is not in the library.{did_you_mean(key, keys)}")
        if not 0 < value < np.inf:
            raise RecordError(f"windows[{key!r}] must be positive (ppm), got {value}")


def multiplets_of_system(
    system: SpinSystem, frequency: float
) -> tuple[tuple[str, ...], Float[np.ndarray, " g"], list[Lines]]:
    """Names, shifts and transitions of the multiplets of the protons."""
    found = lines(system, frequency, threshold=1e-5)
    shapes: list[Lines] = []
    observed = [i for i, nucleus in enumerate(system.nuclei) if nucleus == "1H"]
    for i in observed:
        some = np.abs(found.weight[:, i]) > 1e-5
        shapes.append(Lines(found.position[some], found.weight[some][:, [i]], np.ones((int(some.sum()), 1))))
    return tuple(system.names[i] for i in observed), system.shifts[observed], shapes


def multiplets_of_spectrum(
    entry: Reference, frequency: float
) -> tuple[tuple[str, ...], Float[np.ndarray, " g"], list[tuple[np.ndarray, np.ndarray]]]:
    """Stretches with signal, free of baseline and noise; each may move by itself."""
    trace = uniform(entry.trace)
    assert trace.frequency is not None
    if abs(trace.frequency / frequency - 1) > 0.01:
        raise RecordError(
            f"the reference spectrum {entry.name!r} was measured at {trace.frequency:g} MHz and the mixture at "
            f"{frequency:g} MHz; multiplets look different there: give a spin system, or a spectrum of the same field"
        )
    if entry.protons is not None and not 0 < entry.protons < np.inf:
        raise RecordError(
            f"the number of protons of the reference spectrum {entry.name!r} must be positive, got {entry.protons}"
        )
    from scipy.ndimage import minimum_filter1d, uniform_filter1d

    noise = noise_level(trace.y)
    step = float(trace.x[1] - trace.x[0]) * trace.frequency
    y = trace.y - np.median(trace.y)
    kept = np.ones(len(y), dtype=bool)
    for low, high in entry.excluded:
        kept &= (trace.x < low) | (trace.x > high)
    smooth = np.asarray(uniform_filter1d(y, max(1, round(1.0 / step))))
    inside = np.flatnonzero(kept & (smooth > max(5 * noise, 2e-3 * float(y[kept].max(initial=0.0)))))
    if not len(inside):
        raise RecordError(f"the reference spectrum {entry.name!r} shows no signal outside {list(entry.excluded)}")
    runs = np.split(inside, np.flatnonzero(np.diff(inside) * step > 25) + 1)
    margin = round(12 / step)
    pieces: list[tuple[float, np.ndarray, np.ndarray]] = []
    for run in runs:
        if len(run) * step < 0.5:
            continue
        part = slice(max(0, run[0] - margin), min(len(y), run[-1] + margin + 1))
        hertz, height = trace.x[part] * frequency, y[part]
        ends = minimum_filter1d(height, 3)
        ramp = np.interp(
            np.arange(len(height)), [0, len(height) - 1], [ends[: margin // 2 + 1].mean(), ends[-margin // 2 :].mean()]
        )
        height = height - ramp
        pieces.append((float(np.average(hertz, weights=np.maximum(height, 0)) / frequency), hertz, height))
    area = sum(float(height.sum()) * step for _, _, height in pieces)
    unit = area / entry.protons if entry.protons is not None else 1.0
    shapes = [(hertz, height / unit) for _, hertz, height in pieces]
    centers = np.array([center for center, _, _ in pieces])
    return tuple(f"{center:.2f} ppm" for center in centers), centers, shapes
