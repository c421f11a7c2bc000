"""Readers of infrared spectra, one format a module."""
