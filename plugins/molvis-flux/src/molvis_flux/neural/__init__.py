"""Fluxes by an estimator trained on simulations."""
