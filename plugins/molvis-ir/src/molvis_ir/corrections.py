"""Spectra corrected for how they were measured."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from molvis_core.records import Trace
from molvis_ir.baselines import Baseline, baseline
from molvis_ir.reflection import Correction, transmission_from_atr

_STEP = 4.0


def corrected(
    trace: Trace,
    *,
    shift: float = 0.0,
    below: Baseline = "none",
    atr: str | float = "",
    correction: Correction = "depth",
    angle: float = 45.0,
    sample: float = 1.5,
) -> Trace:
    """A spectrum on the right wavenumber scale, without baseline, as if measured in transmission; in this order.

    Args:
        trace: absorbance over wavenumber.
        shift: added to the wavenumbers, in cm^-1.
        below: how the baseline is found that is taken away.
        atr: crystal of attenuated total reflection; empty where the spectrum was measured otherwise.
        correction: of attenuated total reflection; this and the others as in `transmission_from_atr`.
        angle: of incidence, in degrees.
        sample: refractive index of the sample.

    Raises:
        molvis_core.errors.ConfigError: there is no such crystal or method, or no total reflection.
    """
    x, y = trace.x + shift, trace.y
    if below != "none" and len(x) > 1:
        even = np.linspace(x[0], x[-1], max(5, round((x[-1] - x[0]) / _STEP) + 1))
        low = baseline(np.interp(even, x, y), float(even[1] - even[0]), below)
        y = y - np.interp(x, even, low)
    if atr:
        y = transmission_from_atr(x, y, crystal=atr, sample=sample, angle=angle, correction=correction)
    return replace(trace, x=x, y=y)
