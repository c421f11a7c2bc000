"""Spectra predicted from structures: the parts of a molecule, each with a probability under the settings."""
