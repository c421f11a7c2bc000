"""Metabolic fluxes from isotope labelling, for molvis."""
