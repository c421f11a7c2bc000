"""Draws from polytopes and posteriors."""
