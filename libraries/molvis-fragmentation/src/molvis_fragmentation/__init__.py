"""Substructures that molecules break into, and the peaks that they explain."""
