"""Properties of the parsers: what is written is read back, and damaged text is refused as what it is."""

from __future__ import annotations

import contextlib
import itertools
import math
import string
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from molvis_core import registry
from molvis_core.errors import ReadError, WriteError
from molvis_core.records import Measurement
from molvis_flux.fit.fitter import FluxFit
from molvis_flux.formats import read_measured, read_native
from molvis_flux.formats.notation import conditions, linear, positions, reaction, tracer
from molvis_flux.formats.writers import write_study
from molvis_flux.model.examples import antoniewicz
from molvis_flux.model.network import (
    Constraint,
    Datum,
    Experiment,
    Fragment,
    Metabolite,
    Network,
    Participant,
    Reaction,
    Study,
    Tracer,
)

few = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
# What people call things; a lone surrogate is no text.
titles = st.text(st.characters(exclude_categories=("Cs",)), max_size=8)
names = st.text(string.ascii_letters + string.digits + "_", min_size=1, max_size=6).filter(lambda n: n[0].isalpha())
numbers = st.floats(-1e6, 1e6).map(lambda x: round(x, 6))
bounds = st.tuples(st.floats(-100, 0), st.floats(0, 100)).map(lambda b: (round(b[0], 3), round(b[1], 3)))


@st.composite
def studies(draw: st.DrawFn) -> Study:
    """A chain of reactions with what else a study may have."""
    chain = draw(st.lists(names, min_size=3, max_size=6, unique_by=str.lower))
    size = draw(st.integers(1, 4))
    labels, elements = tuple(string.ascii_lowercase[:size]), ("C",) * size
    ends = {chain[0]: "source", chain[-1]: "sink"}
    metabolites = {n: Metabolite(n, elements, ends.get(n, "balanced")) for n in chain}
    reactions = {}
    for i, (a, b) in enumerate(itertools.pairwise(chain)):
        turned = tuple(draw(st.permutations(labels)))
        substrate, product = (Participant(a, 1.0, labels),), (Participant(b, 1.0, turned),)
        net, exchange = draw(bounds), (0.0, draw(bounds)[1])
        # An irreversible reaction has no exchange flux; what it is bounded by is not written.
        exchange = exchange if (reversible := draw(st.booleans())) else (0.0, 1000.0)
        reactions[f"v{i}"] = Reaction(f"v{i}", substrate, product, reversible, net, exchange)
    atoms = tuple(sorted(draw(st.sets(st.integers(0, size - 1), min_size=1))))
    fragments = {"f": Fragment("f", ((1.0, chain[1], atoms),), ("C",) * len(atoms))}
    share = draw(st.floats(0.01, 0.99).map(lambda x: round(x, 4)))
    fed = {chain[0]: Tracer((("1" * size, share), ("0" * size, round(1 - share, 10))))}
    mid = tuple(draw(st.lists(st.floats(0, 1), min_size=len(atoms) + 1, max_size=len(atoms) + 1)))
    data = (
        Datum("v0", "net", (draw(numbers),), (draw(st.floats(0.1, 10)),)),
        Datum("f", "mid", mid, (0.01,) * len(mid), draw(st.none() | st.floats(0, 100)), draw(st.booleans())),
    )
    terms = (("net", "v0", draw(st.floats(0.5, 2))), ("net", "v1", -1.0))
    network = Network(
        draw(titles), metabolites, reactions, fragments, (Constraint(terms, -1.0, draw(st.floats(0, 9))),)
    )
    return Study(network, (Experiment(draw(titles), fed, data),), {("net", "v0"): draw(numbers)}, {chain[1]: 2.5})


def bare(study: Study) -> object:
    """Without places, and with what a file does not keep apart."""
    network = study.network
    return (
        network.name,
        network.metabolites,
        [(r.name, r.substrates, r.products, r.reversible, r.net, r.exchange) for r in network.reactions.values()],
        [(f.name, f.parts, f.elements) for f in network.fragments.values()],
        [(c.terms, c.low, c.high) for c in network.constraints],
        [
            (e.name, e.tracers, sorted((d.kind, d.target, d.values, d.sd, d.time, d.scaled) for d in e.data))
            for e in study.experiments
        ],
        study.fluxes,
        study.pools,
    )


