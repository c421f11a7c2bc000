"""The parts of a training loop."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest
import torch
from torch import nn

from molvis_core.errors import TrainingError
from molvis_nn import loop
from molvis_nn.loop import (
    Checkpoint,
    TrainingState,
    WeightAverage,
    decay_groups,
    descend,
    half_cosine,
    seed_step,
    set_rate,
    warmup_cosine,
    write_metrics,
)


def test_the_rate_rises_over_the_warmup_and_falls_to_nothing() -> None:
    rates = [warmup_cosine(step, 100, 10) for step in range(100)]
    assert rates[:3] == pytest.approx([1 / 11, 2 / 11, 3 / 11])
    assert max(rates) == rates[10] == 1
    assert rates[10:] == sorted(rates[10:], reverse=True)
    assert rates[55] == pytest.approx(0.5)
    assert 0 < rates[-1] < 1e-3
    assert warmup_cosine(0, 1, 0) == half_cosine(0) == 1
    assert half_cosine(1) == 0


def test_matrices_alone_decay_and_frozen_parameters_are_left_out() -> None:
    module = nn.Sequential(nn.Linear(3, 2), nn.LayerNorm(2))
    module[1].weight.requires_grad_(False)
    decayed, plain = decay_groups([module], 0.1)
    assert (decayed["weight_decay"], plain["weight_decay"]) == (0.1, 0.0)
    assert decayed["params"] == [module[0].weight]
    assert [p.shape for p in plain["params"]] == [(2,), (2,)]
    assert decay_groups([module[1].requires_grad_(False)], 0.1) == []


def test_what_a_step_draws_depends_on_seed_and_step_alone() -> None:
    def draw(seed: int, step: int) -> float:
        torch.rand(step)
        seed_step(seed, step)
        return float(torch.rand(()))

    assert draw(1, 5) == draw(1, 5)
    assert len({draw(1, 5), draw(1, 6), draw(2, 5)}) == 3


def test_a_step_goes_down_and_clips_the_whole_gradient() -> None:
    weight = nn.Parameter(torch.tensor([3.0, 4.0]))
    optimizer = torch.optim.SGD([weight], lr=9.0)
    set_rate(optimizer, 1.0)
    value = descend(weight.square().sum() / 2, optimizer, clip=1.0)
    assert value == 12.5
    torch.testing.assert_close(weight.detach(), torch.tensor([2.4, 3.2]))


def test_gradients_can_be_made_and_changed_by_others() -> None:
    weight = nn.Parameter(torch.tensor([3.0]))
    said: list[str] = []

    def backward(loss: torch.Tensor) -> None:
        said.append("backward")
        loss.backward()

    def adjust() -> None:
        said.append("adjust")
        assert weight.grad is not None
        weight.grad.mul_(0.0)

    descend(weight.sum(), torch.optim.SGD([weight], lr=1.0), backward=backward, adjust=adjust)
    assert said == ["backward", "adjust"]
    assert float(weight.detach()) == 3.0


def test_a_loss_that_is_not_finite_changes_nothing_and_is_named() -> None:
    weight = nn.Parameter(torch.tensor([1.0]))
    with pytest.raises(TrainingError, match=r"the loss of step 7 is nan\. Lower the learning rate"):
        descend(weight.sum() * float("nan"), torch.optim.SGD([weight], lr=1.0), where="step 7")
    assert float(weight.detach()) == 1.0


def test_the_average_forgets_the_first_steps_and_follows_the_weights() -> None:
    module = nn.Linear(1, 1, bias=False)
    torch.nn.init.zeros_(module.weight)
    average = WeightAverage(module, 0.9)
    wanted = 0.0
    for step in range(200):
        torch.nn.init.constant_(module.weight, 1.0)
        average.update(step)
        keep = min(0.9, (1 + step) / (10 + step))
        wanted = keep * wanted + (1 - keep)
        assert float(average.state["weight"]) == pytest.approx(wanted, abs=1e-6)
    assert wanted == pytest.approx(1.0, abs=1e-4)


def test_the_average_stands_in_for_the_weights_and_gives_them_back() -> None:
    module = nn.Linear(1, 1, bias=False)
    torch.nn.init.zeros_(module.weight)
    average = WeightAverage(module, 0.5)
    torch.nn.init.constant_(module.weight, 1.0)
    average.update(1000)
    with average.applied():
        assert float(module.weight.detach()) == 0.5
    assert float(module.weight.detach()) == 1.0
    average.copy_to(module)
    assert float(module.weight.detach()) == 0.5


def test_an_average_without_decay_is_off() -> None:
    module = nn.Linear(2, 2)
    average = WeightAverage(module, 0.0)
    average.update(0)
    before = module.weight.detach().clone()
    with average.applied():
        assert torch.equal(module.weight, before)
    assert average.state == {}


def test_a_checkpoint_is_read_back_by_the_same_run_alone(tmp_path: Path) -> None:
    checkpoint = Checkpoint(tmp_path / "checkpoint.pt", "epochs = 2\nseed = 0\n")
    assert not checkpoint.exists
    checkpoint.write({"step": 3, "weights": {"a": torch.arange(3.0)}})
    with checkpoint.reading() as content:
        assert content["step"] == 3
        assert torch.equal(content["weights"]["a"], torch.arange(3.0))
    other = Checkpoint(checkpoint.path, "epochs = 3\nseed = 0\n", other="another configuration")
    with (
        pytest.raises(TrainingError, match="of another configuration .*'epochs = 2', this run 'epochs = 3'"),
        other.reading(),
    ):
        raise AssertionError("what is of another run is not handed on")


def test_a_checkpoint_of_an_older_version_is_refused_for_that_reason(tmp_path: Path) -> None:
    Checkpoint(tmp_path / "checkpoint.pt", "average = 0.9\n").write({"step": 3})
    asked: list[str] = []

    def outdated(stored: str) -> str:
        asked.append(stored)
        return "written by an older version" if "average" in stored else ""

    present = Checkpoint(tmp_path / "checkpoint.pt", "ema_decay = 0.9\n", outdated=outdated)
    with pytest.raises(TrainingError, match=r"checkpoint\.pt: written by an older version$"), present.reading():
        raise AssertionError("it is not handed on")
    assert asked == ["average = 0.9\n"]


@pytest.mark.parametrize("damage", [b"", b"no checkpoint", None])
def test_a_damaged_checkpoint_is_an_error_with_a_remedy(tmp_path: Path, damage: bytes | None) -> None:
    checkpoint = Checkpoint(tmp_path / "checkpoint.pt", "a")
    checkpoint.write({"step": 3})
    if damage is not None:
        checkpoint.path.write_bytes(damage)
    with pytest.raises(TrainingError, match="damaged.*--no-resume"), checkpoint.reading() as content:
        content["weights"]


def test_a_checkpoint_is_due_after_some_seconds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr(loop.time, "monotonic", lambda: now[0])
    checkpoint = Checkpoint(tmp_path / "checkpoint.pt", "a")
    assert not checkpoint.due(5)
    now[0] += 6
    assert checkpoint.due(5)
    checkpoint.write({})
    assert not checkpoint.due(5)


def test_what_cannot_be_written_is_an_error_of_training(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="cannot be written.*run the same command again"):
        Checkpoint(tmp_path / "missing" / "checkpoint.pt", "a").write({})


def test_metrics_have_every_column_of_every_row(tmp_path: Path) -> None:
    write_metrics(tmp_path / "metrics.csv", [{"epoch": 1.0, "loss": 0.5}, {"epoch": 2.0, "hit1": 0.25}])
    with (tmp_path / "metrics.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["hit1"] for row in rows] == ["", "0.25"]
    assert float(rows[0]["loss"]) == 0.5


@pytest.mark.parametrize(("lower", "kept"), [(False, 3.0), (True, 1.0)])
def test_a_state_keeps_the_weights_judged_best_and_goes_on_from_a_checkpoint(
    lower: bool, kept: float, tmp_path: Path
) -> None:
    def fresh() -> TrainingState:
        network = nn.Linear(1, 1, bias=False)
        optimizer = torch.optim.AdamW(network.parameters())
        return TrainingState(network, optimizer, WeightAverage(network, 0.5), lower=lower)

    state, checkpoint = fresh(), Checkpoint(tmp_path / "a.pt", "settings")
    assert "kept" not in state.content()
    for weight in (2.0, 3.0, 1.0):
        nn.init.constant_(state.network.weight, weight)
        state.average.update(state.epoch)
        state.judged(weight)
        state.epoch += 1
    assert float(state.kept["weight"]) == kept
    checkpoint.write(state.content())
    again = fresh()
    with checkpoint.reading() as content:
        again.restore(content)
    assert (again.epoch, again.best, float(again.kept["weight"])) == (3, kept, kept)
    assert again.network.weight.item() == 1.0
    assert torch.equal(again.average.state["weight"], state.average.state["weight"])
    old = {"net" if name == "network" else name: value for name, value in state.content().items()}
    before = fresh()
    before.restore(old)
    assert before.network.weight.item() == 1.0
