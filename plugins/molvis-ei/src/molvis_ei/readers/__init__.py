"""Readers of electron ionization spectra, one format a module."""
