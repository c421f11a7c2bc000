"""Spectra of an ion at other settings of the instrument: from measured peaks to what they become."""
