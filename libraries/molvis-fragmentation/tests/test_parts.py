"""Parts that molecules break into: connected by construction, complete, and the same however the atoms are numbered."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from rdkit import Chem

from molvis_core.chemistry.formula import ELECTRON_MASS, ISOTOPE_MASS, formula_mass
from molvis_core.chemistry.structures import parse_smiles, structure
from molvis_core.errors import StructureError
from molvis_core.records import PeakList
from molvis_fragmentation.atoms import SURROUNDINGS, surroundings
from molvis_fragmentation.cutting import find_halves, intersect
from molvis_fragmentation.graph import graph
from molvis_fragmentation.ions import DIMER, DOUBLE, KEPT, PLAIN, forms_of
from molvis_fragmentation.matching import BEST, COLUMNS, CROSSED, LARGEST_SHIFT, NO_BOND, describe, ends_of_bonds, fits
from molvis_fragmentation.molecule import BOND_CLASSES, molecule
from molvis_fragmentation.parts import CEILINGS, Parts, parts

HYDROGEN = ISOTOPE_MASS["H"]
SMALL = (
    "CCO", "CC(C)(C)O", "C1CCC1", "C1CC1C=O", "c1ccccc1O", "C1CC2CC2C1", "c1cc2[nH]ccn2c1", "CC(=O)NC1CC1",
    "C1CCC2OC2C1", "OC1CC2CC1C2",
)  # fmt: skip
LARGE = (
    "OCC1OC(Oc2cc(O)c3c(c2)oc(-c2ccc(O)c(O)c2)c(O)c3=O)C(O)C(O)C1O",
    "CC12CCC3c4ccc(O)cc4CCC3C1CCC2O",
    "CCCCCCCCCCCCCCCC(=O)OCC(COP(=O)(O)OCC[N+](C)(C)C)OC(=O)CCCCCCCCCCCCCCCCCCCCCCCC",
    "C" * 128,
)


def members(words: np.ndarray) -> frozenset[int]:
    value = int(words[0]) | int(words[1]) << 64
    return frozenset(i for i in range(128) if value >> i & 1)


def connected(mol: Chem.Mol, atoms: frozenset[int]) -> bool:
    """Whether some atoms hang together, by a plain search."""
    seen, front = set[int](), [min(atoms)]
    while front:
        one = front.pop()
        if one not in seen:
            seen.add(one)
            front += [n.GetIdx() for n in mol.GetAtomWithIdx(one).GetNeighbors() if n.GetIdx() in atoms]
    return seen == atoms


def by_hand(smiles: str) -> tuple[dict[frozenset[int], int], dict[frozenset[int], int]]:
    """Halves with the cuts that they count for, and parts with the cuts that they need, from their definitions."""
    mol = parse_smiles(smiles)
    size, rings = mol.GetNumAtoms(), mol.GetRingInfo()
    whole = frozenset(range(size))
    halves: dict[frozenset[int], int] = {}
    for number in range(1, 2**size - 1):
        side = frozenset(i for i in whole if number >> i & 1)
        if not (connected(mol, side) and connected(mol, whole - side)):
            continue
        crossed = [b for b in mol.GetBonds() if (b.GetBeginAtomIdx() in side) != (b.GetEndAtomIdx() in side)]
        fused = any(rings.NumBondRings(b.GetIdx()) > 1 for b in crossed)
        if len(crossed) < 3 or (len(crossed) == 3 and fused):
            halves[side] = 1 if len(crossed) < 3 else 2
    found = {whole: 0}
    for cuts in (1, 2, 3):
        for (part, done), (half, counts) in itertools.product(list(found.items()), halves.items()):
            both = part & half
            if done + counts == cuts and both and both not in found and connected(mol, both):
                found[both] = cuts
    return halves, found


@pytest.mark.parametrize("smiles", SMALL)
def test_halves_and_parts_are_what_their_definitions_name(smiles: str) -> None:
    halves, found = by_hand(smiles)
    made = molecule(smiles)
    sides, simple = find_halves(made.bonds, made.ring, made.fused, made.neighbours, 4000)
    assert {members(s): 1 if i < simple else 2 for i, s in enumerate(sides)} == halves
    sets, _, depth = intersect(made.neighbours, made.cost, sides, simple, 20_000, np.full(3, 100_000))
    assert {members(s): int(d) for s, d in zip(sets, depth, strict=True)} == found


@pytest.mark.parametrize("smiles", [*SMALL, *LARGE])
def test_every_part_is_connected_and_weighs_and_costs_what_its_atoms_and_bonds_do(smiles: str) -> None:
    mol, made = parse_smiles(smiles), parts(smiles)
    assert (np.diff(made.mass) >= 0).all()
    assert len({tuple(words) for words in made.sets.tolist()}) == len(made.mass)
    cost = {(b.GetBeginAtomIdx(), b.GetEndAtomIdx()) for b in mol.GetBonds()}
    for place in np.random.default_rng(0).permutation(len(made.mass))[:300].tolist():
        atoms = members(made.sets[place])
        assert connected(mol, atoms)
        carried = [mol.GetAtomWithIdx(i).GetTotalNumHs() for i in sorted(atoms)]
        heavy = [ISOTOPE_MASS[mol.GetAtomWithIdx(i).GetSymbol()] for i in sorted(atoms)]
        assert made.hydrogens[place] == sum(carried)
        assert made.mass[place] == pytest.approx(sum(heavy) + sum(carried) * HYDROGEN, abs=1e-9)
        crossed = [(i, j) for i, j in cost if (i in atoms) != (j in atoms)]
        assert made.cost[place] == sum(made.molecule.cost[i, j] for i, j in crossed)
        assert made.cost[place] <= CEILINGS[max(int(made.depth[place]) - 1, 0)]


@pytest.mark.parametrize("smiles", [SMALL[6], SMALL[7], LARGE[0], LARGE[1]])
def test_the_numbering_of_the_atoms_does_not_matter(smiles: str) -> None:
    def described(text: str) -> list[tuple[float, int, int]]:
        made = parts(text)
        return sorted(zip(made.mass.round(6).tolist(), made.cost.tolist(), made.depth.tolist(), strict=True))

    mol = parse_smiles(smiles)
    turned = Chem.RenumberAtoms(mol, np.random.default_rng(1).permutation(mol.GetNumAtoms()).tolist())
    assert described(smiles) == described(Chem.MolToSmiles(turned, canonical=False))


def test_molecules_of_up_to_128_heavy_atoms_are_broken_and_larger_ones_are_their_only_part() -> None:
    assert len(parts("C" * 64).mass) > 64
    longest = parts("C" * 128)
    # All stretches of a chain: those at an end take one cut, the others two.
    assert len(longest.mass) == 128 * 129 // 2
    beyond = parts("C" * 129)
    assert beyond.mass.tolist() == [pytest.approx(formula_mass("C129H260"), abs=1e-6)]
    assert parts("C").mass.tolist() == [pytest.approx(formula_mass("CH4"), abs=1e-9)]


def test_what_rdkit_refuses_is_an_error() -> None:
    with pytest.raises(StructureError, match="RDKit refuses"):
        parts("C(")


def test_every_broken_bond_has_a_class_for_each_side() -> None:
    made = molecule("CC(=O)OCc1ccc(Cl)cc1")
    for i, j in made.bonds.tolist():
        assert 0 <= made.classes[i, j] < BOND_CLASSES
    ester, acyl = (1, 3), (3, 4)
    assert made.classes[ester] != made.classes[ester[::-1]]
    assert made.classes[ester] != made.classes[acyl]
    assert molecule("CC(=O)OCC").classes[3, 4] == molecule("CCC(=O)OCCC").classes[4, 5]


def matches(smiles: str, mz: list[float], spectrum: PeakList) -> tuple[Parts, np.ndarray, np.ndarray, list[dict]]:
    made, forms = parts(smiles), forms_of(spectrum, structure(smiles).exact_mass)
    found = fits(np.array(mz), made.mass, made.hydrogens, made.cost, forms, 10.0, 0.0008, HYDROGEN)
    inside = made.molecule
    rows, peak = describe(
        *found, forms, made.sets, made.depth, made.cost, made.hydrogens, inside.neighbours, inside.classes, inside.sites
    )
    return made, found[0], peak, [dict(zip(COLUMNS, row, strict=True)) for row in rows.tolist()]


def ion(adduct: str, mode: str = "positive") -> PeakList:
    return PeakList(np.array([50.0]), np.ones(1), 300.0, adduct, None, mode)


def test_the_cheapest_parts_that_fit_are_those_that_a_search_of_all_finds() -> None:
    made = parts(LARGE[0])
    rng = np.random.default_rng(3)
    mz = np.sort(rng.choice(made.mass, 60)) - ELECTRON_MASS + rng.integers(-2, 3, 60) * HYDROGEN
    forms = forms_of(ion("[M+Na]+"), 464.0955)
    found, form, shift, error = fits(mz, made.mass, made.hydrogens, made.cost, forms, 10.0, 0.0008, HYDROGEN)
    for p, one in enumerate(mz):
        prices: list[int] = []
        for _, added, needed, _ in forms:
            for beyond in range(-LARGEST_SHIFT, LARGEST_SHIFT + 1):
                off = np.abs(one + added - (needed + beyond) * HYDROGEN - made.mass)
                fitting = (off <= max(one * 1e-5, 0.0008)) & (made.hydrogens + needed + beyond >= 0)
                prices += (made.cost[fitting] + 30 * abs(beyond)).tolist()
        kept = [int(made.cost[j] + 30 * abs(shift[p, k])) for k, j in enumerate(found[p]) if j >= 0]
        assert kept == sorted(prices)[:BEST]
        assert np.abs(error[p]).max() <= 1
        assert set(form[p].tolist()) <= {0, 1}


def test_a_closed_shell_ion_has_an_even_number_of_electrons() -> None:
    # Of ethyl acetate: acylium, the radical cation of acetaldehyde, and the protonated molecule.
    wanted = {"C2H3O": 0, "C2H4O": 1, "C4H9O2": 0}
    _, _, peak, rows = matches("CCOC(C)=O", sorted(formula_mass(f) - ELECTRON_MASS for f in wanted), ion("[M+H]+"))
    for place, odd in enumerate(wanted.values()):
        assert {row["odd"] for row, p in zip(rows, peak, strict=True) if p == place} == {odd}
    assert all(row["form"] == PLAIN for row in rows)


def test_a_fragment_keeps_sodium_or_loses_it_and_formate_leaves_as_formic_acid() -> None:
    acyl = formula_mass("C2H4O2")
    kept = acyl + ISOTOPE_MASS["Na"] - ELECTRON_MASS
    assert {row["form"] for row in matches("CCOC(C)=O", [kept], ion("[M+Na]+"))[3]} == {KEPT}
    assert matches("CCOC(C)=O", [kept], ion("[M+H]+"))[3] == []
    chloride = acyl + ISOTOPE_MASS["Cl"] + ELECTRON_MASS
    assert {row["form"] for row in matches("CCOC(C)=O", [chloride], ion("[M+Cl]-", "negative"))[3]} == {KEPT}
    lost = acyl - HYDROGEN + ELECTRON_MASS
    (best, *_) = matches("CCOC(C)=O", [lost], ion("[M+HCOO]-", "negative"))[3]
    assert (best["form"], best["cuts"]) == (PLAIN, 1)


def test_dimers_break_beside_a_whole_molecule_and_double_charges_halve_the_mass() -> None:
    whole = formula_mass("C4H8O2")
    (dimer, *_) = matches("CCOC(C)=O", [whole + formula_mass("C2H3O") - ELECTRON_MASS], ion("[2M+H]+"))[3]
    assert (dimer["form"], dimer["cuts"]) == (DIMER, 1)
    twice = (formula_mass("C4H10O2") - 2 * ELECTRON_MASS) / 2
    assert DOUBLE in {row["form"] for row in matches("CCOC(C)=O", [twice], ion("[M+2H]2+"))[3]}


def test_an_adduct_that_cannot_be_read_gives_plain_fragments() -> None:
    assert forms_of(ion("what"), 100.0).tolist() == forms_of(ion("[M+H]+"), 100.0).tolist()


def test_the_ends_of_broken_bonds_are_an_atom_that_is_kept_and_its_neighbour_that_is_lost() -> None:
    made, forms = parts(LARGE[0]), forms_of(ion("[M+H]+"), 464.0955)
    mz = np.unique(made.mass)[::40] + formula_mass("H") - ELECTRON_MASS
    found = fits(mz, made.mass, made.hydrogens, made.cost, forms, 10.0, 0.0008, HYDROGEN)
    inside = made.molecule
    rows, _ = describe(
        *found, forms, made.sets, made.depth, made.cost, made.hydrogens, inside.neighbours, inside.classes, inside.sites
    )
    ends = ends_of_bonds(found[0], made.sets, inside.neighbours)
    assert len(rows) > 20
    for row, mine, part in zip(rows, ends.astype(int), found[0][found[0] >= 0], strict=True):
        word = int(made.sets[part, 0]) | int(made.sets[part, 1]) << 64
        for place, code in enumerate(row[:CROSSED]):
            kept, lost = mine[place], mine[CROSSED + place]
            assert (code == NO_BOND) == (kept == NO_BOND) == (lost == NO_BOND)
            if code != NO_BOND:
                assert (word >> int(kept)) & 1
                assert not (word >> int(lost)) & 1
                assert inside.classes[kept, lost] == code


def test_surroundings_follow_the_atoms_and_reach_three_bonds_far() -> None:
    mol = parse_smiles(SMALL[7])
    order = np.random.default_rng(2).permutation(mol.GetNumAtoms()).tolist()
    other = Chem.RenumberAtoms(mol, order)
    np.testing.assert_array_equal(surroundings(other, graph(other)), surroundings(mol, graph(mol))[order])
    near, far = molecule("CCCCCCO").surroundings, molecule("CCCCCCN").surroundings
    assert near.shape == (7, SURROUNDINGS)
    np.testing.assert_array_equal(near[:3], far[:3])
    assert (near[3:] != far[3:]).any(axis=1).all()


def test_a_graph_holds_what_rdkit_says() -> None:
    mol = parse_smiles("C[N+]1=CC(=O)c2ccccc2C1C#N")
    made = graph(mol)
    assert made.symbols == [a.GetSymbol() for a in mol.GetAtoms()]
    assert made.ring_sizes == [{n for n in (3, 4, 5, 6) if a.IsInRingSize(n)} for a in mol.GetAtoms()]
    assert made.rings == [mol.GetRingInfo().NumBondRings(b.GetIdx()) for b in mol.GetBonds()]
    bound = [{(b.GetOtherAtomIdx(a.GetIdx()), b.GetBondTypeAsDouble()) for b in a.GetBonds()} for a in mol.GetAtoms()]
    assert [set(some) for some in made.neighbours] == bound
    assert (made.charges[1], made.hybrid[-1], made.hydrogens[0], made.ring_count) == (1, 0, 3, 2)
