"""Salts, solvates and ions come in as the compound behind them, in libraries, datasets and evaluations."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pytest

from molvis_core.chemistry.adducts import ion_mz
from molvis_core.chemistry.structures import structure
from molvis_core.records import Measurement, Structure
from molvis_core.testing import offer
from molvis_retrieval import importing
from molvis_retrieval.bundle import Bundle
from molvis_retrieval.calibration.compounds import by_compound
from molvis_retrieval.dataset import Dataset
from molvis_retrieval.evaluation.ranking import evaluate
from molvis_retrieval.identification import identify
from molvis_retrieval.index import build_index
from molvis_retrieval.library import Library
from molvis_retrieval.parents import ParentCounts, ParentsOfMeasurements

sys.path.insert(0, str(Path(__file__).parent))
import barcode
from barcode import STRUCTURES, make_bundle, make_index, measurement

ACID, ANION = structure("CCCC(=O)OC(C)C(=O)O"), structure("CCCC(=O)OC(C)C(=O)[O-]")
SALT = structure("CCCC(=O)OC(C)C(=O)[O-].[Na+]")
CARNITINE, CATION = structure("C[N+](C)(C)CC(O)CC(=O)[O-]"), structure("C[N+](C)(C)CC(O)CC(=O)O")
CHOLINE = structure("C[N+](C)(C)CCO")


@pytest.fixture(autouse=True)
def toys() -> Iterator[None]:
    with offer(barcode.PLUGIN):
        yield


@pytest.fixture
def bundle(tmp_path: Path) -> Bundle:
    return make_bundle(tmp_path / "bundle")


def _named(one: Structure, name: str) -> Structure:
    return dataclasses.replace(one, name=name)


def _measured(drawn: Structure, mz: float, adduct: str, fold: str = "test") -> Measurement:
    """A spectrum that spells the vector of a structure, of an ion of this m/z."""
    good = measurement(drawn, fold=fold)
    record = dataclasses.replace(good.record, precursor_mz=mz, adduct=adduct, ionmode=None, charge=None)
    return dataclasses.replace(good, record=record)


def test_all_forms_of_a_compound_are_one_candidate_and_keep_their_names() -> None:
    found = Library.from_structures(
        [_named(SALT, "sodium salt"), _named(ANION, "anion"), _named(ACID, "acid"), _named(ACID, "another name")]
    )
    assert len(found) == 1
    one = found.structure(0)
    assert (one.smiles, one.charge, one.name) == (ACID.smiles, 0, "acid")
    assert set(found.aliases(0)) == {"sodium salt", "anion", "another name", SALT.inchikey}
    assert found.parents == ParentCounts(structures=4, neutralised=2, stripped=1, merged=2, duplicates=1)
    assert found.parents.words == (
        "parents of 4 structures: 2 neutralised, 1 stripped of counterions or solvents, 2 merged with another form of "
        "their compound, 1 duplicates"
    )


def test_an_ion_alone_is_a_candidate_as_its_neutral_compound() -> None:
    found = Library.from_structures([_named(ANION, "anion")])
    assert found.structure(0) == _named(ACID, "anion")
    assert found.mass[0] == pytest.approx(ACID.exact_mass)


def test_permanent_cations_and_mixtures_stay_as_they_are() -> None:
    mixture = structure("CC(=O)Nc1ccc(O)cc1.CN1CCCC1c1cccnc1")
    found = Library.from_structures([CHOLINE, mixture])
    assert {s.smiles for s in found.structures([0, 1])} == {CHOLINE.smiles, mixture.smiles}
    assert found.parents == ParentCounts(structures=2, mixtures=1)


def test_merged_libraries_keep_aliases_and_count(tmp_path: Path) -> None:
    both = Library.from_structures([SALT]).merge(Library.from_structures([ACID, CHOLINE]))
    assert len(both) == 2
    assert both.aliases(int(both.rows_of(ACID.inchikey)[0])) == (SALT.inchikey,)
    assert both.parents == ParentCounts(structures=3, neutralised=1, stripped=1, duplicates=1)


def test_a_library_of_an_older_molvis_is_opened_without_aliases(tmp_path: Path) -> None:
    table = Library.from_structures([ACID, CHOLINE]).table.drop_columns(["aliases"])
    file = tmp_path / "library.arrow"
    with pa.OSFile(str(file), "wb") as sink, pa.ipc.new_file(sink, table.schema) as out:
        out.write_table(table)
    old = Library.open(file)
    assert old.aliases(0) == ()
    assert len(old.merge(Library.from_structures([CARNITINE]))) == 3


def test_an_imported_salt_is_its_compound_and_keeps_an_adduct_that_fits(tmp_path: Path) -> None:
    good = _measured(SALT, ion_mz(ACID.exact_mass, "[M-H]-"), "[M-H]-")
    report = importing.write([good, good], tmp_path / "data")
    data = Dataset.open(tmp_path / "data")
    assert data.structure("msms", 0).smiles == ACID.smiles
    assert data.record("msms", 0).adduct == "[M-H]-"
    assert report.parents == ParentCounts(structures=1, neutralised=1, stripped=1)


@pytest.mark.parametrize(
    ("drawn", "written", "parent", "adduct"),
    [
        (CATION, "[M]+", CARNITINE, "[M+H]+"),
        (ANION, "[M]-", ACID, "[M-H]-"),
        (SALT, "[M+H]+", ACID, "[M+Na]+"),
        (structure("C[NH+](C)CCO"), "[M]+", structure("CN(C)CCO"), "[M+H]+"),
        (CHOLINE, "[M]+", CHOLINE, "[M]+"),
    ],
)
def test_an_adduct_of_the_form_that_was_drawn_becomes_that_of_the_parent(
    drawn: Structure, written: str, parent: Structure, adduct: str
) -> None:
    mz = ion_mz(drawn.exact_mass, written)
    found = ParentsOfMeasurements()(_measured(drawn, mz, written))
    assert found.structure is not None
    assert (found.structure.smiles, found.record.adduct) == (parent.smiles, adduct)
    assert ion_mz(parent.exact_mass, adduct) == pytest.approx(mz, abs=1e-4)


def test_a_measurement_whose_ion_is_none_of_the_parent_keeps_its_structure_and_is_counted() -> None:
    adducts = ParentsOfMeasurements()
    odd = _measured(SALT, ion_mz(SALT.exact_mass, "[M+Br]-"), "[M+Br]-")
    assert adducts(odd) is odd
    assert adducts.counts.as_drawn == 1
    wrong = _measured(SALT, 500.0, "[M+H]+")
    assert adducts(wrong).structure == dataclasses.replace(ACID, name=wrong.structure.name)  # type: ignore[union-attr]


def test_a_permanent_cation_is_found_by_its_own_ion(bundle: Bundle, tmp_path: Path) -> None:
    index = make_index(bundle, tmp_path / "index", [CHOLINE, *STRUCTURES])
    (found,) = identify(bundle, [_measured(CHOLINE, ion_mz(CHOLINE.exact_mass, "[M]+"), "[M]+")], index)
    assert found.candidates[0].structure.smiles == CHOLINE.smiles
    assert found.adduct == "[M]+"


def test_a_betaine_is_found_by_the_cation_that_people_draw_of_it(bundle: Bundle, tmp_path: Path) -> None:
    index = make_index(bundle, tmp_path / "index", [CATION, *STRUCTURES])
    query = _measured(CARNITINE, ion_mz(CATION.exact_mass, "[M]+"), "[M]+")
    (found,) = identify(bundle, [query], index)
    assert found.candidates[0].structure.smiles == CARNITINE.smiles
    assert (found.candidates[0].adduct, found.truth_rank) == ("[M+H]+", 1)
    assert abs(found.candidates[0].mass_error or 0) < 1


def test_a_cation_that_nothing_fits_is_a_problem_of_its_own_adduct(bundle: Bundle, tmp_path: Path) -> None:
    index = make_index(bundle, tmp_path / "index")
    (found,) = identify(bundle, [_measured(CHOLINE, ion_mz(CHOLINE.exact_mass, "[M]+"), "[M]+")], index)
    assert "no candidate within 10 ppm of 104.1075 Da" in found.problem


def test_an_evaluation_does_not_add_a_truth_that_the_library_holds_in_another_form(
    bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    library = Library.from_structures([_named(SALT, "salt"), *STRUCTURES])
    index = build_index(bundle, library, tmp_path / "index")
    monkeypatch.setattr(importing.ParentsOfMeasurements, "__call__", lambda self, item: item)  # an older molvis
    items = [_measured(SALT, ion_mz(ACID.exact_mass, "[M+H]+"), "[M+H]+"), *map(measurement, STRUCTURES[:10])]
    importing.write(items, tmp_path / "data")
    data = Dataset.open(tmp_path / "data")
    assert data.structure("msms", 0).smiles == SALT.smiles
    found = evaluate(bundle, data, index, scopes=("mass",))
    assert (found.compounds, found.added) == (11, 0)


def test_a_calibration_takes_compounds_by_their_parents() -> None:
    items = [_measured(one, ion_mz(ACID.exact_mass, "[M-H]-"), "[M-H]-") for one in (SALT, ANION, ACID)]
    assert list(by_compound(items)) == [ACID.inchikey14]
