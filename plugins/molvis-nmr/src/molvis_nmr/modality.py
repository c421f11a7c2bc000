"""The modalities of 1D NMR: spectra, and the spin systems that they are simulated from."""

from __future__ import annotations

from molvis_core import Modality
from molvis_core.records import Trace
from molvis_nmr.spins.system import SpinSystem

NMR = Modality(
    name="nmr",
    record=Trace,
    axis="chemical shift",
    axis_unit="ppm",
    signal="intensity",
    descending=True,
    summary="1D NMR spectra on a chemical shift axis, with the spectrometer's frequency in MHz.",
)
SPIN_SYSTEM = Modality(
    name="spin-system",
    record=SpinSystem,
    summary="Groups of spins 1/2 with their shifts and couplings: what NMR spectra are simulated from.",
    measured=False,
)
