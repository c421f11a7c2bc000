"""A structure is the same from every format, however it is written there."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rdkit import Chem

from molvis_core.records import Measurement, Structure
from molvis_core.testing import synthetic_structures
from molvis_structure.readers.sdf import read_sdf
from molvis_structure.readers.smiles import read_smiles
from molvis_structure.readers.tables import read_table

Item = tuple[Structure, str]
"""A structure, and one of the ways to write its SMILES."""


@st.composite
def _items(draw: st.DrawFn) -> list[Item]:
    found: list[Item] = []
    for number in draw(st.lists(st.integers(0, 11), min_size=2, max_size=5, unique=True)):
        known = synthetic_structures(12)[number]
        order = list(range(Chem.MolFromSmiles(known.smiles).GetNumAtoms()))
        draw(st.randoms(use_true_random=False)).shuffle(order)
        mol = Chem.RenumberAtoms(Chem.MolFromSmiles(known.smiles), order)
        found.append((known, Chem.MolToSmiles(mol, canonical=False)))
    return found


def _smi(path: Path, items: list[Item]) -> None:
    path.write_text("".join(f"{smiles}\t{s.name}\n" for s, smiles in items), encoding="utf-8")


def _sdf(version: bool) -> Callable[[Path, list[Item]], None]:
    def write(path: Path, items: list[Item]) -> None:
        mols = [Chem.MolFromSmiles(smiles) for _, smiles in items]
        blocks = [Chem.MolToMolBlock(mol, forceV3000=version).partition("\n")[2] for mol in mols]
        path.write_text("".join(f"{s.name}\n{block}$$$$\n" for (s, _), block in zip(items, blocks, strict=True)))

    return write


def _table(sign: str) -> Callable[[Path, list[Item]], None]:
    def write(path: Path, items: list[Item]) -> None:
        rows = "".join(f"{s.name}{sign}{s.inchikey}{sign}{smiles}\n" for s, smiles in items)
        path.write_text(f"Name{sign}InChIKey{sign}Canonical SMILES\n{rows}", encoding="utf-8")

    return write


def _parquet(path: Path, items: list[Item]) -> None:
    pq.write_table(pa.table({"smiles": [smiles for _, smiles in items], "name": [s.name for s, _ in items]}), path)


@pytest.mark.parametrize(
    ("name", "write", "read"),
    [
        ("a.smi", _smi, read_smiles),
        ("a.sdf", _sdf(False), read_sdf),
        ("b.sdf", _sdf(True), read_sdf),
        ("a.csv", _table(","), read_table),
        ("b.csv", _table(";"), read_table),
        ("a.tsv", _table("\t"), read_table),
        ("a.parquet", _parquet, read_table),
    ],
    ids=["smi", "sdf-v2000", "sdf-v3000", "csv", "semicolons", "tsv", "parquet"],
)
@given(items=_items())
@settings(max_examples=10, deadline=None)
def test_a_structure_is_the_same_however_it_is_written(
    tmp_path_factory: pytest.TempPathFactory, name: str, write: Any, read: Any, items: list[Item]
) -> None:
    path = tmp_path_factory.mktemp("structures") / name
    write(path, items)
    found = [item for item in read(path) if isinstance(item, Measurement)]
    assert [(m.name, m.structure and m.structure.inchikey) for m in found] == [(s.name, s.inchikey) for s, _ in items]
