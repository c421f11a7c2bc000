"""How an estimator is trained: resumed, used before it is done, and refused before it begins."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
import torch
from small_estimator import SMALL, measured, study

from molvis_flux.errors import EstimatorError
from molvis_flux.model.network import Study
from molvis_flux.neural.calibration import held_out
from molvis_flux.neural.estimator import Estimator, load_estimator
from molvis_flux.neural.inference import estimate
from molvis_flux.neural.training import train

pytestmark = pytest.mark.full


def test_training_resumes_to_the_same_weights(tmp_path: Path) -> None:
    short = dataclasses.replace(SMALL, steps=40, simulations=1000)
    whole = train(study(), tmp_path / "whole", settings=short)

    def stop(done: int, steps: int, loss: float) -> None:
        if done == 25:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(study(), tmp_path / "cut", settings=short, progress=stop)
    seen: list[int] = []
    cut = train(study(), tmp_path / "cut", settings=short, progress=lambda done, steps, loss: seen.append(done))
    assert seen[0] == 21
    for name, tensor in whole.model.state_dict().items():
        torch.testing.assert_close(cut.model.state_dict()[name], tensor, rtol=0, atol=0)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["cut", "whole"]


def test_an_estimator_can_be_used_before_its_training_ends(tmp_path: Path) -> None:
    short = dataclasses.replace(SMALL, steps=40, simulations=1000)
    early: list[tuple[int, Estimator]] = []

    def staged(found: Estimator, done: int) -> None:
        opened = load_estimator(tmp_path / "e")
        for name, tensor in found.model.state_dict().items():
            torch.testing.assert_close(opened.model.state_dict()[name], tensor, rtol=0, atol=0)
        early.append((done, opened))
        if done == 20:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(study(), tmp_path / "e", settings=short, staged=staged)
    assert [done for done, _ in early] == [8, 20]
    opened = load_estimator(tmp_path / "e")
    assert not opened.complete
    _, clean = held_out(opened, 1, seed=5)
    notes = estimate(opened, measured(opened, clean[0]), draws=500).notes
    assert any("20 of its training's 40 steps" in note for note in notes)
    whole = train(study(), tmp_path / "e", settings=short, staged=staged)  # it does not write that of 20 steps again
    assert len(early) == 2
    assert whole.complete
    assert load_estimator(tmp_path / "e").complete
    straight = train(study(), tmp_path / "straight", settings=short)
    for name, tensor in straight.model.state_dict().items():
        torch.testing.assert_close(whole.model.state_dict()[name], tensor, rtol=0, atol=0)
    # One that has ended is not replaced before another has, too.
    train(study(), tmp_path / "e", settings=dataclasses.replace(short, seed=1), staged=staged)
    assert len(early) == 2


def test_a_network_that_cannot_be_kept_is_refused_before_its_training(tmp_path: Path) -> None:
    named = study()
    pools = {name.replace("F", ""): dataclasses.replace(m, name=name.replace("F", ""))
             for name, m in named.network.metabolites.items()}  # fmt: skip
    out = dataclasses.replace(
        named.network.reactions["v6"],
        products=tuple(dataclasses.replace(p, metabolite="") for p in named.network.reactions["v6"].products),
    )
    fragments = {n: f for n, f in named.network.fragments.items() if n != "F"}
    network = dataclasses.replace(
        named.network, metabolites=pools, reactions=named.network.reactions | {"v6": out}, fragments=fragments
    )
    with pytest.raises(EstimatorError, match="cannot be kept in the estimator's folder: line "):
        train(Study(network, named.experiments), tmp_path / "e", settings=SMALL)
