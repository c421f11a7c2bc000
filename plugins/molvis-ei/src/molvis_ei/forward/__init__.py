"""A network from a structure to its electron ionization spectrum."""
