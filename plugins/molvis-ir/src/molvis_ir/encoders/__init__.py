"""Encoders of infrared spectra, one architecture a module."""
