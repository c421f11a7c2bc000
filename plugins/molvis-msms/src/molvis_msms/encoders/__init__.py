"""Encoders of tandem mass spectra."""
