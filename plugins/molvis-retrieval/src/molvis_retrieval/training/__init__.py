"""Training bundles and pretraining encoders."""
