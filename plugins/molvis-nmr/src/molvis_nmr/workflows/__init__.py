"""From files to results: what the commands call."""
