"""Start values of spin systems from structures."""
