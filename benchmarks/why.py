"""Why the reference design's joint model failed: its settings, changed one at a time.

    python benchmarks/why.py --dataset DATASET [--epochs 4] [--out benchmarks/results]

DATASET holds infrared and MS/MS spectra. The first rows train structure:IR alone and change the loss and the learning
rate; the others train both modalities and switch what the report offers as explanations: the weight of positives,
competition among modalities, the missing vector of all measurements. Candidates are all compounds of the dataset with
an infrared spectrum, or for the compounds with both kinds of spectra all compounds of the dataset within 10 ppm. A run
that is done is not done again.
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

from molvis_retrieval import load_bundle
from molvis_retrieval.config import DataConfig, JointConfig, PairConfig, RunConfig, TrainConfig
from molvis_retrieval.dataset import Dataset
from molvis_retrieval.evaluation.ranking import evaluate
from molvis_retrieval.evaluation.subsets import evaluate_combined
from molvis_retrieval.index import Index, build_index
from molvis_retrieval.library import Library
from molvis_retrieval.training.loop import train

DIM = 256
FINGERPRINTS = ["morgan2", "morgan3", "rdkit5", "atompair", "morgan2-counts"]
ENCODERS: dict[str, dict[str, Any]] = {
    "ir": {"use": "ir-local", "dim": DIM},
    "structure": {"use": "fingerprint", "dim": DIM, "fingerprints": FINGERPRINTS},
}
MSMS = {"use": "peak-sum", "dim": DIM, "width": 256, "blocks": 2}
TANIMOTO = {"use": "tanimoto", "fingerprint": "rdkit"}
INFONCE = {"use": "infonce", "temperature": 0.07, "learned": True}
REPORT = TrainConfig(
    batch=64, optimizer="adam", learning_rate=5e-6, weight_decay=0.0, schedule="exponential", warmup=0.0, select="loss"
)
OURS = TrainConfig(batch=64, warmup=0.08, select="loss")
PRINTED = {"use": "tanimoto-infonce", "form": "printed"}


def configurations(dataset: Path, epochs: int) -> Iterator[tuple[str, RunConfig]]:
    """Every row of the table, by name."""
    data = DataConfig(str(dataset))

    def alone(loss: dict[str, Any], target: dict[str, Any], settings: TrainConfig) -> RunConfig:
        settings = replace(settings, epochs=epochs, validate_every=epochs)
        return RunConfig(data, ENCODERS, (PairConfig("ir", "structure", loss, target),), train=settings)

    same = {"use": "same-compound"}
    yield "equation 3 as printed, learning rate 5e-6", alone(PRINTED, TANIMOTO, REPORT)
    yield "the same, learning rate 1e-3", alone(PRINTED, TANIMOTO, OURS)
    yield "equation 3 corrected, 1e-3", alone({"use": "tanimoto-infonce"}, TANIMOTO, OURS)
    yield "bce, 1e-3", alone({"use": "bce"}, same, OURS)
    yield "bce, positives weigh 10", alone({"use": "bce", "positive_weight": 10.0}, same, OURS)
    yield "infonce, 1e-3", alone(INFONCE, same, OURS)
    yield "infonce, positives weigh 10", alone({**INFONCE, "positive_weight": 10.0}, same, OURS)
    both = {**ENCODERS, "msms": MSMS}
    fused = {**both, "fused": {"use": "set-attention", "of": ["ir", "msms"], "dim": DIM}}
    joint = JointConfig(pairings="all", loss=INFONCE, target=same)
    settings = replace(OURS, epochs=epochs, validate_every=epochs)
    yield "infonce, IR and MS/MS", RunConfig(data, both, joint=joint, train=settings)
    yield "the same, gradients balanced", RunConfig(data, both, joint=joint, train=replace(settings, balance="norm"))
    yield "the same, with a fused vector", RunConfig(data, fused, joint=joint, train=settings)


def run(config: RunConfig, dataset: Dataset, gas: Library, everything: Library) -> dict[str, Any]:
    """Train one row and measure it."""
    with tempfile.TemporaryDirectory() as folder:
        began = time.monotonic()
        train(config, Path(folder) / "run")
        seconds = round(time.monotonic() - began)
        bundle = load_bundle(Path(folder) / "run" / "bundle")
        index: Index = build_index(bundle, gas, Path(folder) / "gas")
        found = evaluate(bundle, dataset, index, modality="ir", scopes=("all",))
        figure = next(f for f in found.figures if f.by == "compound")
        out: dict[str, Any] = {"seconds": seconds, "accuracy": found.pairwise["accuracy"], "library": found.library}
        out |= {k: [e.value, e.low, e.high] for k, e in figure.estimates.items()}
        if "msms" in bundle.modalities:
            index = build_index(bundle, everything, Path(folder) / "everything")
            combined = evaluate_combined(bundle, dataset, index, ("ir", "msms"), draws=4)
            out["together"] = {" + ".join(s.modalities): s.estimates["hit1"].value for s in combined.subsets}
            out["compounds"] = combined.compounds
    return out


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dataset", type=Path, required=True)
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results")
    options = parser.parse_args()
    dataset = Dataset.open(options.dataset)
    rows = {k: i for i, k in enumerate(dataset.table("ir")["inchikey14"].to_pylist())}
    gas = Library.from_structures([dataset.structure("ir", row) for row in rows.values()])
    everything = Library.from_dataset(dataset)
    options.out.mkdir(parents=True, exist_ok=True)
    file = options.out / "why.json"
    done: dict[str, Any] = json.loads(file.read_text()) if file.exists() else {}
    for label, config in configurations(options.dataset, options.epochs):
        if label not in done:
            done[label] = run(config, dataset, gas, everything)
            file.write_text(json.dumps(done, indent=1) + "\n", encoding="utf-8")
        row = done[label]
        print(
            f"{label}: accuracy {row['accuracy']:.3f}, hit@1 {100 * row['hit1'][0]:.2f}%, hit@5 "
            f"{100 * row['hit5'][0]:.2f}%, {row.get('together', '')} {row['seconds']} s",
            flush=True,
        )


if __name__ == "__main__":
    main()
