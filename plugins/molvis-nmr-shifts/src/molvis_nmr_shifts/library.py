"""Predicted shifts of a whole library, in a folder: ranked against without a network.

Means and widths are stored as 16-bit numbers in steps that are far below the errors of prediction: 0.01 ppm of 13C and
0.001 ppm of 1H.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from molvis_core.errors import BundleError, StructureError
from molvis_core.records import ShiftList, Structure
from molvis_files.writing import replacing_folder
from molvis_nmr_shifts.matching.lines import NUCLEI, Lines, Peaks, Prices, likeliest, likelihoods, lines_of
from molvis_nmr_shifts.prediction.graphs import graph_of
from molvis_nmr_shifts.prediction.model import ShiftModel

_FILE, _SETTINGS = "lines.safetensors", "library.json"
_STEP = {"13C": 0.01, "1H": 0.001}
_FORMAT = 1
_CHUNK = 4096


class PredictedLibrary:
    """Lines of the structures of a library, in its order.

    Attributes:
        keys: of the SMILES, sorted, with their rows: see `key_of`.
        lines: by nucleus, of all rows.
    """

    def __init__(self, keys: np.ndarray, rows: np.ndarray, lines: dict[str, Lines]) -> None:
        self.keys, self.rows, self.lines = keys, rows, lines
        self._peaks: dict[str, Peaks] = {}

    def __len__(self) -> int:
        return len(self.keys)

    @classmethod
    def open(cls, folder: Path, model: ShiftModel) -> PredictedLibrary:
        """What `write_library` wrote with this network.

        Raises:
            BundleError: a file is missing or damaged, or another network predicted it.
        """
        try:
            settings = json.loads((folder / _SETTINGS).read_text(encoding="utf-8"))
            if settings["format"] != _FORMAT or settings["network"] != digest_of(model):
                raise BundleError(f"{folder}: predicted by another network, or by another molvis; predict it anew")
            with safe_open(folder / _FILE, framework="numpy") as file:
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - it is no mapping
            lines = {n: _unpacked(tensors, n) for n in NUCLEI}
            return cls(tensors["keys"], tensors["rows"], lines)
        except (OSError, SafetensorError, ValueError, KeyError, TypeError) as error:
            raise BundleError(f"{folder}: missing or damaged: {error}") from error

    def known(self, candidates: Sequence[Structure], nucleus: str) -> dict[int, Lines]:
        """Lines of the candidates that are in the library, by place."""
        wanted = np.array([key_of(one.smiles) for one in candidates], dtype=np.uint64)
        at = np.searchsorted(self.keys, wanted)
        inside = np.flatnonzero((at < len(self.keys)) & (self.keys[np.minimum(at, len(self.keys) - 1)] == wanted))
        lines = self.lines[nucleus]
        return {int(i): lines.take(self.rows[at[i]][None]) for i in inside}

    def search(self, record: ShiftList, prices: Prices, rows: np.ndarray | None = None) -> np.ndarray:
        """Logarithm of the likelihood of a list under each row, or under some; -inf for what could not be predicted."""
        lines = self.lines[record.nucleus]
        out = likelihoods(record, lines if rows is None else lines.take(rows), prices)
        empty = np.diff(lines.starts) == 0
        out[empty if rows is None else empty[rows]] = -np.inf
        return out

    def best(self, record: ShiftList, prices: Prices, most: int = 100) -> tuple[np.ndarray, np.ndarray]:
        """Rows under which a list is likeliest among all, best first, and the logarithms of their likelihoods.

        They are the first of `search`, in a fraction of the time.
        """
        if record.nucleus not in self._peaks:
            self._peaks[record.nucleus] = Peaks.of(self.lines[record.nucleus])
        return likeliest(record, self._peaks[record.nucleus], prices, most)


def write_library(
    folder: Path, smiles: Iterable[str], model: ShiftModel, progress: Callable[[int], None] = lambda _: None
) -> int:
    """Predict the shifts of structures and keep them; returns how many.

    A structure that RDKit refuses keeps its row, without lines.
    """
    made: dict[str, list[Lines]] = {n: [] for n in NUCLEI}
    keys: list[int] = []
    chunk: list[str] = []

    def flush() -> None:
        graphs = []
        for text in chunk:
            try:
                graphs.append(graph_of(text))
            except StructureError:
                graphs.append(None)
        predicted = iter(model.predict([g for g in graphs if g is not None]))
        for graph in graphs:
            found = None if graph is None else next(predicted)
            for n in NUCLEI:
                one = _NONE if graph is None or found is None else lines_of(graph, *found, n)
                made[n].append(one)
        for n in NUCLEI:
            made[n] = [Lines.joined(made[n])]
        keys.extend(key_of(text) for text in chunk)
        chunk.clear()
        progress(len(keys))

    for one in smiles:
        chunk.append(one)
        if len(chunk) >= _CHUNK:
            flush()
    flush()
    order = np.argsort(np.array(keys, dtype=np.uint64), kind="stable")
    tensors = {"keys": np.array(keys, dtype=np.uint64)[order], "rows": order.astype(np.int64)}
    for n in NUCLEI:
        tensors |= _packed(made[n][0], n)
    with replacing_folder(folder) as fresh:
        save_file(tensors, fresh / _FILE)
        text = json.dumps({"format": _FORMAT, "network": digest_of(model), "structures": len(keys)})
        (fresh / _SETTINGS).write_text(text, encoding="utf-8")
    return len(keys)


_NONE = Lines(
    np.zeros(2, np.int64), np.zeros(0, np.float32), np.zeros(0, np.float32), np.zeros(0, np.int8), np.zeros(0, np.int8),
    np.zeros(0, np.bool_),
)  # fmt: skip


def key_of(smiles: str) -> int:
    """64 bits of a digest of a SMILES."""
    return int.from_bytes(hashlib.blake2b(smiles.encode(), digest_size=8).digest(), "little")


def digest_of(model: ShiftModel) -> str:
    """Digest of a network's weights, and of the shifts that it is combined with."""
    found = hashlib.sha256()
    for name, value in sorted(model.network.state_dict().items()):
        found.update(name.encode())
        found.update(value.numpy().tobytes())
    if model.seen is not None and model.combination is not None:
        for array in (model.seen.keys, model.seen.sums):
            found.update(array.tobytes())
        found.update(json.dumps(model.combination.as_dict(), sort_keys=True).encode())
    return found.hexdigest()


