"""Embed spectra and find the nearest of other spectra: which unknowns are likely alike?

python examples/nearest_neighbours.py BUNDLE spectra.mgf
"""

from __future__ import annotations

import argparse
from itertools import islice
from pathlib import Path

import numpy as np

import molvis_core
import molvis_retrieval
from molvis_core.records import Measurement


def main() -> None:
    parser = argparse.ArgumentParser(description="Find the nearest spectrum of each spectrum.")
    parser.add_argument("bundle")
    parser.add_argument("spectra", type=Path)
    parser.add_argument("--first", type=int, default=20, help="how many spectra to look at")
    options = parser.parse_args()

    bundle = molvis_retrieval.load_bundle(options.bundle)
    read = molvis_core.load("reader", "mgf")
    spectra = [item for item in islice(read(options.spectra), options.first) if isinstance(item, Measurement)]
    vectors = bundle.embed("msms", [item.record for item in spectra])

    cosine = vectors @ vectors.T
    np.fill_diagonal(cosine, -1)
    for item, nearest, value in zip(spectra, cosine.argmax(axis=1), cosine.max(axis=1), strict=True):
        print(f"{item.name}: {spectra[nearest].name} ({value:.2f})")


if __name__ == "__main__":
    main()
