"""Losses and encoders under one small budget: what makes retrieval work, and what does not.

    python benchmarks/losses.py --dataset DATASET --structures STRUCTURES [--epochs 4] [--out benchmarks/results]

Each combination sees every training compound once an epoch, in batches of 128 distinct compounds, and ranks the test
fold's spectra among candidates within 10 ppm and, without a window, among all candidates of all test spectra. No scorer
takes part: this is about the embedding alone. A run that is done is not done again: the table grows as long as it is
let run.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from molvis_retrieval import load_bundle
from molvis_retrieval.config import DataConfig, PairConfig, RunConfig, TrainConfig, find_config
from molvis_retrieval.dataset import Dataset
from molvis_retrieval.evaluation.ranking import MAIN_ADDUCTS, Evaluation, evaluate
from molvis_retrieval.index import build_index
from molvis_retrieval.library import Library
from molvis_retrieval.training.loop import train

BAG = {"use": "peak-sum", "dim": 256, "width": 256, "blocks": 2}
# Six layers of each, as in the design, but 64 wide: 256 wide, one run would take half an hour on two cores.
CLERMS = {"use": "clerms", "dim": 256, "width": 64, "heads": 4}
FINGERPRINT = {"use": "fingerprint", "dim": 256, "width": 256, "blocks": 0, "dropout": 0.5, "bit_dropout": 0.5}
GRAPH = {"use": "attentivefp", "dim": 256, "width": 128}
SAME, TANIMOTO = {"use": "same-compound"}, {"use": "tanimoto", "fingerprint": "rdkit"}
INFONCE = {"use": "infonce", "temperature": 0.07}


def combinations() -> Iterator[tuple[str, dict[str, Any], dict[str, Any], dict[str, Any], dict[str, Any]]]:
    """Name, spectrum encoder, structure encoder, loss, target."""
    yield "infonce", BAG, FINGERPRINT, INFONCE, SAME
    yield "infonce, learned temperature", BAG, FINGERPRINT, {**INFONCE, "learned": True}, SAME
    yield "siglip", BAG, FINGERPRINT, {"use": "siglip"}, SAME
    yield "soft-target", BAG, FINGERPRINT, {"use": "soft-target"}, TANIMOTO
    yield "clerms", BAG, FINGERPRINT, {"use": "clerms"}, TANIMOTO
    yield "tanimoto-infonce, corrected", BAG, FINGERPRINT, {"use": "tanimoto-infonce"}, TANIMOTO
    yield "tanimoto-infonce, as printed", BAG, FINGERPRINT, {"use": "tanimoto-infonce", "form": "printed"}, TANIMOTO
    yield "bce, label 0/1", BAG, FINGERPRINT, {"use": "bce"}, SAME
    yield "bce, label Tanimoto", BAG, FINGERPRINT, {"use": "bce", "label": "tanimoto"}, TANIMOTO
    yield "contrastive", BAG, FINGERPRINT, {"use": "contrastive"}, SAME
    yield "infonce", BAG, GRAPH, INFONCE, SAME
    yield "infonce", CLERMS, FINGERPRINT, INFONCE, SAME
    yield "infonce", CLERMS, GRAPH, INFONCE, SAME


def configurations(dataset: Path, epochs: int) -> Iterator[tuple[str, RunConfig]]:
    """Every run of the table, by name."""
    settings = TrainConfig(epochs=epochs, batch=128, select="loss", warmup=0.08)
    for name, query, reference, loss, target in combinations():
        encoders = {"msms": query, "structure": reference}
        pair = PairConfig("msms", "structure", loss, target)
        label = f"{query['use']} | {reference['use']} | {name}"
        yield label, RunConfig(DataConfig(str(dataset)), encoders, (pair,), train=settings)
    preset = find_config("pnnl-2024", data=str(dataset), epochs=epochs)
    encoders = {"msms": {**CLERMS, "dim": 512}, "structure": preset.encoders["structure"]}
    yield "clerms | attentivefp | pnnl-2024", replace(preset, encoders=encoders)


def candidates(dataset: Dataset, structures: Path) -> Library:
    """Of the library what the test fold's mass windows hold."""
    library = Library.read(structures).merge(Library.from_dataset(dataset))
    rows = dataset.rows("msms", fold="test", adducts=MAIN_ADDUCTS, min_peaks=2)
    keep = np.zeros(len(library), dtype=bool)
    for mass in {round(m, 4) for m in dataset.table("msms")["exact_mass"].take(rows).to_pylist()}:
        keep[library.within_ppm(mass, 20.0)] = True
    return Library(library.table.filter(keep).combine_chunks())


def run(config: RunConfig, dataset: Dataset, library: Library, features: dict[str, Any]) -> dict[str, Any]:
    """Train one combination and measure it."""
    with tempfile.TemporaryDirectory() as folder:
        began = time.monotonic()
        train(config, Path(folder) / "run")
        seconds = time.monotonic() - began
        bundle = load_bundle(Path(folder) / "run" / "bundle")
        encoder = bundle.encoder("structure")
        # Features do not depend on weights: the next run with the same encoder need not make them again.
        if hasattr(encoder, "featurise"):
            encoder._kept = features.setdefault(config.encoders["structure"]["use"], {})
        index = build_index(bundle, library, Path(folder) / "index")
        found = evaluate(bundle, dataset, index, scopes=("mass", "all"))
    return {"seconds": round(seconds), **figures(found)}


def figures(found: Evaluation) -> dict[str, Any]:
    """What the table shows."""
    out: dict[str, Any] = {"accuracy": found.pairwise["accuracy"], "library": found.library + found.added}
    for figure in found.figures:
        if figure.by == "compound" and not figure.group:
            for name, e in figure.estimates.items():
                out[f"{figure.candidates}_{name}"] = [e.value, e.low, e.high]
            out[f"{figure.candidates}_chance"] = figure.chance
    return out


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dataset", type=Path, required=True)
    parser.add_argument("--structures", type=Path, required=True)
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results")
    options = parser.parse_args()
    dataset = Dataset.open(options.dataset)
    library = candidates(dataset, options.structures)
    features: dict[str, Any] = {}
    options.out.mkdir(parents=True, exist_ok=True)
    file = options.out / "losses.json"
    done: dict[str, Any] = json.loads(file.read_text()) if file.exists() else {}
    for label, config in configurations(options.dataset, options.epochs):
        if label not in done:
            done[label] = run(config, dataset, library, features)
            file.write_text(json.dumps(done, indent=1) + "\n", encoding="utf-8")
        row = done[label]
        hits = [f"{100 * row[k][0]:.1f}" for k in ("mass_hit1", "mass_hit5", "mass_hit20", "all_hit5")]
        print(f"{label}: {' / '.join(hits[:3])} within 10 ppm, top-5 of all {hits[3]}, {row['seconds']} s", flush=True)


if __name__ == "__main__":
    main()
