"""MS2DeepScore for benchmarks/msms_peers.py: trained and searched in an environment of its own.

pip install ms2deepscore rdkit onnxruntime

    python msms_peers_ms2deepscore.py FOLDER --fold FOLD --control CONTROL --seconds SECONDS

Trains by the package's own loop on FOLDER/train.npz, unless FOLDER/ms2deepscore has a model, until the CPU seconds are
spent; kept is the epoch with the lowest loss on FOLDER/check.npz, as the package measures it. Then it embeds
FOLDER/FOLD/CONTROL.npz and FOLDER/references.npz, and writes the best reference compounds beside the former.

F. Huber et al., MS2DeepScore, Journal of Cheminformatics 13 (2021) 84, doi:10.1186/s13321-021-00558-4.
"""

from __future__ import annotations

import argparse
import json
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import ms2deepscore
import numpy as np
import torch
from matchms import Spectrum
from ms2deepscore import MS2DeepScore, SettingsMS2Deepscore
from ms2deepscore.models import SiameseSpectralModel, load_model
from ms2deepscore.models.SiameseSpectralModel import train
from ms2deepscore.train_new_model import (
    TrainingBatchGenerator,
    create_spectrum_pair_generator,
)
from ms2deepscore.validation_loss_calculation.ValidationLossCalculator import (
    ValidationLossCalculator,
)
from msms_peers_exchange import Spectra, save, searched

CHANGED: dict[str, Any] = {
    "ionisation_mode": "both",
    "base_dims": (2000,),
    "learning_rate": 0.0005,
    "num_turns": 4,
    "random_seed": 0,
    "additional_metadata": [
        ("StandardScaler", {"metadata_field": "precursor_mz", "mean": 0.0, "standard_deviation": 1000.0}),
        (
            "CategoricalToBinary",
            {"metadata_field": "ionmode", "entries_becoming_one": "positive", "entries_becoming_zero": "negative"},
        ),
    ],
}
"""What differs from the package's settings. Its layer of 10,000 units would see two epochs in the time given."""
EPOCHS = 10_000
PATIENCE = 30


class SpentError(Exception):
    """The CPU seconds are spent."""


class Budget(ValidationLossCalculator):
    """The package's loss of validation, and the end of the training when the time is over."""

    def __init__(self, spectra: list[Spectrum], settings: SettingsMS2Deepscore, until: float) -> None:
        super().__init__(spectra, settings)
        self.until, self.over = until, False

    def compute_binned_validation_loss(self, *arguments: Any, **options: Any) -> Any:
        """Raise where the last epoch went over the time; it was kept if it was the best."""
        if self.over:
            raise SpentError
        found = super().compute_binned_validation_loss(*arguments, **options)
        self.over = time.process_time() > self.until
        return found


def converted(some: Spectra) -> list[Spectrum]:
    """Spectra of matchms."""
    out = []
    for number in range(len(some)):
        mz, intensity = some.peaks(number)
        compound = int(some.compound[number])
        known = {
            "precursor_mz": float(some.precursor_mz[number]),
            "ionmode": "positive" if some.polarity[number] > 0 else "negative",
            "inchikey": str(some.inchikey[compound]),
            "smiles": str(some.smiles[compound]),
        }
        out.append(Spectrum(mz, intensity, {name: value for name, value in known.items() if value != ""}))
    return out


def trained(folder: Path, seconds: float) -> Path:
    """The file of a trained model."""
    made = folder / "ms2deepscore"
    model = made / "ms2deepscore_model.pt"
    if (made / "budget.json").is_file():
        return model
    shutil.rmtree(made, ignore_errors=True)
    made.mkdir(parents=True)
    began = time.process_time()
    settings = SettingsMS2Deepscore(**CHANGED)
    torch.manual_seed(0)
    pairs = create_spectrum_pair_generator(converted(Spectra.load(folder / "train.npz")), settings=settings)
    prepared = time.process_time() - began
    checks = Budget(converted(Spectra.load(folder / "check.npz")), settings, began + seconds)
    network = SiameseSpectralModel(settings=settings)
    try:
        train(
            network,
            TrainingBatchGenerator(spectrum_pair_generator=pairs, settings=settings),
            num_epochs=EPOCHS,
            learning_rate=settings.learning_rate,
            validation_loss_calculator=checks,
            patience=PATIENCE,
            loss_function=settings.loss_function,
            checkpoint_filename=str(model),
            progress_bar=False,
            log_dir=str(made),
        )
    except SpentError:
        print("the CPU seconds are spent", flush=True)
    budget = {
        "cpu_seconds": round(time.process_time() - began),
        "of_which_pairs": round(prepared),
        "parameters": sum(p.numel() for p in network.parameters()),
        "version": ms2deepscore.__version__,
        "changed": CHANGED,
    }
    (made / "budget.json").write_text(json.dumps(budget, indent=1) + "\n")
    return model


def kept(file: Path, make: Callable[[], np.ndarray]) -> np.ndarray:
    """An array from its file, made where there is none."""
    if not file.is_file():
        save(file, vectors=make())
    with np.load(file, allow_pickle=False) as content:
        return content["vectors"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--fold", required=True)
    parser.add_argument("--control", required=True)
    parser.add_argument("--seconds", type=float, required=True)
    options = parser.parse_args()
    torch.set_num_threads(1)
    folder = options.folder
    similarity = MS2DeepScore(load_model(trained(folder, options.seconds)), progress_bar=False)

    def vectors(some: Spectra) -> np.ndarray:
        made = similarity.get_embedding_array(converted(some))
        return made / np.maximum(np.linalg.norm(made, axis=1, keepdims=True), 1e-12)

    references = Spectra.load(folder / "references.npz")
    queries = Spectra.load(folder / options.fold / f"{options.control}.npz")
    known, asked = kept(folder / "ms2deepscore" / "references.npz", lambda: vectors(references)), vectors(queries)
    hits = searched(
        references,
        queries,
        lambda chosen, compared: asked[chosen] @ known[compared].T,
        lambda done, total: print(f"PROGRESS {done} {total}", flush=True),
    )
    hits.save(folder / options.fold / f"ms2deepscore-{options.control}.npz")


if __name__ == "__main__":
    main()
