"""Results as figures, pages and folders of files."""
