"""From the entries of a library to compounds with multiplets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from molvis_core.errors import RecordError, did_you_mean
from molvis_core.records import Trace
from molvis_nmr.fitting.noise import noise_level
from molvis_nmr.mixture.compounds import Compound, Multiplet, coupling_to_carbon
from molvis_nmr.mixture.coupled import flexible, lines_of, movers_of
from molvis_nmr.mixture.results import Entry, Reference
from molvis_nmr.mixture.spectrum import uniform
from molvis_nmr.spins.system import SpinSystem
from molvis_nmr.spins.transitions import Lines, lines
from molvis_nmr.windows import outside

_CLOSE = 2.0  # multiplets nearer than so many times their coupling change each other's shape: they move as one
_TRACE = 0.01
"""Share of a reference spectrum's area below which a stretch is no multiplet of its compound."""
_SATELLITE = 100.0
"""In Hz: satellites of 13C are nearer to the middle of their multiplet."""


def library_compounds(
    library: Sequence[Entry],
    measured: Trace,
    window: float,
    windows: Mapping[str, float],
) -> list[Compound]:
    """Every entry as multiplets that move as they are within their windows.

    Raises:
        RecordError: an entry that is none, or a window of no entry.
    """
    assert measured.frequency is not None
    made: list[Compound] = []
    names: set[str] = set()
    keys: set[str] = set()
    for number, entry in enumerate(library, start=1):
        entry = _known_entry(entry, number)
        name = base = entry.name or entry.identifier or f"compound {number}"
        if name in names:
            name = f"{base} ({entry.identifier or number})"
        names.add(name)
        if isinstance(entry, SpinSystem):
            found = multiplets_of_system(entry, measured.frequency, window)
        else:
            found = multiplets_of_spectrum(entry, measured.frequency, window)
        keys |= {name, *(f"{name}/{group}" for m in found for group in m.names)}
        own = windows.get(name, window)
        reach = [max(windows.get(f"{name}/{g}", own) for g in m.names) for m in found]
        found = [replace(m, window=measured.frequency * ppm) for m, ppm in zip(found, reach, strict=True)]
        made.append(_compound(entry, name, found, measured.frequency))
    _check_windows(windows, keys)
    return made


def _compound(entry: SpinSystem | Reference, name: str, multiplets: Sequence[Multiplet], frequency: float) -> Compound:
    """A compound of an entry and its multiplets."""
    if isinstance(entry, Reference):
        return Compound(name, entry.identifier, tuple(multiplets), entry.protons is not None)
    system = entry if flexible(entry, frequency) else None
    return Compound(name, entry.identifier, tuple(multiplets), inchi=entry.inchi, system=system)


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


def multiplets_of_system(system: SpinSystem, frequency: float, window: float) -> list[Multiplet]:
    """Multiplets of the protons; those that are strongly coupled are one."""
    found = lines(system, frequency, threshold=1e-5)
    observed = [i for i, nucleus in enumerate(system.nuclei) if nucleus == "1H"]
    return [_multiplet(system, found, members, frequency, window) for members in _together(system, observed, frequency)]


def _together(system: SpinSystem, observed: Sequence[int], frequency: float) -> list[list[int]]:
    """Groups that move as one: those whose shifts are nearer than a few couplings."""
    apart = np.abs(system.shifts[:, None] - system.shifts) * frequency
    near = (apart < _CLOSE * np.abs(system.couplings)) | (apart < 0.5)
    left, runs = list(observed), list[list[int]]()
    while left:
        run = [left.pop(0)]
        for k in run:
            more = [m for m in left if near[k, m]]
            left = [m for m in left if m not in more]
            run += more
        runs.append(run)
    return runs


def _multiplet(system: SpinSystem, found: Lines, members: Sequence[int], frequency: float, window: float) -> Multiplet:
    position, weight = lines_of(found, members)
    center = float(np.average(system.shifts[members], weights=system.multiplicity[members])) * frequency
    names = tuple(system.names[k] for k in members)
    movers = movers_of(system, members) if flexible(system, frequency) else ()
    return Multiplet(
        names, center, position - center, weight, window * frequency, groups=tuple(members),
        movers=movers[1:], carbon=coupling_to_carbon(center / frequency),
    )  # fmt: skip


def multiplets_of_spectrum(entry: Reference, frequency: float, window: float) -> list[Multiplet]:
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
    kept = outside(trace.x, entry.excluded)
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
    pieces = _large(pieces, frequency)
    area = sum(float(height.sum()) * step for _, _, height in pieces)
    unit = area / entry.protons if entry.protons is not None else 1.0
    return [
        Multiplet(
            (f"{center:.2f} ppm",), center * frequency, hertz - center * frequency, height / unit,
            window * frequency, measured=True,
        )
        for center, hertz, height in pieces
    ]  # fmt: skip


def _large(
    pieces: Sequence[tuple[float, np.ndarray, np.ndarray]], frequency: float
) -> list[tuple[float, np.ndarray, np.ndarray]]:
    """Stretches of a compound's own multiplets: each counts as evidence, so that traces must not.

    Satellites of 13C go with the multiplet beside them; what is small elsewhere is of the standard or an impurity.
    """
    areas = [float(height.sum()) for _, _, height in pieces]
    large = [piece for piece, area in zip(pieces, areas, strict=True) if area >= _TRACE * sum(areas)]
    for piece, area in zip(pieces, areas, strict=True):
        near = min(range(len(large)), key=lambda k: abs(large[k][0] - piece[0]), default=None)
        if near is None or area >= _TRACE * sum(areas):
            continue
        center, hertz, height = large[near]
        if abs(center - piece[0]) * frequency < _SATELLITE:
            order = np.argsort(both := np.concatenate([hertz, piece[1]]), kind="stable")
            large[near] = center, both[order], np.concatenate([height, piece[2]])[order]
    return large
