"""Weights of encoders learned from structures alone."""
