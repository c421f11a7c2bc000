"""Tandem mass spectra for molvis."""
