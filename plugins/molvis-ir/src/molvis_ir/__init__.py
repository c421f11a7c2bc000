"""Infrared spectra for molvis."""
