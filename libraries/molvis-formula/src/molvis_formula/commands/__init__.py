"""Commands of molvis-formula."""
