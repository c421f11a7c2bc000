"""FluxML that we write: the labelling is that of the study, and what FluxML has not is said or refused."""

from __future__ import annotations

import dataclasses
import itertools
import math
import os
from pathlib import Path

import isotopomers
import numpy as np
import pytest
from simulating import every_mid
from test_channels import CITRATE, HALF, PEAKS, SHARES

from molvis_core import registry
from molvis_core.errors import WriteError
from molvis_core.records import Measurement
from molvis_flux.formats import read_study
from molvis_flux.formats.fluxml_writer import write_fluxml
from molvis_flux.labelling.stationary import compile_plan
from molvis_flux.model.examples import antoniewicz
from molvis_flux.model.network import Constraint, Datum, Experiment, Fragment, Study, Tracer

DATA = Path(os.environ.get("MOLVIS_DATA", Path(__file__).parents[3] / ".." / "shared" / "data")) / "flux"

TOML = """
constraints = ["v2 + 0.5*v3 <= 90", "exchange(v4) - exchange(v5) = 0.25", "out_F <= 70"]
[network]
name = "all that FluxML has"
limit = 500
[reactions]
v1 = { text = "A(abcd) -> B(abcd)", net = 10 }
v2 = { text = "B(abcd) <-> Suc(abcd)", net = [-5, 50], exchange = [0.1, 20] }
v3 = "Suc(abcd) + Gly(ef) -> F(bcdaef) + 2 ATP"
v4 = { text = "Suc(abcd) <-> Suc.m(abcd)", exchange = [0, 30] }
v5 = { text = "Suc.m(abcd) <-> E(dcba)", exchange = [0, 30] }
grow = "0.488 F + 1.25 ATP + 2 E -> Bio"
dump = "ATP ->"
make = "-> ATP"
out_E = "E(abcd) ->"
out_F = "F(abcdef) ->"
[metabolites]
A = "source"
Gly = "source"
Bio = "sink"
Suc = { symmetric = true, pool = [0.5, 8] }
"Suc.m" = { symmetric = true }
[fragments]
F = "F[1-3,6]"
S = "Suc[2-4]"
both = "Suc * Gly"
[fluxes]
v1 = 10
v2 = 10
v3 = 3
v4 = 5
v5 = 5
grow = 1
out_E = 2
out_F = 1.5
dump = 2
make = 1
"exchange(v2)" = 2.5
"exchange(v4)" = 1.25
"exchange(v5)" = 1
[pools]
Suc = 2.5
[experiments.one]
tracers.A = { "1100" = 0.75, "0000" = 0.25, purity = 0.98, natural = true }
tracers.Gly = { "10" = 1, purity = 0.9 }
fluxes.v1 = [10, 0.5]
fluxes."exchange(v2)" = [2.5, 0.2]
pools.Suc = [2.5, 0.25]
mids.F = { values = [0.5, 0.25, nan, 0.125, 0.125], sd = 0.01 }
mids.S = { values = [5, 2.5, 1.25, 1.25], sd = 0.1, scaled = true }
[experiments.two]
tracers.A = { "1111" = 1, natural = { C = 0.01055 }, purity = 0.99 }
mids.F = { values = [0.2, 0.2, 0.2, 0.2, 0.2], sd = 0.01 }
"""


@pytest.fixture
def study(tmp_path: Path) -> Study:
    (tmp_path / "s.toml").write_text(TOML)
    return read_study(tmp_path / "s.toml")


def written(study: Study, folder: Path) -> tuple[Study, str]:
    """What is read back, and the notes."""
    notes = write_fluxml(folder / "s.fml", study)
    names = [experiment.name for experiment in study.experiments]
    return read_study(folder / "s.fml", configuration=names or None), "\n".join(notes)


def data(experiment: Experiment) -> set[tuple[object, ...]]:
    """What is measured, with its standard deviations, without what was not."""
    return {
        (d.kind, d.target, d.scaled, tuple(p for p in zip(d.values, d.sd, strict=True) if p[0] == p[0]))
        for d in experiment.data
    }


