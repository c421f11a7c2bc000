"""Fit how probable it is that the truth is among the candidates, and store it in the shipped bundle.

    python plugins/molvis-models/tools/make_presence.py DATASET INDEX

DATASET holds MS/MS spectra and cross sections (massbank_open and ccs_literature, as `molvis data import` makes it),
INDEX the structures that the mass windows of its fold `val` hold, or more. The weights of the evidence stay as they
are.
"""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

from molvis_core.records import Measurement
from molvis_retrieval import load_bundle
from molvis_retrieval.bundle import write_calibration
from molvis_retrieval.calibration.presence import calibrate_presence
from molvis_retrieval.dataset import Dataset
from molvis_retrieval.evaluation.ranking import MAIN_ADDUCTS
from molvis_retrieval.index import Index

BUNDLE = Path(__file__).parents[1] / "src" / "molvis_models" / "massbank"
FITTED_ON = "fold val of massbank_open and ccs_literature, candidates within 10 ppm, half of the truths taken out"


def measurements(dataset: Dataset, fold: str) -> list[Measurement]:
    """MS/MS spectra of a fold, and cross sections of the compounds that have some."""
    rows = {m: dataset.rows(m, fold=fold, adducts=MAIN_ADDUCTS, min_peaks=2) for m in ("msms", "ccs")}
    spectra = [dataset.measurement("msms", int(row)) for row in rows["msms"]]
    known = {s.structure.inchikey14 for s in spectra if s.structure}
    values = [dataset.measurement("ccs", int(row)) for row in rows["ccs"]]
    return spectra + [v for v in values if v.structure and v.structure.inchikey14 in known]


def main(data: str, library: str) -> None:
    """Fit and store."""
    bundle, dataset = load_bundle(BUNDLE), Dataset.open(data)
    index = Index.open(library)

    def show(done: int, total: int) -> None:
        if done % 50 == 0 or done == total:
            print(f"{done} of {total} compounds", flush=True)

    found = calibrate_presence(bundle, measurements(dataset, "val"), index, progress=show, fitted_on=FITTED_ON)
    write_calibration(bundle, replace(bundle.calibration, presence=found))


if __name__ == "__main__":
    main(*sys.argv[1:])
