"""Spin systems fitted to spectra."""
