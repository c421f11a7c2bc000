"""Routes: operations of `molvis serve`, each parsed to one call of the library."""
