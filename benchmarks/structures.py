"""Millions of structures that nobody has to download: scaffolds with substituents, enumerated in a seeded order.

    python benchmarks/structures.py 10000000 --seed 0 --out structures.parquet [--inchikeys] [--check 20000]

Scaffolds and pieces of substituents were typed for this program. A substituent is a linker and a cap, or an end of few
atoms; each site of a scaffold has one of them or hydrogen. Combinations are numbered, and the numbers are taken in the
order of a permutation that follows from the seed: the same seed and count give the same structures, and a larger count
adds to those of a smaller one. SMILES, formula and mass of a combination follow from those of its parts, which RDKit
reads once; nothing is parsed for each structure. `--check` has RDKit read some of them anew and compares.

Keys are 14 letters that follow from the number of the combination, and no InChIKeys, unless `--inchikeys` asks for
them: InChI takes a thousand times as long as the rest.
"""

from __future__ import annotations

import argparse
import math
import time
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

BATCH = 1 << 17
ELEMENTS = ("C", "H", "Br", "Cl", "F", "N", "O", "P", "S")
"""In the order of Hill's system."""

SCAFFOLDS = (
    "c8cc{}c{}cc8{}",
    "c8c{}nc{}cc8{}",
    "c8nc{}c{}nc8{}",
    "c8c{}c{}cc9c8[nH]cc9{}",
    "c8cc{}c9c(c8{})ncc{}n9",
    "c8c{}cc9nc{}ccc9c8{}",
    "c8c{}cc9c(c8{})oc(=O)cc9{}",
    "c8c{}c{}c9c(c8)C(=O)CC{}O9",
    "c8{}nc9c([nH]8)nc{}nc9{}",
    "c8c{}oc9c8cc{}cc9{}",
    "c8c{}sc{}c8{}",
    "c8{}c{}[nH]nc8{}",
    "C8C{}N{}CCN8{}",
    "C8CC{}C{}CC8{}",
    "C8C{}OC{}C{}O8",
    "C8OC{}C(O)C{}C8{}",
    "CC(C)C{}C(=O)NC{}C(=O)N{}",
    "CC{}C(=O)NC{}C(=O)NCC(=O){}",
    "C8CC9C(CC8{})CCC8C9CCC9(C)C{}CC{}C89",
    "CC{}(C)C=CCCC(C)=CC{}C{}",
    "c8cc{}ccc8C(=O)c8cc{}cc{}c8",
    "c8cc{}ccc8C=CC(=O)c8c{}cccc8{}",
    "c8c{}c{}cc(c8)OCC(O)CN{}",
    "c8cc{}ccc8S(=O)(=O)Nc8nc{}cc{}n8",
)
"""Each pair of braces is a site; those of a scaffold are unlike each other, so that hardly two combinations are one.
Rings of scaffolds are numbered 8 and 9, those of substituents 1 and 2."""
ENDS = (
    "", "(F)", "(Cl)", "(Br)", "(O)", "(N)", "(C)", "(C#N)", "(OC)", "(SC)", "(CC)", "(CO)", "(OCC)", "(C=O)",
    "(C(=O)O)", "(C(F)(F)F)", "(OP(=O)(O)O)",
)  # fmt: skip
LINKERS = (
    "", "C", "CC", "CCC", "O", "N", "CO", "CN", "OCC", "NCC", "C(=O)N", "C(=O)O", "NC(=O)", "NC(=O)N", "CC(=O)N",
    "CCCC(=O)O", "S(=O)(=O)N", "OCC(=O)N", "CNC(=O)C", "C(=O)NCC(=O)N",
)  # fmt: skip
CAPS = (
    "CC(C)C", "C1CC1", "C1CCCC1", "C1CCCCC1", "CC(C)O", "CC(=O)O", "CCOC", "CCN(C)C", "Cc1ccccc1", "c1ccccc1",
    "c1ccc(F)cc1", "c1ccc(Cl)cc1", "c1ccc(OC)cc1", "c1ccc(O)c(O)c1", "c1ccncc1", "c1ccco1", "c1cccs1", "c1cnc[nH]1",
    "c1ccc2[nH]ccc2c1", "c1nc2ccccc2s1", "C1CCNCC1", "C1COCCN1C", "C1OC(CO)C(O)C(O)C1O", "CCCCCC", "CCCCCCCC",
    "CC=CCC=CCC", "C(C)(C)C", "C(F)(F)C(F)(F)F", "CC(N)C(=O)O", "CSC", "CS(=O)(=O)C", "C#CC",
)  # fmt: skip


