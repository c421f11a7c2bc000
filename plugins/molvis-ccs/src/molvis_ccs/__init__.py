"""Collision cross sections for molvis."""
