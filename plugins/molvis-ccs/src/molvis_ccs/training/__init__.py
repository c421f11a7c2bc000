"""Training of the predictor of cross sections."""
