"""Fluxes of two conditions beside each other."""

from __future__ import annotations

import csv
import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from molvis_core import output
from molvis_flux.errors import FitError
from molvis_flux.fit.comparison import LESS, MORE, NOT, SAME, TURNED, compare
from molvis_flux.fit.estimates import Estimates, estimates
from molvis_flux.fit.identifiability import BOUND, DATA, FIXED, IDENTIFIABLE, NETWORK, UNSEEN, Verdict
from molvis_flux.fit.information import normal_reach
from molvis_flux.fit.multistart import fit
from molvis_flux.labelling import prediction
from molvis_flux.maps.changes import flows_of_changes
from molvis_flux.model.examples import antoniewicz
from molvis_flux.model.network import Study
from molvis_flux.report import tables


def told(name: str, value: float, low: float, high: float, kind: str = IDENTIFIABLE, ends: str = DATA) -> Verdict:
    if kind == UNSEEN:
        return Verdict(("net", name), kind, None, low, high, 0.9, ends, ends, value)
    return Verdict(("net", name), kind, value, low, high, 0.1, ends, ends)


def of(*verdicts: Verdict, level: float = 0.9, name: str = "made") -> Estimates:
    return Estimates(name, antoniewicz(), verdicts, np.eye(len(verdicts)), level, 1.0, True)


def test_of_symmetric_intervals_errors_add_in_squares() -> None:
    [change] = compare(of(told("v4", 20, 17, 23)), of(told("v4", 30, 26, 34)))
    assert (change.difference, change.low, change.high) == pytest.approx((10, 5, 15))
    assert change.call == MORE
    z = 10 / (5 / normal_reach(0.9))
    assert change.p == pytest.approx(math.erfc(z / math.sqrt(2)))
    assert change.q == change.p


def test_an_end_of_a_difference_depends_on_the_ends_that_it_is_made_of() -> None:
    [change] = compare(of(told("v4", 20, 19, 50)), of(told("v4", 30, 10, 31)))
    assert change.low == pytest.approx(10 - math.hypot(20, 30))
    assert change.high == pytest.approx(10 + math.hypot(1, 1))
    assert change.call == SAME


def test_a_fold_change_is_the_same_of_logarithms_and_none_where_a_flux_may_be_zero() -> None:
    [change] = compare(of(told("v4", 10, 5, 20)), of(told("v4", 40, 20, 80)))
    assert change.fold == pytest.approx(4)
    reach = math.exp(math.hypot(math.log(2), math.log(2)))
    assert (change.fold_low, change.fold_high) == pytest.approx((4 / reach, 4 * reach))
    [back] = compare(of(told("v4", -10, -20, -5)), of(told("v4", -40, -80, -20)))
    assert (back.fold, back.fold_low, back.fold_high) == pytest.approx((4, 4 / reach, 4 * reach))
    assert back.call == MORE
    [none] = compare(of(told("v4", 10, -1, 20)), of(told("v4", 40, 20, 80)))
    assert (none.fold, none.fold_low) == (None, None)


def test_calls_are_of_the_flux_and_not_of_its_sign() -> None:
    before = of(told("v1", -20, -21, -19), told("v2", 20, 19, 21), told("v4", 20, 19, 21), told("v5", 5, 1, 9, UNSEEN))
    after = of(told("v1", -30, -31, -29), told("v2", 10, 9, 11), told("v4", -9, -10, -8), told("v5", 50, 40, 60))
    changes = compare(before, after)
    assert [change.call for change in changes] == [MORE, LESS, TURNED, NOT]
    assert changes[3].difference is None
    assert changes[3].before is None
    assert [change.q is None for change in changes] == [False, False, False, True]
    flows = flows_of_changes(antoniewicz().network, changes, 0.9)
    assert (flows["v1"].value, flows["v1"].text, flows["v1"].styles) == (-10, "+10", ("more",))
    assert (flows["v2"].value, flows["v2"].text) == (10, "−10")
    assert (flows["v4"].value, flows["v4"].styles) == (-29, ("turned",))
    assert (flows["v5"].value, flows["v5"].text) == (None, "?")


