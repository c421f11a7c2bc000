"""Fluxes by least squares, their intervals and their identifiability."""
