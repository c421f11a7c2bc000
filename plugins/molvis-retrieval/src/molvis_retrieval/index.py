"""Indexes: libraries of structures with the vectors that one bundle gives them, on disk."""

from __future__ import annotations

import errno
import logging
import os
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from jaxtyping import Float, Float32, Int64

from molvis_core.errors import IndexFileError
from molvis_core.interfaces import Featurises
from molvis_core.progress import Progress
from molvis_core.text import in_shell
from molvis_files.digests import BLOCK, Digester, blocks_of, damage, digests_of, sealed, stored_digests
from molvis_files.folders import FolderFormat
from molvis_files.locking import sole_writer
from molvis_files.stores import Store, open_store
from molvis_files.writing import recover, replacing, replacing_folder
from molvis_retrieval import metrics
from molvis_retrieval.clusters import Clusters
from molvis_retrieval.library import Library, join
from molvis_retrieval.partitioned import PartitionedLibrary, PartitionedVectors
from molvis_retrieval.partitions import Partitions, is_partitioned
from molvis_retrieval.vectors import JoinedVectors, LazyVectors, StoredVectors

if TYPE_CHECKING:
    from molvis_retrieval.bundle import Bundle


log = logging.getLogger("molvis")


FOLDER = FolderFormat(
    noun="index",
    file="index.toml",
    version=2,
    error=IndexFileError,
    make="Make one with: molvis library build BUNDLE FILES --out {path}",
    mend="Build the index again.",
    sealed_from=2,
)
"""The folder. Version 1 had no digests of blocks."""


_PREPARED = 32_768
"""Structures whose features are made at a time: processes that share the work take a second or two to start."""


