"""Steps a second with all modalities on, against the sum of runs of one pairing each.

    python benchmarks/joint.py [--data FOLDER] [--dataset DATASET] [--rounds 3] [--steps 24] [--out benchmarks/results]

One run trains MS/MS, infrared spectra, cross sections and structures with `[joint] pairings = "all"`; the others train
each of its pairings alone. The joint run's steps are timed; had each been taken at the pace of its pairing's own run,
they would have taken the sum of steps times seconds a step. The ratio of that sum to the joint run's time is reported:
1 where alternating costs nothing. Joint and single runs take turns within a round, the order turning round by round, so
that a machine whose speed drifts does not decide; medians of the steps of a pairing are compared, so that a pause of
the machine does not either. Set-up and validation do not count. On a machine that has other work, `--clock processor`
with OMP_NUM_THREADS=1 counts the seconds that the process itself was given.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from molvis_nn.loop import TrainingProgress
from molvis_retrieval.config import JointConfig, RunConfig, parse_config
from molvis_retrieval.dataset import Dataset
from molvis_retrieval.importing import import_files
from molvis_retrieval.training import batches, pairings, run
from molvis_retrieval.training.loop import train

WARM = 2
"""Steps of each pairing that are not counted: allocators and caches fill."""

FEATURES: dict[str, Any] = {}
"""Of structures, for all runs."""

CONFIG = """
[data]
path = "{path}"
[encoders.msms]
use = "peak-sum"
dim = 256
width = 128
[encoders.ir]
use = "ir-resnet"
dim = 256
[encoders.ccs]
use = "ccs"
dim = 256
[encoders.structure]
use = "fingerprint"
dim = 256
width = 128
fingerprints = ["morgan2"]
bits = 2048
[joint]
pairings = "all"
loss = {{ use = "infonce", learned = true }}
[train]
epochs = 1
batch = 64
ema_decay = 0.99
sampling = {sampling}
select = "loss"
"""


def joined(data: Path, folder: Path) -> Dataset:
    """The three tables as one dataset."""
    files = [data / "msms/massbank_open.parquet", data / "ir/ir_gas.parquet", data / "ccs/ccs_literature.parquet"]
    import_files(files, folder)
    return Dataset.open(folder)


class _EnoughError(Exception):
    """Enough steps have been timed."""


def once(work: Callable[..., Any]) -> Callable[..., Any]:
    """A function that remembers what it gave for a modality: all runs read the same measurements."""
    known: dict[Any, Any] = {}

    def remembered(dataset: Dataset, modality: str, rows: Any) -> Any:
        key = (modality, len(rows), int(rows.sum()))
        if key not in known:
            known[key] = work(dataset, modality, rows)
        return known[key]

    return remembered


def seconds(config: RunConfig, steps: int, names: list[str], clock: Callable[[], float]) -> dict[str, list[float]]:
    """Seconds of each pairing's steps, without the warm ones."""
    began = 0.0
    order: list[str] = []
    made = batches.plan

    def plan(*given: Any) -> list[tuple[int, int]]:
        found = made(*given)
        order.extend(names[pair] for pair, _ in found)
        return found

    prepare = run.featurise

    def featurise(prepared: run.Run, *given: Any) -> None:
        # Features do not depend on weights: the next run need not make them again.
        prepared.encoders["structure"]._kept = FEATURES
        prepare(prepared, *given)

    found: dict[str, list[float]] = defaultdict(list)
    seen: Counter[str] = Counter()

    def note(state: TrainingProgress) -> None:
        nonlocal began
        now = clock()
        if state.message or not state.step:
            return
        name = order[state.step - 1]
        seen[name] += 1
        if seen[name] > WARM and began:
            found[name].append(now - began)
        if state.step >= steps:
            raise _EnoughError
        began = clock()

    batches.plan = plan
    if "structure" in config.encoders:
        run.featurise = featurise
    try:
        with tempfile.TemporaryDirectory() as folder:
            train(config, folder, progress=note)
    except _EnoughError:
        pass
    finally:
        batches.plan, run.featurise = made, prepare
    return found


def main() -> None:
    """Run, print, write JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path(os.environ.get("MOLVIS_DATA", "../shared/data")))
    parser.add_argument("--dataset", type=Path, help="of the three tables; made from --data where it is not there")
    parser.add_argument("--sampling", type=float, default=0.5)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=24, help="of each pairing, some 2 of them warm")
    parser.add_argument("--clock", choices=("wall", "processor"), default="wall")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results")
    options = parser.parse_args()
    clock = time.perf_counter if options.clock == "wall" else time.process_time
    pairings.by_compound = once(pairings.by_compound)
    with tempfile.TemporaryDirectory() as scratch:
        place = options.dataset or Path(scratch) / "dataset"
        dataset = Dataset.open(place) if place.exists() else joined(options.data, place)
        everything = parse_config(CONFIG.format(path=dataset.path, sampling=options.sampling))
        everything, found = pairings.resolve(everything, dataset)
        names = pairings.pairing_names(everything.pairs)
        joint: dict[str, list[float]] = defaultdict(list)
        single: dict[str, list[float]] = defaultdict(list)
        ratios: list[float] = []
        for turn in range(options.rounds):
            runs: list[tuple[RunConfig, int, list[str]]] = [(everything, options.steps * len(names), names)]
            for name, pair in zip(names, everything.pairs, strict=True):
                encoders = {k: everything.encoders[k] for k in (pair.query, pair.reference)}
                alone = replace(everything, pairs=(pair,), encoders=encoders, joint=JointConfig())
                runs.append((alone, options.steps, [name]))
            taken: dict[str, list[float]] = {}
            together: dict[str, list[float]] = {}
            for config, steps, called in runs if turn % 2 == 0 else runs[::-1]:
                (together if len(called) > 1 else taken).update(seconds(config, steps, called, clock))
            for name in names:
                joint[name] += together[name]
                single[name] += taken[name]
            apart = sum(len(together[n]) * statistics.median(taken[n]) for n in names)
            ratios.append(apart / sum(len(together[n]) * statistics.median(together[n]) for n in names))
        result = {
            "machine": {
                "processor": platform.processor() or platform.machine(),
                "threads": torch.get_num_threads(),
                "torch": torch.__version__,
                "device": "cuda" if torch.cuda.is_available() else "cpu",
                "load": os.getloadavg()[0],
                "clock": options.clock,
                "date": time.strftime("%Y-%m-%d"),
            },
            "compounds": {n: len(p.compounds) for n, p in zip(names, found, strict=True)},
            "ms_per_step": {
                n: {"joint": 1e3 * statistics.median(joint[n]), "single": 1e3 * statistics.median(single[n])}
                for n in names
            },
            "steps_counted": {n: len(joint[n]) for n in names},
            "ratio_by_round": ratios,
            "ratio": statistics.median(ratios),
        }
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / "joint.json").write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    print(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
