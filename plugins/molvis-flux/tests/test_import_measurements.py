"""Tables of isotopologues as programs write them open, are joined to a network, and what was assumed is said."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from molvis_core.errors import ReadError
from molvis_flux.commands.import_measurements import import_
from molvis_flux.formats import read_study
from molvis_flux.formats.importing import ErrorModel, import_measurements
from molvis_flux.formats.isotopologues import read_isotopologues

CORPUS = Path(__file__).parents[3] / "tests" / "corpus" / "flux-isotopologues"
if not CORPUS.is_dir():
    pytest.skip("the corpus is in the repository, not in the package", allow_module_level=True)

NETWORK = """[reactions]
up = "Glc.ex(abcd) -> suc.c(abcd)"
out = "suc.c(abcd) -> Out(abcd)"
[metabolites]
"Glc.ex" = "source"
Out = "sink"
"""
FRACTIONS = (0.6, 0.2, 0.15, 0.03, 0.02)


def network(folder: Path) -> Path:
    path = folder / "network.toml"
    path.write_text(NETWORK, encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("file", "unit", "samples"),
    [
        ("isocor-in.tsv", "area", ["s1"]),
        ("elmaven.csv", "area", ["s1", "s2"]),
        ("percent.csv", "percent", [""]),
        ("long.csv", "fraction", ["s1"]),
        ("wide.tsv", "percent", ["s1", "s2"]),
    ],
)
def test_the_same_measurement_is_read_from_every_kind_of_table(file: str, unit: str, samples: list[str]) -> None:
    found = read_isotopologues(CORPUS / file)
    assert [item.sample for item in found] == samples
    assert {(item.compound, item.unit) for item in found} == {("Succinate", unit)}
    assert found[0].normalised().values == pytest.approx(FRACTIONS)


def test_what_isocor_corrected_is_taken_before_what_it_was_given() -> None:
    (found,) = read_isotopologues(CORPUS / "isocor-out.tsv")
    assert (found.unit, found.values) == ("fraction", pytest.approx((0.62, 0.18, 0.15, 0.03, 0.02)))


def test_the_mapping_is_proposed_and_what_was_assumed_stands_in_the_file(tmp_path: Path) -> None:
    out = tmp_path / "study.toml"
    import_(network(tmp_path), [CORPUS / "elmaven.csv"], out, tracer=["Glc.ex=U-13C"])
    study = read_study(out)
    assert [e.name for e in study.experiments] == ["s1", "s2"]
    (datum,) = study.experiments[0].data
    assert (datum.target, datum.sd) == ("suc.c", (0.01,) * 5)
    assert datum.values == pytest.approx(FRACTIONS)
    assert study.experiments[1].tracers["Glc.ex"].isotopomers == (("1111", 1.0),)
    assert study.network.metabolites["suc.c"].symmetries == ((3, 2, 1, 0),)
    text = out.read_text(encoding="utf-8")
    for said in (
        "'Succinate' is taken as 'suc.c'",
        "is taken as symmetric",
        "no standard deviations",
        "made to sum to",
    ):
        assert said in text


def test_raw_areas_keep_their_natural_isotopes_and_get_the_formula_of_the_table(tmp_path: Path) -> None:
    study = import_measurements(
        read_study(network(tmp_path)),
        read_isotopologues(CORPUS / "elmaven.csv"),
        raw=True,
        errors=ErrorModel(0.001, 0.1),
    )
    assert study.network.fragments["suc.c"].formula == "C4H6O4"
    datum = study.experiments[0].data[0]
    assert not datum.corrected
    assert datum.sd == pytest.approx([max(0.001, 0.1 * f) for f in FRACTIONS])


def test_raw_areas_are_corrected_as_isocor_corrects_them(tmp_path: Path) -> None:
    from molvis_flux.labelling.isotopes import correct_experiment

    study = import_measurements(read_study(network(tmp_path)), read_isotopologues(CORPUS / "elmaven.csv"), raw=True)
    (datum,) = correct_experiment(study.network, study.experiments[0]).data
    # IsoCor 2.2.4 with the same abundances, C4H6O4, 13C, correct_NA_tracer=True, low resolution.
    theirs = [0.6326664883189257, 0.18016859387482728, 0.1430369390784795, 0.025498903969861073, 0.018629074757906424]
    assert np.abs(np.array(datum.values) - np.array(theirs)).max() < 1e-9


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "is empty"),
        ("a,b\n1,2\n", "has no column of compounds"),
        ("compound,b\nx,2\n", "has no column of masses"),
        ("compound,mass\nx,0\n", "has no column of values"),
        ("compound,mass,value\nx,zero,1\n", "the isotopologue is 'zero'"),
        ("compound,mass,value\nx,0,one\n", "M\\+0 of x is 'one'"),
        ("compound,mass,value\nx,0,1\nx,0,1\n", "stands twice"),
        ("compound,mass,value\n", "holds no isotopologue"),
    ],
)
def test_a_table_that_is_none_says_what_it_lacks(tmp_path: Path, text: str, reason: str) -> None:
    path = tmp_path / "t.csv"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ReadError, match=reason):
        read_isotopologues(path)


@pytest.mark.parametrize(
    ("table", "options", "reason"),
    [
        ("compound,M+0,M+1\nsuk.c,0.9,0.1\n", {}, "no fragment or metabolite 'suk.c'. Did you mean 'suc.c'"),
        ("compound,M+0,M+1\nx,0.9,0.1\n", {"names": {"x": "y"}}, "'y' is no fragment"),
        ("compound,M+0,M+1,M+2,M+3,M+4,M+5\nsuc,.5,.1,.1,.1,.1,.1\n", {}, "has M\\+5, and 'suc.c' has 4 atoms"),
        ("compound,M+0,M+1\nsuc,0.9,0.1\n", {"raw": True}, "is raw and has no formula"),
        ("compound,M+0,M+1\nsuc,0.9,0.1\n", {"tracers": {"Glc": "U-13C"}}, "'Glc' is no source"),
    ],
)
def test_what_does_not_fit_the_network_is_refused_with_what_to_do(
    tmp_path: Path, table: str, options: dict[str, Any], reason: str
) -> None:
    path = tmp_path / "t.csv"
    path.write_text(table, encoding="utf-8")
    with pytest.raises(ReadError, match=reason):
        import_measurements(read_study(network(tmp_path)), read_isotopologues(path), **options)


def test_a_compound_is_left_out_where_its_name_is_empty(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("compound;M+0;M+1\nsuc;0,9;0,1\nx;0,9;0,1\n", encoding="utf-8")
    study = import_measurements(read_study(network(tmp_path)), read_isotopologues(path), names={"x": ""})
    (datum,) = study.experiments[0].data
    assert datum.values[:2] == pytest.approx((0.9, 0.1))
    assert np.isnan(datum.values[2:]).all()


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ('compound,mass,area\nx,0,"1,234"\nx,1,"12,345.5"\n', 1234.0),
        ("compound;mass;area\nx;0;1,234\nx;1;2,5\n", 1.234),
        ("compound\tmass\tarea\nx\t0\t0,25\nx\t1\t2,5\n", 0.25),
        ("compound\tmass\tarea\nx\t0\t1,234,567\nx\t1\t2\n", 1234567.0),
    ],
)
def test_commas_between_thousands_are_no_decimal_commas(tmp_path: Path, text: str, value: float) -> None:
    path = tmp_path / "t.csv"
    path.write_text(text, encoding="utf-8")
    assert read_isotopologues(path)[0].values[0] == value


def test_a_comma_that_may_be_either_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "t.tsv"
    path.write_text("compound\tmass\tarea\nx\t0\t1,234\n", encoding="utf-8")
    with pytest.raises(ReadError, match=r"'1,234' may be 1234 or 1\.234"):
        read_isotopologues(path)
