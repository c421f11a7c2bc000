"""What encoders, losses and training runs of every plugin share, on PyTorch."""
