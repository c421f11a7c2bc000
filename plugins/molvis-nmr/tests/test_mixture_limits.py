"""Upper limits hold what a spectrum cannot exclude, and are low where it can."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from test_mixture import ACETATE, ALANINE, AREA, LACTATE, LIBRARY, make, mixture

from molvis_nmr.mixture import quantify as module
from molvis_nmr.mixture.limits import upper_limit
from molvis_nmr.mixture.quantify import WATER, Settings, quantify
from molvis_nmr.mixture.selection import Search
from molvis_nmr.spins.system import SpinSystem

BESIDE = make("beside acetate", [1.913], [3], [])
BOUND = make("bound elsewhere", [1.913, 3.05], [3, 2], [])


def finished(amounts: dict[str, float], library: list[SpinSystem], own: list[SpinSystem]) -> tuple[Search, float]:
    """A search at its end, and the scale of its amounts; the mixture is of `library`, what is looked for `own`."""
    spectrum = mixture(amounts, library=library, moved=0.002)
    asked = Settings(0.03, {}, (WATER,), "DSS", tube=False)
    prepared, search = module._prepare(spectrum, own, asked)
    module._look_first(search)
    module.select(search)
    module._finish(search)
    return search, prepared.scale / AREA


def test_all_that_another_compounds_only_signal_shows_may_be_this_ones() -> None:
    search, scale = finished({"lactate": 1.0, "acetate": 0.8}, LIBRARY, [LACTATE, ACETATE, BESIDE])
    there = [search.fit.library[i].name for i in search.fit.states]
    hidden = 2 if "acetate" in there else 1
    assert 0.75 < scale * upper_limit(search, hidden) < 1.6


def test_a_compound_that_is_bound_by_its_other_signals_leaves_little() -> None:
    search, scale = finished({"lactate": 1.0, "bound elsewhere": 0.8}, [*LIBRARY, BOUND], [LACTATE, BOUND, BESIDE])
    assert [search.fit.library[i].name for i in search.fit.states if i < 3] == ["lactate", "bound elsewhere"]
    assert scale * upper_limit(search, 2) < 0.4


def test_what_a_compound_has_beyond_its_amount_may_be_anothers() -> None:
    both = make("both", [1.913], [3], [])
    amounts = {"lactate": 1.0, "bound elsewhere": 0.8, "both": 0.6}
    search, scale = finished(amounts, [*LIBRARY, BOUND, both], [LACTATE, BOUND, replace(both, name="looked for")])
    assert scale * upper_limit(search, 2) > 0.55


@pytest.mark.parametrize("amount", [0.02, 0.05])
def test_what_hardly_stands_out_of_the_noise_is_below_its_limit(amount: float) -> None:
    held = []
    for seed in range(4):
        spectrum = mixture({"lactate": 2.0, "alanine": amount}, seed=seed, noise=0.05)
        found = {m.name: m for m in quantify(spectrum, [LACTATE, ALANINE]).metabolites}["alanine"]
        held.append(found.present or found.upper_limit >= AREA * amount)
        assert found.upper_limit < 0.4 * AREA
    assert np.all(held)


def test_nothing_of_a_compound_outside_of_the_axis_is_excluded() -> None:
    search, _ = finished({"lactate": 1.0}, LIBRARY, [LACTATE, make("far", [4.8], [1], [])])
    assert upper_limit(search, 1) == float("inf")
