"""Sketches of structures, mzPAF and mzSpecLib."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest

from molvis_core.chemistry.structures import structure
from molvis_core.records import PeakList
from molvis_files.mzpaf import joined, mzpaf
from molvis_files.mzspeclib import LibrarySpectrum, library_lines
from molvis_files.sketch import BOND, sketch


def test_a_sketch_has_atoms_in_the_order_of_the_smiles_and_bonds_of_usual_length() -> None:
    found = sketch("OC(=O)c1ccccc1[N+](C)(C)C")
    assert found is not None
    assert found["t"] == {"0": "<HO", "2": "O", "9": "N^+"} or found["t"] == {"0": "OH", "2": "O", "9": "N^+"}
    bonds = np.array(found["b"]).reshape(-1, 3)
    assert len(bonds) == 13
    places = np.array([found["x"], found["y"]]).T
    lengths = np.linalg.norm(places[bonds[:, 0]] - places[bonds[:, 1]], axis=1)
    assert lengths == pytest.approx(BOND, abs=1.5)
    assert sorted(bonds[:, 2])[-4:] == [2, *sorted(bonds[:, 2])[-3:]]  # C=O on both sides, the ring's on one
    assert places.min() == 0


def test_double_bonds_of_a_ring_have_their_second_line_inside() -> None:
    found = sketch("c1ccccc1")
    assert found is not None
    places = np.array([found["x"], found["y"]], dtype=float).T
    centre = places.mean(axis=0)
    for here, there, kind in np.array(found["b"]).reshape(-1, 3):
        if kind > 3:
            (ax, ay), (bx, by) = places[there] - places[here], centre - places[here]
            assert (ax * by - ay * bx > 0) == (kind == 5)  # y points down: right of the way is clockwise


def test_a_lone_atom_is_written_and_a_bad_smiles_is_none() -> None:
    assert sketch("[Na+]") == {"x": [0], "y": [0], "t": {"0": "Na^+"}, "b": []}
    assert sketch("not a smiles") is None
    wedge = sketch("C[C@H](N)O")
    assert wedge is not None
    assert set(wedge["b"][2::3]) & {6, 7}


@dataclass(frozen=True)
class Ion:
    formula: str
    ppm: float = 0.31
    peak: int = 0
    smiles: str = ""


@dataclass(frozen=True)
class Sure(Ion):
    charge: int = 1
    isotope: str = ""
    precursor: bool = False
    formula_probability: float = 0.934


@pytest.mark.parametrize(
    ("one", "text"),
    [
        (Ion("C7H7+"), "f{C7H7}/0.3ppm"),
        (Ion("C7H6++"), "f{C7H6}^2/0.3ppm"),
        (Ion("C7H6-2"), "f{C7H6}^2/0.3ppm"),
        (Sure("C7H7+"), "f{C7H7}/0.3ppm*0.93"),
        (Sure("C8H10N4O2Na+", precursor=True), "p/0.3ppm*0.93"),
        (Sure("C7H7Cl+", isotope="37Cl"), "f{C7H7[37Cl]}/0.3ppm*0.93"),
        (Sure("CCl3+", isotope="37Cl", ppm=-1.0), "f{CCl2[37Cl]}/-1.0ppm*0.93"),
        (Sure("C7H6+2", charge=2, formula_probability=1.0000001), "f{C7H6}^2/0.3ppm*1.00"),
    ],
)
def test_peaks_are_told_in_mzpaf(one: Ion, text: str) -> None:
    assert mzpaf(one) == text
    assert joined([text, text, "p"]) == f"{text},p"
    assert joined([]) == "?"


def test_a_library_is_told_in_mzspeclib() -> None:
    record = PeakList(
        [50.0, 60.5], [1.0, 2.0], 195.0877, adduct="[M+H]+", charge=1, ionmode="positive", collision_energy=30
    )
    one = LibrarySpectrum(
        "one\nname", record, structure("Cn1c(=O)c2c(ncn2C)n(C)c1=O"), ["", "p/0.1ppm"], merged=True, time=60.5,
        file="run.mzML", usi="mzspec:MSV1:run:scan:17", others=[("level", "2b")],
    )  # fmt: skip
    lines = list(library_lines([one, LibrarySpectrum("two", record, scan="17")], "library"))
    assert lines[:4] == [
        "<mzSpecLib>",
        "MS:1003186|library format version=1.0",
        "MS:1003188|library name=library",
        "<Spectrum=1>",
    ]
    assert "MS:1003061|library spectrum name=one\\nname" in lines
    assert lines[lines.index("<Peaks>") + 1 : lines.index("<Peaks>") + 3] == [
        "50.000000\t1\t?",
        "60.500000\t2\tp/0.1ppm",
    ]
    for told in (
        "MS:1003065|spectrum aggregation type=MS:1003067|consensus spectrum",
        "MS:1000868|SMILES string=Cn1c(=O)c2c(ncn2C)n(C)c1=O",
        "MS:1003063|universal spectrum identifier=mzspec:MSV1:run:scan:17", "[2]MS:1000894|retention time=60.5",
        "[3]MS:1003276|other attribute value=2b", "MS:1003057|scan number=17",
    ):  # fmt: skip
        assert told in lines, told
