"""Fingerprints of structures, predicted from spectra and compared with those of candidates."""
