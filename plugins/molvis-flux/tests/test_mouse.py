"""The example of a whole mouse, against what its authors published."""

from __future__ import annotations

import csv
import os
from pathlib import Path

import numpy as np
import pytest

from molvis_flux.fit.problem import flux_problem
from molvis_flux.formats import read_study

ROOT = Path(__file__).parents[3]
DATA = Path(os.environ.get("MOLVIS_DATA", ROOT / ".." / "shared" / "data")) / "flux" / "multitissue" / "mouse"
EXAMPLE = ROOT / "examples" / "mouse" / "mouse.toml"


@pytest.mark.full
@pytest.mark.skipif(not (DATA.is_dir() and EXAMPLE.exists()), reason="no example or no flux data: set MOLVIS_DATA")
def test_published_fluxes_of_the_mouse_give_their_published_sums_of_squares() -> None:
    study = read_study(EXAMPLE)
    with (DATA / "published_fits_mouse1.csv").open() as file:
        rows = list(csv.reader(file))
    fluxes = {row[0]: [float(x) for x in row[4:14]] for row in rows if row[0] in study.network.reactions}
    net = np.array([fluxes[name] for name in study.network.reactions]).T
    problem = flux_problem(study)
    assert problem.labelling is not None
    assert problem.labelling.plan is not None
    simulated = problem.labelling.plan.simulate(net, None)
    predicted = np.concatenate([simulated[:, problem.columns[:, 0]], net[:, problem.targets]], axis=1)
    found = (((predicted - problem.measured) / problem.sd) ** 2).sum(axis=1)
    np.testing.assert_allclose(found, [float(x) for x in rows[1][4:14]], atol=0.001)