@cache
def substituents() -> tuple[str, ...]:
    """All of them, as they stand behind an atom of SMILES; the first is hydrogen."""
    made = [f"({linker}{cap})" for linker in LINKERS for cap in CAPS]
    return (*ENDS, *dict.fromkeys(made))


def counts_of(smiles: str) -> np.ndarray:
    """Atoms of each element."""
    from rdkit import Chem

    mol = Chem.AddHs(Chem.MolFromSmiles(smiles))
    symbols = [atom.GetSymbol() for atom in mol.GetAtoms()]
    assert set(symbols) <= set(ELEMENTS), smiles
    return np.array([symbols.count(element) for element in ELEMENTS], dtype=np.int16)


@cache
def parts() -> tuple[list[list[str]], np.ndarray, np.ndarray]:
    """Pieces of each scaffold's SMILES between its sites, atoms of scaffolds, and atoms that substituents add."""
    hydrogen = np.array([element == "H" for element in ELEMENTS], dtype=np.int16)
    pieces = [scaffold.split("{}") for scaffold in SCAFFOLDS]
    bare = [scaffold.replace("{}", "") for scaffold in SCAFFOLDS]
    added = [counts_of(f"[H]{text[1:-1]}" if text else "[H][H]") - 2 * hydrogen for text in substituents()]
    return pieces, np.array([counts_of(b) for b in bare]), np.array(added)


def total() -> int:
    """Combinations in all."""
    return sum(math.prod(pools(scaffold.count("{}"))) for scaffold in SCAFFOLDS)


def pools(sites: int) -> list[int]:
    """How many of the substituents each site of a scaffold may have: all, those without a linker, and small ends.

    With all of them at each site most structures would be heavier than most of those in databases.
    """
    return [len(substituents()), len(ENDS) + len(CAPS), *[len(ENDS)] * (sites - 2)]