def test_what_ended_the_intervals_and_what_the_network_fixes_is_told() -> None:
    before = of(told("v1", 100, 100, 100, FIXED, NETWORK), told("v4", 20, 10, 30, ends=BOUND))
    changes = compare(before, of(told("v1", 100, 100, 100, FIXED, NETWORK), told("v4", 20, 10, 30)))
    assert (changes[0].p, changes[0].difference, changes[0].fold) == (None, 0, 1)
    assert (changes[1].low_from, changes[1].high_from) == (BOUND, BOUND)


def test_false_discovery_rates_rise_with_the_number_of_fluxes() -> None:
    names = ("v1", "v2", "v4", "v5")
    before = of(*(told(name, 20, 17, 23) for name in names))
    after = of(*(told(name, 20 + 4 * i, 17 + 4 * i, 23 + 4 * i) for i, name in enumerate(names)))
    p = [change.p or 0.0 for change in compare(before, after)]
    q = [change.q or 0.0 for change in compare(before, after)]
    assert q == pytest.approx([p[0], min(p[1] * 4 / 3, 1), p[2] * 2, p[3] * 4])


def test_fits_that_cannot_be_compared_are_refused() -> None:
    with pytest.raises(FitError, match="90% and other of 95%"):
        compare(of(told("v1", 1, 0, 2)), of(told("v1", 1, 0, 2), level=0.95, name="other"))
    with pytest.raises(FitError, match="no flux in common"):
        compare(of(told("v1", 1, 0, 2)), of(told("w1", 1, 0, 2)))


def condition(v4: float, seed: int) -> Study:
    """The network's experiment at another flux, with noise."""
    study = antoniewicz()
    fluxes = {("net", "v1"): 100.0, ("net", "v4"): v4, ("exchange", "v2"): 50.0}
    net, exchange = prediction.complete_fluxes(study.network, fluxes)
    [found] = prediction.predict(study, net, exchange)
    rng = np.random.default_rng(seed)
    mid = found.fractions[0] + rng.normal(0, 0.003, len(found.fractions[0]))
    data = tuple(
        replace(d, values=tuple(map(float, mid / mid.sum())))
        if d.kind == "mid"
        else replace(
            d, values=(float(100.0 + rng.normal()),) if d.target == "v1" else (100 - v4 + float(rng.normal()),)
        )
        for d in study.experiments[0].data
    )
    return replace(study, experiments=(replace(study.experiments[0], data=data),))


def test_a_flux_that_differs_is_found_and_one_that_does_not_is_not() -> None:
    fits = [estimates(fit(condition(v4, seed), starts=4, samples=0)) for v4, seed in ((20.0, 1), (35.0, 2), (20.0, 3))]
    changed = {change.name: change for change in compare(fits[0], fits[1])}
    assert changed["net", "v4"].call == MORE
    assert changed["net", "v4"].low < 15 < changed["net", "v4"].high
    assert changed["net", "v6"].call == LESS
    same = {change.name: change for change in compare(fits[0], fits[2])}
    assert same["net", "v4"].call == SAME


def test_the_command_compares_folders_and_leaves_tables_and_maps(tmp_path: Path) -> None:
    import typer

    from molvis_flux.commands.compare import compare as command

    for name, v4, seed in (("control", 20.0, 1), ("treated", 35.0, 2)):
        tables.save(fit(condition(v4, seed), starts=3, intervals="covariance", samples=0), tmp_path / name)
    app = typer.Typer()
    app.command("compare")(command)
    folders = [str(tmp_path / "control"), str(tmp_path / "treated")]
    with output.asked(json=True):
        run = CliRunner().invoke(app, [*folders, "--out", str(tmp_path / "out")])
    assert run.exit_code == 0, run.output
    plain = json.loads(run.stdout)
    calls = {change["name"][1]: change["call"] for change in plain["after"]["treated"]}
    assert calls["v4"] == MORE
    assert all(change["name"][0] == "net" for change in plain["after"]["treated"])
    with (tmp_path / "out" / "treated.csv").open() as file:
        rows = {row["name"]: row for row in csv.DictReader(file)}
    assert float(rows["v4"]["difference"]) == pytest.approx(15, abs=4)
    page = (tmp_path / "out" / "treated.html").read_text()
    assert "treated beside control" in page
    assert 'class="flow more"' in (tmp_path / "out" / "treated.svg").read_text()
    run = CliRunner().invoke(app, folders)
    assert run.exit_code == 0, run.output
    assert "more" in run.stdout
    run = CliRunner().invoke(app, folders[:1])
    assert run.exit_code == 1