@dataclass(frozen=True, eq=False)
class Index:
    """A library with the vectors that one bundle gives its structures.

    Attributes:
        path: the folder.
        library: the structures.
        vectors: float16 or int8, unit rows: memory-mapped or fetched and checked as they are looked at, or embedded
            then.
        bundle_digest: of the encoders of the bundle that made them; calibrating it leaves them as they are.
        bundle_name: what people call it.
    """

    path: Path
    library: Library
    vectors: Float[np.ndarray, "N dim"] | LazyVectors | StoredVectors | JoinedVectors | PartitionedVectors = field(
        repr=False
    )
    bundle_digest: str
    bundle_name: str = ""

    @property
    def name(self) -> str:
        """What people call it: the file of structures that it is kept beside, or its folder."""
        kept = self.path.parent.name
        return kept.removesuffix(".index") if kept.endswith(".index") else self.path.name

    @classmethod
    def open(cls, path: Path | str) -> Index:
        """Open an index; vectors are read from disk, and compared with their digests, as they are needed.

        Raises:
            IndexFileError: there is none, it is unfinished, truncated, damaged, or of a newer format.
        """
        if is_partitioned(path):
            return cls.open_partitioned(open_store(path))
        path = Path(path)
        recover(path)
        metadata = read_metadata(path)
        if not metadata.get("complete"):
            raise IndexFileError(
                f"{path}: unfinished: {metadata.get('done', 0)} of {metadata['count']} structures are embedded. Run "
                "the same molvis library build again to go on."
            )
        count, dim = metadata["count"], metadata["dim"]
        file = path / "vectors.f16"
        wanted = count * dim * 2
        found = file.stat().st_size if file.exists() else 0
        if found != wanted:
            raise IndexFileError(f"{file}: truncated: {found} bytes instead of {wanted}. Build the index again.")
        library = open_library(path)
        if len(library) != count:
            raise IndexFileError(f"{path}: damaged: {len(library)} structures but {count} vectors. Build it again.")
        digests = stored_digests(metadata, file.name)
        if digests is None:
            log.warning(
                "%s: made by an older molvis, without digests: damage to it goes unnoticed. Give it some: molvis "
                "library verify %s --add",
                path, in_shell(path),
            )  # fmt: skip
        vectors = StoredVectors(file, (count, dim), digests)
        return cls(path, library, vectors, metadata["bundle_digest"], metadata.get("bundle_name", ""))

    @classmethod
    def open_partitioned(cls, store: Store, digest: str | None = None) -> Index:
        """Open a partitioned library with the vectors of one bundle; both are read as they are needed.

        Args:
            store: its folder.
            digest: of the bundle's encoders; without it the first whose vectors are complete.

        Raises:
            IndexFileError: there is none, or it has no vectors of this bundle, or not all of them.
        """
        partitions = Partitions.open(store)
        encoded = partitions.by(digest)
        where = store.where()
        if encoded is None:
            known = ", ".join(e.bundle for e in partitions.encoded) or "no bundle"
            raise IndexFileError(
                f"{where}: it has vectors of {known}, and none of this one. Add them: molvis library build BUNDLE "
                f"--out {in_shell(where)}"
            )
        if not encoded.complete:
            raise IndexFileError(f"{where}: unfinished. Run the same molvis library build again to go on.")
        library, vectors = PartitionedLibrary(partitions), PartitionedVectors(partitions, encoded)
        return cls(store.local or Path(where), library, vectors, encoded.digest, encoded.bundle)

    def require(self, bundle: Bundle) -> None:
        """Raise `IndexFileError` unless this bundle made the index: vectors of two models do not compare."""
        if bundle.encoders_digest != self.bundle_digest:
            raise IndexFileError(
                f"{self.path}: made by bundle {self.bundle_name!r} ({self.bundle_digest[:12]}), not by {bundle.name!r} "
                f"({bundle.encoders_digest[:12]}). Build another: molvis library build {in_shell(bundle.path)} FILES "
                "--out DIR"
            )

    def take(self, rows: np.ndarray) -> Float32[np.ndarray, "m dim"]:
        """Vectors of some rows, as float32."""
        return np.asarray(self.vectors[rows], dtype=np.float32)

    @cached_property
    def clusters(self) -> Clusters | None:
        """For searches of everything that look at a part of it; None where a library has none, and all is looked at."""
        if not isinstance(self.vectors, PartitionedVectors):
            return None
        return Clusters.open(self.vectors.partitions, self.vectors.encoded, self.vectors)

    def blocks(self, size: int = 2048) -> Iterator[tuple[int, Float32[np.ndarray, "c dim"]]]:
        """All vectors as float32, `size` rows at a time: the number of the first row, and the rows.

        A block is overwritten by the next one. Widening to float32 in a small buffer that is used again is several
        times faster than widening everything at once: most of that time goes into fetching fresh memory.
        """
        import torch

        if isinstance(self.vectors, PartitionedVectors):
            for start in range(0, len(self.vectors), size):
                yield start, self.vectors[start : start + size]
            return
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # that the map is read-only: so it should be
            source = torch.from_numpy(np.asarray(self.vectors))
        buffer = torch.empty((size, source.shape[1]), dtype=torch.float32)
        for start in range(0, len(source), size):
            part = source[start : start + size]
            yield start, buffer[: len(part)].copy_(part).numpy()

    def search(
        self, queries: Float[np.ndarray, "n dim"], k: int, *, rows: np.ndarray | None = None, chunk: int = 32768
    ) -> tuple[Float32[np.ndarray, "n k"], Int64[np.ndarray, "n k"]]:
        """The `k` best rows for each query by dot product, exactly; fewer where there are fewer.

        Args:
            queries: unit vectors.
            k: how many.
            rows: search these only.
            chunk: rows in memory at a time.

        Raises:
            ValueError: the queries have another dimension, or are not finite.
        """
        queries = np.asarray(queries, dtype=np.float32)
        if queries.ndim != 2 or queries.shape[1] != self.vectors.shape[1]:
            raise ValueError(f"queries must have shape (n, {self.vectors.shape[1]}), got {queries.shape}")
        if not np.isfinite(queries).all():
            raise ValueError("queries hold numbers that are not finite")
        total = len(self.vectors) if rows is None else len(rows)
        k = min(k, total)
        scores = np.empty((len(queries), 0), dtype=np.float32)
        places = np.empty((len(queries), 0), dtype=np.int64)
        for start in range(0, total, chunk):
            part = np.arange(start, min(start + chunk, total)) if rows is None else rows[start : start + chunk]
            block = self.vectors[start : start + chunk] if rows is None else self.vectors[part]
            scores = np.concatenate([scores, queries @ np.asarray(block, dtype=np.float32).T], axis=1)
            places = np.concatenate([places, np.broadcast_to(part, (len(queries), len(part)))], axis=1)
            # Scores that tie in the order of rows, so that a search gives the same result whatever the chunks were.
            best = np.array([metrics.in_order(row, k) for row in scores], dtype=np.int64).reshape(len(scores), -1)
            scores, places = np.take_along_axis(scores, best, 1), np.take_along_axis(places, best, 1)
        return scores, places


def join_indexes(indexes: Sequence[Index]) -> Index:
    """Several indexes by one bundle as one, by priority: a compound that several hold is the first one's.

    Raises:
        IndexFileError: bundles with other encoders made them.
    """
    first, *others = indexes
    if not others:
        return first
    for one in others:
        if one.bundle_digest != first.bundle_digest:
            raise IndexFileError(
                f"{one.path}: made by bundle {one.bundle_name!r}, but {first.path} by {first.bundle_name!r}. Build one "
                "of them again: vectors of two models do not compare."
            )
    joined = join([one.library for one in indexes])
    vectors = JoinedVectors([one.vectors for one in indexes], joined.part, joined.row)
    path = Path(" + ".join(one.name for one in indexes))
    return Index(path, joined.library, vectors, first.bundle_digest, first.bundle_name)


