"""Every example of the data folder loads, or says what it lacks, and survives being written."""

from __future__ import annotations

import csv
import dataclasses
import json
import math
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from molvis_core.errors import ReadError
from molvis_flux.formats import read_measured, read_mfapy, read_study
from molvis_flux.formats.writers import write_study
from molvis_flux.labelling.stationary import compile_plan
from molvis_flux.model.network import Study
from molvis_flux.space.consistency import check

DATA = Path(os.environ.get("MOLVIS_DATA", Path(__file__).parents[3] / ".." / "shared" / "data")) / "flux"
pytestmark = pytest.mark.skipif(not DATA.is_dir(), reason=f"no flux data in {DATA}: set MOLVIS_DATA")

M, TIMES = "mfapy_samples", (0, 5, 10, 15, 30, 50)
EXAMPLES: dict[str, tuple[dict[str, Any], int, int]] = {  # file: options, reactions, fragments
    "antoniewicz_toy/antoniewicz_mininetwork.fml": ({}, 8, 1),
    "antoniewicz_toy/reactions.csv": ({}, 5, 1),
    "fluxml_examples/antoniewicz_mininetwork.fml": ({}, 8, 1),
    "fluxml_examples/coryne.xml": ({}, 69, 0),
    "fluxml_examples/ecoli_model_level_1.fml": ({}, 119, 14),
    "fluxml_examples/ecoli_model_level_3.fml": ({}, 119, 14),
    "fluxml_examples/ppp_tca.xml": ({}, 54, 0),
    "fluxml_examples/spirale.fml": ({}, 8, 0),
    "fluxml_examples/spirale2.fml": ({}, 8, 2),
    "fluxml_examples/spiralem.fml": ({}, 8, 2),
    "fluxml_examples/spirallus_model_level_1.fml": ({}, 9, 3),
    "fluxml_examples/spirallus_model_level_2.fml": ({}, 9, 3),
    "fluxml_examples/spirallus_model_level_3.fml": ({}, 9, 2),
    "fluxml_examples/standard.fml": ({}, 123, 0),
    "freeflux/ecoli/experimental_data": ({}, 101, 14),
    "freeflux/ecoli/synthetic_data": ({}, 70, 21),
    "freeflux/synechocystis/experimental_data": ({}, 50, 18),
    "freeflux/synechocystis/synthetic_data": ({}, 38, 18),
    "freeflux/toy": ({"tracers": {"AcCoA": {"01": 0.25, "11": 0.25, "00": 0.5}}}, 7, 1),
    f"{M}/Example_0_toymodel_model.txt": ({"status": f"{M}/Example_0_toymodel_status.csv"}, 9, 2),
    f"{M}/Example_1_toymodel_model.txt": (
        {
            "status": f"{M}/Example_1_toymodel_status.csv",
            "data": [f"{M}/Example_1_MDV1.txt", f"{M}/Example_1_MDV2.txt"],
            "tracers": {"Example_1_MDV1": {"AcCoA": {"10": 0.5, "00": 0.5}}, "Example_1_MDV2": {"AcCoA": "11"}},
        },
        9, 1,
    ),
    f"{M}/Example_2_Ecoli_model.txt": (
        {
            "status": f"{M}/Example_2_Ecoli_status.csv", "data": f"{M}/Example_2_Ecoli_mdv.txt",
            "tracers": {"SubsGlc": {"1-13C": 0.7, "U-13C": 0.3}},
        },
        103, 24,
    ),
    f"{M}/Example_3_MCF7_model.txt": (
        {
            "status": f"{M}/Example_3_MCF7_status.csv",
            "data": {"glc": f"{M}/Example_3_MCF7_mdv_1_13C_Glc.txt", "gln": f"{M}/Example_3_MCF7_mdv_U_13C_Gln.txt"},
            "tracers": {"glc": {"SubsGlc": "1-13C"}, "gln": {"SubsGln": "U-13C"}},
        },
        85, 10,
    ),
    f"{M}/Example_4_Simulation_model.txt": (
        {
            "status": f"{M}/Example_4_Simulation_status.csv",
            "data": {"course": {t: f"{M}/Example_6_INST_mdvtimecourse{t}.txt" for t in TIMES}},
            "tracers": {"SubsGlc": "U-13C"},
        },
        16, 3,
    ),
    f"{M}/Example_7_CancerCell_model.txt": (
        {
            "status": f"{M}/Example_7_flux_dist_CancerCell.csv",
            "data": {"C24": f"{M}/Example_7_MCF7_C24_U_CIT.txt", "T24": f"{M}/Example_7_MCF7_T24_U_CIT.txt"},
        },
        51, 5,
    ),
    f"{M}/Explanation_1_13CMFA_toymodel_model.txt": (
        {
            "status": f"{M}/Explanation_1_13CMFA_toymodel_status.csv",
            "data": {k: f"{M}/Explanation_1_13CMFA_toymodel_mdv{n}.txt" for k, n in (("a", ""), ("b", "1"))},
            "tracers": {"a": f"{M}/Explanation_1_13CMFA_toymodel_carbonsource2.txt"},
        },
        18, 8,
    ),
    f"{M}/Tutorial 1_13C-MFAEcoli_model.txt": (
        {"status": f"{M}/Tutorial 1_13C-MFAEcoli_status.csv", "data": f"{M}/Tutorial 1_13C-MFAEcoli_mdv.txt"}, 103, 24,
    ),
    f"{M}/Tutorial 2_INST-MFAtoymodel_model.txt": (
        {
            "status": f"{M}/Tutorial 2_INST-MFAtoymodel_status.csv",
            "data": {"course": {t: f"{M}/Tutorial 2_INST-MFAtoymodel_mdvtimecourse{t}.txt" for t in TIMES}},
        },
        16, 3,
    ),
    f"{M}/Tutorial_3_mfapy_functions_model.txt": (
        {
            "status": f"{M}/Tutorial_3_mfapy_functions_status.csv",
            "data": {"a": f"{M}/Tutorial_3_mfapy_functions_mdv.txt", "b": f"{M}/Tutorial_3_mfapy_functions_mdv1.txt"},
            "tracers": {"a": f"{M}/Tutorial_3_mfapy_functions_carbonsource2.txt"},
        },
        18, 8,
    ),
    "mlflux/CCM.xml": ({"bounds": "mlflux/CCM_Constraints.xlsx"}, 52, 0),
    "mlflux/CCM_Model.txt": ({"status": "mlflux/CCM_status_1.csv"}, 86, 31),
    "mlflux/GlyPPP.xml": ({"bounds": "mlflux/GlyPPP_Constraints1of3_20pct.xlsx"}, 34, 0),
    "mlflux/Glycolysis.xml": ({"bounds": "mlflux/Glycolysis_Constraints.xlsx"}, 21, 0),
    "mlflux/Simple.xml": ({"bounds": "mlflux/Simple_Constraints.xlsx"}, 7, 1),
    "multitissue/mouse/whole_body_model.txt": (
        {
            "status": "multitissue/mouse/whole_body_status.csv", "data": "multitissue/mouse/whole_body_mdv_mouse1.txt",
            "tracers": {"SubsGlcPeri": "U-13C"},
        },
        304, 81,
    ),
}  # fmt: skip
FAULTY = {
    "antoniewicz_toy/emu_testnetwork.fml": (111, "the MID of 'm2' sums to 3"),
    "fluxml_examples/emu_testnetwork.fml": (111, "the MID of 'm2' sums to 3"),
    "fluxml_examples/ecoli_model_level_2.fml": (1350, "the MID of 'ms_group_1' sums to 6.36905"),
    "antoniewicz_toy/incawrapper_toy/reactions.csv": (4, "labelled at atom 4, and A has 3 atoms"),
    "antoniewicz_toy/incawrapper_toy/model.json": (None, "labelled at atom 4, and A has 3 atoms"),
}


