"""Train and calibrate the shipped bundle, by the commands that a user has, and put it into the package.

    python plugins/molvis-models/tools/make_bundle.py massbank_open.parquet ccs_literature.parquet structures.parquet \
        --work WORK

`molvis train` learns the preset `default` from the spectra's fold `train`; `molvis calibrate` fits on `val`, with the
cross sections of its compounds, the weights of the evidence, how probable it is that the truth is among the candidates,
and that each measurement is of the unknown. What is done already in WORK is not done again. `make_card.py` then writes
the card from what an evaluation measured.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

from molvis_core.interfaces import Learns
from molvis_retrieval import load_bundle
from molvis_retrieval.bundle import Bundle, Calibration, save_bundle
from molvis_retrieval.dataset import Dataset

OUT = Path(__file__).parents[1] / "src" / "molvis_models" / "massbank"
FITTED_ON = "fold val of massbank_open and ccs_literature, candidates within 10 ppm"


def main() -> None:
    """Run the steps that are not done yet."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("spectra", type=Path)
    parser.add_argument("cross_sections", type=Path)
    parser.add_argument("structures", type=Path)
    parser.add_argument("--work", type=Path, required=True)
    options = parser.parse_args()
    work: Path = options.work
    trained, calibrated = work / "run" / "bundle", work / "calibrated"
    _made(work / "spectra", "data", "import", options.spectra, "--modality", "msms", "--out", work / "spectra")
    _made(work / "data", "data", "import", options.spectra, options.cross_sections, "--out", work / "data")
    _made(
        trained, "train", "default", "--half", "--data", work / "spectra", "--negatives", options.structures,
        "--out", work / "run",
    )  # fmt: skip
    _made(
        work / "index", "library", "build", trained, options.structures, "--dataset", work / "spectra",
        "--out", work / "index",
    )  # fmt: skip
    _made(calibrated, "calibrate", trained, work / "data", "--library", work / "index", "--out", calibrated)
    ship(load_bundle(calibrated), Dataset.open(work / "spectra"))


def _made(path: Path, *command: object) -> None:
    """Run a command of `molvis`, unless what it makes is there."""
    if not path.exists():
        subprocess.run([sys.executable, "-m", "molvis_cli", *map(str, command)], check=True)


def ship(bundle: Bundle, dataset: Dataset) -> Bundle:
    """The bundle in the package: nothing of this machine's paths in its configuration."""
    config = replace(
        bundle.config,
        name="massbank",
        data=replace(bundle.config.data, path="massbank_open"),
        negatives=replace(bundle.config.negatives, path=""),
    )
    licences = sorted({v for v in dataset.table("msms")["licence"].to_pylist() if v})
    metadata = {
        **{k: bundle.metadata[k] for k in ("data_digest", "best_epoch", "metrics", "citations")},
        "name": "massbank",
        "data": "MassBank 2025.05.1, openly licensed records, high resolution, fold train: 3,939 compounds",
        "licence": f"weights CC BY-SA 4.0; data: {', '.join(licences)}",
    }
    states = {key: bundle.encoder(key).state_dict() for key in config.encoders}
    learned = {key: scorer for key, scorer in bundle.scorers.items() if isinstance(scorer, Learns)}
    return save_bundle(
        OUT, config, states, calibration=_named(bundle.calibration), scorers=learned, metadata=metadata, half=True
    )


def _named(calibration: Calibration) -> Calibration:
    """The calibration, which says what it was fitted on by the names of the tables, not of a folder."""
    absent = f"{FITTED_ON}, half of the truths taken out"
    exchanged = f"{FITTED_ON}, a piece exchanged in half of them"
    return replace(
        calibration,
        fitted_on=FITTED_ON,
        presence=replace(calibration.presence, fitted_on=absent),
        pieces=replace(calibration.pieces, fitted_on=exchanged),
    )


if __name__ == "__main__":
    main()
