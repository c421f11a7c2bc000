"""Commands that molvis-msms brings."""
