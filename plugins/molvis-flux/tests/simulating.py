"""Labelling of a whole study at the fluxes that it states, for comparing two of them."""

from __future__ import annotations

import numpy as np

from molvis_flux.labelling.stationary import compile_plan
from molvis_flux.model.network import Study


def stated(study: Study) -> list[np.ndarray]:
    """Net and exchange fluxes that a study states, 0 where it states none."""
    return [
        np.array([[study.fluxes.get((kind, name), 0.0) for name in study.network.reactions]], float)
        for kind in ("net", "exchange")
    ]


def every_mid(study: Study, fragments: list[str]) -> dict[tuple[str, str], np.ndarray]:
    """By experiment and fragment, what a stationary simulation gives."""
    plan = compile_plan(study.network, study.experiments, fragments)
    fractions = plan.simulate(*stated(study))[0]
    return {(e.name, name): fractions[plan.slot(e.name, name)] for e in study.experiments for name in fragments}
