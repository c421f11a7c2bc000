"""Readers and writers of 1D NMR spectra and of spin systems."""
