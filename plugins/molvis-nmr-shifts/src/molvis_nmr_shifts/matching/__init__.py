"""How well a list of shifts fits the one predicted for a structure."""
