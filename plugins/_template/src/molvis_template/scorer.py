"""Evidence for candidates that is not a dot product of embeddings."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float
from rdkit import Chem

from molvis_core import Structure, Trace
from molvis_core.chemistry.structures import parse_smiles
from molvis_core.errors import ConfigError

GROUPS = {"carbonyl": ("[#6]=O", 1650, 1800), "nitrile": ("C#N", 2200, 2280), "hydroxyl": ("[OX2H]", 3200, 3600)}
"""SMARTS of a functional group, and the range in cm^-1 of its band."""


class GroupBands:
    """How high the band of each group is in the trace: for candidates that have the group, against those that do not.

    Args:
        power: of the height; below 1, weak bands count for more.
    """

    accepts = Trace
    features: tuple[str, ...] = tuple(GROUPS)

    def __init__(self, power: float = 0.5) -> None:
        if not power > 0:
            raise ConfigError(f"template-groups: power must be positive, got {power}")
        self.power = power

    def __call__(self, query: Trace, candidates: Sequence[Structure]) -> Float[np.ndarray, "m f"]:
        """One row for each candidate; larger is better.

        Raises:
            molvis_core.errors.StructureError: a SMILES that RDKit cannot read.
        """
        mols = [parse_smiles(candidate.smiles) for candidate in candidates]
        out = np.zeros((len(candidates), len(GROUPS)))
        highest = max(query.y.max(initial=0.0), 1e-12)
        for column, (smarts, low, high) in enumerate(GROUPS.values()):
            band = query.y[(query.x >= low) & (query.x <= high)].max(initial=0.0) / highest
            pattern = Chem.MolFromSmarts(smarts)
            has_group = np.array([mol.HasSubstructMatch(pattern) for mol in mols], dtype=bool)
            out[:, column] = np.where(has_group, 1, -1) * band**self.power
        return out
