"""L-proline as published, its spectrum as we simulate it, and a start that is off: something to try a fit on.

Parameters: M. M. Fattakhov et al., Application of the Gradient Descent Method for Optimization of Spin System
Parameters of Metabolite Molecules by NMR Spectra, 2026, Table 2. Its couplings are printed without signs; those between
the two protons of a CH2 are negative.
"""

from __future__ import annotations

import numpy as np

from molvis_core.records import Trace
from molvis_nmr.spins.simulation import simulate
from molvis_nmr.spins.system import SpinSystem

_NAMES = ("H4a", "H4b", "H3a", "H3b", "H5a", "H5b", "H2")
_SHIFTS = (1.981, 2.011, 2.059, 2.339, 3.328, 3.411, 4.121)  # ppm
_WIDTHS = (1.801, 2.191, 2.154, 1.906, 1.682, 1.600, 1.757)  # Hz: w of w / (w^2 + v^2)
_INTENSITIES = (0.848, 1.000, 0.931, 0.977, 0.933, 0.932, 0.724)
# Hz, row by row above the diagonal
_COUPLINGS = (
    -12.831, 7.651, 7.086, 7.305, 7.480, 0.777,
    6.706, 6.830, 7.105, 6.589, 0.584,
    -12.962, 0.482, 0.905, 6.510,
    0.281, 0.701, 8.830,
    -11.586, 0.071,
    0.382,
)  # fmt: skip


def proline() -> SpinSystem:
    """The seven protons of L-proline in water."""
    size = len(_NAMES)
    couplings = np.zeros((size, size))
    couplings[np.triu_indices(size, 1)] = _COUPLINGS
    return SpinSystem(
        names=_NAMES,
        shifts=np.array(_SHIFTS),
        couplings=couplings + couplings.T,
        widths=np.array(_WIDTHS),
        intensities=np.array(_INTENSITIES),
        name="L-proline",
        inchi="InChI=1S/C5H9NO2/c7-5(8)4-2-1-3-6-4/h4,6H,1-3H2,(H,7,8)/t4-/m0/s1",
    )


def spectrum(frequency: float = 500.0, *, snr: float = 500.0, seed: int = 0) -> Trace:
    """Proline's spectrum with white noise.

    Args:
        frequency: of 1H in MHz.
        snr: height of the highest line in standard deviations of the noise.
        seed: of the noise.
    """
    points = round((4.4 - 1.7) * frequency / 0.15)
    clean = simulate(proline(), frequency, axis=np.linspace(1.7, 4.4, points))
    noise = np.random.default_rng(seed).normal(0, clean.y.max() / snr, points)
    return Trace(clean.x, clean.y + noise, frequency=frequency, identifier="L-proline, simulated")


def start(*, seed: int = 1, shift: float = 0.02, coupling: float = 1.0) -> SpinSystem:
    """Proline with shifts off by up to `shift` ppm and couplings by up to `coupling` Hz; widths of 1 Hz."""
    truth, random = proline(), np.random.default_rng(seed)
    off = np.triu(random.uniform(-coupling, coupling, truth.couplings.shape), 1)
    return SpinSystem(
        names=truth.names,
        shifts=truth.shifts + random.uniform(-shift, shift, len(truth)),
        couplings=truth.couplings + off + off.T,
        name=truth.name,
        inchi=truth.inchi,
    )
