"""Readers of structure libraries, one format a module."""
