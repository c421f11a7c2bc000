"""The predictor of cross sections."""
