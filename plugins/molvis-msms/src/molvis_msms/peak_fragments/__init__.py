"""A network over the peaks of a spectrum and the parts of candidates that fit them."""
