"""What runs a straight-line program: Numba kernels on processors, PyTorch on devices."""
