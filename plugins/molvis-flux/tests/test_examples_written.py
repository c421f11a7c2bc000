"""Every example of the data folder written as FluxML and SBML and read again: the same labelling, or a reason."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from simulating import every_mid
from test_formats_examples import EXAMPLES, M, example, pytestmark

from molvis_core.errors import WriteError
from molvis_flux.formats import read_study
from molvis_flux.formats.fluxml_writer import write_fluxml
from molvis_flux.formats.sbml_writer import write_sbml
from molvis_flux.model.network import Study

__all__ = ["pytestmark"]

COPIES = {
    "freeflux/ecoli/experimental_data", "freeflux/synechocystis/experimental_data", f"{M}/Example_2_Ecoli_model.txt",
    f"{M}/Explanation_1_13CMFA_toymodel_model.txt", f"{M}/Tutorial 1_13C-MFAEcoli_model.txt",
    f"{M}/Tutorial_3_mfapy_functions_model.txt",
}  # fmt: skip
SEVERAL_ELEMENTS = {
    "fluxml_examples/ecoli_model_level_3.fml", "fluxml_examples/spirallus_model_level_3.fml", "mlflux/GlyPPP.xml",
    "mlflux/Glycolysis.xml",
}  # fmt: skip


def with_fluxes(study: Study) -> Study:
    """With a value for every flux. They need not balance: what is compared are two simulations of them."""
    rng = np.random.default_rng(5)
    found: dict[tuple[str, str], float] = {}
    for name, reaction in study.network.reactions.items():
        found["net", name] = float(rng.uniform(0.5, 2))
        if reaction.reversible:
            found["exchange", name] = float(rng.uniform(0.1, 1))
    return dataclasses.replace(study, fluxes=found)


def compare(study: Study, back: Study) -> int:
    """The number of fragments whose mass isotopomers agree to 1e-12 in all experiments."""
    names = [n for n, f in study.network.fragments.items() if f.kind == "ms" and n in back.network.fragments]
    if not study.experiments or not names:
        return 0
    before, after = every_mid(study, names), every_mid(back, names)
    for key, mid in before.items():
        np.testing.assert_allclose(after[key], mid, rtol=0, atol=1e-12)
    return len(names)


@pytest.mark.full
@pytest.mark.parametrize("name", EXAMPLES)
def test_an_example_in_fluxml_has_the_same_labelling(name: str, tmp_path: Path) -> None:
    study = with_fluxes(example(name))
    if name in COPIES:
        with pytest.raises(WriteError, match="a copy, which drains nothing"):
            write_fluxml(tmp_path / "s.fml", study)
        return
    notes = write_fluxml(tmp_path / "s.fml", study)
    names = [experiment.name for experiment in study.experiments]
    options: dict[str, Any] = {"configuration": names} if names else {}
    back = read_study(tmp_path / "s.fml", strict=False, **options)
    said = "\n".join(notes)
    for fragment in set(study.network.fragments) - set(back.network.fragments):
        assert fragment in said
    compare(study, back)


@pytest.mark.full
@pytest.mark.parametrize("name", EXAMPLES)
def test_an_example_in_sbml_has_the_same_labelling(name: str, tmp_path: Path) -> None:
    study = with_fluxes(example(name))
    write: Callable[[], object] = lambda: write_sbml(tmp_path / "s.xml", study)  # noqa: E731
    if name in SEVERAL_ELEMENTS:
        with pytest.raises(WriteError, match="has carbons only"):
            write()
        return
    write()
    back = read_study(tmp_path / "s.xml", strict=False)
    for reaction in study.network.reactions.values():
        other = back.network.reactions[reaction.name]
        assert (other.net, other.exchange, other.reversible) == (reaction.net, reaction.exchange, reaction.reversible)
    again = dataclasses.replace(study, network=dataclasses.replace(back.network, fragments=study.network.fragments))
    compare(study, again)
