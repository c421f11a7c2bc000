"""Mixtures: which of a library's compounds are in a sample, and how much of each.

The spectrum is a sum of the library's compounds with amounts that are not negative, on a smooth baseline, all with one
line shape. Every multiplet may move within its window and respond a little more or less than it should (relaxation,
suppression of water); how much more or less is estimated from all of them together, and so is how well the model
follows strong signals. Both go into the errors.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from molvis_core.errors import RecordError, did_you_mean
from molvis_core.progress import Progress
from molvis_core.records import Trace
from molvis_nmr.fitting.noise import noise_level
from molvis_nmr.mixture.compounds import Compound, CompoundState, Rigid, spins_of
from molvis_nmr.mixture.engine import RESPONDING, MixtureFit, begin, improve, mixture_of, with_line_shape
from molvis_nmr.mixture.library import STANDARDS, library_compounds, standard_compound
from molvis_nmr.mixture.results import WATER, Entry, Quantification
from molvis_nmr.mixture.screening import possible_compounds, without_insignificant
from molvis_nmr.mixture.spectrum import standard_at, uniform, working_axis
from molvis_nmr.mixture.starts import explore
from molvis_nmr.mixture.summary import Prepared, summarize
from molvis_nmr.spins.eigenstates import one_thread
from molvis_nmr.spins.system import SpinSystem

# Half widths at half height in Hz that lines are broadened by, stage by stage: multiplets that move as they are, then
# exact spin systems.
_RIGID, _EXACT = (8.0, 4.0), (4.0, 1.0, 0.3)
_EXPLORING = 0.3  # Hz; the stage after which other starts are tried
_STAGES = len(_RIGID) + len(_EXACT) + 3
_EXACT_STATES = 2048  # larger systems keep their couplings and move their multiplets as they are


def quantify(
    spectrum: Trace,
    library: Sequence[Entry],
    *,
    window: float = 0.03,
    windows: Mapping[str, float] | None = None,
    exclude: Sequence[tuple[float, float]] = (WATER,),
    standard: str | None = "DSS",
    concentration: float | None = None,
    unit: str = "mM",
    limit: float = 5.0,
    knots: float = 0.4,
    line_shape: bool = True,
    seed: int = 0,
    progress: Progress | None = None,
) -> Quantification:
    """Which compounds of a library are in a mixture, and how much of each.

    First whatever the spectrum has no room for is left out; the rest is fitted with multiplets that move as they are,
    while broadening is taken back step by step; those that stand out are simulated exactly, with their shifts,
    couplings and widths, and those that still do not stand out are left out.

    Args:
        spectrum: with its frequency; ppm, real.
        library: spin systems, and spectra of single compounds.
        window: how far in ppm a multiplet may be from where the library has it.
        windows: the same for single compounds (`citrate`) or multiplets (`citrate/H2a`), which pH moves further.
        exclude: windows in ppm that are not fitted; water's without.
        standard: compound at 0 ppm, one of `STANDARDS`; None if there is none.
        concentration: of the standard.
        unit: of that concentration.
        limit: significance from which a compound counts as present.
        knots: of the baseline, in ppm.
        line_shape: fit a line shape that all lines share.
        seed: of the starts that are drawn where a compound explains its signals badly.
        progress: called with stages done and in all.

    Raises:
        RecordError: a spectrum without frequency or signal, an empty library, an entry that is none, an unknown
            standard, or settings that cannot be.
    """
    _check_settings(window, knots, limit, standard, concentration)
    if not library:
        raise RecordError("the library is empty; give at least one spin system or reference spectrum")
    advance = progress or _silently
    with one_thread():
        prepared = _prepare(spectrum, library, window, windows or {}, exclude, standard, knots)
        advance(1, _STAGES)
        fit = _fitted(prepared.fit, library, limit=limit, line_shape=line_shape, seed=seed, advance=advance)
        found = summarize(fit, prepared, exclude, concentration=concentration, unit=unit, limit=limit)
    advance(_STAGES, _STAGES)
    return found


def _silently(done: int, total: int, what: str = "") -> None:
    """Progress that nobody looks at."""


def _check_settings(
    window: float, knots: float, limit: float, standard: str | None, concentration: float | None
) -> None:
    for name, value in (("window", window), ("knots", knots), ("limit", limit)):
        if not 0 < value < np.inf:
            raise RecordError(f"{name} must be positive, got {value}")
    if standard is not None and standard not in STANDARDS:
        known = ", ".join(STANDARDS)
        raise RecordError(f"no standard named {standard!r}.{did_you_mean(standard, STANDARDS)} Known: {known}, or None")
    if concentration is not None and standard is None:
        raise RecordError(f"a concentration of {concentration} needs its standard")
    if concentration is not None and not 0 < concentration < np.inf:
        raise RecordError(f"concentration must be positive, got {concentration}")


def _prepare(
    spectrum: Trace,
    library: Sequence[Entry],
    window: float,
    windows: Mapping[str, float],
    exclude: Sequence[tuple[float, float]],
    standard: str | None,
    knots: float,
) -> Prepared:
    """The spectrum on the axis that is fitted, and the compounds that it has room for."""
    measured = uniform(spectrum)
    noise = noise_level(measured.y)
    offset = standard_at(measured, noise) if standard else None
    if offset:
        measured = replace(measured, x=measured.x - offset)
    everything = library_compounds(library, measured, window, windows)
    compounds = list(everything)
    if standard and offset is not None:
        compounds.append(standard_compound(standard))
    axis, y, mask = working_axis(measured, compounds, exclude)
    scale = float(np.abs(y[mask]).max()) if mask.any() else 0.0
    if scale == 0:
        raise RecordError("the spectrum is zero wherever the library has signals; is it the right one?")
    y, sd = y / scale, max(noise / scale, 1e-7)
    frequency = measured.frequency or 0.0
    possible, mask = possible_compounds(axis, y, sd, mask, compounds, frequency)
    fit = begin(mixture_of(axis, y, frequency, knots, sd, mask), y, possible)
    return Prepared(measured, tuple(everything), standard or "" if offset is not None else "", scale, fit)


def _fitted(
    fit: MixtureFit, library: Sequence[Entry], *, limit: float, line_shape: bool, seed: int, advance: Progress
) -> MixtureFit:
    """From broad to sharp: multiplets that move rigidly, then exact spin systems, then the line shape."""
    for stage, broadening in enumerate(_RIGID):
        fit = improve(fit, broadening, exact=False, rounds=2, most=6)
        fit = without_insignificant(fit, False, min(1.0 + stage, limit))
        advance(2 + stage, _STAGES)
    fit = _with_spin_systems(fit, library)
    for stage, broadening in enumerate(_EXACT):
        fit = improve(fit, broadening, exact=True, rounds=2 if stage else 1, most=4)
        fit = without_insignificant(fit, True, min(2.0 + stage, limit), silent=broadening <= RESPONDING)
        if broadening == _EXPLORING:
            fit = explore(fit, broadening, seed)
            fit = improve(fit, broadening, exact=True, rounds=1, most=4)
        advance(2 + len(_RIGID) + stage, _STAGES)
    for _ in range(3):
        fit = with_line_shape(fit) if line_shape else fit
        fit = improve(fit, 0.0, exact=True, rounds=1, most=6)
    advance(_STAGES - 1, _STAGES)
    remaining = without_insignificant(fit, True, limit, silent=True)
    return fit if remaining is fit else improve(remaining, 0.0, exact=True, rounds=2, most=6)


def _with_spin_systems(fit: MixtureFit, library: Sequence[Entry]) -> MixtureFit:
    """Spin systems in place of rigid multiplets, where they are small enough."""
    systems = {e.name or e.identifier: e for e in library if isinstance(e, SpinSystem)}
    compounds: list[Compound] = []
    states: list[CompoundState] = []
    for compound, state in zip(fit.compounds, fit.states, strict=True):
        system = systems.get(compound.name)
        small = system is not None and 2.0**system.n_spins <= _EXACT_STATES and set(system.nuclei) == {"1H"}
        if system is not None and small and isinstance(compound, Rigid):
            exact = spins_of(compound, system)
            compounds.append(exact)
            states.append(replace(state, coupling=exact.couplings))
        else:
            compounds.append(compound)
            states.append(state)
    return replace(fit, compounds=tuple(compounds), states=tuple(states))
