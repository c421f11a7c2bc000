"""Vectors of a library that are checked, or computed, when they are first asked for."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float16

from molvis_core.errors import IndexFileError
from molvis_core.progress import Progress
from molvis_files.digests import BLOCK, block_digest, in_block

if TYPE_CHECKING:
    from molvis_retrieval.bundle import Bundle
    from molvis_retrieval.library import Library


class LazyVectors:
    """What stands in an index for vectors on disk: rows of a library, each embedded once, when it is first looked at.

    Numbers are those that an index would hold, 16 bits each, so that both rank alike.
    """

    def __init__(self, bundle: Bundle, library: Library, *, device: str | None = None) -> None:
        self._bundle, self._library, self._device = bundle, library, device
        dim = int(bundle.encoder("structure").dim)
        self._values = np.empty((len(library), dim), dtype=np.float16)  # memory is taken page by page, as it is filled
        self._known = np.zeros(len(library), dtype=bool)

    def __reduce__(self) -> tuple[Any, ...]:
        # Another process embeds what it looks at: most of the values are empty, and as large as the library.
        return functools.partial(LazyVectors, device=self._device), (self._bundle, self._library)

    @property
    def shape(self) -> tuple[int, ...]:
        """Structures, and numbers for each."""
        return self._values.shape

    @property
    def size(self) -> int:
        """Numbers in all."""
        return self._values.size

    @property
    def embedded(self) -> int:
        """Structures that are embedded so far."""
        return int(self._known.sum())

    def __len__(self) -> int:
        return len(self._values)

    def __getitem__(self, rows: slice | np.ndarray) -> Float16[np.ndarray, "m dim"]:
        self.embed(np.arange(len(self))[rows])
        return self._values[rows]

    def __array__(self, dtype: np.dtype | None = None, *, copy: bool | None = None) -> np.ndarray:
        return np.array(self[:], dtype=dtype or np.float16, copy=bool(copy) or None)

    def embed(self, rows: np.ndarray, *, progress: Progress | None = None, batch_size: int = 2048) -> None:
        """Embed those of some rows that are not embedded yet.

        Args:
            rows: of the library.
            progress: called with the structures done and in all.
            batch_size: structures between two notes of progress.
        """
        missing = np.unique(rows[~self._known[rows]])
        for start in range(0, len(missing), batch_size):
            some = missing[start : start + batch_size]
            vectors = self._bundle.embed("structure", self._library.structures(some), device=self._device)
            self._values[some] = vectors.astype(np.float16)
            self._known[some] = True
            if progress:
                progress(start + len(some), len(missing))


class StoredVectors:
    """Vectors in a file, memory-mapped: each block of it is compared with its digest when it is first looked at."""

    def __init__(self, file: Path, shape: tuple[int, int], digests: Sequence[str] | None) -> None:
        self._file, self._digests = file, digests
        # A map of nothing is refused.
        values = np.memmap(file, dtype=np.float16, mode="r", shape=shape) if shape[0] else np.empty(shape, np.float16)
        self._values: Float16[np.ndarray, "N dim"] = values
        self._unseen = np.ones(-(-values.nbytes // BLOCK) if digests is not None else 0, dtype=bool)

    def __reduce__(self) -> tuple[Any, ...]:
        # Another process maps the file itself.
        return StoredVectors, (self._file, self._values.shape, self._digests)

    @property
    def shape(self) -> tuple[int, ...]:
        """Structures, and numbers for each."""
        return self._values.shape

    @property
    def size(self) -> int:
        """Numbers in all."""
        return self._values.size

    def __len__(self) -> int:
        return len(self._values)

    def __getitem__(self, rows: slice | np.ndarray) -> Float16[np.ndarray, "m dim"]:
        if self._unseen.any():
            self._check(rows)
        return self._values[rows]

    def __array__(self, dtype: np.dtype | None = None, *, copy: bool | None = None) -> np.ndarray:
        return np.array(self[:], dtype=dtype or np.float16, copy=bool(copy) or None)

    def _check(self, rows: slice | np.ndarray) -> None:
        width = self._values.shape[1] * self._values.itemsize
        if isinstance(rows, slice):
            start, stop, _ = rows.indices(len(self))
            wanted = np.arange(start * width // BLOCK, -(-stop * width // BLOCK))
        else:
            first = np.arange(len(self))[rows].astype(np.int64) * width
            wanted = np.unique(np.concatenate([first // BLOCK, (first + width - 1) // BLOCK]))
        content: Any = self._values.reshape(-1).view(np.uint8)
        assert self._digests is not None
        for number in wanted[self._unseen[wanted]].tolist():
            wanted_digest = self._digests[number] if number < len(self._digests) else None
            if block_digest(content[number * BLOCK : (number + 1) * BLOCK]) != wanted_digest:
                raise IndexFileError(f"{self._file}: damaged: {in_block(number)}. Copy it again, or build it again.")
            self._unseen[number] = False


class JoinedVectors:
    """The vectors of several indexes as those of the library that their libraries make together."""

    def __init__(self, parts: Sequence[Any], part: np.ndarray, row: np.ndarray) -> None:
        """`parts` are vectors of the indexes; `part` and `row` say which of them, and which row of it, each row is."""
        self._parts, self._part, self._row = parts, part, row

    @property
    def shape(self) -> tuple[int, ...]:
        """Structures, and numbers for each."""
        return len(self._row), int(self._parts[0].shape[1])

    @property
    def size(self) -> int:
        """Numbers in all."""
        return self.shape[0] * self.shape[1]

    def __len__(self) -> int:
        return len(self._row)

    def __getitem__(self, rows: slice | np.ndarray) -> Float16[np.ndarray, "m dim"]:
        part, row = self._part[rows], self._row[rows]
        out = np.empty((len(row), self.shape[1]), dtype=np.float16)
        for number, vectors in enumerate(self._parts):
            own = part == number
            if own.any():
                out[own] = vectors[row[own]]
        return out

    def __array__(self, dtype: np.dtype | None = None, *, copy: bool | None = None) -> np.ndarray:
        return np.array(self[:], dtype=dtype or np.float16, copy=bool(copy) or None)
