"""The fluxes that a network allows."""
