"""Fits that find by themselves what of a spectrum is not the compound's."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from molvis_core.records import Trace
from molvis_nmr.fitting.foreign import Excluded, advice, foreign, impurities
from molvis_nmr.fitting.priors import SHIFT_SD, of_shifts
from molvis_nmr.fitting.spin_system import SpinSystemFit, fit
from molvis_nmr.spins.hamiltonian import RATIOS
from molvis_nmr.spins.system import SpinSystem
from molvis_nmr.spins.transitions import lines
from molvis_nmr.windows import outside

Window = tuple[float, float]
AS_MUCH = 0.5
"""Protons' worth of signal that, left out as impurities, may be the compound's own."""
BASELINE = 2
"""Degree of the polynomial under each multiplet where a wing that cannot be left out reaches it."""


def fit_automatically(
    traces: Sequence[Trace],
    system: SpinSystem,
    *,
    solvent: str | None = None,
    uncertain: float = 0.05,
    exclude: Sequence[Window] = (),
    nucleus: str = "1H",
    baseline: int | None = None,
    **settings: Any,
) -> SpinSystemFit:
    """Fit without water, solvent, reference and impurities: `excluded` of the result says what was left out.

    Water, solvent and reference are left out before the fit. Signals among those fitted that the model has no part in
    are left out after it, and the spectrum is fitted again. Where a wing reaches under the compound's own lines, a
    baseline of degree 2 takes it up.

    Args:
        traces: spectra of one sample.
        system: start values.
        solvent: a name of `molvis_nmr.fitting.foreign.SOLVENTS`; water and a reference are looked for without one.
        uncertain: ppm by which start values may be off; shifts have a prior as wide.
        exclude: windows in ppm that do not count anyway.
        nucleus: observed.
        baseline: as for `fit`.
        settings: as for `fit`.

    Raises:
        RecordError: as `fit`.
    """
    found: list[Excluded] = []
    if nucleus == "1H":
        for trace in traces:
            found += foreign(trace, _places(system, trace, nucleus), solvent=solvent, uncertain=uncertain)
    if baseline is None and any(one.among for one in found):
        baseline = BASELINE
    if uncertain > SHIFT_SD:
        settings["prior"] = of_shifts(system, uncertain, len(traces)) | dict(settings.get("prior") or {})
    windows = [*exclude, *((one.low, one.high) for one in found)]
    made = fit(traces, system, nucleus=nucleus, exclude=windows, baseline=baseline, **settings)
    more, protons = list[Excluded](), 0.0
    for s, trace in enumerate(traces):
        at = _places(made.systems[s], trace, nucleus)
        kept = outside(trace.x, windows) & _fitted(trace, at)
        others = impurities(trace, made.simulated[s].y + made.baseline[s], kept, at)
        protons = max(protons, _protons(made, s, others))
        more += others
    if more:
        found += more
        windows += [(one.low, one.high) for one in more]
        made = fit(traces, system, nucleus=nucleus, exclude=windows, baseline=baseline, **settings)
        if protons > AS_MUCH and not made.problem:
            made = replace(made, doubt=" ".join(filter(None, [made.doubt, _missed(protons, more)])))
    return replace(made, excluded=tuple(sorted(found, key=lambda one: one.low)))


def _protons(made: SpinSystemFit, s: int, others: Sequence[Excluded]) -> float:
    """How many of the compound's protons have as much signal as a fit left in some windows."""
    rest, system = made.residual[s], made.systems[s]
    inside = np.zeros(len(rest), dtype=bool)
    for one in others:
        inside |= (rest.x >= one.low) & (rest.x <= one.high)
    whole = float(made.simulated[s].y.sum())
    observed = sum(int(n) for n, nucleus in zip(system.multiplicity, system.nuclei, strict=True) if nucleus == "1H")
    return float(rest.y[inside].sum()) / max(whole, 1e-300) * observed


def _missed(protons: float, others: Sequence[Excluded]) -> str:
    windows = ", ".join(f"{one.low:.2f}:{one.high:.2f}" for one in others)
    return (
        f"not sure: what was left out as impurities ({windows} ppm) has the signal of {protons:.1f} protons of the "
        f"compound and may be its own: give shifts nearer to it, or leave it out by --exclude if it is not"
    )


def advised(
    made: SpinSystemFit, traces: Sequence[Trace], exclude: Sequence[Window], *, solvent: str | None, nucleus: str
) -> SpinSystemFit:
    """A fit with advice on water, solvent and reference that lie among what counted."""
    if nucleus != "1H":
        return made
    found: list[Excluded] = []
    for s, trace in enumerate(traces):
        at = _places(made.systems[s], trace, nucleus)
        mine = _fitted(trace, at) | (made.simulated[s].y > 5e-4 * made.simulated[s].y.max())
        for one in foreign(trace, at, solvent=solvent):
            inside = mine & (trace.x >= one.low) & (trace.x <= one.high)
            for low, high in exclude:
                inside &= (trace.x < min(low, high)) | (trace.x > max(low, high))
            if inside.any():
                found.append(one)
    return replace(made, advice=advice(found))


def _places(system: SpinSystem, trace: Trace, nucleus: str) -> np.ndarray:
    """Where the lines of a system are, in ppm."""
    observed = float(trace.frequency or 1.0)
    found = lines(system, observed * 100 / RATIOS[nucleus], nucleus=nucleus, threshold=1e-3)
    return found.position / observed


def _fitted(trace: Trace, at: np.ndarray) -> np.ndarray:
    """Points within 40 Hz of a line: what a fit looks at."""
    from molvis_nmr.fitting.agreement import region

    return region(np.asarray(trace.x), at, np.ones(len(at)), reach=40.0 / float(trace.frequency or 1.0))
