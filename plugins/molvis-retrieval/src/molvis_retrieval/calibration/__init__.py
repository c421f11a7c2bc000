"""Weights of the evidence, and how probable it is that the truth is among the candidates, fitted to known compounds."""