def beside(value: Any) -> Any:
    """Paths of the data folder in options."""
    if isinstance(value, str):
        return DATA / value if (DATA / value).is_file() else value
    if isinstance(value, list):
        return [beside(item) for item in value]
    return {key: beside(item) for key, item in value.items()} if isinstance(value, dict) else value


def example(name: str, **more: Any) -> Study:
    """An example as the table above says."""
    options, *_ = EXAMPLES[name]
    return read_study(DATA / name, **{key: beside(value) for key, value in options.items()} | more)


@pytest.mark.parametrize("name", EXAMPLES)
def test_an_example_loads_with_all_that_belongs_to_it(name: str) -> None:
    options, reactions, fragments = EXAMPLES[name]
    study = example(name)
    assert (len(study.network.reactions), len(study.network.fragments)) == (reactions, fragments)
    wanted = options.get("data", ())
    if isinstance(wanted, dict):
        assert {experiment.name for experiment in study.experiments} == set(wanted)
    assert all(
        datum.where.rpartition(":")[2].isdigit() for e in study.experiments for datum in e.data if datum.kind == "mid"
    )


@pytest.mark.parametrize("name", FAULTY)
def test_a_faulty_example_says_where_and_what(name: str) -> None:
    line, reason = FAULTY[name]
    with pytest.raises(ReadError, match=reason) as caught:
        read_study(DATA / name)
    assert caught.value.line == line


