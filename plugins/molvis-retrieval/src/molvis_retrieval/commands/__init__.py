"""The commands of the retrieval engine."""