def test_the_labelling_of_every_experiment_comes_back(study: Study, tmp_path: Path) -> None:
    back, _ = written(study, tmp_path)
    before, after = every_mid(study, ["F", "S"]), every_mid(back, ["F", "S"])
    assert set(before) == set(after) == {(e, f) for e in ("one", "two") for f in "FS"}
    for key, mid in before.items():
        np.testing.assert_allclose(after[key], mid, rtol=0, atol=1e-12)


def test_data_fluxes_pools_bounds_and_conditions_come_back(study: Study, tmp_path: Path) -> None:
    back, _ = written(study, tmp_path)
    for before, after in zip(study.experiments, back.experiments, strict=True):
        assert after.name == before.name
        assert data(before) <= data(after) | {("exchange", "v2", False, ((2.5, 0.2),))}
    # Reactions that make a symmetric molecule are two of half the flux.
    [exchange] = [d for d in back.experiments[0].data if d.kind == "exchange"]
    assert (exchange.target, exchange.values, exchange.sd) == ("v2___1", (1.25,), (0.1,))
    assert back.fluxes["net", "v2___1"] == back.fluxes["net", "v2___2"] == 5
    assert back.fluxes["net", "grow__F"] == 0.488
    assert back.pools == study.pools
    assert back.network.metabolites["Suc"].pool == (0.5, 8)
    assert back.network.reactions["v1"].net == (10, 10)
    assert back.network.reactions["out_F"].net == (0, 70)
    assert back.network.reactions["v2___1"].net == (-2.5, 25)
    assert back.network.reactions["v2___1"].exchange == (0.05, 10)
    totals = {(c.low, c.high): len(c.terms) for c in back.network.constraints if c.high == 90}
    assert totals == {(float("-inf"), 90): 2}


def test_what_has_another_form_is_said_and_stands_in_the_file(study: Study, tmp_path: Path) -> None:
    back, notes = written(study, tmp_path)
    for said in ("0.488 F of reaction grow is the reaction grow__F", "takes no group without data: fragments both"):
        assert said in notes
        assert said in (tmp_path / "s.fml").read_text()
    assert "both" not in back.network.fragments


def test_names_that_expressions_cannot_hold_are_changed_and_said(study: Study, tmp_path: Path) -> None:
    small = antoniewicz()
    text = {name: name for name in small.network.reactions} | {"v1": "1 up-take", "v2": "1_up-take"}
    reactions = {text[n]: dataclasses.replace(r, name=text[n]) for n, r in small.network.reactions.items()}
    fluxes = {(k, text[n]): v for (k, n), v in small.fluxes.items()}
    network = dataclasses.replace(small.network, reactions=reactions)
    odd = dataclasses.replace(small, network=network, fluxes=fluxes, experiments=())
    back, notes = written(odd, tmp_path)
    assert "1 up-take is _1_up_take, 1_up-take is _1_up_take_" in notes
    assert back.fluxes["net", "_1_up_take"] == small.fluxes["net", "v1"]


def test_time_courses_keep_their_times(tmp_path: Path) -> None:
    (tmp_path / "s.toml").write_text(
        TOML.split("[experiments.two]", maxsplit=1)[0].replace('tracers.Gly = { "10" = 1, purity = 0.9 }', "")
        + '[[experiments.course.mids]]\nfragment = "F"\nvalues = [1, 0, 0, 0, 0]\ntime = 0\n'
        + '[[experiments.course.mids]]\nfragment = "F"\nvalues = [0.5, 0.5, 0, 0, 0]\ntime = 2.5\n'
    )
    back, _ = written(read_study(tmp_path / "s.toml"), tmp_path)
    assert [d.time for d in back.experiments[1].data] == [0, 2.5]
    assert 'stationary="false" time="2.5"' in (tmp_path / "s.fml").read_text()


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ("v3 = \"Suc(abcd)", "v3 = \"0 Suc(abcd)", "reaction 'v3' has Suc with followed atoms and a copy"),
        ("exchange(v4) - exchange(v5)", "v4 - exchange(v5)", "is about net and exchange fluxes"),
    ],
)  # fmt: skip
def test_what_fluxml_cannot_hold_is_refused_and_nothing_is_written(
    tmp_path: Path, old: str, new: str, reason: str
) -> None:
    assert old in TOML
    (tmp_path / "s.toml").write_text(TOML.replace(old, new))
    with pytest.raises(WriteError, match=reason):
        write_fluxml(tmp_path / "s.fml", read_study(tmp_path / "s.toml", strict=False))
    assert not (tmp_path / "s.fml").exists()