def test_no_model_of_the_data_folder_is_left_out() -> None:
    patterns = ("*.fml", "*.xml", "*odel.txt", "reactions.*", "model.json")
    found = {path for pattern in patterns for path in DATA.rglob(pattern)}
    known = {DATA / name for name in (*EXAMPLES, *FAULTY)}
    left = {path for path in found if path not in known and path.parent not in known}
    assert left == {DATA / "antoniewicz_toy/incawrapper_toy/reactions.csv"} - known


def test_what_no_model_uses_is_known() -> None:
    named: set[Path] = set()

    def collect(value: Any) -> None:
        if isinstance(value, Path):
            named.add(value)
        elif isinstance(value, (list, dict)):
            for item in value.values() if isinstance(value, dict) else value:
                collect(item)

    for name, (options, *_) in EXAMPLES.items():
        named |= set((DATA / name).iterdir()) if (DATA / name).is_dir() else {DATA / name}
        collect(beside(options))
    left = {path.relative_to(DATA).as_posix() for path in DATA.rglob("*") if path.is_file()} - {
        path.relative_to(DATA).as_posix() for path in named
    }
    left = {
        name
        for name in left
        if not name.startswith("reference_values/") and "LICENSE" not in name and "README" not in name
    }
    assert left - set(FAULTY) == {
        # read with their reactions; results and notes of other programs; a schema; tables of the mouse
        "antoniewicz_toy/flux_measurements.csv", "antoniewicz_toy/ms_measurement_csv_input_example.csv",
        "antoniewicz_toy/ms_measurements.csv", "antoniewicz_toy/tracers.csv",
        "antoniewicz_toy/incawrapper_toy/flux.csv", "antoniewicz_toy/incawrapper_toy/ms_measurements.csv",
        "antoniewicz_toy/incawrapper_toy/tracers.csv", "fluxml_examples/fluxml.xsd",
        f"{M}/Example_7_MCF7_C24_U_CIT.txt.csv", f"{M}/Example_7_MCF7_T24_U_CIT.txt.csv",
        f"{M}/Explanation_1_13CMFA_metabolite_balance.csv", f"{M}/Explanation_1_13CMFA_output.csv",
        f"{M}/Explanation_1_13CMFA_toymodel_output.csv", f"{M}/Tutorial 2_INST-MFAtoymodel_output.csv",
        "mlflux/CCM_Weights.txt", "mlflux/modelfluxinput.csv", "mlflux/GlyPPP_Constraints2of3_20pct.xlsx",
        "mlflux/GlyPPP_Constraints3of3_60pct.xlsx", "multitissue/mouse/published_fits_mouse1.csv",
        "multitissue/locasale_lactate_mfa2020/data_collection.xlsx",
        "multitissue/locasale_lactate_mfa2020/data_collection_from_Dan.xlsx",
        "multitissue/locasale_lactate_mfa2020/related_data_from_dan.xlsx",
    }  # fmt: skip


