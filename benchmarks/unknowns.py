"""Time and memory of `molvis annotate` for a list of many spectra, from a part of it that is spread evenly.

    python benchmarks/unknowns.py --dataset DATASET --index INDEX [--take 1000] [--adducts]

10,000 spectra of MassBank's training and validation compounds, of adducts that are tried, are sorted by m/z. Chunks of
fifty evenly through that list are annotated by one process, without their adducts or with them. Its processor time and
largest memory, start, tables and page among them, are printed as JSON, and what all of the list would take: two
processes have half of the work each, and a start of their own.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np

from molvis_core.chemistry.adducts import ADDUCT_SHARES
from molvis_lcms.formats.documents import write_json_features
from molvis_lcms.records import Feature, FeatureTable
from molvis_retrieval.dataset import Dataset

CHUNK = 50


def listed(dataset: Dataset, count: int, take: int, *, adducts: bool, seed: int) -> FeatureTable:
    """Chunks evenly through a list of so many spectra."""
    names = [name for shares in ADDUCT_SHARES.values() for name in shares]
    rows = np.concatenate([dataset.rows("msms", fold=f, adducts=names, min_peaks=1) for f in ("train", "val")])
    drawn = np.random.default_rng(seed).permutation(rows)[:count]
    records = sorted((dataset.record("msms", int(row)) for row in drawn), key=lambda r: r.precursor_mz)
    chunks = [records[at : at + CHUNK] for at in range(0, len(records), CHUNK)]
    wanted = max(1, min(take // CHUNK, len(chunks)))
    some = [one for k in range(wanted) for one in chunks[int((k + 0.5) * len(chunks) / wanted)]]
    return FeatureTable(tuple(_feature(n, one, adducts=adducts) for n, one in enumerate(some, start=1)), ("list",))


def _feature(number: int, record: object, *, adducts: bool) -> Feature:
    bare = replace(record, adduct=None)
    return Feature(
        f"F{number:05d}", bare.precursor_mz, time=60.0, ionmode=bare.ionmode, areas={"list": 1.0}, spectra=(bare,),
        merged=bare, adduct=record.adduct if adducts else None,
    )  # fmt: skip


def measure(command: list[str]) -> dict[str, float]:
    """Seconds, processor time and memory of a process that computes in one thread."""
    threads = dict.fromkeys(("OMP_NUM_THREADS", "NUMBA_NUM_THREADS"), "1")
    before, begun = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, env=os.environ | threads)
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    spent = used.ru_utime + used.ru_stime - before.ru_utime - before.ru_stime
    return {"seconds": time.perf_counter() - begun, "processor_s": spent, "peak_MiB": used.ru_maxrss / 1024}


def main() -> None:
    """Draw, annotate, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dataset", required=True)
    parser.add_argument("--index", required=True)
    parser.add_argument("--bundle", default="massbank")
    parser.add_argument("--of", type=int, default=10_000)
    parser.add_argument("--take", type=int, default=1000)
    parser.add_argument("--adducts", action="store_true", help="let every spectrum name its adduct")
    parser.add_argument("--seed", type=int, default=43)
    parser.add_argument("--work", type=Path, default=Path("build/unknowns"))
    options = parser.parse_args()
    options.work.mkdir(parents=True, exist_ok=True)
    dataset = Dataset.open(options.dataset)
    table = listed(dataset, options.of, options.take, adducts=options.adducts, seed=options.seed)
    found: list[dict[str, float]] = []
    for some in (table.features[:1], table.features):
        file, out = options.work / f"{len(some)}.json", options.work / f"{len(some)}-{os.getpid()}"
        write_json_features(file, FeatureTable(some, table.files))
        command = [sys.executable, "-m", "molvis_cli", "annotate", str(file), "--library", options.index, "--bundle"]
        found.append(measure([*command, options.bundle, "--processes", "1", "--out", str(out), "--json", "--quiet"]))
    start, every = found
    each = (every["processor_s"] - start["processor_s"]) / max(len(table) - 1, 1)
    minutes = (options.of * each / 2 + start["processor_s"]) / 60
    told = {"spectra": len(table)} | every | {"start_s": start["processor_s"], "each_s": each}
    told |= {"minutes_of_two_cores": minutes}
    print(json.dumps({name: round(value, 4) for name, value in told.items()}, indent=2))


if __name__ == "__main__":
    main()