def test_the_writer_is_a_component(study: Study, tmp_path: Path) -> None:
    write = registry.load("writer", registry.for_suffix("writer", tmp_path / "s.fml", modality="flux-study").name)
    write(tmp_path / "s.fml", [Measurement(study, None, "flux-study")])
    assert "<fluxml" in (tmp_path / "s.fml").read_text()
    with pytest.raises(WriteError, match="holds one study"):
        write(tmp_path / "s.fml", [])


def test_one_condition_with_two_ends_is_written_as_two(study: Study, tmp_path: Path) -> None:
    terms = (("net", "out_E", 1.0), ("net", "out_F", -2.0))
    network = dataclasses.replace(study.network, constraints=(Constraint(terms, -3.0, 4.0),))
    back, _ = written(dataclasses.replace(study, network=network), tmp_path)
    found = {(c.low, c.high) for c in back.network.constraints if {n for _, n, _ in c.terms} == {"out_E", "out_F"}}
    assert found == {(-3.0, float("inf")), (float("-inf"), 4.0)}


@pytest.mark.skipif(not DATA.is_dir(), reason=f"no flux data in {DATA}: set MOLVIS_DATA")
def test_an_example_of_13cflux_is_written_as_it_was_read(tmp_path: Path) -> None:
    study = read_study(DATA / "fluxml_examples/ecoli_model_level_1.fml")
    back, notes = written(study, tmp_path)
    assert notes == ""
    assert back.network.metabolites == study.network.metabolites
    bare = lambda s: {n: dataclasses.replace(r, where="") for n, r in s.network.reactions.items()}  # noqa: E731
    for name, reaction in bare(study).items():
        other = bare(back)[name]
        assert (other.net, other.exchange, other.reversible) == (reaction.net, reaction.exchange, reaction.reversible)
    assert back.experiments[0].tracers == study.experiments[0].tracers
    assert back.fluxes == study.fluxes


def test_a_pool_that_13cflux_would_take_for_an_input_is_said(tmp_path: Path) -> None:
    (tmp_path / "s.toml").write_text(
        '[reactions]\nup = "A(a) -> B(a)"\nv = "C(a) <-> B(a)"\nw = "C(a) <-> D(a)"\nout = "D(a) ->"\n'
        '[metabolites]\nA = "source"\n'
    )
    notes = write_fluxml(tmp_path / "s.fml", read_study(tmp_path / "s.toml"))
    assert any(note.startswith("On one side of all reactions: B, C. 13CFLUX") for note in notes)


def measured_otherwise(kind: str) -> Study:
    """A study with groups of FluxML that are no mass spectra alone, and its simulated data."""
    model, experiment = isotopomers.elements() if kind == "ms-resolved" else isotopomers.symmetric()
    if kind == "ms-resolved":
        pool = max(model.metabolites.values(), key=lambda m: len(set(m.elements)))
        counts = [pool.elements.count(element) for element in dict.fromkeys(pool.elements)]
        channels = tuple(",".join(map(str, of)) for of in itertools.product(*(range(n + 1) for n in counts)))
        found = [Fragment("f", ((1.0, pool.name, tuple(range(len(pool.elements)))),), pool.elements, kind=kind,
                          channels=channels)]  # fmt: skip
    else:
        found = [f for f in (CITRATE, HALF, PEAKS, SHARES) if f.kind == kind]
    model = dataclasses.replace(model, fragments={f.name: f for f in found})
    net, exchange = isotopomers.fluxes(model, 4)
    plan = compile_plan(model, [experiment])
    values = plan.simulate(net, exchange)[0]
    data = []
    for f in found:
        numbers = values[plan.slot(experiment.name, f.name)].tolist()
        data.append(Datum(f.name, "mid", tuple(numbers), (0.01,) * len(numbers)))
        data.append(Datum(f.name, "mid", (math.nan, *numbers[1:]), (0.02,) * len(numbers), scaled=True))
    stated = {("net", n): float(v) for n, v in zip(model.reactions, net[0], strict=True)}
    stated |= {
        ("exchange", n): float(v)
        for (n, r), v in zip(model.reactions.items(), exchange[0], strict=True)
        if r.reversible
    }
    return Study(model, (dataclasses.replace(experiment, data=tuple(data)),), stated)