def plain(study: Study) -> object:
    """What has to come back from a file: all but places, names of conditions and notes."""
    network = study.network
    numbers = lambda values: [None if math.isnan(value) else value for value in values]  # noqa: E731
    return (
        network.name,
        network.metabolites,
        {name: dataclasses.replace(reaction, where="") for name, reaction in network.reactions.items()},
        {name: dataclasses.replace(fragment, where="") for name, fragment in network.fragments.items()},
        [dataclasses.replace(constraint, where="", name="") for constraint in network.constraints],
        [
            (
                experiment.name,
                experiment.tracers,
                sorted(
                    (d.target, d.kind, str(d.time), str(numbers(d.values)), str(numbers(d.sd)), d.scaled, d.corrected)
                    for d in experiment.data
                ),
            )
            for experiment in study.experiments
        ],
        study.fluxes,
        study.pools,
    )


@pytest.mark.parametrize("name", EXAMPLES)
def test_an_example_survives_being_written(name: str, tmp_path: Path) -> None:
    study = example(name)
    write_study(tmp_path / "study.toml", study)
    assert plain(read_study(tmp_path / "study.toml")) == plain(study)


@pytest.mark.parametrize(
    "name",
    ["antoniewicz_toy/antoniewicz_mininetwork.fml", "freeflux/ecoli/synthetic_data", f"{M}/Example_2_Ecoli_model.txt"],
)
def test_an_example_leaves_fluxes_possible(name: str) -> None:
    assert not [finding for finding in check(example(name)) if finding.severity == "error"]


def test_a_status_that_contradicts_its_model_names_the_bounds_that_clash() -> None:
    """The status states a flux of EXCO2 of 483 and an upper bound of 300."""
    [fault] = [finding for finding in check(example("mlflux/CCM_Model.txt")) if finding.severity == "error"]
    assert any("EXCO2 <= 300" in condition for condition in fault.conditions)
    assert any("INCO2 >= 483.094" in condition for condition in fault.conditions)


def test_the_published_fits_of_the_mouse_lie_in_what_was_read() -> None:
    """Ten fits: each balances every metabolite, and keeps every bound and every condition on a pair."""
    network = example("multitissue/mouse/whole_body_model.txt").network
    with (DATA / "multitissue/mouse/published_fits_mouse1.csv").open() as file:
        fits = {row[0]: [float(cell) for cell in row[4:14]] for row in csv.reader(file) if row[0] in network.reactions}
    assert set(fits) == set(network.reactions)
    for fit in range(10):
        change = dict.fromkeys(network.metabolites, 0.0)
        for name, reaction in network.reactions.items():
            flux = fits[name][fit]
            assert reaction.net[0] - 1e-6 <= flux <= reaction.net[1] + 1e-6, name
            for sign, side in ((-1, reaction.substrates), (1, reaction.products)):
                for participant in side:
                    change[participant.metabolite] += sign * participant.coefficient * flux
        for name, left in change.items():
            assert network.metabolites[name].role != "balanced" or abs(left) < 1e-6, name
        for constraint in network.constraints:
            value = sum(factor * fits[name][fit] for _, name, factor in constraint.terms)
            assert constraint.low - 1e-6 <= value <= constraint.high + 1e-6, constraint.name


def test_pairs_of_mfapy_become_reversible_reactions_when_asked() -> None:
    apart = example("multitissue/mouse/whole_body_model.txt")
    merged = example("multitissue/mouse/whole_body_model.txt", merge_pairs=True)
    assert len(apart.network.constraints) == 43
    assert len(merged.network.reactions) == 304 - 45
    assert sum(reaction.reversible for reaction in merged.network.reactions.values()) == 45
    assert not merged.network.constraints


def test_pseudo_reactions_of_mfapy_copy_labelling_and_drain_nothing() -> None:
    network = example(f"{M}/Example_2_Ecoli_model.txt").network
    [pyruvate] = network.reactions["r58"].substrates
    assert (pyruvate.metabolite, pyruvate.coefficient, pyruvate.atoms) == ("Pyr", 0.0, ("A", "B", "C"))
    assert network.reactions["r58"].products[0].coefficient == 1.0


