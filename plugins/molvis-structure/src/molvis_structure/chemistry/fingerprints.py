"""Fingerprints: which substructures a molecule has, as bits."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Sequence

import numpy as np
from jaxtyping import Bool, UInt8
from rdkit.Chem import rdFingerprintGenerator, rdMolDescriptors
from rdkit.Chem.rdchem import Mol

from molvis_core.chemistry.structures import parse_smiles
from molvis_core.errors import ConfigError, did_you_mean
from molvis_core.progress import Progress
from molvis_nn.fingerprints import tanimoto
from molvis_structure.chemistry.parallel import in_parallel

__all__ = ["KINDS", "fingerprint", "fingerprints", "length", "packed", "packed_of", "tanimoto"]

KINDS = ("rdkit", "rdkit5", "morgan2", "morgan3", "morgan2-counts", "atompair", "torsion", "maccs")
"""`rdkit` is the path fingerprint of the Tanimoto target: minPath 1, maxPath 7, two bits a path, with hydrogens, not
folded (tgtDensity 0). The digit is the longest path or the radius, from 0 to 9, and may be another one. `-counts` sets
further bits where a substructure comes 2, 4 and 8 times; atom pairs and torsions always do."""
_MACCS = 167


def length(kind: str, bits: int) -> int:
    """Bits of a fingerprint; MACCS keys are always 167."""
    return _MACCS if kind == "maccs" else bits


def _maccs(mol: Mol) -> np.ndarray:
    text = rdMolDescriptors.GetMACCSKeysFingerprint(mol).ToBitString()
    return np.frombuffer(text.encode(), np.uint8) - ord("0")


@functools.cache
def _generator(kind: str, bits: int) -> Callable[[Mol], np.ndarray]:
    if bits < 1:
        raise ConfigError(f"fingerprint {kind!r}: bits must be positive, got {bits}")
    if kind == "maccs":
        return _maccs
    if kind == "rdkit":
        generator = rdFingerprintGenerator.GetRDKitFPGenerator(
            minPath=1, maxPath=7, fpSize=bits, numBitsPerFeature=2, useHs=True
        )
    elif kind == "atompair":
        generator = rdFingerprintGenerator.GetAtomPairGenerator(fpSize=bits)
    elif kind == "torsion":
        generator = rdFingerprintGenerator.GetTopologicalTorsionGenerator(fpSize=bits)
    elif match := re.fullmatch(r"(morgan\d|rdkit[1-9])(-counts)?", kind):
        reach, counts = int(match.group(1)[-1]), match.group(2) is not None
        generator = (
            rdFingerprintGenerator.GetMorganGenerator(radius=reach, fpSize=bits, countSimulation=counts)
            if kind.startswith("morgan")
            else rdFingerprintGenerator.GetRDKitFPGenerator(
                minPath=1, maxPath=reach, fpSize=bits, numBitsPerFeature=1, countSimulation=counts
            )
        )
    else:
        raise ConfigError(f"no fingerprint {kind!r}.{did_you_mean(kind, KINDS)} It is one of {', '.join(KINDS)}.")
    return generator.GetFingerprintAsNumPy


def fingerprint(smiles: str, kind: str = "rdkit", bits: int = 2048) -> Bool[np.ndarray, " bits"]:
    """Bits of one molecule.

    Args:
        smiles: the molecule.
        kind: one of `KINDS`.
        bits: length of a hashed fingerprint.

    Raises:
        molvis_core.errors.ConfigError: no such kind, or a length that is not positive.
        molvis_core.errors.StructureError: RDKit refuses the SMILES.
    """
    return _generator(kind, bits)(parse_smiles(smiles)).astype(bool)


def packed_of(mol: Mol, kinds: Sequence[str], bits: int) -> UInt8[np.ndarray, " bytes"]:
    """Several fingerprints of a molecule end to end, eight bits to a byte.

    Raises:
        molvis_core.errors.ConfigError: no such kind, or a length that is not positive.
    """
    return np.packbits(np.concatenate([_generator(kind, bits)(mol) for kind in kinds]).astype(bool))


def packed(smiles: str, kinds: Sequence[str], bits: int) -> UInt8[np.ndarray, " bytes"]:
    """The same of a SMILES.

    Raises:
        molvis_core.errors.ConfigError: no such kind, or a length that is not positive.
        molvis_core.errors.StructureError: RDKit refuses the SMILES.
    """
    return packed_of(parse_smiles(smiles), kinds, bits)


def fingerprints(
    smiles: Sequence[str],
    kinds: Sequence[str] = ("rdkit",),
    bits: int = 2048,
    *,
    processes: int | None = None,
    progress: Progress | None = None,
) -> UInt8[np.ndarray, "n bytes"]:
    """Fingerprints of many molecules, eight bits to a byte; `np.unpackbits(..., axis=1)` gives the bits.

    Args:
        smiles: the molecules.
        kinds: fingerprints, of `KINDS`, joined end to end.
        bits: length of each hashed one.
        processes: how many work; all processors by default.
        progress: called with the molecules done and in all.

    Raises:
        molvis_core.errors.ConfigError: no such kind, or a length that is not positive.
        molvis_core.errors.StructureError: RDKit refuses a SMILES.
    """
    for kind in kinds:
        _generator(kind, bits)
    width = (sum(length(kind, bits) for kind in kinds) + 7) // 8
    work = functools.partial(packed, kinds=tuple(kinds), bits=bits)
    rows = in_parallel(work, smiles, processes=processes, progress=progress)
    return np.stack(rows) if rows else np.empty((0, width), dtype=np.uint8)
