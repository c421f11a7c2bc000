"""Fluxes handed to a model of cobrapy, and bounds taken from one."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest

from molvis_flux.errors import FitError
from molvis_flux.fit.cobrapy import narrow_bounds, with_bounds
from molvis_flux.fit.estimates import Estimates
from molvis_flux.fit.identifiability import BOUNDED, UNSEEN, Verdict
from molvis_flux.fit.multistart import fit
from molvis_flux.model.examples import antoniewicz


@dataclass
class Reaction:
    """As much of cobrapy's as is used."""

    id: str
    metabolites: dict[Any, float]
    bounds: tuple[float, float] = (-1000.0, 1000.0)


@dataclass
class Model:
    """The same."""

    reactions: list[Reaction] = field(default_factory=list)


class _Key(str):
    """A metabolite by its id, that can be the key of a dict."""

    __slots__ = ()

    @property
    def id(self) -> str:
        return str(self)


def model() -> Model:
    """The network's reactions, v2 the other way round and v4 under another name; v5 is not there."""
    rows = {
        "R_v1": {"A_e": -1.0, "B_c": 1.0}, "v2": {"D_c": -1.0, "B_c": 1.0}, "decarboxylase": {"B_c": -1.0, "C_c": 1.0},
        "v6": {"D_c": -1.0, "F_c": 1.0},
    }  # fmt: skip
    return Model([Reaction(name, {_Key(m): x for m, x in row.items()}, (-500.0, 500.0)) for name, row in rows.items()])


def found(**ends: tuple[float, float]) -> Estimates:
    verdicts = tuple(
        Verdict(("net", name), UNSEEN if name == "v6" else BOUNDED, None if name == "v6" else sum(pair) / 2, *pair, 0.1,
                "data", "data")
        for name, pair in ends.items()
    )  # fmt: skip
    return Estimates("made", antoniewicz(), verdicts, np.eye(len(verdicts)), 0.9, 1.0, True)


FIT = found(v1=(95.0, 105.0), v2=(40.0, 60.0), v4=(15.0, 25.0), v5=(15.0, 25.0), v6=(0.0, 100.0))


def test_bounds_are_narrowed_to_intervals_in_the_direction_and_the_units_of_the_model() -> None:
    given = model()
    handed = narrow_bounds(given, FIT, names={"v4": "decarboxylase"}, scale=0.1)
    bounds = {reaction.id: reaction.bounds for reaction in given.reactions}
    assert bounds["R_v1"] == pytest.approx((9.5, 10.5))
    assert bounds["v2"] == pytest.approx((-6, -4)), "the model writes it the other way round"
    assert bounds["decarboxylase"] == pytest.approx((1.5, 2.5))
    assert bounds["v6"] == (-500, 500), "what is not identifiable narrows nothing"
    assert (handed.unseen, handed.missing) == (("v6",), ("v5",))
    assert handed.bounds["v2"] == bounds["v2"]


def test_a_narrower_bound_of_the_model_stays() -> None:
    given = model()
    given.reactions[0].bounds = (100.0, 500.0)
    narrow_bounds(given, FIT)
    assert given.reactions[0].bounds == (100.0, 105.0)


def test_a_clash_is_said_and_changes_nothing() -> None:
    given = model()
    given.reactions[3].bounds = (0.0, 1.0)
    given.reactions[1].bounds = (0.0, 500.0)
    with pytest.raises(FitError, match=r"v2: -60 to -40 is outside of the bounds of 'v2' in the model, 0 to 500"):
        narrow_bounds(given, FIT)
    assert given.reactions[0].bounds == (-500, 500)
    with pytest.raises(FitError, match="no reaction 'decarboxylas'. Did you mean 'decarboxylase'"):
        narrow_bounds(given, FIT, names={"v4": "decarboxylas"})
    with pytest.raises(FitError, match="scale must be a positive number"):
        narrow_bounds(given, FIT, scale=0.0)


def test_bounds_are_taken_from_a_model_and_a_fit_stays_within_them() -> None:
    given = model()
    given.reactions[2].bounds = (2.1, 500.0)
    study, missing = with_bounds(antoniewicz(), given, names={"v4": "decarboxylase"}, scale=0.1)
    assert missing == ("v5",)
    assert study.network.reactions["v4"].net == pytest.approx((21, 1000))
    assert study.network.reactions["v2"].net == (0, 1000)
    fitted = fit(study, starts=3, intervals="none")
    assert fitted.value("v4") == pytest.approx(21, abs=1e-3)
    given.reactions[2].bounds = (-5.0, -1.0)
    with pytest.raises(FitError, match="v4: -50 to -10 is outside of the bounds of the network, 0 to 1000"):
        with_bounds(antoniewicz(), given, names={"v4": "decarboxylase"}, scale=0.1)


def test_a_real_model_of_cobrapy_is_narrowed_and_taken_back() -> None:
    cobra = pytest.importorskip("cobra", reason="its releases want pandas below 3, and ours is newer")
    real = cobra.Model("made")
    metabolites = {name: cobra.Metabolite(f"{name}_c", compartment="c") for name in "ABCDEF"}
    for name, row in {
        "v1": {"A": -1, "B": 1}, "v2": {"B": -1, "D": 1}, "v4": {"B": -1, "C": 1, "E": 1},
        "v5": {"B": -1, "C": -1, "D": 1, "E": 2}, "v6": {"D": -1, "F": 1}, "in": {"A": 1}, "e": {"E": -1},
        "f": {"F": -1},
    }.items():  # fmt: skip
        reaction = cobra.Reaction(name, lower_bound=-1000 if name == "v2" else 0, upper_bound=1000)
        reaction.add_metabolites({metabolites[m]: x for m, x in row.items()})
        real.add_reactions([reaction])
    real.objective = "f"
    before = real.optimize().objective_value
    with real:
        handed = narrow_bounds(real, FIT)
        assert set(handed.bounds) == {"v1", "v2", "v4", "v5"}
        best = real.optimize()
        assert best.status == "optimal"
        assert best.objective_value == pytest.approx(82.5)  # v1 = v2 + 2 v4 is at 105, v2 at 60
        assert 15 <= best.fluxes["v4"] <= 25
    assert real.optimize().objective_value == pytest.approx(before)
    study, missing = with_bounds(antoniewicz(), real)
    assert missing == ()
    assert study.network.reactions["v4"].net == (0, 1000)
