"""Commands of molvis-flux."""
