"""Reference spectra of known compounds: an index on disk, search by similarity, and evidence from them."""
