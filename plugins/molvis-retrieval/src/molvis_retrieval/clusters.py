"""Searches without a mass in a partitioned library: vectors in clusters, each in some bytes, and the best read exactly.

The vectors are parted into lists, each around a centre, and what a vector differs from its centre by is written as the
numbers of the nearest of 256 pieces, one number for each few dimensions: product quantization (H. Jégou et al., IEEE
Trans. Pattern Anal. Mach. Intell. 33 (2011) 117, doi:10.1109/TPAMI.2010.57). A search reads the lists of the nearest
centres, each of them one range of bytes, ranks their rows by these codes, and reads the vectors of the best from their
partitions: what comes back are exact cosines.
"""

from __future__ import annotations

import hashlib
import io
import itertools
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float, Float32, Int32, Int64, UInt8

from molvis_core.errors import ConfigError, IndexFileError
from molvis_core.progress import StageProgress
from molvis_files.parallel import Engine, in_parallel
from molvis_retrieval import metrics
from molvis_retrieval.partitioned import PartitionedVectors
from molvis_retrieval.partitions import Encoded, Partitions, key_of

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["PROBES", "RESCORED", "Clusters", "build_clusters", "cluster_partition"]

PROBES = 32
"""Lists that a search looks at: see docs/decisions/0039-clusters-of-our-own.md for what is found in how many."""
RESCORED = 1000
"""Rows whose vectors are read, for up to half as many that are asked for."""
_CODES = 256
_SAMPLES = 64
"""Vectors that each centre learns from."""
_ROUNDS = 10
_BLOCK = 8192


@dataclass(frozen=True, eq=False)
class Model:
    """Where the centres are, and what differences from them are written as.

    Attributes:
        centres: of the lists.
        pieces: of each few dimensions, what differences are written as.
    """

    centres: Float32[np.ndarray, "lists dim"]
    pieces: Float32[np.ndarray, "m codes part"]

    def encode(self, vectors: Float32[np.ndarray, "n dim"]) -> tuple[Int32[np.ndarray, " n"], UInt8[np.ndarray, "n m"]]:
        """The list of each vector and its code."""
        import torch

        centres, pieces = torch.from_numpy(self.centres), torch.from_numpy(self.pieces)
        count, _, part = self.pieces.shape
        lists = np.empty(len(vectors), dtype=np.int32)
        codes = np.empty((len(vectors), count), dtype=np.uint8)
        for start in range(0, len(vectors), _BLOCK):
            block = torch.from_numpy(np.ascontiguousarray(vectors[start : start + _BLOCK]))
            near = _nearest(block, centres)
            rest = (block - centres[near]).reshape(len(block), count, part)
            lists[start : start + len(block)] = near.numpy()
            for m in range(count):
                codes[start : start + len(block), m] = _nearest(rest[:, m], pieces[m]).numpy()
        return lists, codes


def _nearest(x: Tensor, centres: Tensor) -> Tensor:
    """The centre that is nearest to each point."""
    import torch

    return torch.addmm(-0.5 * centres.square().sum(1), x, centres.T).argmax(1)


def _means(x: Tensor, count: int, rounds: int, rng: np.random.Generator) -> Tensor:
    """Centres by k-means; one that nothing is near to is put next to that which most is near to."""
    import torch

    centres = x[torch.from_numpy(rng.choice(len(x), count, replace=False))].clone()
    for _ in range(rounds):
        near = torch.cat([_nearest(block, centres) for block in x.split(_BLOCK)])
        sums = torch.zeros_like(centres).index_add_(0, near, x)
        sizes = torch.bincount(near, minlength=count)
        centres = sums / sizes.clamp(min=1)[:, None]
        empty = torch.nonzero(sizes == 0).flatten()
        if len(empty):
            crowded = sizes.argsort(descending=True)[: len(empty)]
            noise = torch.from_numpy(rng.normal(0, 1e-3, (len(crowded), x.shape[1])).astype(np.float32))
            centres[empty[: len(crowded)]] = centres[crowded] + noise
    return centres


def learn(vectors: Float32[np.ndarray, "n dim"], lists: int, seed: int = 0) -> Model:
    """Centres and pieces of a sample of vectors."""
    import torch

    rng = np.random.default_rng(seed)
    x = torch.from_numpy(vectors)
    dim = x.shape[1]
    count = max(m for m in range(1, min(64, dim) + 1) if dim % m == 0)
    centres = _means(x, lists, _ROUNDS, rng)
    few = x[torch.from_numpy(rng.permutation(len(x))[: 128 * _CODES])]
    rest = (few - centres[torch.cat([_nearest(block, centres) for block in few.split(_BLOCK)])]).reshape(
        len(few), count, dim // count
    )
    pieces = [_means(rest[:, m].contiguous(), min(_CODES, len(few)), _ROUNDS, rng) for m in range(count)]
    return Model(centres.numpy(), torch.stack(pieces).numpy())


