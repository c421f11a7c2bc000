from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from rdkit import Chem

from molvis_core.chemistry.structures import parse_smiles
from molvis_core.errors import ConfigError, ReadError, StructureError
from molvis_core.testing.synthetic import synthetic_structures
from molvis_structure.chemistry.motifs import (
    ATOMS,
    FEATURES,
    FIRST_TYPE,
    RELATIONS,
    SHIPPED,
    Vocabulary,
    extract,
    split,
    typed,
)

SMILES = [s.smiles for s in synthetic_structures(12)]


def _pieces(smiles: str) -> list[str]:
    return sorted(name for name, _ in split(parse_smiles(smiles)))


@pytest.mark.parametrize(
    ("smiles", "pieces"),
    [
        ("CCO", ["CCO"]),
        ("O=C(O)c1ccccc1", ["OC=O", "c1ccccc1"]),
        ("CC(=O)Nc1ccc(O)cc1", ["CC(N)=O", "O", "c1ccccc1"]),
        ("CC1CCCCC1C1CC1", ["C", "C1CC1", "C1CCCCC1"]),
        ("c1ccc2ccccc2c1", ["c1ccc2ccccc2c1"]),
        ("[Na+].[Cl-]", ["[Cl-]", "[Na+]"]),
        ("O=[N+]([O-])c1ccncc1", ["O=[N+][O-]", "c1ccncc1"]),
        ("C[C@H](N)C(=O)O", ["CC(N)C(O)=O"]),
    ],
)
def test_a_molecule_breaks_at_the_acyclic_bonds_beside_its_rings(smiles: str, pieces: list[str]) -> None:
    assert _pieces(smiles) == pieces


def test_a_piece_is_called_the_same_however_it_was_bound() -> None:
    pyridines = ["Cc1ccncc1", "c1ccncc1", "Oc1ccncc1C", "C[n+]1ccccc1"]
    assert [_pieces(s)[-1] for s in pyridines] == ["c1ccncc1"] * 3 + ["c1cc[n+]cc1"]
    assert _pieces("c1cc[nH]c1")[-1] == _pieces("Cn1cccc1")[-1]


def test_every_atom_is_in_one_piece_whatever_the_order_of_atoms() -> None:
    rng = np.random.default_rng(0)
    for smiles in SMILES:
        mol = parse_smiles(smiles)
        shuffled = Chem.RenumberAtoms(mol, rng.permutation(mol.GetNumAtoms()).tolist())
        found, again = split(mol), split(shuffled)
        assert sorted(a for _, atoms in found for a in atoms) == list(range(mol.GetNumAtoms()))
        assert sorted(name for name, _ in found) == sorted(name for name, _ in again)


def test_the_commonest_pieces_are_motifs_and_lone_atoms_are_not() -> None:
    found = extract(["Cc1ccccc1", "Cc1ccccc1C", "CCO", "CCO", "C1CC1", "CC"], 3)
    assert found.motifs == ("CCO", "c1ccccc1", "C1CC1")
    assert found.counts == (2, 2, 1)
    assert found.structures == 6
    assert extract(["C", "Cc1ccccc1"], 9, smallest=1).motifs == ("C", "c1ccccc1")


def test_the_order_of_molecules_does_not_matter() -> None:
    assert extract(SMILES, 5) == extract(SMILES[::-1], 5)


def test_extraction_tells_how_far_it_is() -> None:
    seen: list[tuple[int, int]] = []
    extract(SMILES, 5, progress=lambda done, total: seen.append((done, total)))
    assert seen[-1] == (12, 12)


def test_a_number_of_motifs_that_cannot_be_and_a_refused_smiles_are_told() -> None:
    with pytest.raises(ConfigError, match="count and smallest must be"):
        extract(SMILES, 0)
    with pytest.raises(StructureError, match="C1CC"):
        extract(["C1CC"])


def test_a_vocabulary_is_read_as_it_was_written(tmp_path: Path) -> None:
    wanted = extract(SMILES, 5)
    wanted.write(tmp_path / "motifs.toml")
    assert Vocabulary.read(tmp_path / "motifs.toml") == wanted


def test_a_vocabulary_that_was_changed_or_is_none_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "motifs.toml"
    extract(SMILES, 5).write(path)
    path.write_text(path.read_text().replace('"c1ccccc1"', '"c1ccncc1"'))
    with pytest.raises(ReadError, match="its digest is"):
        Vocabulary.read(path)
    path.write_text("motifs = 3")
    with pytest.raises(ReadError, match="not a vocabulary"):
        Vocabulary.read(path)
    with pytest.raises(ReadError, match="No such file"):
        Vocabulary.read(tmp_path / "none.toml")


def test_what_is_in_a_shipped_vocabulary_never_changes() -> None:
    digests = {name: Vocabulary.shipped(name).digest[:16] for name in SHIPPED}
    assert digests == {"common-128": "94f99431ea1cf376"}
    assert len(set(Vocabulary.shipped("common-128").motifs)) == 128
    with pytest.raises(ConfigError, match="Did you mean 'common-128'"):
        Vocabulary.shipped("common-127")


def test_atoms_are_typed_by_their_motif_or_else_by_element_and_charge() -> None:
    found = typed("C[N+](C)(C)c1ccccc1", {"c1ccccc1": 4})
    types = found.atoms[:, -1] - FIRST_TYPE
    assert types.tolist() == [ATOMS.index(a) for a in ("C", "N+", "C", "C")] + [len(ATOMS) + 1 + 4] * 6
    assert found.piece[4:].tolist() == [found.piece[4]] * 6
    other = typed("[Fe+2]", {}).atoms[0]
    assert other[-1] - FIRST_TYPE == len(ATOMS)
    assert other[0] == 1 + len(ATOMS)


def test_bonds_are_typed_by_order_and_by_lying_within_a_motif() -> None:
    found = typed("C=Cc1ccccc1", {"c1ccccc1": 0})
    assert found.edges.shape == (2, 16)
    assert found.relation.tolist() == [1, 0, *[7] * 6] * 2
    assert typed("C=Cc1ccccc1", {}).relation.tolist() == [1, 0, *[3] * 6] * 2
    assert typed("C=Cc1ccccc1", {"C=C": 0}).relation.tolist() == [5, 0, *[3] * 6] * 2
    assert typed("C#N", {}).relation.tolist() == [2, 2]


def test_features_by_hand() -> None:
    starts = np.cumsum([1, *FEATURES.values()])[:-1]
    ring = typed("OC1CC1", {}).atoms[:, :-1] - starts
    # element, neighbours, hydrogens, hybridization (sp, sp2, sp3, other), ring (none, 3, 4, ...)
    assert ring.tolist() == [[1 + 1, 1, 1, 2, 0], [0, 3, 1, 2, 1], [0, 2, 2, 2, 1], [0, 2, 2, 2, 1]]


def test_every_molecule_stays_within_the_tables() -> None:
    vocabulary = Vocabulary.shipped("common-128")
    place = {motif: number for number, motif in enumerate(vocabulary.motifs)}
    rows = FIRST_TYPE + len(ATOMS) + 1 + len(place)
    for smiles in [*SMILES, "[H][H]", "[U]", "S(F)(F)(F)(F)(F)F", "C1CCCCCCCCCCC1", "[C-]#[O+]", "N->[Pt]", "[B-2]"]:
        found = typed(smiles, place)
        assert found.atoms.min() >= 1
        assert found.atoms.max() < rows
        assert found.relation.max(initial=0) < RELATIONS
        assert found.edges.max(initial=0) < len(found.atoms)