@pytest.mark.parametrize("kind", ["msms", "ms-resolved", "1h-nmr", "13c-nmr"])
def test_tandem_ms_resolved_ms_and_nmr_come_back_with_the_same_labelling(kind: str, tmp_path: Path) -> None:
    study = measured_otherwise(kind)
    notes = write_fluxml(tmp_path / "m.fml", study)
    assert not [note for note in notes if "Not written" in note]
    again = read_study(tmp_path / "m.fml")
    names = [*study.network.fragments]
    for name in names:
        one, other = study.network.fragments[name], again.network.fragments[name]
        assert (one.kind, one.channels, one.daughter) == (other.kind, other.channels, other.daughter)
        scaled = again.network.fragments[f"{name}__2"]
        assert scaled.channels == one.channels[1:]
    known = {(d.target, d.values, d.sd, d.scaled) for d in again.experiments[0].data}
    for d in study.experiments[0].data:
        name, first = (f"{d.target}__2", 1) if d.scaled else (d.target, 0)
        assert (name, d.values[first:], d.sd[first:], d.scaled) in known
    wanted, found = every_mid(study, names), every_mid(again, names)
    for key, values in wanted.items():
        np.testing.assert_allclose(found[key], values, atol=1e-12)


def test_peaks_are_written_as_13cflux_takes_them(tmp_path: Path) -> None:
    """It refuses atoms in brackets before peaks, and a type of the one kind of peak of 1H-NMR (3.1.2)."""
    for kind in ("1h-nmr", "13c-nmr"):
        write_fluxml(tmp_path / f"{kind}.fml", measured_otherwise(kind))
    text = (tmp_path / "1h-nmr.fml").read_text()
    assert "<textual>Akg#P2,P4,P5</textual>" in text
    assert 'pos="2"' in text
    assert 'type="P"' not in text
    text = (tmp_path / "13c-nmr.fml").read_text()
    assert "<textual>Oaa#S1,DR1,S2,DL2,DR2,DD2,T2,DL4,S4</textual>" in text
    assert 'type="DL" pos="2"' in text


@pytest.mark.skipif(not DATA.is_dir(), reason="the data folder is not there; MOLVIS_DATA names it")
def test_resolved_measurements_of_an_example_of_13cflux_are_written(tmp_path: Path) -> None:
    study = read_study(DATA / "fluxml_examples" / "spirallus_model_level_3.fml")
    resolved = {n: f.channels for n, f in study.network.fragments.items() if f.kind == "ms-resolved"}
    assert resolved
    write_fluxml(tmp_path / "s.fml", study)
    again = read_study(tmp_path / "s.fml")
    assert {n: f.channels for n, f in again.network.fragments.items() if f.kind == "ms-resolved"} == resolved


def test_a_natural_tracer_of_purity_1_is_written_without_a_purity(tmp_path: Path) -> None:
    """13CFLUX 3.1.2 labels `<label cfg="10" purity="1.0">` with isotopomers that sum to 3."""
    study = antoniewicz()
    for shares, stated in (((("010", 0.75), ("000", 0.25)), False), ((("000", 1.0),), True)):
        tracer = Tracer(shares, natural=True)
        fed = dataclasses.replace(
            study, experiments=(dataclasses.replace(study.experiments[0], tracers={"A": tracer}),)
        )
        write_fluxml(tmp_path / "n.fml", fed)
        text = (tmp_path / "n.fml").read_text()
        assert ("purity" in text) is stated
        wanted, found = every_mid(fed, ["F"]), every_mid(read_study(tmp_path / "n.fml"), ["F"])
        for values, others in zip(wanted.values(), found.values(), strict=True):
            np.testing.assert_allclose(others, values, atol=1e-12)
