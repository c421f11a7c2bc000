"""Fit how probable it is that a measurement is of the unknown, and store it in the shipped bundle.

    python plugins/molvis-models/tools/make_pieces.py DATASET INDEX

DATASET holds MS/MS spectra and cross sections (massbank_open and ccs_literature, as `molvis data import` makes it),
INDEX the structures that the mass windows of its fold `val` hold, or more. The weights of the evidence, and the
probability that the truth is among the candidates, stay as they are.
"""

from __future__ import annotations

import sys
from dataclasses import replace

from make_presence import BUNDLE, measurements

from molvis_retrieval import load_bundle
from molvis_retrieval.bundle import write_calibration
from molvis_retrieval.calibration.pieces import calibrate_pieces
from molvis_retrieval.dataset import Dataset
from molvis_retrieval.index import Index

FITTED_ON = "fold val of massbank_open and ccs_literature, candidates within 10 ppm, a piece exchanged in half of them"


def main(data: str, library: str) -> None:
    """Fit and store."""
    bundle, dataset = load_bundle(BUNDLE), Dataset.open(data)
    index = Index.open(library)

    def show(done: int, total: int) -> None:
        if done % 20 == 0 or done == total:
            print(f"{done} of {total} compounds", flush=True)

    own = measurements(dataset, "val")
    found = calibrate_pieces(bundle, own, index, per_compound=3, progress=show, fitted_on=FITTED_ON)
    write_calibration(bundle, replace(bundle.calibration, pieces=found))


if __name__ == "__main__":
    main(*sys.argv[1:])
