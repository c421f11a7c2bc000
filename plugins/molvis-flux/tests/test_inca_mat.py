"""Models that INCA saved in MATLAB files: what is read, what is said not to be, and what is refused."""

from __future__ import annotations

from pathlib import Path

import inca_model
import numpy as np
import pytest
from scipy.io import savemat

from molvis_core.errors import ReadError
from molvis_flux.formats import read_study
from molvis_flux.labelling.stationary import compile_plan
from molvis_flux.model.network import Fragment, Tracer


def test_reactions_fluxes_and_bounds_are_read_in_net_and_exchange(tmp_path: Path) -> None:
    study = read_study(inca_model.write(tmp_path / "m.mat"))
    reactions = study.network.reactions
    assert set(reactions) == {"R1", "R2", "R3", "R4", "R5", "R6"}
    assert study.fluxes["net", "R2"] == 60
    assert study.fluxes["exchange", "R2"] == 50
    assert reactions["R1"].net == (100, 100)
    assert reactions["R5"].net == (0, 500)
    assert reactions["R2"].reversible
    assert [p.atoms for p in reactions["R3"].products] == [("b", "c"), ("a",)]
    assert study.network.metabolites["A"].role == "source"
    assert study.network.metabolites["G"].role == "sink"
    assert study.network.metabolites["C"].symmetries == ((1, 0),)
    assert study.pools["B"] == 2


def test_what_was_fed_and_measured_is_read(tmp_path: Path) -> None:
    [experiment] = read_study(inca_model.write(tmp_path / "m.mat")).experiments
    assert experiment.name == "exp1"
    assert experiment.tracers == {"A": Tracer((("010", 1.0),), purity=0.99)}
    found = {(d.target, d.kind): d for d in experiment.data}
    assert found["R1", "net"].values == (100.0,)
    assert found["B", "pool"].sd == (0.1,)
    mid = found["F1", "mid"]
    np.testing.assert_allclose(mid.values, np.array([0.0001, 0.8008, 0.1983, 0.0009]) / 1.0001)
    assert mid.time is None
    assert not mid.corrected


def test_what_is_not_read_is_said(tmp_path: Path) -> None:
    notes = "\n".join(read_study(inca_model.write(tmp_path / "m.mat")).notes)
    for said in (
        "switched off are left out: R9",
        "results of INCA are not used: f",
        "'exp1': data_nmr",
        "options of INCA",
    ):
        assert said in notes


def test_the_labelling_is_that_of_the_paper(tmp_path: Path) -> None:
    """Antoniewicz et al. 2007, whose C is not symmetric: here the turn of C is taken away."""
    variables = inca_model.model()
    for item in variables["m"][0, 0]["mets"][0]:
        item["sym"] = np.zeros((0, 0))
    savemat(tmp_path / "m.mat", variables)
    study = read_study(tmp_path / "m.mat")
    [experiment] = study.experiments
    fed = type(experiment)("pure", {"A": Tracer((("010", 1.0),))})
    plain = Fragment("f", ((1.0, "F", (0, 1, 2)),), ("C",) * 3)
    study.network.fragments["f"] = plain
    plan = compile_plan(study.network, [fed], ["f"])
    fluxes = [
        np.array([[study.fluxes.get((kind, name), 0.0) for name in study.network.reactions]])
        for kind in ("net", "exchange")
    ]
    mid = plan.simulate(*fluxes)[0][plan.slot("pure", "f")]
    np.testing.assert_allclose(mid, (0.0001, 0.8008, 0.1983, 0.0009), atol=5e-5)


def test_time_courses_have_their_times(tmp_path: Path) -> None:
    mids = np.array([[1.0, 0.5], [0.0, 0.5]])
    idvs = {"time": np.array([[0.0, 10.0]]), "val": mids, "std": mids * 0 + 0.01}
    fragment = {"id": "C", "met": "C", "atoms": np.array([[1.0]]), "idvs": inca_model.structs([idvs])}
    file = inca_model.write(tmp_path / "m.mat", data_ms=inca_model.structs([fragment]))
    data = [d for d in read_study(file).experiments[0].data if d.kind == "mid"]
    assert [(d.time, d.values) for d in data] == [(0.0, (1.0, 0.0)), (10.0, (0.5, 0.5))]


def test_a_table_gives_atom_maps_that_the_file_keeps_in_a_form_of_its_own(tmp_path: Path) -> None:
    file = inca_model.write(tmp_path / "m.mat", equations=False)
    with pytest.raises(ReadError, match="give the reactions as a table beside it"):
        read_study(file)
    rows = ["rxn_id,rxn_eqn", *(f"{name},{equation}" for name, equation in inca_model.EQUATIONS.items())]
    (tmp_path / "reactions.csv").write_text("\n".join(rows))
    study = read_study(file, reactions=tmp_path / "reactions.csv")
    assert study.fluxes["net", "R2"] == 60
    assert study.network.reactions["R4"].substrates[1].atoms == ("d", "e")


@pytest.mark.parametrize(
    ("field", "row", "reason"),
    [
        ("tracers", {"id": "t", "name": "t: Z @ 1"}, "a tracer of 'exp1' is of 'Z', which the model has not"),
        ("tracers", {"id": "t", "name": "t: A @ 4"}, "has atom 4 of A, which has 3"),
        ("tracers", {"id": "t", "frac": 1.0}, "names no metabolite"),
        ("tracers", {"id": "t", "name": "t: A @ 1", "frac": 1.5}, "shares sum to at most one"),
        ("data_flx", {"id": "R7", "val": 1.0}, "names reaction 'R7', which the network has not"),
        ("data_ms", {"id": "F", "met": "F"}, "1 measurements and 2 times"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_refused(tmp_path: Path, field: str, row: dict[str, object], reason: str) -> None:
    if field == "data_ms":
        idv = {"time": np.array([[0.0, 1.0]]), "val": np.array([[1.0]]), "std": np.array([[0.1]])}
        row = row | {"idvs": inca_model.structs([idv])}
    file = inca_model.write(tmp_path / "m.mat", **{field: inca_model.structs([row])})
    with pytest.raises(ReadError, match=reason):
        read_study(file)


def test_files_that_are_no_model_say_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "new.mat").write_bytes(b"MATLAB 7.3 MAT-file".ljust(512) + b"\x89HDF\r\n\x1a\n")
    with pytest.raises(ReadError, match="save\\('model.mat', 'm', '-v7'\\)"):
        read_study(tmp_path / "new.mat")
    savemat(tmp_path / "cobra.mat", {"iJO1366": inca_model.structs([{"S": 1.0}])})
    with pytest.raises(ReadError, match="no network that is known"):
        read_study(tmp_path / "cobra.mat")
    savemat(tmp_path / "m.mat", {"m": np.eye(3)})
    with pytest.raises(ReadError, match="no model of INCA: a variable `m` with `rates`"):
        read_study(tmp_path / "m.mat")
    whole = inca_model.write(tmp_path / "whole.mat").read_bytes()
    (tmp_path / "cut.mat").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ReadError, match="damaged"):
        read_study(tmp_path / "cut.mat", reader="inca")
