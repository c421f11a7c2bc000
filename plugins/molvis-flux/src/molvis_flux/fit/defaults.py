"""What a fit is made with by default: by `fit`, by the commands and by the fitter alike."""

STARTS = 20
"""Points to start from."""
LIMIT = 100
"""Steps of each start, at most."""
SAMPLES = 1000
"""Draws from the posterior."""
LEVEL = 0.9
"""Probability of intervals."""
