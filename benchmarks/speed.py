"""Speed as ratios in one run, against the same models written with plain PyTorch.

    python benchmarks/speed.py --dataset DATASET --index INDEX --bundle BUNDLE [--rounds 5] [--out benchmarks/results]

Ours and the peer take turns, A B A B ..., and the median of the ratios pair by pair is reported, so that a machine
whose speed drifts does not decide. The peer of training is a bare loop over the same encoders, batches and optimizer
without our loop; only steps are counted, not set-up or validation. The peer of embedding is a bare `for` over
collated batches.
"""

from __future__ import annotations

import argparse
import json
import platform
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rdkit import Chem
from rdkit.Chem import rdFingerprintGenerator

import molvis_retrieval
from molvis_core import registry
from molvis_nn.loop import TrainingProgress
from molvis_retrieval.config import find_config
from molvis_retrieval.dataset import Dataset
from molvis_retrieval.index import Index
from molvis_retrieval.training.loop import train

WARM = 5
"""Steps of a training run that are not counted: allocators and caches fill."""
MANY = 500
"""Spectra that are identified in one call."""


def timed(work: Callable[[], Any]) -> float:
    """Seconds that a call takes."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def in_turn(ours: Callable[[], Any], peer: Callable[[], Any], rounds: int) -> tuple[float, float, float]:
    """Median seconds of both, and the median ratio of speeds ours / peer, after one round that does not count.

    Work that knows its own time better, because it has set-up that does not count, returns its seconds.
    """

    def once(work: Callable[[], Any]) -> float:
        began = time.perf_counter()
        own = work()
        return own if isinstance(own, float) else time.perf_counter() - began

    for work in (ours, peer):
        once(work)
    pairs = [(once(ours), once(peer)) for _ in range(rounds)]
    a, b = zip(*pairs, strict=True)
    return statistics.median(a), statistics.median(b), statistics.median(p / o for o, p in pairs)


IN_STEPS = {
    "msms": {"use": "peak-sum", "dim": 512, "width": 256, "blocks": 2},
    "structure": {"use": "fingerprint", "dim": 512, "width": 256, "blocks": 0},
}
"""Encoders that are trained in steps."""


def training(dataset: Dataset, rounds: int) -> dict[str, float]:
    """Compounds a second of our loop and of a bare one: same encoders, batches and optimizer, no validation."""
    config = find_config("default", data=str(dataset.path))
    pair = replace(config.pairs[0], negatives=0)
    settings = replace(
        config.train,
        epochs=1,
        batch=256,
        spectra=2,
        learning_rate=1e-3,
        weight_decay=0.02,
        ema_decay=0.0,
        select="loss",
    )
    # The preset's own encoders learn apart and take no steps; its scorers are not what is timed.
    config = replace(
        config,
        encoders=IN_STEPS,
        pairs=(pair,),
        train=settings,
        negatives=replace(config.negatives, path=""),
        scorers={},
    )
    rows = dataset.rows("msms", fold="train", min_peaks=1)
    first: dict[str, int] = {}
    for row in rows.tolist():
        first.setdefault(dataset.structure("msms", row).inchikey14, row)
    structures = [dataset.structure("msms", row) for row in first.values()]
    groups: dict[str, list[int]] = {key: [] for key in first}
    for row, key in zip(rows.tolist(), dataset.table("msms")["inchikey14"].take(rows).to_pylist(), strict=True):
        groups[key].append(row)
    steps = round(len(first) * settings.spectra / settings.batch) * settings.epochs

    def ours() -> float:
        ended: list[float] = []

        def note(state: TrainingProgress) -> None:
            if not state.message:
                ended.append(time.perf_counter())

        with tempfile.TemporaryDirectory() as folder:
            train(config, folder, progress=note)
        return ended[steps - 1] - ended[WARM - 1]

    def peer() -> float:
        torch.manual_seed(0)
        rng = np.random.default_rng(0)
        encoders: dict[str, Any] = {k: registry.build("encoder", s) for k, s in config.encoders.items()}
        encoders["structure"].featurise(structures)
        loss: Any = registry.build("loss", pair.loss)
        parameters = [p for m in (*encoders.values(), loss) for p in m.parameters()]
        optimizer = torch.optim.AdamW(parameters, lr=settings.learning_rate, weight_decay=settings.weight_decay)
        keys = list(first)
        began = 0.0
        for step in range(steps):
            if step == WARM:
                began = time.perf_counter()
            chosen = [keys[i] for i in rng.choice(len(keys), settings.batch, replace=False)]
            spectra = [dataset.record("msms", int(rng.choice(groups[k]))) for k in chosen]
            truth = [dataset.structure("msms", first[k]) for k in chosen]
            query = encoders["msms"](encoders["msms"].collate(spectra))
            reference = encoders["structure"](encoders["structure"].collate(truth))
            target = torch.eye(len(chosen))
            value = loss(query, reference, target, torch.ones_like(target))
            optimizer.zero_grad()
            value.backward()
            torch.nn.utils.clip_grad_norm_(parameters, settings.clip)
            optimizer.step()
        return time.perf_counter() - began

    a, b, ratio = in_turn(ours, peer, rounds)
    seen = (steps - WARM) * settings.batch
    return {"ours_per_s": seen / a, "peer_per_s": seen / b, "ratio": ratio}


def embedding(bundle: molvis_retrieval.Bundle, modality: str, records: list[Any], rounds: int) -> dict[str, float]:
    """Records a second of `Bundle.embed` and of a bare loop."""
    encoder = bundle.encoder(modality)

    def peer() -> np.ndarray:
        with torch.inference_mode():
            parts = [encoder(encoder.collate(records[i : i + 256])) for i in range(0, len(records), 256)]
            return torch.cat(parts).numpy()

    a, b, ratio = in_turn(lambda: bundle.embed(modality, records), peer, rounds)
    return {"ours_per_s": len(records) / a, "peer_per_s": len(records) / b, "ratio": ratio}


def from_smiles(bundle: molvis_retrieval.Bundle, index: Index, rounds: int) -> dict[str, float]:
    """Structures a second of processor time that one process embeds from SMILES, and with RDKit's own generators.

    Both make the same bits and use the same model. Each round has structures of its own, so that none is remembered;
    processor time does not depend on what else runs.
    """
    count = 3000
    drawn = np.random.default_rng(2).permutation(len(index.library))[: count * (rounds + 1)].reshape(-1, count)
    circles = rdFingerprintGenerator.GetMorganGenerator(radius=2, fpSize=2048)
    paths = rdFingerprintGenerator.GetRDKitFPGenerator(minPath=1, maxPath=5, fpSize=2048, numBitsPerFeature=1)
    pairs: list[tuple[float, float]] = []
    for rows in drawn:
        structures = index.library.structures(np.sort(rows))
        start = time.process_time()
        bundle.embed("structure", structures)
        ours = time.process_time() - start
        mols = [Chem.MolFromSmiles(one.smiles) for one in structures]
        for mol in mols:
            np.packbits(np.r_[circles.GetFingerprintAsNumPy(mol), paths.GetFingerprintAsNumPy(mol)])
        bundle.embed("structure", structures)  # the model alone: the fingerprints are remembered
        pairs.append((ours, time.process_time() - start - ours))
    mine, peer = (count / statistics.median(one) for one in zip(*pairs[1:], strict=True))
    return {"ours_per_s": mine, "peer_per_s": peer, "ratio": statistics.median(b / a for a, b in pairs[1:])}


def searching(
    bundle: molvis_retrieval.Bundle, index: Index, dataset: Dataset, rows: np.ndarray, rounds: int
) -> dict[str, float]:
    """Seconds to identify one spectrum, the index being open; and of a process that starts, loads and identifies."""
    queries = [dataset.measurement("msms", int(r)) for r in rows[: 4 * rounds]]
    mass = statistics.median(timed(lambda q=q: molvis_retrieval.identify(bundle, [q], index)) for q in queries)
    whole = statistics.median(
        timed(lambda q=q: molvis_retrieval.identify(bundle, [q], index, candidates="all")) for q in queries[:rounds]
    )
    script = (
        "import molvis_retrieval, sys; from molvis_retrieval.index import Index\n"
        "from molvis_retrieval.dataset import Dataset\n"
        "b = molvis_retrieval.load_bundle(sys.argv[1]); i = Index.open(sys.argv[2])\n"
        "m = Dataset.open(sys.argv[3]).measurement('msms', int(sys.argv[4]))\n"
        "assert not molvis_retrieval.identify(b, [m], i)[0].problem\n"
        "import resource; print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)"
    )
    command = [sys.executable, "-c", script, str(bundle.path), str(index.path), str(dataset.path), str(int(rows[0]))]
    memory: list[float] = []

    def process() -> None:
        done = subprocess.run(command, check=True, capture_output=True, text=True)
        memory.append(float(done.stdout) / 1024)

    cold = statistics.median(timed(process) for _ in range(rounds))
    return {
        "library": len(index.library),
        "mass_window_s": mass,
        "whole_library_s": whole,
        "with_start_and_load_s": cold,
        "peak_memory_MiB": statistics.median(memory),
    }


def many(bundle: molvis_retrieval.Bundle, index: Index, dataset: Dataset, rows: np.ndarray) -> dict[str, float]:
    """Seconds, of the clock and of all processors, to identify spectra of many compounds in one call."""
    queries = [dataset.measurement("msms", int(r)) for r in rows[:MANY]]
    molvis_retrieval.identify(bundle, queries[:2], index)
    began, used = time.perf_counter(), time.process_time()
    found = molvis_retrieval.identify(bundle, queries, index)
    seconds, processor = time.perf_counter() - began, time.process_time() - used
    problems = sum(bool(one.problem) for one in found)
    return {"spectra": len(queries), "problems": problems, "seconds": seconds, "processor_s": processor}


def starting(rounds: int) -> dict[str, float]:
    """Seconds of `molvis --help` and `molvis plugins`, and of an empty Python for scale."""
    commands = {"help_s": ["--help"], "plugins_s": ["plugins"]}
    found = {
        name: statistics.median(
            timed(lambda a=a: subprocess.run([sys.executable, "-m", "molvis_cli", *a], capture_output=True, check=True))
            for _ in range(2 * rounds)
        )
        for name, a in commands.items()
    }
    found["python_s"] = statistics.median(
        timed(lambda: subprocess.run([sys.executable, "-c", ""], check=True)) for _ in range(2 * rounds)
    )
    return found


def main() -> None:
    """Run all, print a table, write JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dataset", required=True)
    parser.add_argument("--index", required=True)
    parser.add_argument("--bundle", default="massbank")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results")
    options = parser.parse_args()
    dataset, index = Dataset.open(options.dataset), Index.open(options.index)
    bundle = molvis_retrieval.load_bundle(options.bundle)
    rows = dataset.rows("msms", fold="test", adducts=("[M+H]+", "[M-H]-"), min_peaks=2)
    rows = np.random.default_rng(0).permutation(rows)[:2000]
    spectra = [dataset.record("msms", int(r)) for r in rows]
    picked = np.random.default_rng(1).choice(len(index.library), 4000, replace=False)
    structures = index.library.structures(np.sort(picked))
    results: dict[str, Any] = {
        "machine": {
            "processor": platform.processor() or platform.machine(),
            "threads": torch.get_num_threads(),
            "torch": torch.__version__,
            "device": "cuda" if torch.cuda.is_available() else "cpu",
            "date": time.strftime("%Y-%m-%d"),
        },
        "start": starting(options.rounds),
        "train": training(dataset, options.rounds),
        "embed_spectra": embedding(bundle, "msms", spectra, options.rounds),
        "embed_structures_cached": embedding(bundle, "structure", structures, options.rounds),
        "identify": searching(bundle, index, dataset, rows, options.rounds),
        "identify_many": many(bundle, index, dataset, rows),
    }
    results["embed_structures_new"] = from_smiles(bundle, index, options.rounds)
    results["peak_memory_of_this_run_MiB"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / "speed.json").write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")
    print(json.dumps(results, indent=2))


if __name__ == "__main__":
    main()
