"""What the threads of a training run on processors do: compounds for each CPU second, alone and beside another process.

    python benchmarks/training_threads.py --dataset DATASET [--steps 12] [--out benchmarks/results]

DATASET holds infrared spectra. Every row is a process of its own that takes so many steps of a small infrared model. A
first few are not counted. *spinning* is PyTorch with a thread for each processor and nothing set, *asleep* the same
with OMP_WAIT_POLICY=PASSIVE, *free* what `molvis train` does: that, and as many threads as others leave processors.
The other process multiplies without end, one for each processor.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import multiprocessing
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

ASLEEP = {"OMP_WAIT_POLICY": "PASSIVE"}
VARIANTS: dict[str, tuple[dict[str, str], int]] = {"spinning": ({}, -1), "asleep": (ASLEEP, -1), "free": (ASLEEP, 0)}
SKIPPED = 3
BATCH = 256


class _Enough(Exception):  # noqa: N818 - it is no error
    pass


def steps(dataset: Path, threads: int, count: int) -> dict[str, Any]:
    """Take steps, and see what they cost."""
    import torch

    from molvis_files.processes import processors
    from molvis_nn.loop import TrainingProgress
    from molvis_retrieval.config import DataConfig, PairConfig, RunConfig, TrainConfig
    from molvis_retrieval.training.loop import train

    fingerprint = {"use": "fingerprint", "fingerprints": ["morgan2", "rdkit5", "morgan2-counts"]}
    config = RunConfig(
        DataConfig(str(dataset)),
        {"ir": {"use": "ir-local"}, "structure": fingerprint},
        (PairConfig("ir", "structure", {"use": "infonce"}),),
        train=TrainConfig(batch=BATCH, threads=processors() if threads < 0 else threads),
    )
    marks: list[tuple[float, float]] = []
    used = 0

    def mark(state: TrainingProgress) -> None:
        nonlocal used
        if state.message:
            return
        marks.append((time.monotonic(), time.process_time()))
        used = torch.get_num_threads()
        if len(marks) > SKIPPED + count:
            raise _Enough

    with tempfile.TemporaryDirectory() as folder, contextlib.suppress(_Enough):
        train(config, Path(folder) / "run", progress=mark)
    (wall, cpu), (end, cpu_end) = marks[SKIPPED], marks[-1]
    seen = BATCH * (len(marks) - 1 - SKIPPED)
    return {"threads": used, "per_cpu_second": round(seen / (cpu_end - cpu)), "per_second": round(seen / (end - wall))}


def _busy() -> None:
    value = 1.0
    while True:
        value *= 1.0000001


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dataset", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=12)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results")
    parser.add_argument("--only", choices=VARIANTS, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.only:
        print(json.dumps(steps(options.dataset, VARIANTS[options.only][1], options.steps)))
        return
    plain = {k: v for k, v in os.environ.items() if not k.startswith(("OMP_", "GOMP_", "KMP_"))}
    found: dict[str, Any] = {"load_before": round(os.getloadavg()[0], 1)}
    for beside in ("alone", "beside"):
        others = [multiprocessing.Process(target=_busy, daemon=True) for _ in range(os.cpu_count() or 1)]
        for other in others if beside == "beside" else ():
            other.start()
        for name, (settings, _) in VARIANTS.items():
            command = [sys.executable, __file__, *sys.argv[1:], "--only", name]
            row = subprocess.run(command, env={**plain, **settings}, check=True, capture_output=True, text=True).stdout
            found[f"{name}, {beside}"] = json.loads(row.splitlines()[-1])
            print(name, beside, found[f"{name}, {beside}"], flush=True)
        for other in others if beside == "beside" else ():
            other.terminate()
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / "training_threads.json").write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
