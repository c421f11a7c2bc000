"""Commands of `molvis nmr`."""