def build_index(
    bundle: Bundle,
    library: Library,
    path: Path | str,
    *,
    batch_size: int = 2048,
    device: str | None = None,
    progress: Progress | None = None,
) -> Index:
    """Embed a library, or go on with one whose embedding was interrupted.

    Args:
        bundle: whose structure encoder.
        library: what to embed.
        path: folder of the index.
        batch_size: structures between two notes of progress.
        device: where to compute; a GPU if there is one.
        progress: called with the structures done and in all.

    Raises:
        IndexFileError: the folder holds another index, or the disk is full; what is embedded so far is kept.
        molvis_core.errors.BusyError: another process builds it.
    """
    path = Path(path)
    with sole_writer(path):
        _embed(bundle, library, path, batch_size, device, progress)
    return Index.open(path)


def _embed(
    bundle: Bundle, library: Library, path: Path, batch_size: int, device: str | None, progress: Progress | None
) -> None:
    head = _head(bundle, library)
    row_bytes = head["dim"] * 2
    file = path / "vectors.f16"
    done, digester, blocks = _begin(path, head, library)
    encoder, prepared = bundle.encoder("structure"), done
    try:
        with file.open("r+b" if file.exists() else "w+b") as out:
            # What was written after the last note of progress may be half a batch: it is written again.
            out.truncate(done * row_bytes)
            out.seek(done * row_bytes)
            while done < len(library):
                stop = min(done + batch_size, len(library))
                structures = library.structures(range(done, stop))
                if isinstance(encoder, Featurises) and done >= prepared:
                    prepared = min(done + max(_PREPARED, batch_size), len(library))
                    encoder.featurise(library.structures(range(done, prepared)))
                vectors = bundle.embed("structure", structures, device=device)
                data = vectors.astype(np.float16).tobytes()
                out.write(data)
                digester.update(data)
                blocks["files"][file.name] = digester.digests()
                out.flush()
                os.fsync(out.fileno())  # a power cut must not leave a note of vectors that are not there
                done = stop
                _note(path, {**head, "done": done, "complete": done == len(library), "blocks": blocks})
                if progress:
                    progress(done, len(library))
    except OSError as error:
        full = "the disk is full; free some space" if error.errno == errno.ENOSPC else str(error)
        raise IndexFileError(
            f"{path}: cannot be written: {full}. {done} structures are embedded; run the same command to go on."
        ) from error


def open_library(path: Path | str) -> Library:
    """The structures of an index, finished or not, compared with their digests.

    Raises:
        IndexFileError: there is no index, or it is damaged.
    """
    file = Path(path) / "library.arrow"
    wanted = stored_digests(read_metadata(Path(path)), file.name)
    if wanted is not None and file.is_file() and (found := damage(file, wanted)):
        raise IndexFileError(f"{file}: damaged: {found[0].reason}. Copy it again, or build the index again.")
    return Library.open(file)


def begin_index(path: Path | str, bundle: Bundle, library: Library) -> None:
    """Write an index that holds its structures and no vectors yet; `build_index` goes on from there.

    Raises:
        IndexFileError: the folder holds another index, or cannot be written.
    """
    with sole_writer(path):
        _begin(Path(path), _head(bundle, library), library)


def index_state(path: Path | str, bundle: Bundle) -> Literal["none", "begun", "complete"]:
    """How far an index by this bundle has come.

    Raises:
        IndexFileError: it is damaged, or another bundle made it.
    """
    path = Path(path)
    recover(path)
    if not (path / "index.toml").is_file():
        return "none"
    metadata = read_metadata(path)
    if metadata["bundle_digest"] != bundle.encoders_digest:
        raise IndexFileError(f"{path}: made by another bundle. Choose another folder, or delete it.")
    return "complete" if metadata.get("complete") else "begun"


def _head(bundle: Bundle, library: Library) -> dict[str, Any]:
    return {
        "format": FOLDER.version,
        "bundle_digest": bundle.encoders_digest,
        "bundle_name": bundle.name,
        "library_digest": library.digest,
        "count": len(library),
        "dim": int(bundle.encoder("structure").dim),
    }


