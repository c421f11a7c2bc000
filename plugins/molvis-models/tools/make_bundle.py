"""Train, calibrate and evaluate the shipped bundle.

    python plugins/molvis-models/tools/make_bundle.py massbank_open.parquet structures.parquet --work WORK

Trains the preset `default` on the fold `train` of the table, calibrates on `val`, and puts the bundle, in 16 bits, into
the package. `make_presence.py` then fits how probable it is that the truth is among the candidates, and `make_card.py`
writes the card from what an evaluation measured.
"""

from __future__ import annotations

import argparse
import shutil
import time
from dataclasses import replace
from pathlib import Path

from molvis_core.interfaces import Learns
from molvis_nn.loop import TrainingProgress
from molvis_retrieval import load_bundle
from molvis_retrieval.bundle import Bundle, save_bundle, write_calibration
from molvis_retrieval.calibration.weights import calibrate
from molvis_retrieval.config import find_config
from molvis_retrieval.dataset import Dataset
from molvis_retrieval.evaluation.ranking import MAIN_ADDUCTS
from molvis_retrieval.importing import import_files
from molvis_retrieval.index import Index, build_index
from molvis_retrieval.library import Library
from molvis_retrieval.training.loop import train

OUT = Path(__file__).parents[1] / "src" / "molvis_models" / "massbank"


def main() -> None:
    """Run the steps that are not done yet."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("spectra", type=Path)
    parser.add_argument("structures", type=Path)
    parser.add_argument("--work", type=Path, required=True)
    options = parser.parse_args()
    began = time.monotonic()
    data = options.work / "dataset"
    if not data.exists():
        import_files([options.spectra], data, modality="msms")
    dataset = Dataset.open(data)
    config = find_config("default", data=str(data), negatives=str(options.structures))
    shown: set[str] = set()

    def say(state: TrainingProgress) -> None:
        text = state.message or f"epoch {state.epoch}: {state.rate:.0f} compounds/s"
        if text.partition(":")[0] not in shown:
            shown.add(text.partition(":")[0])
            print(f"{time.monotonic() - began:.0f} s {text}, loss {state.loss:.3f}", flush=True)

    result = train(config, options.work / "run", progress=say, half=True)
    print(f"{time.monotonic() - began:.0f} s trained; best epoch {result.best_epoch}: {result.metrics}", flush=True)
    trained = load_bundle(options.work / "run" / "bundle")
    bundle = _ship(trained, dataset)
    library = Library.read(options.structures).merge(Library.from_dataset(dataset))
    index = build_index(bundle, _near(library, dataset, "val"), options.work / f"val-{bundle.encoders_digest[:12]}")
    bundle = _calibrated(bundle, dataset, index)
    print(f"{time.monotonic() - began:.0f} s calibrated: {bundle.calibration.weights}", flush=True)


def _ship(trained: Bundle, dataset: Dataset) -> Bundle:
    """The bundle in the package: nothing of this machine's paths in its configuration."""
    config = replace(
        trained.config,
        name="massbank",
        data=replace(trained.config.data, path="massbank_open"),
        negatives=replace(trained.config.negatives, path=""),
    )
    licences = sorted({v for v in dataset.table("msms")["licence"].to_pylist() if v})
    metadata = {
        **{k: trained.metadata[k] for k in ("data_digest", "best_epoch", "metrics", "citations")},
        "name": "massbank",
        "data": "MassBank 2025.05.1, openly licensed records, high resolution, fold train: 3,939 compounds",
        "licence": f"weights CC BY-SA 4.0; data: {', '.join(licences)}",
    }
    states = {key: trained.encoder(key).state_dict() for key in config.encoders}
    learned = {key: scorer for key, scorer in trained.scorers.items() if isinstance(scorer, Learns)}
    return save_bundle(OUT, config, states, scorers=learned, metadata=metadata, half=True)


def _near(library: Library, dataset: Dataset, fold: str) -> Library:
    """Of a library only what a fold's mass windows can hold: the rest is not needed to calibrate."""
    import numpy as np

    rows = dataset.rows("msms", fold=fold, adducts=MAIN_ADDUCTS)
    keep = np.zeros(len(library), dtype=bool)
    for mass in {round(m, 4) for m in dataset.table("msms")["exact_mass"].take(rows).to_pylist()}:
        keep[library.within_ppm(mass, 40.0)] = True
    return Library(library.table.filter(keep).combine_chunks())


def _calibrated(bundle: Bundle, dataset: Dataset, index: Index) -> Bundle:
    rows = dataset.rows("msms", fold="val", adducts=MAIN_ADDUCTS, min_peaks=2)
    measurements = [dataset.measurement("msms", int(r)) for r in rows]
    found = calibrate(bundle, measurements, index, fitted_on="fold val of massbank_open, candidates within 10 ppm")
    shutil.rmtree(index.path)
    return write_calibration(bundle, found)


if __name__ == "__main__":
    main()
