"""The peers of benchmarks/scale.py: FAISS and LanceDB, in an environment of their own.

pip install faiss-cpu lancedb pyarrow

`scale_peers.py FOLDER PEER` reads what that benchmark left in FOLDER (`vectors.f32`, `queries.npy`, `wanted.npy`,
`task.json`), has one peer search it with one thread, and prints what it found out as JSON: recall of the `top` best,
milliseconds of a query, seconds to build, bytes, and the peak memory of this process, which does nothing else.
"""

from __future__ import annotations

import json
import re
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

CHUNK = 65_536
WARM = 20


class Task:
    """What is searched, and for what.

    Attributes:
        count, dim: of the vectors.
        lists, pieces, probes, top, rescored: as the library's own clusters have them.
        top, rescored: how many are wanted, and how many are scored anew.
        memory: bytes that a peer may hold.
        queries: unit vectors.
        wanted: of each query the best rows, best first.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        about = json.loads((folder / "task.json").read_text(encoding="utf-8"))
        self.count, self.dim = about["count"], about["dim"]
        self.lists, self.pieces, self.probes = about["lists"], about["pieces"], about["probes"]
        self.top, self.rescored, self.memory = about["top"], about["rescored"], about["memory"]
        self.queries, self.wanted = np.load(folder / "queries.npy"), np.load(folder / "wanted.npy")

    def chunks(self) -> Iterator[np.ndarray]:
        """All vectors, some at a time: read, not mapped, so that the peak of memory is that of the peer."""
        with (self.folder / "vectors.f32").open("rb") as file:
            while data := file.read(CHUNK * self.dim * 4):
                yield np.frombuffer(data, dtype=np.float32).reshape(-1, self.dim)

    def sample(self, count: int) -> np.ndarray:
        """Some vectors drawn at random."""
        rows = np.sort(np.random.default_rng(0).permutation(self.count)[:count])
        return np.concatenate([chunk[rows[(rows >= a) & (rows < a + len(chunk))] - a] for a, chunk in self.numbered()])

    def numbered(self) -> Iterator[tuple[int, np.ndarray]]:
        """All vectors, some at a time, and the row of the first of them."""
        start = 0
        for chunk in self.chunks():
            yield start, chunk
            start += len(chunk)


Search = Callable[[np.ndarray], np.ndarray]
Built = Iterator[tuple[str, Search, int]]
"""What a peer is called, how it searches, and how many bytes it holds or has written."""


def flat(task: Task) -> Built:
    """Every vector in 32 bits a number: exact."""
    import faiss

    index = faiss.IndexFlatIP(task.dim)
    for chunk in task.chunks():
        index.add(chunk)
    yield "faiss flat", lambda q: index.search(q[None], task.top)[1][0], task.count * task.dim * 4


def eight_bits(task: Task) -> Built:
    """Every vector in 8 bits a number."""
    import faiss

    index = faiss.IndexScalarQuantizer(task.dim, faiss.ScalarQuantizer.QT_8bit, faiss.METRIC_INNER_PRODUCT)
    index.train(task.sample(100_000))
    for chunk in task.chunks():
        index.add(chunk)
    yield "faiss 8 bits", lambda q: index.search(q[None], task.top)[1][0], task.count * task.dim


def ivf_pq(task: Task) -> Built:
    """Lists and codes alone; then with the best scored anew by vectors in memory, where there is room for them."""
    import faiss

    centres = faiss.IndexFlatIP(task.dim)
    coded = faiss.IndexIVFPQ(centres, task.dim, task.lists, task.pieces, 8, faiss.METRIC_INNER_PRODUCT)
    coded.train(task.sample(64 * task.lists))
    for chunk in task.chunks():
        coded.add(chunk)
    coded.nprobe = task.probes
    size = task.count * (task.pieces + 8)
    yield "faiss ivf-pq", lambda q: coded.search(q[None], task.top)[1][0], size
    size += task.count * task.dim * 4
    if size > task.memory:
        return
    kept = faiss.IndexFlatIP(task.dim)
    for chunk in task.chunks():
        kept.add(chunk)
    index = faiss.IndexRefine(coded, kept)
    index.k_factor = task.rescored / task.top
    yield "faiss ivf-pq, refined in memory", lambda q: index.search(q[None], task.top)[1][0], size


def lancedb(task: Task) -> Built:
    """IVF_PQ over a table on the disk, and the best scored anew from it."""
    import lancedb as lance
    import pyarrow as pa
    from lancedb.index import IvfPq

    place = task.folder / "lance"
    shutil.rmtree(place, ignore_errors=True)
    vector = pa.list_(pa.float16(), task.dim)
    schema = pa.schema([("row", pa.int64()), ("vector", vector)])

    def batches() -> Iterator[pa.RecordBatch]:
        for start, chunk in task.numbered():
            rows = pa.array(np.arange(start, start + len(chunk)))
            flat = pa.array(chunk.astype(np.float16).reshape(-1))
            yield pa.record_batch([rows, pa.FixedSizeListArray.from_arrays(flat, type=vector)], schema=schema)

    table = lance.connect(str(place)).create_table("vectors", batches(), schema=schema)
    # As many vectors for each centre and as many rounds as ours and FAISS's lists have. Its defaults are 256 and 50.
    settings = IvfPq("cosine", task.lists, task.pieces, sample_rate=64, max_iterations=10)
    table.create_index("vector", config=settings)

    def search(query: np.ndarray) -> np.ndarray:
        asked = table.search(query.astype(np.float16)).metric("cosine").nprobes(task.probes)
        hits = asked.refine_factor(task.rescored // task.top).select(["row", "_distance"]).limit(task.top).to_arrow()
        return hits["row"].to_numpy()

    yield "lancedb ivf_pq, refined", search, sum(f.stat().st_size for f in place.rglob("*") if f.is_file())


PEERS = {one.__name__: one for one in (flat, eight_bits, ivf_pq, lancedb)}


def peak() -> int:
    """MiB: what `getrusage` tells would be the peak of the process that started this one."""
    found = re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text(encoding="utf-8"))
    return round(int(found[1]) / 1024) if found else 0


def main(folder: Path, peer: str) -> None:
    """Build, search and print."""
    task = Task(folder)
    out: dict[str, Any] = {}
    seconds, began = 0.0, time.perf_counter()
    for name, search, size in PEERS[peer](task):
        seconds += time.perf_counter() - began
        out[name] = {**measured(task, search), "build_s": round(seconds, 1), "bytes": size, "peak_memory_MiB": peak()}
        began = time.perf_counter()
    print(json.dumps(out))


def measured(task: Task, search: Search) -> dict[str, float]:
    """Recall, and milliseconds of the fastest of three searches for each query."""
    found = [search(query) for query in task.queries]
    rounds = np.empty((3, len(task.queries) - WARM))
    for turn in rounds:
        for number, query in enumerate(task.queries[WARM:]):
            began = time.perf_counter()
            search(query)
            turn[number] = 1000 * (time.perf_counter() - began)
    took = rounds.min(axis=0)
    shares = [len(np.intersect1d(f, w)) / len(w) for f, w in zip(found, task.wanted, strict=True)]
    return {
        "recall_at_100": round(float(np.mean(shares)), 4),
        "median_ms": round(float(np.median(took)), 2),
        "p95_ms": round(float(np.percentile(took, 95)), 2),
    }


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
