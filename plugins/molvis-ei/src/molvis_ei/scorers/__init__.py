"""Evidence for candidates from electron ionization spectra, one scorer a module."""
