"""Fingerprints: which substructures a molecule has, as bits."""

from __future__ import annotations

import functools
import multiprocessing
import os
from collections.abc import Callable, Sequence

import numpy as np
from jaxtyping import Bool, Float, UInt8
from rdkit import Chem
from rdkit.Chem import MACCSkeys
from rdkit.Chem import rdFingerprintGenerator as generators
from rdkit.rdBase import BlockLogs

from molvis.errors import ConfigError, StructureError, did_you_mean

KINDS = ("rdkit", "rdkit5", "morgan2", "morgan3", "atompair", "torsion", "maccs")
"""`rdkit` is the path fingerprint of the Tanimoto target: minPath 1, maxPath 7, two bits a path, with hydrogens."""

_MACCS = 167


def length(kind: str, bits: int) -> int:
    """Bits of a fingerprint; MACCS keys are always 167."""
    return _MACCS if kind == "maccs" else bits


@functools.cache
def _generator(kind: str, bits: int) -> Callable[[Chem.Mol], np.ndarray]:
    if kind == "maccs":
        return lambda mol: np.frombuffer(MACCSkeys.GenMACCSKeys(mol).ToBitString().encode(), np.uint8) - ord("0")
    make = {
        "rdkit": lambda: generators.GetRDKitFPGenerator(
            minPath=1, maxPath=7, fpSize=bits, numBitsPerFeature=2, useHs=True
        ),
        "rdkit5": lambda: generators.GetRDKitFPGenerator(minPath=1, maxPath=5, fpSize=bits, numBitsPerFeature=1),
        "morgan2": lambda: generators.GetMorganGenerator(radius=2, fpSize=bits),
        "morgan3": lambda: generators.GetMorganGenerator(radius=3, fpSize=bits),
        "atompair": lambda: generators.GetAtomPairGenerator(fpSize=bits),
        "torsion": lambda: generators.GetTopologicalTorsionGenerator(fpSize=bits),
    }
    if kind not in make:
        raise ConfigError(f"no fingerprint {kind!r}.{did_you_mean(kind, KINDS)} It is one of {', '.join(KINDS)}.")
    generator = make[kind]()
    return generator.GetFingerprintAsNumPy


def fingerprint(smiles: str, kind: str = "rdkit", bits: int = 2048) -> Bool[np.ndarray, " bits"]:
    """Bits of one molecule.

    Args:
        smiles: the molecule.
        kind: one of `KINDS`.
        bits: length of a hashed fingerprint.

    Raises:
        ConfigError: no such kind, or a length that is not positive.
        StructureError: RDKit refuses the SMILES.
    """
    if bits < 1:
        raise ConfigError(f"fingerprint {kind!r}: bits = {bits}; a positive number is wanted")
    return _generator(kind, bits)(_mol(smiles)).astype(bool)


def tanimoto(a: Bool[np.ndarray, "n bits"], b: Bool[np.ndarray, "m bits"]) -> Float[np.ndarray, "n m"]:
    """Shared bits over set bits, for every pair. Two empty fingerprints score 0.

    Raises:
        ValueError: the fingerprints differ in length.

    Reference: Rogers and Tanimoto, Science 132 (1960) 1115, doi:10.1126/science.132.3434.1115
    """
    if a.shape[1] != b.shape[1]:
        raise ValueError(f"fingerprints of {a.shape[1]} and {b.shape[1]} bits cannot be compared")
    shared = a.astype(np.float32) @ b.astype(np.float32).T
    union = a.sum(1, dtype=np.float32)[:, None] + b.sum(1, dtype=np.float32)[None, :] - shared
    return np.divide(shared, union, out=np.zeros_like(shared), where=union > 0)


def packed(smiles: str, kinds: Sequence[str], bits: int) -> UInt8[np.ndarray, " bytes"]:
    """Several fingerprints end to end, eight bits to a byte.

    Raises:
        StructureError: RDKit refuses the SMILES.
    """
    mol = _mol(smiles)
    return np.packbits(np.concatenate([_generator(kind, bits)(mol) for kind in kinds]).astype(bool))


def in_parallel(
    work: Callable[[str], object],
    items: Sequence[str],
    *,
    processes: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> list:
    """`[work(item) for item in items]` by several processes; in this one where there are few items.

    Args:
        work: a function that pickles.
        items: what to work on.
        processes: how many; all processors by default.
        progress: called with the items done and in all.
    """
    count = processes or len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    if count < 2 or len(items) < 4000:
        out: list = []
        for number, item in enumerate(items, start=1):
            out.append(work(item))
            if progress and number % 500 == 0:
                progress(number, len(items))
        return out
    out = []
    # Spawned rather than forked: a fork of a process in which torch has started threads may hang.
    with multiprocessing.get_context("spawn").Pool(count) as pool:
        for result in pool.imap(work, items, chunksize=500):
            out.append(result)
            if progress and len(out) % 500 == 0:
                progress(len(out), len(items))
    return out


def _mol(smiles: str) -> Chem.Mol:
    with BlockLogs():
        mol = Chem.MolFromSmiles(smiles)
    if mol is None:
        raise StructureError(f"RDKit refuses the SMILES {smiles!r}")
    return mol
