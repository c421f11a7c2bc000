"""Structures for molvis: fingerprints, graphs, encoders, the Tanimoto target, library readers."""