@few
@given(study=studies())
def test_a_study_is_read_back_as_it_was_written(study: Study, tmp_path: Path) -> None:
    file = tmp_path / "study.toml"
    write = registry.load("writer", registry.for_suffix("writer", file, modality="flux-study").name)
    write(file, [Measurement(study, None, "flux-study")])
    (measurement,) = registry.load("reader", "flux-toml")(file)
    assert bare(measurement.record) == bare(study)


def test_a_file_holds_one_study(tmp_path: Path) -> None:
    file = tmp_path / "study.toml"
    write = registry.load("writer", "flux-toml")
    one = Measurement(antoniewicz(), None, "flux-study")
    for refused, found in (([], "got 0: nothing"), ([one, one], "got 2: Study, Study")):
        with pytest.raises(WriteError, match=found):
            write(file, refused)
    assert not file.exists()


def test_what_a_fit_simulated_is_written_and_read(tmp_path: Path) -> None:
    study = antoniewicz()
    fitter = FluxFit(starts=2)
    prior = fitter.prior([study])
    values = np.array([study.fluxes[tuple(name.split("/"))] for name in prior])
    simulated = fitter.simulate(values, [study])
    registry.load("writer", "flux-toml")(tmp_path / "s.toml", [Measurement(r, None, "flux-study") for r in simulated])
    (read,) = registry.load("reader", "flux-toml")(tmp_path / "s.toml")
    data = {datum.target: datum.values for datum in read.record.experiments[0].data}
    # The fluxes of the paper give its distribution, up to the four digits that it prints.
    np.testing.assert_allclose(data["F"], (0.0001, 0.8008, 0.1983, 0.0009), atol=5e-5)
    assert data["v1"] == pytest.approx((100.0,))
    assert data["v6"] == pytest.approx((80.0,))


@few
@given(study=studies(), place=st.integers(0, 10**6), piece=st.text(max_size=4), length=st.integers(0, 12))
def test_a_damaged_study_is_read_or_refused(study: Study, place: int, piece: str, length: int, tmp_path: Path) -> None:
    write_study(tmp_path / "study.toml", study)
    text = (tmp_path / "study.toml").read_text("utf-8")
    at = place % len(text)
    (tmp_path / "damaged.toml").write_text(text[:at] + piece + text[at + length :], "utf-8", errors="ignore")
    with contextlib.suppress(ReadError):
        read_native(tmp_path / "damaged.toml")


@few
@given(st.dictionaries(names.filter(lambda n: n not in ("net", "exchange", "xch")), numbers, max_size=5), numbers)
def test_linear_sums_come_back(terms: dict[str, float], constant: float) -> None:
    text = " + ".join([*(f"({value:f}) * {name}" for name, value in terms.items()), f"({constant:f})"])
    found, left = linear(text)
    assert left == pytest.approx(constant, abs=1e-6)
    assert {n: v for n, v in found.items() if v} == pytest.approx({n: v for n, v in terms.items() if v}, abs=1e-6)


@few
@given(st.lists(st.integers(0, 30), min_size=1, unique=True))
def test_positions_come_back(atoms: list[int]) -> None:
    assert positions(",".join(str(atom + 1) for atom in atoms)) == tuple(atoms)


@few
@given(st.text(alphabet="ABab01()+-*/<>=.; ,#", max_size=30))
def test_notation_is_read_or_refused(text: str) -> None:
    for parse in (linear, positions, reaction, lambda t: conditions(t, "net"), lambda t: tracer(t, 3)):
        with contextlib.suppress(ValueError):
            parse(text)


@few
@given(found=st.lists(st.lists(st.floats(0, 1e9), min_size=2, max_size=5), min_size=1, max_size=4))
def test_tables_of_measured_distributions_come_back(found: list[list[float]], tmp_path: Path) -> None:
    lines = ["Compound,Label,sample"]
    for i, values in enumerate(found):
        lines += [f"c{i},{mass},{value!r}" for mass, value in enumerate(values)]
    (tmp_path / "t.csv").write_text("\n".join(lines) + "\n")
    read = read_measured(tmp_path / "t.csv")
    assert [list(one.values) for one in read] == found
    assert all(math.isfinite(sum(one.mid)) for one in read)
