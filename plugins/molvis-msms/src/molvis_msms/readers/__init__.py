"""Readers of tandem mass spectra, one format a module."""
