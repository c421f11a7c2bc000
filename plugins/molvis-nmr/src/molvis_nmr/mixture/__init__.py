"""Compounds of a library in a mixture, and their amounts."""
