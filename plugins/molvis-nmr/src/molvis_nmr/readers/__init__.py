"""1D NMR spectra from files and folders: those of spectrometers, JCAMP-DX, nmrML, NMRPipe, text and tables."""

from __future__ import annotations

from molvis_nmr.readers.opening import read_fid, read_spectra, read_spectrum

__all__ = ["read_fid", "read_spectra", "read_spectrum"]