def tables(count: int, seed: int = 0, *, source: str = "enumerated") -> Iterator[pa.Table]:
    """So many structures as rows of a library that may still be merged, in batches.

    Raises:
        ValueError: there are not so many.
    """
    size = total()
    if count > size:
        raise ValueError(f"there are {size:,} combinations; {count:,} were asked for")
    rng = np.random.default_rng(seed)
    step, first = int(rng.integers(size // 3, 2 * size // 3)), int(rng.integers(size))
    while math.gcd(step, size) > 1:
        step += 1
    for start in range(0, count, BATCH):
        numbers = np.arange(start, min(start + BATCH, count), dtype=object)
        yield _table(np.array((first + numbers * step) % size, dtype=np.int64), source)


def _table(numbers: np.ndarray, source: str) -> pa.Table:
    pieces, scaffolds, added = parts()
    pool = pa.array(substituents(), type=pa.large_string())
    sizes = np.array([math.prod(pools(len(p) - 1)) for p in pieces])
    ends = np.cumsum(sizes)
    which = np.searchsorted(ends, numbers, side="right")
    smiles, atoms, order = [], [], []
    for scaffold in np.unique(which).tolist():
        mine = np.flatnonzero(which == scaffold)
        rest = numbers[mine] - (ends[scaffold] - sizes[scaffold])
        atom = np.repeat(scaffolds[scaffold][None], len(mine), axis=0)
        text = [pa.scalar(pieces[scaffold][0], pa.large_string())]
        for piece, most in zip(pieces[scaffold][1:], pools(len(pieces[scaffold]) - 1), strict=True):
            rest, site = np.divmod(rest, most)
            atom = atom + added[site]
            text += [pool.take(pa.array(site)), pa.scalar(piece, pa.large_string())]
        smiles.append(pc.binary_join_element_wise(*text, pa.scalar("", pa.large_string())))
        atoms.append(atom)
        order.append(mine)
    back = np.argsort(np.concatenate(order))
    return _rows(pa.concat_arrays(smiles).take(pa.array(back)), np.concatenate(atoms)[back], numbers, source)


def _rows(smiles: pa.Array, atoms: np.ndarray, numbers: np.ndarray, source: str) -> pa.Table:
    from molvis_retrieval.library_rows import DRAWN, schema_of_rows

    count = len(smiles)
    kinds, which = np.unique(atoms, axis=0, return_inverse=True)
    formulas = pa.array([_formula(kind) for kind in kinds], type=pa.large_string())
    empty = pa.array([[]] * count, type=pa.list_(pa.large_string()))
    columns = {
        "inchikey": _keys(numbers), "smiles": smiles, "formula": formulas.take(pa.array(which.reshape(-1))),
        "exact_mass": pa.array(atoms @ _masses()), "charge": pa.array(np.zeros(count, dtype=np.int64)),
        "name": pa.nulls(count, pa.large_string()), "source": pa.array([source] * count, pa.large_string()),
        "aliases": empty, "sources": pa.array([[source]] * count, type=pa.list_(pa.large_string())),
        "identifiers": empty, DRAWN: pa.array(np.ones(count, dtype=bool)),
    }  # fmt: skip
    return pa.table(columns, schema=schema_of_rows(drawn=True))


@cache
def _masses() -> np.ndarray:
    from rdkit import Chem

    table = Chem.GetPeriodicTable()
    return np.array([table.GetMostCommonIsotopeMass(element) for element in ELEMENTS])


def _formula(atoms: np.ndarray) -> str:
    return "".join(f"{e}{n if n > 1 else ''}" for e, n in zip(ELEMENTS, atoms.tolist(), strict=True) if n)


def _keys(numbers: np.ndarray) -> pa.Array:
    """Letters in the form of an InChIKey, one to one with the number of a combination."""
    z = numbers.astype(np.uint64) + np.uint64(0x9E3779B97F4A7C15)  # splitmix64
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    z ^= z >> np.uint64(31)
    letters = np.empty((len(z), 27), dtype=np.uint8)
    for place in range(14):
        z, digit = np.divmod(z, np.uint64(26))
        letters[:, place] = digit + ord("A")
    letters[:, 14:] = np.frombuffer(b"-UHFFFAOYSA-N", dtype=np.uint8)
    offsets = np.arange(len(letters) + 1, dtype=np.int64) * 27
    return pa.LargeStringArray.from_buffers(len(letters), pa.py_buffer(offsets), pa.py_buffer(letters.tobytes()))


def with_inchikeys(table: pa.Table) -> pa.Table:
    """The same with InChIKeys for keys."""
    from rdkit import Chem

    keys = [Chem.MolToInchiKey(Chem.MolFromSmiles(s)) for s in table["smiles"].to_pylist()]
    place = table.column_names.index("inchikey")
    return table.set_column(place, "inchikey", pa.array(keys, type=pa.large_string()))


def checked(table: pa.Table) -> tuple[int, int]:
    """Structures that RDKit reads with the formula and mass that they have here, and how many of them are distinct."""
    from rdkit import Chem
    from rdkit.Chem.Descriptors import ExactMolWt
    from rdkit.Chem.rdMolDescriptors import CalcMolFormula

    good, seen = 0, set()
    columns = (table[name].to_pylist() for name in ("smiles", "formula", "exact_mass"))
    for smiles, formula, mass in zip(*columns, strict=True):
        mol = Chem.MolFromSmiles(smiles)
        if mol is not None and CalcMolFormula(mol) == formula and abs(ExactMolWt(mol) - mass) < 1e-4:
            good += 1
            seen.add(Chem.MolToSmiles(mol))
    return good, len(seen)


def main() -> None:
    """Write structures, and say how fast and what they are like."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("count", type=int)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--inchikeys", action="store_true")
    parser.add_argument("--check", type=int, default=0)
    options = parser.parse_args()
    parts()
    began, masses, writer = time.perf_counter(), [], None
    for table in tables(options.count, options.seed):
        table = with_inchikeys(table) if options.inchikeys else table
        masses.append(table["exact_mass"].to_numpy())
        if options.out:
            writer = writer or pq.ParquetWriter(options.out, table.schema, compression="zstd")
            writer.write_table(table)
    if writer:
        writer.close()
    took = time.perf_counter() - began
    mass = np.concatenate(masses)
    spread = ", ".join(
        f"{q:g}%: {value:.1f}"
        for q, value in zip((5, 25, 50, 75, 95), np.percentile(mass, (5, 25, 50, 75, 95)), strict=True)
    )
    print(f"{len(mass):,} of {total():,} structures in {took:.1f} s, {len(mass) / took:,.0f} a second; Da at {spread}")
    if options.check:
        some = next(tables(min(options.check, BATCH), options.seed))
        good, distinct = checked(some)
        print(f"RDKit agrees on {good:,} of {len(some):,}, {distinct:,} of them distinct")


if __name__ == "__main__":
    main()
