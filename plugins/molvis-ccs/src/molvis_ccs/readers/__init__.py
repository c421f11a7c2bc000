"""Readers of collision cross sections."""
