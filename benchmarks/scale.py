"""Libraries of up to ten million structures: how fast they are built, how large they are, and how soon queries answer.

    python benchmarks/scale.py --sizes 100000 1000000 10000000 --work FOLDER [--engines 12288]
        [--peers 100000 1000000 --peers-python PYTHON] [--real INDEX QUERIES.npy] [--plot docs/images/scale.svg]
        [--out benchmarks/results]

Structures are those of `benchmarks/structures.py`. Embedding ten million with a trained encoder takes hours, and is as
fast as the encoder whatever the size (`--engines` times it on a few thousand); so a stand-in embeds them here: grams of
four letters of the SMILES, hashed, projected at random to 256 numbers. Everything else is what `molvis library build
--partitioned --vectors int8` does. A query is the vector of a structure with noise, at a cosine of about 0.7 to it, as
the first candidates of real spectra have. Cold is the first query of a fresh process after its pages were dropped from
the file cache (`posix_fadvise`); of warm ones the median counts, after some that do not, and of each the fastest of
three.

`--peers` has FAISS (flat, in 8 bits, and IVF-PQ with the same lists, codes and probes) and LanceDB (IVF_PQ with as many
scored anew) search the same vectors in the same run. They are installed in an environment of their own, and each runs
in a process of its own (`benchmarks/scale_peers.py`):

    python -m venv peers && peers/bin/pip install faiss-cpu lancedb pyarrow     # then: --peers-python peers/bin/python

`--real` searches an index of a real library with embedded spectra, exactly and by clusters. `--engines` compares one
process, two, and Ray with one and two. `--keep` leaves the libraries in the folder, and does not build one again that
is there: the figures of its building stay as they are.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import resource
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pyarrow.compute
import pyarrow.parquet  # noqa: F401
import structures

from molvis_core.records import Structure
from molvis_retrieval.clusters import PROBES, RESCORED
from molvis_retrieval.index import Index
from molvis_retrieval.parents import ParentCounts
from molvis_retrieval.partition_building import build_partitioned, cluster_library, convert_index
from molvis_retrieval.partition_sorting import sort_structures
from molvis_retrieval.partitions import write_structures

DIM = 256
GRAMS = 4096
NOISE = 1.0
QUERIES = 100
TOP = 100


class Grams:
    """The stand-in for a bundle: vectors of hashed grams of SMILES, projected at random."""

    encoders_digest = hashlib.sha256(b"grams of four letters, 256 numbers").hexdigest()
    name = "grams"
    path = Path("grams")

    def __init__(self) -> None:
        self.projection = np.random.default_rng(0).normal(size=(GRAMS, DIM)).astype(np.float32)

    def encoder(self, _key: str) -> Any:
        """What is asked of an encoder."""
        return SimpleNamespace(dim=DIM)

    def embed(self, _key: str, some: Sequence[Structure], **_options: Any) -> np.ndarray:
        """Unit vectors of structures."""
        from scipy.sparse import csr_array

        data = b"".join(one.smiles.encode() + b"\0\0\0" for one in some)
        text = np.frombuffer(data, dtype=np.uint8).astype(np.uint32)
        grams = text[:-3] | text[1:-2] << 8 | text[2:-1] << 16 | text[3:] << 24
        owner = np.repeat(np.arange(len(some)), [len(one.smiles) + 3 for one in some])[:-3]
        columns = (grams * np.uint32(2654435761) >> np.uint32(20)).astype(np.int32)
        counts = csr_array((np.ones(len(owner), dtype=np.float32), (owner, columns)), shape=(len(some), GRAMS))
        rows = np.sqrt(counts) @ self.projection
        return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def as_bundle() -> Any:
    """The stand-in, where a bundle is asked for."""
    return Grams()


@contextmanager
def timed(into: dict[str, Any], name: str) -> Iterator[None]:
    """Seconds that a block takes."""
    began = time.perf_counter()
    yield
    into[name] = round(time.perf_counter() - began, 3)


def size_of(path: Path) -> int:
    """Bytes of all files in a folder."""
    return sum(f.stat().st_size for f in path.rglob("*") if f.is_file())


def drop_pages(path: Path) -> None:
    """Have the system forget what it holds of files in memory."""
    for file in path.rglob("*"):
        if file.is_file():
            descriptor = os.open(file, os.O_RDONLY)
            os.fsync(descriptor)
            os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
            os.close(descriptor)


def build(count: int, path: Path) -> dict[str, Any]:
    """A library of so many structures: seconds of each step, and bytes."""
    from molvis_files.stores import open_store

    shutil.rmtree(path, ignore_errors=True)
    found: dict[str, Any] = {"structures": count}
    store = open_store(path)
    with timed(found, "sorting_s"):
        made = sort_structures(structures.tables(count), store, ParentCounts(), scratch=path.parent)
        write_structures(store, made, size=32_768, source={"seed": "0"})
    with timed(found, "embedding_s"):
        build_partitioned(as_bundle(), path, kind="int8", engine="local", clusters=False)
    with timed(found, "clusters_s"):
        cluster_library(path, engine="local")
    parts = {name: size_of(path / name) for name in ("structures", "vectors", "clusters")}
    found |= {"bytes": parts, "bytes_per_structure": round(sum(parts.values()) / count, 1)}
    found["peak_memory_MiB"] = round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
    return found


def queries_of(index: Index, count: int = QUERIES) -> tuple[np.ndarray, np.ndarray]:
    """Vectors near to those of some structures, and the masses of these."""
    rng = np.random.default_rng(1)
    rows = np.sort(rng.choice(len(index.library), count, replace=False))
    noise = rng.normal(size=(count, index.vectors.shape[1])).astype(np.float32)
    noise /= np.linalg.norm(noise, axis=1, keepdims=True)
    vectors = index.take(rows) + NOISE * noise
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True), np.asarray(index.library.mass[rows])


def by_mass(index: Index, query: np.ndarray, mass: float) -> list[Structure]:
    """The best structures within 10 ppm: what a search does before scorers look at them."""
    rows = index.library.within_ppm(mass, 10.0)
    cosine = index.take(rows) @ query
    index.library.formulas(rows)
    return index.library.structures(rows[np.argsort(-cosine, kind="stable")[:20]])


def everywhere(index: Index, query: np.ndarray) -> list[Structure]:
    """The best structures of all, of which the first twenty are shown."""
    assert index.clusters is not None
    ((_, rows),) = index.clusters.search(query[None], TOP)
    return index.library.structures(rows[:20])


def milliseconds(begin: Callable[[], Callable[[int], Any]], count: int, warm: int = 20) -> dict[str, float]:
    """Median and 95th percentile of so many calls, after some that do not count.

    Of three rounds the fastest call of each query counts: on a machine with other work the clock runs on while a
    process waits for a processor. `begin` is called before each, so that what is unpacked and checked at the first look
    is so in all of them.
    """
    took = np.empty((3, count - warm))
    for turn in took:
        work = begin()
        for number in range(warm):
            work(number)
        for number in range(warm, count):
            began = time.perf_counter()
            work(number)
            turn[number - warm] = 1000 * (time.perf_counter() - began)
    best = took.min(axis=0)
    return {"median_ms": round(float(np.median(best)), 2), "p95_ms": round(float(np.percentile(best, 95)), 2)}


COLD = """
import sys, time
import numpy as np
import pyarrow.compute  # noqa: F401 - so that a cold query does not pay for the import
import pyarrow.parquet  # noqa: F401
sys.path.insert(0, sys.argv[1])
import scale
import molvis_retrieval.clusters, torch
from molvis_retrieval.index import Index
path, kind = sys.argv[2], sys.argv[3]
vector, mass = np.load(sys.argv[4]), float(sys.argv[5])
began = time.perf_counter()
index = Index.open(path)
found = scale.by_mass(index, vector, mass) if kind == "mass" else scale.everywhere(index, vector)
assert found
print(1000 * (time.perf_counter() - began))
"""


def cold(path: Path, vector: np.ndarray, mass: float, kind: str) -> float:
    """Milliseconds from the opening of a library to the first answer of a process that has imported molvis."""
    drop_pages(path)
    at = path.parent / f"query-{os.getpid()}.npy"
    np.save(at, vector)
    command = [sys.executable, "-c", COLD, str(Path(__file__).parent), str(path), kind, str(at), str(mass)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return float(done.stdout.split()[-1])


def exact(index: Index, queries: np.ndarray) -> np.ndarray:
    """The best rows for each query, by products with all of a library."""
    return index.search(queries, TOP)[1]


def recall(found: Sequence[np.ndarray], wanted: np.ndarray) -> float:
    """Share of the best rows that are found."""
    return float(np.mean([len(np.intersect1d(f, w)) / len(w) for f, w in zip(found, wanted, strict=True)]))


def with_mass(path: Path, queries: np.ndarray, masses: np.ndarray) -> dict[str, float]:
    """Latencies of windows that a process has not looked at before; the files are in memory."""

    def begin() -> Callable[[int], Any]:
        index = Index.open(path)
        return lambda n: by_mass(index, queries[n], masses[n])

    return milliseconds(begin, len(queries))


def search(path: Path, *, colds: int = 5) -> dict[str, Any]:
    """Latencies of a library with and without a mass, and how much of the best a search by clusters finds."""
    index = Index.open(path)
    queries, masses = queries_of(index)
    found: dict[str, Any] = {
        "candidates_within_10_ppm": float(np.mean([len(index.library.within_ppm(m, 10.0)) for m in masses])),
        "with_mass": with_mass(path, queries, masses),
    }
    truth: dict[str, Any] = {}
    with timed(truth, "exact_s"):
        wanted = exact(index, queries)
    found["exact_ms_per_query"] = round(1000 * truth["exact_s"] / QUERIES, 1)
    assert index.clusters is not None
    found["without_mass"] = {
        str(probes): {
            "recall_at_100": round(
                recall([r for _, r in index.clusters.search(queries, TOP, probes=probes)], wanted), 4
            ),
            **milliseconds(lambda p=probes: lambda n: index.clusters.search(queries[n][None], TOP, probes=p), QUERIES),
        }
        for probes in (4, 8, 16, 32, 64)
    }
    found["without_mass_and_structures"] = milliseconds(lambda: lambda n: everywhere(index, queries[n]), QUERIES)
    for kind in ("mass", "all"):
        took = [cold(path, queries[n], masses[n], kind) for n in range(colds)]
        found[f"cold_{kind}_ms"] = {"median": round(float(np.median(took)), 1), "worst": round(max(took), 1)}
    found["peak_memory_MiB"] = round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
    return found


def peers(path: Path, work: Path, python: str) -> dict[str, Any]:
    """FAISS and LanceDB on the vectors of a library, beside ours: one thread each, each in a process of its own."""
    index = Index.open(path)
    clusters = index.clusters
    assert clusters is not None
    queries, _ = queries_of(index)
    wanted = exact(index, queries)
    lists, pieces = len(clusters.model.centres), len(clusters.model.pieces)
    out: dict[str, Any] = {"lists": lists, "bytes_of_a_code": pieces, "probes": PROBES, "rescored": RESCORED}
    found = [clusters.search(q[None], TOP)[0][1] for q in queries]
    out["molvis"] = {
        "recall_at_100": round(recall(found, wanted), 4),
        **milliseconds(lambda: lambda n: clusters.search(queries[n][None], TOP), QUERIES),
        "bytes": size_of(path / "vectors") + size_of(path / "clusters"),
    }
    folder = work / "peers"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    with (folder / "vectors.f32").open("wb") as file:
        for _, block in index.blocks(65_536):
            file.write(np.ascontiguousarray(block, dtype=np.float32).tobytes())
    np.save(folder / "queries.npy", queries)
    np.save(folder / "wanted.npy", wanted)
    task = {"count": len(index.library), "dim": DIM, "lists": lists, "pieces": pieces, "probes": PROBES, "top": TOP}
    (folder / "task.json").write_text(
        json.dumps(task | {"rescored": RESCORED, "memory": MOST_MEMORY}), encoding="utf-8"
    )
    # Threads of FAISS, of LanceDB, and of those that it hands work to.
    threads = ("OMP_NUM_THREADS", "LANCE_CPU_THREADS", "RAYON_NUM_THREADS", "TOKIO_WORKER_THREADS")
    alone = {**os.environ, **dict.fromkeys(threads, "1"), "RUST_LOG": "error"}
    for peer, memory in PEERS.items():
        needed = memory(len(index.library))
        if needed > MOST_MEMORY:
            out[peer] = {"not_run": f"it would hold {needed / 2**30:.0f} GiB in memory"}
            continue
        command = [python, str(Path(__file__).parent / "scale_peers.py"), str(folder), peer]
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, env=alone)
        out |= json.loads(done.stdout.splitlines()[-1])
        print(out, flush=True)
    shutil.rmtree(folder)
    return out


MOST_MEMORY = 6 * 2**30
"""Bytes that a peer may hold."""

PEERS: dict[str, Callable[[int], float]] = {
    "flat": lambda n: n * DIM * 4,
    "eight_bits": lambda n: n * DIM,
    "ivf_pq": lambda n: n * 72,
    "lancedb": lambda n: n * 72,
}
"""Those of benchmarks/scale_peers.py, and bytes of memory that each needs for so many vectors."""


def engines(work: Path, count: int) -> dict[str, Any]:
    """Structures a second that the shipped bundle embeds: in one process, and by Ray with one and two.

    Seconds from the start of everything to its end, and from when each process has done its first partition.
    """
    from molvis_files.stores import open_store

    base = work / "engines"
    shutil.rmtree(base, ignore_errors=True)
    made = sort_structures(structures.tables(count), open_store(base / "of"), ParentCounts(), size=512, scratch=work)
    write_structures(open_store(base / "of"), made, size=512, source={"seed": "0"})
    out: dict[str, Any] = {"structures": count, "of_a_partition": 512}
    for name, processes in (("local", 1), ("processes", 2), ("ray", 1), ("ray", 2)):
        path = base / f"{name}-{processes}"
        shutil.copytree(base / "of", path)
        took: dict[str, Any] = {}
        with timed(took, "seconds"):
            command = [sys.executable, "-c", ENGINE, str(path), name, str(processes)]
            subprocess.run(command, check=True, capture_output=True)
        ended = sorted(f.stat().st_mtime for f in path.glob("vectors/*/*.rows"))
        steady = 512 * (len(ended) - processes) / (ended[-1] - ended[processes - 1])
        out[f"{name} {processes}"] = {
            **took,
            "structures_per_s": round(count / took["seconds"], 1),
            "steady_per_s": round(steady, 1),
        }
    shutil.rmtree(base)
    return out


ENGINE = """
import os, sys
path, engine, processes = sys.argv[1], sys.argv[2], int(sys.argv[3])
if processes == 1:
    os.sched_setaffinity(0, {0})
