"""The flux fitter keeps the contract of molvis's fitters."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from molvis_core import registry
from molvis_core.errors import RecordError
from molvis_core.fitting import Uniform
from molvis_core.records import Distribution
from molvis_core.testing import FitterContract
from molvis_flux.fit.defaults import SAMPLES, STARTS
from molvis_flux.fit.fitter import FluxFit
from molvis_flux.formats.writers import write_study
from molvis_flux.model.examples import antoniewicz
from molvis_flux.model.network import (
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

SD = 0.02


def reaction(name: str, left: str, right: str, net: tuple[float, float], **more: Any) -> Reaction:
    """`"A abc"` to `"B cba"`."""

    def side(text: str) -> tuple[Participant, ...]:
        parts = [part.split() for part in text.split("+") if part.strip()]
        return tuple(Participant(metabolite, atoms=tuple(atoms)) for metabolite, atoms in parts)

    return Reaction(name, side(left), side(right), net=net, **more)


def two_routes() -> Study:
    """A reaches B straight and turned round, B exchanges with a diluted pool; another path is not seen."""
    reactions = [
        reaction("straight", "A abc", "B abc", (0.0, 1.0)),
        reaction("turned", "A abc", "B cba", (0.0, 1.0)),
        reaction("swap", "B abc", "C abc", (1.0, 1.0), reversible=True, exchange=(0.0, 2.0)),
        reaction("mix", "D abc", "C abc", (1.0, 1.0)),
        reaction("out", "C abc", "F abc", (2.0, 2.0)),
        reaction("elsewhere", "A abc", "E abc", (0.0, 3.0)),
        reaction("gone", "E abc", "G abc", (0.0, 3.0)),
    ]
    role = {"A": "source", "D": "source", "F": "sink", "G": "sink"}
    metabolites = {m: Metabolite(m, ("C",) * 3, role.get(m, "balanced")) for m in "ABCDEFG"}
    fragments = {name: Fragment(name, ((1.0, name[0], atoms),)) for name, atoms in (("B", (0, 1, 2)), ("B12", (0, 1)))}
    network = Network("two routes", metabolites, {r.name: r for r in reactions}, fragments)
    return Study(network, (Experiment("one", {"A": Tracer((("100", 1.0),))}),))


class TestFluxFit(FitterContract):
    seeds = 24

    @pytest.fixture
    def fitter(self) -> FluxFit:
        return FluxFit(two_routes(), samples=200, starts=3)

    @pytest.fixture
    def records(self) -> Sequence[Distribution]:
        return [Distribution(np.eye(length)[0], np.full(length, SD), name) for name, length in (("B", 4), ("B12", 3))]

    @pytest.fixture
    def add_noise(self) -> Any:
        def noisy(records: Sequence[Distribution], rng: np.random.Generator) -> list[Distribution]:
            return [Distribution(r.fractions + SD * rng.standard_normal(len(r)), r.sd, r.identifier) for r in records]

        return noisy

    @pytest.fixture
    def unseen(self) -> str:
        return "net/elsewhere"  # as far from the others as `net/gone`, and first

    @pytest.fixture
    def impossible(self) -> Sequence[Distribution]:
        return [Distribution(np.eye(4)[3], np.full(4, SD), "B")]


def test_a_study_is_a_record_as_readers_yield_it(tmp_path: Path) -> None:
    write_study(tmp_path / "study.toml", antoniewicz())
    (measurement,) = registry.load("reader", "flux-toml")(tmp_path / "study.toml")
    fitter = FluxFit(samples=200, starts=3)
    found = fitter.fit([measurement.record], fitter.prior([measurement.record]))
    assert found.problem == ""
    low, high = found.interval()[found.names.index("net/v1")] if "net/v1" in found.names else (99.0, 101.0)
    assert low < 100 < high
    (simulated,) = found.simulated
    (fitted,) = (d for d in simulated.experiments[0].data if d.kind == "mid")
    np.testing.assert_allclose(fitted.values, (0.0001, 0.8008, 0.1983, 0.0009), atol=0.01)


def test_a_study_is_shown_as_the_distributions_that_are_simulated() -> None:
    nan = float("nan")
    data = (
        Datum("B", "mid", (0.5, nan, 0.2, 0.1), (SD,) * 4),
        Datum("B12", "mid", (0.6, 0.3, 0.1), (SD,) * 3, time=1.0),
        Datum("out", "net", (2.0,), (0.1,)),
        Datum("B12", "mid", (0.6, 0.3, 0.1), (SD,) * 3),
    )
    study = replace(two_routes(), experiments=(replace(two_routes().experiments[0], data=data),))
    fitter = FluxFit(samples=10, starts=1)
    space = fitter.prior([study])
    middle = np.array([(belief.low + belief.high) / 2 for belief in space.values() if isinstance(belief, Uniform)])
    (simulated,) = fitter.simulate(middle, [study])
    measured = study.as_records()
    assert [record.identifier for record in measured] == ["one/B (M+0, M+2, M+3)", "one/B12"]
    assert measured[0].fractions.tolist() == [0.5, 0.2, 0.1]
    found = simulated.as_records()
    assert [(r.identifier, len(r)) for r in found] == [("one/B (M+0, M+2, M+3)", 3), ("one/B12", 3)]
    assert found[1].fractions.sum() == pytest.approx(1)


def test_a_fitter_is_built_by_name_with_the_file_of_its_study(tmp_path: Path) -> None:
    study = two_routes()
    write_study(tmp_path / "study.toml", study)
    fitter = registry.build("fitter", {"use": "flux-fit", "study": str(tmp_path / "study.toml")})
    records = [Distribution(np.eye(4)[0], np.full(4, SD), "B")]
    assert fitter.prior(records).keys() == FluxFit(study).prior(records).keys()
    assert (fitter.starts, fitter.samples) == (STARTS, SAMPLES)


def test_without_a_study_there_is_nothing_to_fit() -> None:
    record = Distribution(np.eye(4)[0], np.full(4, SD), "B")
    with pytest.raises(RecordError, match="there is no study"):
        FluxFit().prior([record])
    with pytest.raises(RecordError, match="only record"):
        FluxFit(two_routes()).prior([two_routes()])
