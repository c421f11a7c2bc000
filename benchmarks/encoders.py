"""Every encoder of infrared spectra and of structures under one small budget.

    python benchmarks/encoders.py --dataset DATASET [--epochs 6] [--out benchmarks/results]

DATASET holds infrared spectra. Each combination sees every training compound once an epoch, in batches of 128 distinct
compounds, and ranks the test fold's spectra among all compounds with an infrared spectrum. The time is the training's
CPU time, which other work on the machine changes little. A run that is done is not done again: the table grows as long
as it is let run.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from losses import figures

from molvis_retrieval import load_bundle
from molvis_retrieval.config import DataConfig, PairConfig, RunConfig, TrainConfig
from molvis_retrieval.dataset import Dataset
from molvis_retrieval.evaluation.ranking import evaluate
from molvis_retrieval.index import build_index
from molvis_retrieval.library import Library
from molvis_retrieval.training.loop import train

FINGERPRINT = {"use": "fingerprint", "fingerprints": ["morgan2", "morgan3", "rdkit5", "atompair", "morgan2-counts"]}
LOCAL = {"use": "ir-local"}
PAIRS = [
    (LOCAL, FINGERPRINT),
    ({"use": "ir-bands"}, {**FINGERPRINT, "dim": 1650}),
    ({"use": "ir-resnet", "width": 32}, FINGERPRINT),
    ({"use": "ir-xception", "width": 32}, FINGERPRINT),
    ({"use": "ir-vit", "width": 96, "depth": 4, "heads": 4}, FINGERPRINT),
    ({"use": "ir-timm", "model": "resnet10t"}, FINGERPRINT),
    ({"use": "ir-timm", "model": "convnext_atto"}, FINGERPRINT),
    (LOCAL, {"use": "attentivefp", "width": 128}),
    (LOCAL, {"use": "gldm"}),
]


def configurations(dataset: Path, epochs: int) -> Iterator[tuple[str, RunConfig]]:
    """Every run of the table, by name."""
    loss = {"use": "infonce", "temperature": 0.07, "learned": True}
    settings = TrainConfig(epochs=epochs, batch=128, select="loss", warmup=0.08, validate_every=epochs)
    for query, reference in PAIRS:
        encoders: dict[str, dict[str, Any]] = {"ir": query, "structure": reference}
        pair = PairConfig("ir", "structure", loss)
        name = query["use"] + (f" {query['model']}" if "model" in query else "")
        yield f"{name} | {reference['use']}", RunConfig(DataConfig(str(dataset)), encoders, (pair,), train=settings)


def run(config: RunConfig, dataset: Dataset, library: Library) -> dict[str, Any]:
    """Train one combination and measure it."""
    with tempfile.TemporaryDirectory() as folder:
        began = time.process_time()
        train(config, Path(folder) / "run")
        seconds = time.process_time() - began
        bundle = load_bundle(Path(folder) / "run" / "bundle")
        index = build_index(bundle, library, Path(folder) / "index")
        found = evaluate(bundle, dataset, index, modality="ir", scopes=("mass", "all"))
    return {"seconds": round(seconds), **figures(found)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dataset", type=Path, required=True)
    parser.add_argument("--epochs", type=int, default=6)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results")
    options = parser.parse_args()
    dataset = Dataset.open(options.dataset)
    table = dataset.table("ir")
    keys = dict.fromkeys(table["inchikey14"].to_pylist())
    rows = {k: i for i, k in enumerate(table["inchikey14"].to_pylist())}
    library = Library.from_structures([dataset.structure("ir", rows[k]) for k in keys])
    options.out.mkdir(parents=True, exist_ok=True)
    file = options.out / "encoders.json"
    done: dict[str, Any] = json.loads(file.read_text()) if file.exists() else {}
    for label, config in configurations(options.dataset, options.epochs):
        if label not in done:
            done[label] = run(config, dataset, library)
            file.write_text(json.dumps(done, indent=1) + "\n", encoding="utf-8")
        row = done[label]
        hits = [f"{100 * row[k][0]:.1f}" for k in ("all_hit1", "all_hit5", "all_hit20", "mass_hit1")]
        print(
            f"{label}: {' / '.join(hits[:3])} among {row['library']}, first within 10 ppm {hits[3]}, "
            f"{row['seconds']} s",
            flush=True,
        )


if __name__ == "__main__":
    main()
