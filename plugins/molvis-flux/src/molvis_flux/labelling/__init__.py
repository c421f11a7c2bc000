"""From fluxes to mass isotopomers."""
