"""Folds of a dataset: which compounds are for training, validation and test."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from molvis_core.errors import DatasetError
from molvis_files.locking import sole_writer
from molvis_files.writing import replacing_folder
from molvis_retrieval.dataset import Dataset, write_error, write_metadata

if TYPE_CHECKING:
    import pyarrow as pa


def split(
    dataset: Dataset,
    *,
    by: Literal["compound", "cluster"] = "compound",
    fractions: tuple[float, float, float] = (0.7, 0.15, 0.15),
    seed: int = 0,
    similarity: float = 0.6,
) -> Dataset:
    """Assign every compound to `train`, `val` or `test`, the same for all modalities, and store it in the dataset.

    Args:
        dataset: to split; earlier folds are replaced.
        by: `compound`, or `cluster` so that no near twin of a test compound is in training.
        fractions: of the compounds; they add up to 1.
        seed: of the draw.
        similarity: for clusters: compounds of this Tanimoto similarity (Morgan, radius 2, 2048 bits) or more are
            joined, and so are those joined to a third.

    Raises:
        DatasetError: the fractions are not three positive numbers that add up to 1, the dataset has changed since it
            was opened, or the disk is full.
        molvis_core.errors.BusyError: another process writes the dataset.
    """
    if len(fractions) != 3 or min(fractions) <= 0 or abs(sum(fractions) - 1) > 1e-6:
        raise DatasetError(f"fractions must be three positive numbers that add up to 1, got {tuple(fractions)}")
    with sole_writer(dataset.path):
        if Dataset.open(dataset.path).metadata != dataset.metadata:
            raise DatasetError(f"{dataset.path}: it has changed since it was opened. Open it again, then split it.")
        folds, clusters = _draw_folds(dataset, by, fractions, seed, similarity)
        _write_folds(dataset, folds, clusters)
    return Dataset.open(dataset.path)


def _draw_folds(
    dataset: Dataset, by: str, fractions: tuple[float, float, float], seed: int, similarity: float
) -> tuple[dict[str, str], dict[str, int]]:
    smiles: dict[str, str] = {}
    for modality in dataset.modalities:
        table = dataset.table(modality).select(["inchikey14", "smiles"])
        smiles |= {k: s for k, s in zip(*(c.to_pylist() for c in table.columns), strict=True) if k}
    keys = sorted(smiles)
    clusters = (
        dict(zip(keys, similarity_clusters([smiles[k] for k in keys], similarity), strict=True))
        if by == "cluster"
        else {}
    )
    groups: dict[Any, list[str]] = {}
    for key in keys:
        groups.setdefault(clusters.get(key, key), []).append(key)
    folds: dict[str, str] = {}
    filled = dict.fromkeys(("train", "val", "test"), 0)
    wanted = dict(zip(filled, fractions, strict=True))
    for name in np.random.default_rng(seed).permutation(np.array(sorted(groups, key=str), dtype=object)):
        # Each group goes where most is missing, so that a large cluster does not spoil the proportions.
        fold = max(filled, key=lambda f: wanted[f] * len(keys) - filled[f])
        filled[fold] += len(groups[name])
        folds |= dict.fromkeys(groups[name], fold)
    return folds, clusters


def _write_folds(dataset: Dataset, folds: Mapping[str, str], clusters: Mapping[str, int]) -> None:
    import pyarrow as pa

    try:
        with replacing_folder(dataset.path) as fresh:
            for modality in dataset.modalities:
                table = dataset.table(modality)
                found = table["inchikey14"].to_pylist()
                table = _replaced(table, "fold", pa.array([folds.get(k) for k in found], pa.large_string()))
                if clusters:
                    table = _replaced(table, "cluster", pa.array([clusters.get(k) for k in found], pa.int64()))
                file = str(fresh / f"{modality}.arrow")
                with pa.OSFile(file, "wb") as sink, pa.ipc.new_file(sink, table.schema) as out:
                    out.write_table(table)
            if (problems := dataset.path / "problems.csv").exists():
                shutil.copy(problems, fresh)
            records = {m: dataset.metadata["modalities"][m]["record"] for m in dataset.modalities}
            write_metadata(fresh, records, dataset.metadata.get("sources", []))
    except (OSError, pa.ArrowException) as error:
        raise write_error(dataset.path, error) from error


def _replaced(table: pa.Table, name: str, values: Any) -> pa.Table:
    return table.set_column(table.column_names.index(name), name, values)


def similarity_clusters(smiles: Sequence[str], similarity: float) -> list[int]:
    """Single-linkage clusters: numbers, the same for compounds joined by a chain of similar pairs."""
    from rdkit import DataStructs
    from rdkit.Chem import rdFingerprintGenerator

    from molvis_core.chemistry.structures import parse_smiles

    generator = rdFingerprintGenerator.GetMorganGenerator(radius=2, fpSize=2048)
    bits = [generator.GetFingerprint(parse_smiles(s)) for s in smiles]
    parent = list(range(len(bits)))

    def root(i: int) -> int:
        while parent[i] != i:
            parent[i] = parent[parent[i]]
            i = parent[i]
        return i

    for i in range(1, len(bits)):
        alike = np.asarray(DataStructs.BulkTanimotoSimilarity(bits[i], bits[:i])) >= similarity
        for j in np.flatnonzero(alike):
            parent[root(i)] = root(int(j))
    return [root(i) for i in range(len(bits))]
