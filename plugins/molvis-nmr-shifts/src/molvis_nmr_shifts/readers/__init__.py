"""Files with shifts to lists of shifts."""
