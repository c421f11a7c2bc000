"""Scorers of candidates by their tandem mass spectra."""
