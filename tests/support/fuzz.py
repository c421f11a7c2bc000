"""Every reader on damaged files: `make fuzz`, or `python -m fuzz NAME --seconds 600` with this folder in PYTHONPATH.

Readers are found through the registry, those of other people's plugins too. What else reads a stranger's files is named
here.
"""

from __future__ import annotations

import os
import sys

from molvis_core.testing.fuzzing import Target, main, reader_targets

OTHERS = [
    Target("flux-isotopologues", "molvis_flux.formats.isotopologues:read_isotopologues", (".csv", ".tsv", ".xlsx")),
    Target("flux-measured", "molvis_flux.formats:read_measured", (".csv", ".tsv", ".xlsx")),
    Target("library-arrow", "molvis_retrieval.library:Library.open", (".arrow",)),
    Target("safetensors", "molvis_nn.sizes:read_shapes", (".safetensors",)),
    Target("config", "molvis_retrieval.config:read_config", (".toml",)),
]


def targets() -> list[Target]:
    """All of them."""
    return [*reader_targets(), *OTHERS]


if __name__ == "__main__":
    os.nice(5)
    sys.exit(main(targets()))