def _packed(lines: Lines, nucleus: str) -> dict[str, np.ndarray]:
    step = _STEP[nucleus]
    return {
        f"{nucleus}.starts": lines.starts,
        f"{nucleus}.means": np.clip(np.round(lines.means / step), -32768, 32767).astype(np.int16),
        f"{nucleus}.widths": np.clip(np.round(lines.widths / step), 1, 65535).astype(np.uint16),
        f"{nucleus}.hydrogens": lines.hydrogens,
        f"{nucleus}.counts": lines.counts,
        f"{nucleus}.loose": lines.loose.astype(np.uint8),
    }


def _unpacked(tensors: dict[str, np.ndarray], nucleus: str) -> Lines:
    step = np.float32(_STEP[nucleus])
    starts = tensors[f"{nucleus}.starts"]
    means = tensors[f"{nucleus}.means"].astype(np.float32) * step
    if len(starts) < 1 or starts[0] != 0 or starts[-1] != len(means) or (np.diff(starts) < 0).any():
        raise ValueError("its lines do not add up")
    return Lines(
        starts, means, tensors[f"{nucleus}.widths"].astype(np.float32) * step, tensors[f"{nucleus}.hydrogens"],
        tensors[f"{nucleus}.counts"], tensors[f"{nucleus}.loose"].astype(np.bool_),
    )  # fmt: skip
