"""Sheets of OpenFLUX and OpenMebius: what is measured of molecules that no flux makes, and what is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import openpyxl
import pytest

from molvis_core.errors import ReadError
from molvis_flux.formats import read_study
from molvis_flux.labelling.prediction import complete_fluxes
from molvis_flux.labelling.stationary import compile_plan
from molvis_flux.model.network import Study
from molvis_flux.space.consistency import check

CORPUS = Path(__file__).parent / "corpus"
OPENFLUX = CORPUS / "openflux" / "of2009.txt"
MEBIUS = CORPUS / "openmebius" / "metabolic_network.xlsx"


def mid(study: Study, fragment: str) -> np.ndarray:
    """Simulated in the first experiment, at fluxes of which the stated ones are known."""
    plan = compile_plan(study.network, study.experiments[:1], [fragment])
    return plan.simulate(*complete_fluxes(study.network, {**study.fluxes, ("net", "v6"): 0.5}))[0][
        plan.slot(study.experiments[0].name, fragment)
    ]


def test_products_of_type_s_are_fragments_whose_masses_add_up() -> None:
    """Valine has three carbons of one pyruvate and two of another: half of them labelled, each all or nothing."""
    study = read_study(OPENFLUX, tracers={"GLC_EX": {"U-13C": 0.5, "unlabelled": 0.5}})
    assert set(study.network.reactions) == {f"v{i}" for i in range(1, 13)}
    np.testing.assert_allclose(mid(study, "VALX#11111"), [0.25, 0, 0.25, 0.25, 0, 0.25], atol=1e-12)


def test_basis_deviation_bounds_and_excluded_metabolites_of_openflux() -> None:
    study = read_study(OPENFLUX, tracers={"GLC_EX": "U-13C"})
    assert study.network.reactions["v1"].net == (10, 10)
    assert {(d.target, d.values, d.sd) for d in study.experiments[0].data if d.kind == "net"} == {
        ("v10", (2.0,), (0.1,)),
        ("v11", (1.5,), (0.1,)),
    }
    roles = {name: m.role for name, m in study.network.metabolites.items()}
    assert (roles["O2_EX"], roles["CO2_EX"], roles["NADH"]) == ("source", "sink", "balanced")
    assert study.network.metabolites["SUC"].symmetries == ((3, 2, 1, 0),)
    later = read_study(OPENFLUX.with_name("later.csv"), data=OPENFLUX.with_name("later_data.txt"))
    assert later.network.reactions["v10"].net == (1.9, 2.1)
    aspartate, valine = later.experiments[0].data
    # Aspartate with three tert-butyldimethylsilyl groups, less 57: C18H40NO4Si3, m/z 418.
    assert later.network.fragments["ASPX#1111"].formula == "C18H40N1O4Si3"
    assert (aspartate.corrected, valine.corrected, valine.scaled) == (False, True, True)
    assert any("says" in note or "say it by `tracers`" in note for note in later.notes)


@pytest.mark.parametrize(
    ("old", "new", "line", "reason"),
    [
        ("F\t10", "Q\t10", 2, "is of type 'Q'; it is F, FR"),
        ("abc = bc + a + X", "abc = bc + a", 3, "3 products in .* and 2 maps"),
        ("v2\tPYR = ACA", "v2\tPYR : ACA", 3, "has 0 arrows"),
        ("ab + cdef = abfed + c", "ab + cde = abed + c", 5, "AKG has 5 atoms in reaction .v4., and 4 before"),
        ("B\t2\t", "B\ttwo\t", 11, "basis of 'v10' is 'two', no finite number"),
        ("OAA = ASPX\tabcd = abcd", "OAA = ASPX\tabcd = abce", 14, "atom 'e' of ASPX comes from no substrate"),
        ("#\tASPX#1100", "#\tASPX#11000", 27, "has 5 carbons, and ASPX has 4"),
        ("#\tASPX#1100", "#\tTYRX#1100", 27, "'TYRX', which the network has not"),
        ("#\t0.15\t", "\t\t", 34, "14 fractions, and there are 12 measurements"),
        ("rxnType", "kind", 1, "lacks the column 'rxntype'"),
    ],
)
def test_a_damaged_sheet_of_openflux_says_where_and_what(
    tmp_path: Path, old: str, new: str, line: int, reason: str
) -> None:
    text = OPENFLUX.read_text()
    assert old in text
    (tmp_path / "m.txt").write_text(text.replace(old, new))
    with pytest.raises(ReadError, match=reason) as caught:
        read_study(tmp_path / "m.txt", reader="openflux")
    assert caught.value.line == line


def test_a_workbook_of_openmebius_with_an_experiment() -> None:
    study = read_study(MEBIUS, data=MEBIUS.with_name("experiment.xlsx"))
    network = study.network
    assert set(network.fragments) == {"Asp_57", "Val_57"}
    assert network.metabolites["Suc"].symmetries == ((3, 2, 1, 0),)
    assert network.reactions["R5"].reversible
    assert [(p.metabolite, p.coefficient) for p in network.reactions["biomass"].substrates] == [
        ("Pyr", 2.5), ("Oxa", 1.25), ("aKG", 0.75),
    ]  # fmt: skip
    assert study.fluxes == {("net", "R1"): 8.0, ("net", "biomass"): 0.6}
    [experiment] = study.experiments
    assert experiment.tracers["Subs_Glc"].isotopomers == (("100000", 0.99), ("000000", 0.01))
    assert [d.values for d in experiment.data] == [(0.6, 0.2, 0.1, 0.06, 0.04), (0.5, 0.3, 0.1, 0.05, 0.03, 0.02)]
    assert not [finding for finding in check(study) if finding.severity == "error"]


@pytest.mark.parametrize(
    ("file", "sheet", "cell", "value", "reason"),
    [
        ("metabolic_network", "model", "B3", "Pyr - AcCoA", "has 0 arrows"),
        ("metabolic_network", "model", "C2", "ABCDEF --> CBA", "2 products .* and 1 maps"),
        ("metabolic_network", "biomass", "A2", "Pyrr", "names metabolite 'Pyrr'.*Did you mean"),
        ("metabolic_network", "MS", "C2", "ABCD --> ABCE", "atom 'E' of Asp_57 .measured. comes from no substrate"),
        ("metabolic_network", "model", "C1", "Map", "has no network that is known|holds no network that is known"),
        ("experiment", "substrate", "C2", "[2]Glc", r"the label '\[2\]Glc' of 'Subs_Glc' is not in label.json"),
        ("experiment", "MDV", "B3", "much", r"M\+1 of Asp_57 is 'much', no finite number"),
        ("experiment", "MDV", "B7", 0.3, r"more fractions than M\+0 to M\+4"),
    ],
)
def test_a_damaged_workbook_of_openmebius_says_what(
    tmp_path: Path, file: str, sheet: str, cell: str, value: object, reason: str
) -> None:
    for path in MEBIUS.parent.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    book = openpyxl.load_workbook(tmp_path / f"{file}.xlsx")
    book[sheet][cell] = value
    book.save(tmp_path / f"{file}.xlsx")
    with pytest.raises(ReadError, match=reason):
        read_study(tmp_path / MEBIUS.name, data=tmp_path / "experiment.xlsx")


def test_a_workbook_of_the_old_excel_is_to_be_saved_anew(tmp_path: Path) -> None:
    (tmp_path / "m.xls").write_bytes(b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1")
    with pytest.raises(ReadError, match="save it as .xlsx"):
        read_study(tmp_path / "m.xls")


def test_a_coefficient_must_be_a_finite_number() -> None:
    from molvis_flux.formats.notation import participants

    with pytest.raises(ValueError, match="of A is no finite number"):
        participants("1" + "0" * 400 + " A(ab)")