def test_the_reference_fluxes_name_the_reactions_that_were_read() -> None:
    values = json.loads((DATA / "reference_values/dietary_wholebody_mfapy_mids_flux_sol3.json").read_text())
    network = example("multitissue/mouse/whole_body_model.txt").network
    assert set(values["flux"]) == set(network.reactions)
    assert set(values["mdv"]) == set(network.fragments)


def test_hydrogens_follow_carbons_in_ml_flux() -> None:
    network = example("mlflux/GlyPPP.xml").network
    assert network.metabolites["g6p"].elements == ("C",) * 6 + ("H",) * 7
    assert network.reactions["PGI"].exchange == (0.0, 0.2)


def test_labelling_of_mouse_tissues_reads_as_measured_tables() -> None:
    folder = DATA / "multitissue/locasale_lactate_mfa2020"
    found = {
        (m.sample, m.compound): m
        for m in read_measured(folder / "data_collection.xlsx")
        if m.sheet == "Sup_Fig_5_fasted_glucose"
    }
    serum = found["M1_Sr1", "glucose"]
    assert len(serum.values) == 7
    assert serum.values[0] == pytest.approx(0.860948449)
    assert sum(serum.mid) == pytest.approx(1)
    counts = {(m.sample, m.compound): m for m in read_measured(folder / "data_collection_from_Dan.xlsx")}
    assert sum(counts["M1_Sr", "glucose"].mid) == pytest.approx(1)
    assert len(counts["M1_Lv", "alanine"].values) == 4
    with pytest.raises(ReadError, match="no table with the columns Compound"):
        read_measured(folder / "related_data_from_dan.xlsx")


def simulated(
    study: Study, experiment: str, fragment: str, net: dict[str, float], exchange: dict[str, float]
) -> list[float]:
    """A MID at stated fluxes."""
    plan = compile_plan(study.network, [e for e in study.experiments if e.name == experiment], [fragment])
    fluxes = [np.array([[of.get(name, 0.0) for name in study.network.reactions]]) for of in (net, exchange)]
    return list(plan.simulate(*fluxes)[0][plan.slot(experiment, fragment)])


def test_the_emu_paper_from_fluxml_gives_its_published_mid() -> None:
    """The file states v1 = 100, v2 = 110 and v4 = 20; the paper has v3 = 50 beside them."""
    study = example("antoniewicz_toy/antoniewicz_mininetwork.fml")
    net = {name: value for (_, name), value in study.fluxes.items()}
    net |= {
        "v1": study.network.reactions["v1"].net[0],
        "v3": 50.0,
        "v5": 20.0,
        "v6": 80.0,
        "efflux_E": 60.0,
        "efflux_F": 80.0,
    }
    assert simulated(study, "default", "m1", net, {}) == pytest.approx([0.0001, 0.8008, 0.1983, 0.0009], abs=5e-5)


def test_freeflux_toy_gives_the_mid_that_freeflux_stated() -> None:
    """Half of the acetyl-CoA is labelled, as in its tutorial; light atoms carry natural abundance; three decimals."""
    tracers = {"AcCoA": {"01": 0.25, "11": 0.25, "00": 0.5, "natural": True}, "Asp": {"0000": 1.0, "natural": True}}
    study = example("freeflux/toy", tracers=tracers)
    net, exchange = ({name: v for (k, name), v in study.fluxes.items() if k == kind} for kind in ("net", "exchange"))
    [stated] = [datum for datum in study.experiments[0].data if datum.kind == "mid"]
    assert simulated(study, "stationary", "Glu_12345", net, exchange) == pytest.approx(stated.values, abs=5e-4)


def test_a_time_course_keeps_its_times() -> None:
    study = example(f"{M}/Example_4_Simulation_model.txt")
    assert {datum.time for datum in study.experiments[0].data if datum.kind == "mid"} == set(map(float, TIMES))


def test_a_status_of_another_model_is_refused() -> None:
    with pytest.raises(ReadError, match="none of its lines belongs to the model"):
        read_mfapy(DATA / "multitissue/mouse/whole_body_model.txt", status=DATA / f"{M}/Example_1_toymodel_status.csv")
