"""Encoders of structures, one architecture a module."""
