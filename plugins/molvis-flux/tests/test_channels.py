"""Tandem MS, resolved MS and NMR against isotopomers that are counted one by one."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from isotopomers import Isotopomers, elements, fluxes, symmetric

from molvis_flux.errors import FitError, SimulationError
from molvis_flux.fit.multistart import fit
from molvis_flux.formats import read_study
from molvis_flux.formats.writers import write_study
from molvis_flux.labelling.instationary import compile_instationary
from molvis_flux.labelling.prediction import predict, write_predictions
from molvis_flux.labelling.stationary import compile_plan
from molvis_flux.model.network import Datum, Experiment, Fragment, Network, Study
from molvis_flux.report import tables

TANDEM = tuple(f"{m},{n}" for m in range(6) for n in range(4))
CITRATE = Fragment("Cit", ((1.0, "Cit", (0, 1, 2, 3, 5)),), kind="msms", channels=TANDEM, daughter=(1, 2, 4))
HALF = Fragment("Suc", ((1.0, "Suc", (0, 1, 2, 3)),), kind="msms", channels=("1,0", "1,1", "2,1", "4,2", "4,1"),
                daughter=(0, 1))  # fmt: skip
PEAKS = Fragment("peaks", ((1.0, "Oaa", (0, 1, 2, 3)),), kind="13c-nmr",
                 channels=("S1", "DR1", "S2", "DL2", "DR2", "DD2", "T2", "DL4", "S4"))  # fmt: skip
SHARES = Fragment("shares", ((1.0, "Akg", (0, 1, 2, 3, 4)),), kind="1h-nmr", channels=("P2", "P4", "P5"))


def counted(pool: np.ndarray, fragment: Fragment) -> list[float]:
    """The share of each channel, by going through all isotopomers of a carbon skeleton."""
    atoms = fragment.parts[0][2]
    out = dict.fromkeys(fragment.channels, 0.0)
    for pattern, share in np.ndenumerate(pool):
        for channel in out:
            if fragment.kind == "msms":
                before, after = sum(pattern[i] for i in atoms), sum(pattern[atoms[i]] for i in fragment.daughter)
                out[channel] += share * (channel == f"{before},{after}")
                continue
            letters, at = channel.rstrip("0123456789"), int(channel.lstrip("PSDLRT")) - 1
            left = pattern[at - 1] if at else 0
            right = pattern[at + 1] if at + 1 < len(pattern) else 0
            seen = {(0, 0): "S", (1, 0): "DL", (0, 1): "DR", (1, 1): "DD T"}[left, right]
            out[channel] += share * (pattern[at] and (letters == "P" or letters in seen.split()))
    return list(out.values())


@pytest.mark.parametrize("fragment", [CITRATE, HALF, PEAKS, SHARES], ids=lambda f: f.name)
def test_channels_agree_with_isotopomers_that_are_counted(fragment: Fragment) -> None:
    model, experiment = symmetric()
    model = replace(model, fragments={fragment.name: fragment})
    truth, plan = Isotopomers(model, experiment), compile_plan(model, [experiment])
    for seed in (1, 2):
        net, exchange = fluxes(model, seed)
        pools = truth.stationary(net[0], exchange[0])
        wanted = counted(pools[fragment.parts[0][1]], fragment)
        np.testing.assert_allclose(plan.simulate(net, exchange)[0], wanted, atol=1e-12)


def test_compartments_that_are_measured_together_mix_channel_by_channel() -> None:
    model, experiment = symmetric()
    parts = ((3.0, "Suc", (0, 1, 2)), (1.0, "Oaa", (1, 2, 3)))
    mixed = Fragment("both", parts, kind="msms", channels=("0,0", "1,0", "1,1", "2,1", "3,2"), daughter=(1, 2))
    model = replace(model, fragments={"both": mixed})
    net, exchange = fluxes(model, 3)
    pools = Isotopomers(model, experiment).stationary(net[0], exchange[0])
    suc, oaa = (counted(pools[part[1]], replace(mixed, parts=(part,))) for part in parts)
    wanted = 0.75 * np.array(suc) + 0.25 * np.array(oaa)
    np.testing.assert_allclose(compile_plan(model, [experiment]).simulate(net, exchange)[0], wanted, atol=1e-12)


def test_elements_are_told_apart() -> None:
    model, experiment = elements()
    truth = Isotopomers(model, experiment)
    net, exchange = fluxes(model, 1)
    pools = truth.stationary(net[0], exchange[0])
    name, pool = max(model.metabolites.items(), key=lambda item: len(dict.fromkeys(item[1].elements)))
    kinds = list(dict.fromkeys(pool.elements))
    assert len(kinds) > 1
    shares: dict[str, float] = {}
    for pattern, share in np.ndenumerate(pools[name]):
        count = [sum(p for p, e in zip(pattern, pool.elements, strict=True) if e == kind) for kind in kinds]
        key = ",".join(map(str, count))
        shares[key] = shares.get(key, 0.0) + share
    fragment = Fragment(
        name, ((1.0, name, tuple(range(len(pool.elements)))),), kind="ms-resolved", channels=tuple(shares)
    )
    plan = compile_plan(replace(model, fragments={name: fragment}), [experiment])
    np.testing.assert_allclose(plan.simulate(net, exchange)[0], list(shares.values()), atol=1e-12)
    # Tandem MS of such a molecule goes by mass, whatever element adds it.
    shift = {"C": 1, "H": 1, "N": 1, "O": 2}
    weights = [shift[e] for e in pool.elements]
    masses: dict[str, float] = {}
    for pattern, share in np.ndenumerate(pools[name]):
        each = [w * p for w, p in zip(weights, pattern, strict=True)]
        key = f"{sum(each)},{sum(each[1:])}"
        masses[key] = masses.get(key, 0.0) + share
    tandem = replace(fragment, kind="msms", channels=tuple(masses), daughter=tuple(range(1, len(weights))))
    plan = compile_plan(replace(model, fragments={name: tandem}), [experiment])
    np.testing.assert_allclose(plan.simulate(net, exchange)[0], list(masses.values()), atol=1e-12)


def test_channels_in_time_agree_with_isotopomer_equations() -> None:
    model, experiment = symmetric()
    model = replace(model, fragments={f.name: f for f in (HALF, PEAKS)})
    net, exchange = fluxes(model, 2)
    plan = compile_instationary(model, [experiment])
    sizes = dict.fromkeys((n for n, m in model.metabolites.items() if m.role != "source"), 1.0)
    times = np.array([0.1, 0.5])
    found = plan.simulate(net, exchange, np.ones((1, len(plan.pools))), times)[0]
    for t, pools in enumerate(Isotopomers(model, experiment).in_time(net[0], exchange[0], sizes, times)):
        wanted = [*counted(pools["Suc"], HALF), *counted(pools["Oaa"], PEAKS)]
        np.testing.assert_allclose(found[t], wanted, atol=2e-5)


def study(fragments: tuple[Fragment, ...], scaled: bool = False) -> tuple[Study, np.ndarray]:
    """The cycle with data of some fragments, without noise."""
    model, experiment = symmetric()
    reactions = {n: replace(r, net=(-10.0, 10.0) if r.reversible else (0.0, 10.0), exchange=(0.0, 10.0))
                 for n, r in model.reactions.items()}  # fmt: skip
    reactions["cs"] = replace(reactions["cs"], net=(1.0, 1.0))
    model = replace(model, reactions=reactions, fragments={f.name: f for f in fragments})
    net, exchange = np.zeros((1, len(reactions))), np.zeros((1, len(reactions)))
    known = {
        "cs": 1.0,
        "idh": 0.7,
        "akgdh": 0.7,
        "sdh": 1.0,
        "icl": 0.3,
        "ms": 0.3,
        "fill": 0.4,
        "drain": 0.7,
        "loss": 1.4,
    }
    net[0] = [known[n] for n in reactions]
    exchange[0, list(reactions).index("sdh")] = 0.5
    plan = compile_plan(model, [experiment])
    found = plan.simulate(net, exchange)[0]
    data = tuple(
        Datum(f.name, "mid", tuple(((3.0 if scaled else 1.0) * found[plan.slot("acetate", f.name)]).tolist()),
              (0.002,) * len(f.channels), scaled=scaled) for f in fragments
    )  # fmt: skip
    return Study(model, (replace(experiment, data=data),)), net[0]


@pytest.mark.parametrize("scaled", [False, True])
def test_fluxes_are_fitted_to_them(scaled: bool, tmp_path: Path) -> None:
    given, net = study((CITRATE, PEAKS, SHARES), scaled)
    write_study(tmp_path / "study.toml", given)
    read = read_study(tmp_path / "study.toml")
    assert {n: replace(f, where="", elements=()) for n, f in read.network.fragments.items()} == {
        f.name: f for f in (CITRATE, PEAKS, SHARES)
    }
    found = fit(read, starts=4, intervals="covariance")
    assert found.ssr < 1e-6
    fitted = [found.value(name) for name in given.network.reactions]
    np.testing.assert_allclose(fitted, net, atol=0.02)
    shown = {(row[1], row[4]) for row in tables.residuals(found)[1]}
    assert {("Cit", "3,1"), ("peaks", "DL2"), ("shares", "P4")} <= shown


def test_predictions_name_the_channels(tmp_path: Path) -> None:
    given, net = study((PEAKS,))
    write_predictions(tmp_path / "p.csv", predict(given, net[None], np.zeros((1, len(net)))))
    header, line, *_ = (tmp_path / "p.csv").read_text().splitlines()
    assert header.endswith("M+8,channels")
    assert line.endswith("S1 DR1 S2 DL2 DR2 DD2 T2 DL4 S4")


BAD = {
    "names no channels, such as 1,0": replace(HALF, channels=()),
    "channel 'x'; numbers with a comma": replace(HALF, channels=("x",)),
    "channel '1,1,1' has 3 numbers": replace(HALF, channels=("1,1,1",)),
    "name those kept as its daughter": replace(HALF, daughter=()),
    "there are 1 traced elements: C": replace(HALF, kind="ms-resolved", channels=("1,0",)),
    "S2, DL2, DR2, DD2 or T2 is expected": replace(PEAKS, channels=("P2",)),
    "P2 is expected": replace(SHARES, channels=("S2",)),
    "has no measured atom 9": replace(SHARES, channels=("P9",)),
    "has no carbon at 5": replace(PEAKS, channels=("DR4",)),
    "joined are simulated for mass spectra": replace(PEAKS, convolved=(("CO2", (0,)),)),
    "measured by 'raman'": replace(PEAKS, kind="raman"),
}


@pytest.mark.parametrize("message", BAD)
def test_channels_that_cannot_be_are_refused(message: str) -> None:
    model, experiment = symmetric()
    model = replace(model, fragments={"f": replace(BAD[message], name="f")})
    with pytest.raises(SimulationError, match=message):
        compile_plan(model, [experiment], ["f"])
    with pytest.raises(FitError, match=message):
        fit(Study(model, (replace(experiment, data=(Datum("f", "mid", (0.1, 0.2), (0.1, 0.1)),)),)), starts=1)


def test_raw_data_of_them_are_refused() -> None:
    given, _ = study((PEAKS,))
    raw = tuple(replace(d, corrected=False) for d in given.experiments[0].data)
    with pytest.raises(SimulationError, match="done for mass spectra"):
        fit(Study(given.network, (replace(given.experiments[0], data=raw),)), starts=1)


FLUXML = """<?xml version="1.0" encoding="utf-8"?>
<fluxml xmlns="http://www.13cflux.net/fluxml">
<reactionnetwork>
<metabolitepools><pool id="A" atoms="3"/><pool id="B" atoms="3"/><pool id="C" atoms="3"/></metabolitepools>
<reaction id="v1" bidirectional="false"><reduct cfg="abc" id="A"/><rproduct cfg="abc" id="B"/></reaction>
<reaction id="v2" bidirectional="false"><reduct cfg="abc" id="A"/><rproduct cfg="cba" id="B"/></reaction>
<reaction id="v3" bidirectional="false"><reduct cfg="abc" id="B"/><rproduct cfg="abc" id="C"/></reaction>
<reaction id="v4" bidirectional="false"><reduct cfg="abc" id="C"/></reaction>
</reactionnetwork>
<constraints><net><textual>v1 = 3; v2 = 1</textual></net></constraints>
<configuration name="default" stationary="true">
<input pool="A" type="isotopomer"><label cfg="110">1</label></input>
<measurement><model><labelingmeasurement>
<MSMSgroup id="t" spec="C[1-3:2-3]#M(2,1),(2,2)" scale="one"/>
<NMR1Hgroup id="h" spec="C#P1,2" scale="one"/>
<NMR13Cgroup id="c" spec="C#S2,DL2,DR2,T1,2" scale="one"/>
</labelingmeasurement></model><data>
<datum id="t" stddev="0.01" weight="2,1">0.75</datum><datum id="t" stddev="0.01" weight="2,2">0.25</datum>
<datum id="h" stddev="0.01" pos="1">0.75</datum><datum id="h" stddev="0.01" pos="2">1</datum>
<datum id="c" stddev="0.01" type="S" pos="2">0</datum><datum id="c" stddev="0.01" type="DL" pos="2">0.75</datum>
<datum id="c" stddev="0.01" type="DR" pos="2">0.25</datum><datum id="c" stddev="0.01" type="T" pos="2">0</datum>
</data></measurement></configuration></fluxml>
"""


def test_measurements_of_fluxml_are_read_and_simulated(tmp_path: Path) -> None:
    (tmp_path / "m.fml").write_text(FLUXML.replace("T1,2", "T2"))
    read = read_study(tmp_path / "m.fml")
    kinds = {name: (f.kind, f.channels, f.daughter) for name, f in read.network.fragments.items()}
    assert kinds == {
        "t": ("msms", ("2,1", "2,2"), (1, 2)), "h": ("1h-nmr", ("P1", "P2"), ()),
        "c": ("13c-nmr", ("S2", "DL2", "DR2", "T2"), ()),
    }  # fmt: skip
    found = fit(read, starts=1, intervals="none")
    assert found.ssr < 1e-20
    (tmp_path / "n.fml").write_text(FLUXML.replace('type="T" pos="2"', 'type="T" pos="1"'))
    assert read_study(tmp_path / "n.fml").network.fragments["c"].channels[-2:] == ("T1", "T2")
    (tmp_path / "o.fml").write_text(FLUXML.replace("1-3:2-3", "1-2:2-3"))
    with pytest.raises(Exception, match="its daughter has atom 3, the ion not"):
        read_study(tmp_path / "o.fml")


def test_a_daughter_is_part_of_its_ion(tmp_path: Path) -> None:
    given, _ = study((CITRATE,))
    write_study(tmp_path / "s.toml", given)
    text = (tmp_path / "s.toml").read_text()
    assert 'daughter = "2-3,6"' in text
    (tmp_path / "s.toml").write_text(text.replace('daughter = "2-3,6"', 'daughter = "5"'))
    with pytest.raises(Exception, match="a daughter with atom 5, which it does not have itself"):
        read_study(tmp_path / "s.toml")


def model_only() -> Network:
    return symmetric()[0]


def test_derivatives_of_channels_are_those_of_finite_differences() -> None:
    model, experiment = symmetric()
    model = replace(model, fragments={f.name: f for f in (CITRATE, PEAKS, SHARES)})
    plan = compile_plan(model, [experiment])
    net, exchange = fluxes(model, 5)
    _, by_net, _ = plan.jacobian(net, exchange)
    step = 1e-6
    for r in range(net.shape[1]):
        up, down = (plan.simulate(net + sign * step * np.eye(net.shape[1])[r], exchange)[0] for sign in (1, -1))
        np.testing.assert_allclose(by_net[0, :, r], (up - down) / (2 * step), atol=1e-7)
    weights = np.ones((1, plan.size))
    np.testing.assert_allclose(plan.gradient(net, exchange, weights)[1][0], by_net[0].sum(axis=0), atol=1e-10)


def test_an_experiment_without_data_has_all_of_them() -> None:
    model = replace(model_only(), fragments={f.name: f for f in (PEAKS, SHARES)})
    plan = compile_plan(model, [Experiment("e")])
    assert [slot.fragment for slot in plan.layout] == ["peaks", "shares"]