def lists_for(count: int) -> int:
    """How many lists so many vectors are parted into: a power of two, with hundreds to thousands of vectors in each."""
    return int(min(2 ** max(0, round(np.log2(max(1.0, 0.65 * np.sqrt(count))))), max(1, count // 4)))


@dataclass(frozen=True)
class Clustering:
    """What a process needs to write the codes of partitions."""

    partitions: Partitions
    encoded: Encoded
    model: Model

    def __call__(self, partition: int) -> str:
        """Write those of one; the name of their file."""
        return cluster_partition(self, partition)


def cluster_partition(source: Clustering, partition: int) -> str:
    """Write the lists and codes of the vectors of a partition; the name of their file.

    Raises:
        IndexFileError: the vectors are damaged.
    """
    partitions = source.partitions
    vectors = PartitionedVectors(partitions, source.encoded)
    start, stop = partitions.starts[partition : partition + 2].tolist()
    lists, codes = source.model.encode(vectors[start:stop])
    name = f"{_folder(source.encoded)}/parts/{partition:05d}.npy"
    out = io.BytesIO()
    np.save(out, np.concatenate([lists[:, None].view(np.uint8), codes], axis=1))
    partitions.store.write(name, out.getvalue())
    return name


def build_clusters(
    partitions: Partitions,
    encoded: Encoded,
    *,
    lists: int | None = None,
    seed: int = 0,
    engine: Engine = "processes",
    processes: int | None = None,
    address: str | None = None,
    progress: StageProgress | None = None,
) -> Partitions:
    """Write what searches without a mass need. It holds in memory what it writes: 68 bytes of each structure.

    Args:
        partitions: of the library.
        encoded: the vectors, complete.
        lists: how many; by default so many that each has some hundreds to thousands of structures.
        seed: of what the centres learn from.
        engine: where partitions are worked on; see `molvis_retrieval.partition_building.build_partitioned`.
        processes: how many.
        address: of a Ray cluster.
        progress: called with the structures done, in all, and what is being done.

    Raises:
        IndexFileError: the vectors are not complete, or damaged.
        ConfigError: there are fewer structures than lists.
    """
    if not encoded.complete:
        raise IndexFileError(f"{partitions.store.where()}: unfinished. Run the same molvis library build again.")
    lists = lists or lists_for(partitions.count)
    if not 0 < lists <= partitions.count:
        raise ConfigError(f"{lists} lists of {partitions.count} structures; ask for 1 to {partitions.count}")
    if progress:
        progress(0, partitions.count, "learning clusters")
    picked = np.random.default_rng(seed).permutation(partitions.count)[: max(_SAMPLES * lists, 128 * _CODES)]
    model = learn(PartitionedVectors(partitions, encoded)[np.sort(picked)], lists, seed)
    work = Clustering(partitions, encoded, model)
    folder = _folder(encoded)
    done = 0
    parts: list[np.ndarray] = []
    made = in_parallel(
        work, range(len(partitions)), len(partitions), what="clustered partitions", processes=processes, few=4,
        engine=engine, address=address,
    )  # fmt: skip
    for number, name in enumerate(made):
        parts.append(np.load(io.BytesIO(partitions.store.read(name)), allow_pickle=False))
        partitions.store.delete(name)
        done += partitions.rows(number)
        if progress:
            progress(done, partitions.count, "clustering")
    near = np.concatenate([part[:, :4] for part in parts]).copy().view(np.int32).reshape(-1)
    order = np.argsort(near, kind="stable")
    offsets = np.concatenate([[0], np.cumsum(np.bincount(near, minlength=lists))])
    codes = np.concatenate([part[:, 4:] for part in parts])
    rows = np.concatenate([codes[order], order.astype("<u4")[:, None].view(np.uint8)], axis=1)
    sums = [zlib.crc32(rows[a:b].tobytes()) for a, b in itertools.pairwise(offsets)]
    partitions.store.write(f"{folder}/lists.bin", rows.tobytes())
    data = _saved(model, offsets, np.array(sums))
    partitions.store.write(f"{folder}/model.safetensors", data)
    noted = {"lists": lists, "bytes": rows.nbytes, "model": hashlib.sha256(data).hexdigest()}
    return partitions.with_encoded(replace(encoded, clusters=noted))


def _folder(encoded: Encoded) -> str:
    return f"clusters/{key_of(encoded.digest)}"


def _saved(model: Model, offsets: np.ndarray, sums: np.ndarray) -> bytes:
    from safetensors.numpy import save

    numbers = {"offsets": offsets.astype(np.int64), "sums": sums.astype(np.int64)}
    return save({"centres": model.centres, "pieces": model.pieces, **numbers})


@dataclass(frozen=True, eq=False)
class Clusters:
    """The lists of a library's vectors, opened for searches.

    Attributes:
        partitions: of the library.
        encoded: the vectors.
        vectors: of the library, for exact cosines.
        model: centres and pieces.
        offsets: the place that each list begins at, and at the end the number of all rows.
    """

    partitions: Partitions
    encoded: Encoded
    vectors: Any
    model: Model
    offsets: Int64[np.ndarray, " lists1"]
    _sums: Int64[np.ndarray, " lists"] = field(repr=False)
    _seen: set[int] = field(default_factory=set, repr=False)

    @classmethod
    def open(cls, partitions: Partitions, encoded: Encoded, vectors: Any = None) -> Clusters | None:
        """Those of a library; None where there are none.

        Raises:
            IndexFileError: they are missing or damaged.
        """
        if not encoded.clusters:
            return None
        from safetensors.numpy import load

        name = f"{_folder(encoded)}/model.safetensors"
        try:
            data = partitions.store.read(name)
        except OSError as error:
            raise _damaged(partitions, name, error) from error
        if hashlib.sha256(data).hexdigest() != encoded.clusters["model"]:
            raise _damaged(partitions, name, "it is not what was written")
        found = load(data)
        model = Model(found["centres"], found["pieces"])
        own = PartitionedVectors(partitions, encoded) if vectors is None else vectors
        return cls(partitions, encoded, own, model, found["offsets"], found["sums"])

    def search(
        self, queries: Float[np.ndarray, "n dim"], k: int, *, probes: int = PROBES, rescored: int | None = None
    ) -> list[tuple[Float32[np.ndarray, " m"], Int64[np.ndarray, " m"]]]:
        """About the `k` best rows for each query, with their exact cosines, best first.

        Args:
            queries: unit vectors.
            k: how many; fewer come back where the lists that are looked at hold fewer.
            probes: lists that are looked at.
            rescored: rows whose vectors are read; twice as many as asked for by default, and at least a thousand.

        Raises:
            IndexFileError: a list or a vector that is looked at is damaged.
        """
        queries = np.ascontiguousarray(queries, dtype=np.float32)
        rescored = max(k, rescored or max(RESCORED, 2 * k))
        near = queries @ self.model.centres.T
        out = []
        for query, cosine in zip(queries, near, strict=True):
            picked = np.argsort(-cosine, kind="stable")[:probes]
            rows, scores = self._approximate(query, picked, cosine[picked])
            if len(rows) > rescored:
                best = np.argpartition(-scores, rescored - 1)[:rescored]
                rows = rows[best]
            rows = np.sort(rows)  # neighbours are read together, and ties are in the order of the library
            exact = self.vectors[rows] @ query
            first = metrics.in_order(exact, min(k, len(exact)))
            out.append((exact[first], rows[first]))
        return out

    def _approximate(
        self, query: Float32[np.ndarray, " dim"], picked: Int64[np.ndarray, " p"], cosine: Float32[np.ndarray, " p"]
    ) -> tuple[Int64[np.ndarray, " n"], Float32[np.ndarray, " n"]]:
        """Rows of lists and their cosines by the codes."""
        count, codes, part = self.model.pieces.shape
        table = np.einsum("mcp,mp->mc", self.model.pieces, query.reshape(count, part)).astype(np.float32).reshape(-1)
        data = self._read(picked.tolist(), count + 4)
        sizes = np.array([len(one) for one in data])
        whole = np.concatenate(data)
        # Codes of all rows as places in one table, added up dimension by dimension: as fast as memory gives them.
        scores = np.repeat(cosine, sizes)
        columns = np.ascontiguousarray(whole[:, :count].T)
        for m in range(count):
            scores += table[m * codes : (m + 1) * codes].take(columns[m])
        rows = np.ascontiguousarray(whole[:, count:]).view("<u4").reshape(-1).astype(np.int64)
        return rows, scores

    def _read(self, picked: Sequence[int], width: int) -> list[np.ndarray]:
        name = f"{_folder(self.encoded)}/lists.bin"
        starts = self.offsets.tolist()
        spans = [(starts[one] * width, (starts[one + 1] - starts[one]) * width) for one in picked]
        try:
            data = self.partitions.store.ranges(name, spans)
        except OSError as error:
            raise _damaged(self.partitions, name, error) from error
        for one, found in zip(picked, data, strict=True):
            if one not in self._seen:
                if zlib.crc32(found.tobytes()) != self._sums[one]:
                    raise _damaged(self.partitions, name, f"list {one} is not what was written")
                self._seen.add(one)
        return [found.reshape(-1, width) for found in data]


def _damaged(partitions: Partitions, name: str, why: object) -> IndexFileError:
    where = partitions.store.where(name)
    return IndexFileError(
        f"{where}: damaged or missing: {why}. Make it again: molvis library cluster {partitions.store.where()}"
    )
