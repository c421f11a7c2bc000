"""From a structure to the shifts of its atoms."""
