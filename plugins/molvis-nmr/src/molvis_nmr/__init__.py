"""Spin systems from 1D NMR spectra, for molvis."""
