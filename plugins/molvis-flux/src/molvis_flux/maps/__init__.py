"""Maps of networks: what is drawn of them, where it stands, and how it looks with the fluxes of a fit."""
