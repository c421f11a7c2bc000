"""Candidates to search, from whatever people call a library: an index, or a file of structures.

The index of a file is kept beside it, in `FILE.index/`, one for each bundle and each state of the file. Where nothing
can be written there, it is kept in the user's folder of caches, and where that cannot be written either, in memory.

Searches within mass windows look at few structures: for some tens of queries only those are embedded, and the kept
index holds the structures, read once, and no vectors yet.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from molvis_core.errors import BusyError, IndexFileError
from molvis_core.progress import Progress, StageProgress
from molvis_files.digests import file_sha256
from molvis_files.stores import is_url, open_store
from molvis_retrieval.index import Index, begin_index, build_index, index_state, open_library
from molvis_retrieval.library import Library
from molvis_retrieval.partitions import is_partitioned
from molvis_retrieval.vectors import LazyVectors

if TYPE_CHECKING:
    from molvis_retrieval.bundle import Bundle

log = logging.getLogger("molvis")

FEW = 250
"""Queries within 10 ppm up to which only their candidates are embedded: each looks at a thousandth of a library."""


def open_candidates(
    path: Path | str,
    bundle: Bundle,
    *,
    whole: bool = False,
    keep: Path | str | None = None,
    reader: str | None = None,
    device: str | None = None,
    progress: StageProgress | None = None,
) -> Index:
    """An index as it is; of a file of structures the index that is kept beside it, made where it is missing.

    Args:
        path: folder of an index, or a file that a reader of structures claims.
        bundle: that is going to search it.
        whole: embed everything now. Without it, what no index holds yet is embedded as it is looked at.
        keep: folder to keep the index of a file in, instead of beside it.
        reader: of the file, instead of one by its ending.
        device: where to embed.
        progress: called with what is done, what is in all (0 while it is not known), and what is being done.

    Raises:
        IndexFileError: there is neither, the index is damaged, or another bundle made it.
        ReadError: no structure can be read from the file.
    """
    if is_url(path) or (Path(path).is_dir() and is_partitioned(path)):
        return Index.open_partitioned(open_store(path), bundle.encoders_digest)
    path = Path(path)
    if not path.is_file():
        if not path.exists():
            raise IndexFileError(
                f"{path}: no such file or folder; give a file of structures, or an index: molvis library build "
                f"BUNDLE FILES --out {path}"
            )
        index = Index.open(path)
        index.require(bundle)
        return index
    reading, embedding = _named(progress, "reading structures"), _named(progress, "embedding structures")
    places = _places(path, bundle, Path(keep) if keep else None)
    for place in places:
        if (found := _kept(place, path, bundle, whole, device, embedding)) is not None:
            return found
    library = Library.read(path, reader=reader, progress=reading)
    if library.problems:
        log.warning("%s: %d structures refused, the first: %s", path, len(library.problems), library.problems[0])
    if library.parents.words:
        log.info("%s: %s", path, library.parents.words)
    for place in places:
        try:
            begin_index(place, bundle, library)
        except (BusyError, IndexFileError, OSError) as error:
            log.info("%s: no index can be kept there: %s", place, error)
        # Another process may have begun the same one since we looked.
        if (found := _kept(place, path, bundle, whole, device, embedding)) is not None:
            return found
    log.warning("%s: its index cannot be kept anywhere; it is made in memory, and again the next time", path)
    return _in_memory(path, library, bundle, whole, device, embedding)


def looks_everywhere(
    queries: Sequence[Any], *, candidates: str = "auto", ppm: float = 10.0, known: bool = False
) -> bool:
    """Whether a search looks at so much of a library that all of it is embedded first.

    Args:
        queries: measurements, or sequences of those of one unknown.
        candidates: as in `identify`.
        ppm: half width of the mass window.
        known: a mass or a formula is given for all queries.
    """
    if candidates == "all" or len(queries) * ppm > FEW * 10.0:
        return True
    return candidates == "auto" and not known and not all(_tells_mass(query) for query in queries)


def _named(progress: StageProgress | None, what: str) -> Progress | None:
    return (lambda done, total: progress(done, total, what)) if progress else None


def _tells_mass(query: Any) -> bool:
    return any(hasattr(item.record, "precursor_mz") for item in (query if isinstance(query, Sequence) else [query]))


def _places(path: Path, bundle: Bundle, keep: Path | None) -> list[Path]:
    """Where the index of a file is kept: named by the bundle, by what the file holds, and by what is made of it."""
    content = file_sha256(path)
    cache = Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "molvis"
    own = Path(f"{path.name}.index", f"{bundle.encoders_digest[:12]}-{content[:12]}-{_MADE}")
    return [folder / own for folder in ([keep] if keep else [path.parent, cache])]


_MADE = "identifiers"
"""What a kept index holds of a file: the parents of its structures, and since then their numbers in databases."""


def _kept(
    place: Path, path: Path, bundle: Bundle, whole: bool, device: str | None, progress: Progress | None
) -> Index | None:
    try:
        state = index_state(place, bundle)
        if state == "none":
            return None
        if state == "complete":
            return Index.open(place)
        library = open_library(place)
    except IndexFileError as error:
        raise IndexFileError(f"{error} It was made from {path}: delete {place} to have it made anew.") from error
    if whole:
        try:
            return build_index(bundle, library, place, device=device, progress=progress)
        except BusyError as error:
            log.warning("%s: %s The index is made in memory.", path, error)
    return _in_memory(place, library, bundle, whole, device, progress)


def _in_memory(
    path: Path, library: Library, bundle: Bundle, whole: bool, device: str | None, progress: Progress | None
) -> Index:
    vectors = LazyVectors(bundle, library, device=device)
    if whole:
        vectors.embed(np.arange(len(library)), progress=progress)
    return Index(path, library, vectors, bundle.encoders_digest, bundle.name)
