"""Measured spectra as they are fitted."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from molvis_core.errors import RecordError, did_you_mean
from molvis_core.records import Trace
from molvis_nmr.spins.hamiltonian import RATIOS
from molvis_nmr.spins.system import SpinSystem

if TYPE_CHECKING:
    pass


def check(
    traces: Sequence[Trace],
    systems: Sequence[SpinSystem],
    nucleus: str,
    exclude: Sequence[tuple[float, float]],
    broadening: Sequence[float],
) -> None:
    """Refuse what cannot be fitted: see `fit`."""
    if not traces:
        raise RecordError("no spectrum is given")
    if len(systems) != len(traces):
        raise RecordError(f"{len(systems)} spin systems are given for {len(traces)} spectra; give one, or one for each")
    if nucleus not in RATIOS:
        raise RecordError(f"no spin 1/2 named {nucleus!r}.{did_you_mean(nucleus, RATIOS)}")
    if not broadening or broadening[-1] != 0 or min(broadening) < 0:
        raise RecordError(f"broadening is {tuple(broadening)}; widths in Hz that end with 0 are wanted")
    for other in systems[1:]:
        same = other.names == systems[0].names and other.nuclei == systems[0].nuclei
        if not same or (other.multiplicity != systems[0].multiplicity).any():
            raise RecordError("the spin systems of the spectra differ in their groups; the same groups are wanted")
    for number, (trace, system) in enumerate(zip(traces, systems, strict=True), start=1):
        name = f"spectrum {number}" + (f" ({trace.identifier})" if trace.identifier else "")
        if trace.frequency is None:
            raise RecordError(f"{name} has no frequency; give Trace.frequency, that of {nucleus} in MHz")
        if len(trace) < 16:
            raise RecordError(f"{name} has {len(trace)} points; that is no spectrum")
        steps = np.diff(trace.x)
        if steps.max() - steps.min() > 0.02 * steps.mean():
            raise RecordError(
                f"{name} has an uneven axis: its steps are from {steps.min():.3g} to {steps.max():.3g} ppm; "
                f"interpolate it to even ones"
            )
        if not np.abs(trace.y).max() > 0:
            raise RecordError(f"{name} is 0 everywhere")
        keep = np.ones(len(trace), dtype=bool)
        for low, high in exclude:
            keep &= (trace.x < min(low, high)) | (trace.x > max(low, high))
        if not np.abs(trace.y[keep]).max(initial=0.0) > 0:
            raise RecordError(f"{name} is 0 everywhere outside of the excluded windows")
        if nucleus not in system.nuclei:
            raise RecordError(f"the spin system has no {nucleus}; it has {', '.join(sorted(set(system.nuclei)))}")
        for group, shift, kind in zip(system.names, system.shifts, system.nuclei, strict=True):
            if kind == nucleus and not trace.x[0] <= shift <= trace.x[-1]:
                raise RecordError(
                    f"{group} is at {shift:g} ppm, outside of {name}, which goes from {trace.x[0]:.3f} to "
                    f"{trace.x[-1]:.3f} ppm; correct the start values or the reference"
                )