def _begin(path: Path, head: dict[str, Any], library: Library) -> tuple[int, Digester, dict[str, Any]]:
    """Structures already embedded, 0 in a new folder; the digests of their vectors; those of all files."""
    import pyarrow as pa

    recover(path)
    if (path / "index.toml").exists():
        old = read_metadata(path)
        if different := [k for k in head if old.get(k) != head[k] and k != "format"]:
            raise IndexFileError(
                f"{path}: holds another index ({', '.join(different)} differ). Choose another folder, or delete it."
            )
        size = (path / "vectors.f16").stat().st_size if (path / "vectors.f16").exists() else 0
        # A file that was truncated has fewer whole rows than are noted.
        done = min(int(old.get("done", 0)), size // (head["dim"] * 2))
        open_library(path)
        blocks = old.get("blocks") or blocks_of(path, ["library.arrow"])
        return *_resumed(path / "vectors.f16", done, head["dim"] * 2, stored_digests(old, "vectors.f16")), blocks
    if path.exists() and any(path.iterdir()):
        raise IndexFileError(f"{path}: not an index, and not empty. Choose another folder.")
    try:
        with replacing_folder(path) as fresh:
            file = str(fresh / "library.arrow")
            with pa.OSFile(file, "wb") as sink, pa.ipc.new_file(sink, library.table.schema) as out:
                out.write_table(library.table)
            (fresh / "vectors.f16").touch()
            blocks = blocks_of(fresh, ["library.arrow", "vectors.f16"])
            _note(fresh, {**head, "done": 0, "complete": len(library) == 0, "blocks": blocks})
    except OSError as error:
        raise IndexFileError(f"{path}: cannot be written: {error}") from error
    return 0, Digester(), blocks


def _resumed(file: Path, done: int, width: int, noted: list[str] | None) -> tuple[int, Digester]:
    """Rows that are as they were noted, up to the first damaged block, and their digests so far."""
    if done and noted is not None:
        found = digests_of(file, done * width)
        bad = next((n for n, pair in enumerate(zip(found, noted, strict=False)) if pair[0] != pair[1]), None)
        if bad is not None:
            log.warning(
                "%s: what was embedded is damaged from row %d on; it is embedded again", file, bad * BLOCK // width
            )
            done = bad * BLOCK // width
    digester = Digester()
    if done:
        with file.open("rb") as content:
            for start in range(0, done * width, BLOCK):
                digester.update(content.read(min(BLOCK, done * width - start)))
    return done, digester


def read_metadata(path: Path) -> dict[str, Any]:
    """The content of `index.toml`, if it is what was written.

    Raises:
        IndexFileError: there is none, it is damaged, or of a newer format.
    """
    metadata = FOLDER.read(path)
    if missing := sorted({"count", "dim", "bundle_digest"} - metadata.keys()):
        raise FOLDER.damaged(path, f"it does not state {', '.join(missing)}")
    named = [stored_digests(metadata, name) for name in ("library.arrow", "vectors.f16")]
    if metadata["format"] > 1 and None in named:
        raise FOLDER.damaged(path, "it has no digests of its files")
    return metadata


def _note(path: Path, metadata: dict[str, Any]) -> None:
    with replacing(path / "index.toml") as fresh:
        fresh.write_text(sealed(metadata), encoding="utf-8")


def describe_index(index: Index) -> dict[str, Any]:
    """What is in an index, for people and scripts."""
    if isinstance(index.library, PartitionedLibrary):
        return _describe_partitioned(index, index.library.partitions)
    mass = index.library.mass
    return {
        "path": str(index.path),
        "bundle": index.bundle_name,
        "bundle_digest": index.bundle_digest,
        "structures": len(index.library),
        "dim": int(index.vectors.shape[1]),
        "bytes": int(index.vectors.size * 2),
        "mass_range": [float(mass[0]), float(mass[-1])] if len(mass) else [],
        "formulas": len(np.unique(index.library._formulas)),
        "sources": _counts([s for row in index.library.table["sources"].to_pylist() for s in row or [None]]),
    }


def _describe_partitioned(index: Index, partitions: Partitions) -> dict[str, Any]:
    """The same of a partitioned library, without reading its structures."""
    source = partitions.metadata["source"]
    return {
        "path": partitions.store.where(),
        "bundle": index.bundle_name,
        "bundle_digest": index.bundle_digest,
        "structures": partitions.count,
        "partitions": len(partitions),
        "dim": int(index.vectors.shape[1]),
        "vectors": next(e.rows.kind for e in partitions.encoded if e.digest == index.bundle_digest),
        "bytes": int(getattr(index.vectors, "nbytes", 0)),
        "mass_range": [float(partitions.first[0]), float(partitions.last[-1])] if partitions.count else [],
        "bundles": [e.bundle for e in partitions.encoded],
        "sources": {str(name): str(digest)[:12] for name, digest in source.items()},
    }


def _counts(values: Sequence[str | None]) -> dict[str, int]:
    from collections import Counter

    return dict(Counter(v or "unknown" for v in values).most_common())