from molvis_retrieval import load_bundle
from molvis_retrieval.partition_building import build_partitioned
if __name__ == "__main__":
    build_partitioned(load_bundle("massbank"), path, engine=engine, processes=processes)
"""


def real(index: Path, queries: Path, work: Path) -> dict[str, Any]:
    """A real library: all of it against clusters, for embedded spectra."""
    shutil.rmtree(work / "real", ignore_errors=True)
    found: dict[str, Any] = {}
    source = Index.open(index)
    with timed(found, "convert_s"):
        convert_index(source, work / "real", kind="int8")
    with timed(found, "clusters_s"):
        cluster_library(work / "real", engine="local")
    asked = np.load(queries).astype(np.float32)
    wanted = source.search(asked, TOP)[1]
    made = Index.open(work / "real")
    assert made.clusters is not None
    found |= {"structures": len(source.library), "dim": int(source.vectors.shape[1]), "queries": len(asked)}
    found["int8_recall_at_100"] = round(recall(list(made.search(asked, TOP)[1]), wanted), 4)
    for probes in (4, 8, 16, 32):
        hits = [r for _, r in made.clusters.search(asked, TOP, probes=probes)]
        took = milliseconds(lambda p=probes: lambda n: made.clusters.search(asked[n][None], TOP, probes=p), len(asked))
        found[f"probes_{probes}"] = {"recall_at_100": round(recall(hits, wanted), 4), **took}
    found["bytes"] = {"index": size_of(index), "partitions": size_of(work / "real")}
    shutil.rmtree(work / "real")
    return found


def plot(results: dict[str, Any], file: Path) -> None:
    """Latency against size."""
    import matplotlib as mpl

    mpl.use("svg")
    mpl.rcParams["svg.hashsalt"] = "molvis"
    from matplotlib import pyplot as plt

    sizes = sorted(int(n) for n in results["libraries"])
    lines = {
        "10 ppm, warm": ("with_mass", "median_ms"),
        "10 ppm, cold": ("cold_mass_ms", "median"),
        "no mass, warm": ("without_mass", "32", "median_ms"),
        "no mass, cold": ("cold_all_ms", "median"),
        "no mass, exact": ("exact_ms_per_query",),
    }
    figure, axes = plt.subplots(figsize=(6.4, 3.6), layout="constrained")
    for (name, keys), marker in zip(lines.items(), "osD^v", strict=True):
        found: dict[int, Any] = {n: results["libraries"][str(n)]["search"] for n in sizes}
        for key in keys:
            found = {n: one[key] for n, one in found.items() if key in one}
        axes.plot(list(found), list(found.values()), marker=marker, label=name)
    axes.set(xscale="log", yscale="log", xlabel="structures", ylabel="milliseconds a query")
    axes.grid(alpha=0.3)
    axes.legend(frameon=False, fontsize=8)
    figure.savefig(file, metadata={"Date": None, "Creator": None})


def main() -> None:
    """Measure, print, and write JSON after every step."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", type=int, nargs="*", default=[100_000])
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--peers", type=int, nargs="*", default=[])
    parser.add_argument("--peers-python", default="peers/bin/python", help="of an environment that holds the peers")
    parser.add_argument("--engines", type=int, default=0)
    parser.add_argument("--real", type=Path, nargs=2, metavar=("INDEX", "QUERIES"))
    parser.add_argument("--keep", action="store_true", help="libraries, and build none that is there")
    parser.add_argument("--plot", type=Path)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results")
    options = parser.parse_args()
    options.work.mkdir(parents=True, exist_ok=True)
    file = options.out / "scale.json"
    results: dict[str, Any] = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}

    def note(part: str, name: str, value: Any) -> None:
        results.setdefault(part, {})[name] = value
        file.write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")
        print(part, name, json.dumps(value, indent=2), flush=True)

    for count in options.sizes:
        path = options.work / f"library-{count}"
        kept = options.keep and path.is_dir()
        found = {"build": results["libraries"][str(count)]["build"] if kept else build(count, path)}
        found["search"] = search(path)
        note("libraries", str(count), found)
        if count in options.peers:
            note("peers", str(count), peers(path, options.work, options.peers_python))
        if not options.keep:
            shutil.rmtree(path)
    if options.engines:
        note("engines", "massbank", engines(options.work, options.engines))
    if options.real:
        note("real", "library", real(*options.real, options.work))
    if options.plot:
        plot(results, options.plot)


if __name__ == "__main__":
    main()
