"""All steps of a run in Python: made-up spectra, dataset, training, index, identification. Takes half a minute.

    python examples/getting_started.py

What it leaves in the working folder (spectra.mgf, structures.smi, dataset/, runs/quick/, index/) is what pages of the
documentation go on from.
"""

from __future__ import annotations

import runpy
import sys
from pathlib import Path

import molvis_retrieval
from molvis_retrieval.dataset import Dataset
from molvis_retrieval.importing import import_files
from molvis_retrieval.index import build_index
from molvis_retrieval.library import Library
from molvis_retrieval.splitting import split

HERE = Path(__file__).resolve().parent


def main() -> None:
    sys.argv = ["simulate_spectra.py", "spectra.mgf", "--structures", "structures.smi"]
    runpy.run_path(str(HERE / "simulate_spectra.py"), run_name="__main__")

    report = import_files(["spectra.mgf"], "dataset")
    print(f"imported {report.imported}, skipped {report.skipped}")
    dataset = split(Dataset.open("dataset"), by="compound", fractions=(0.7, 0.15, 0.15), seed=0)

    result = molvis_retrieval.train(molvis_retrieval.read_config(HERE / "quick.toml"), "runs/quick")
    print(f"best epoch {result.best_epoch}: {result.metrics}")

    bundle = molvis_retrieval.load_bundle("runs/quick/bundle")
    index = build_index(bundle, Library.read("structures.smi"), "index")

    queries = [dataset.measurement("msms", int(row)) for row in dataset.rows("msms", fold="test")]
    ranks = [found.truth_rank for found in molvis_retrieval.identify(bundle, queries, index, candidates="all")]
    among = sum(rank is not None and rank <= 5 for rank in ranks)
    print(f"the truth was among the first 5 of {len(index.library)} structures for {among} of {len(queries)} spectra")


if __name__ == "__main__":
    main()
