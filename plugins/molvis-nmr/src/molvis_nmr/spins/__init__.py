"""Spin systems, their transitions, and spectra simulated from them."""
