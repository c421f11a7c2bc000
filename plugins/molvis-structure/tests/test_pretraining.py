from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from molvis_core import structure
from molvis_core.errors import ConfigError, StructureError, TrainingError
from molvis_core.records import Structure
from molvis_core.registry import build, load
from molvis_nn.loop import TrainingProgress
from molvis_nn.pretrained import load_state
from molvis_structure.chemistry.fingerprints import fingerprints
from molvis_structure.pretraining.masking import _MOST_ASIDE, pretrain
from molvis_structure.pretraining.tasks import Heads, Maskable, Tasks, bit_rates

pytestmark = pytest.mark.full

GLDM: dict[str, Any] = {"use": "gldm", "dim": 8, "width": 8, "layers": 2, "dropout": 0.1}
OPTIONS: dict[str, Any] = {"epochs": 2, "batch": 8, "bits": 64, "device": "cpu"}


@pytest.fixture(scope="module")
def structures() -> list[Structure]:
    rings = ("c1ccccc1", "c1ccncc1", "C1CCCCC1", "c1ccoc1")
    sides = ("C", "O", "CC(=O)O", "CN", "OC", "C(F)(F)F")
    return [structure(f"{ring}{side}") for ring in rings for side in sides]


def _weights(folder: Path) -> dict[str, torch.Tensor]:
    return load_file(folder / "encoder.safetensors")


def _rows(folder: Path) -> list[dict[str, str]]:
    with (folder / "metrics.csv").open() as file:
        return list(csv.DictReader(file))


class _Killed(Exception):
    pass


def test_a_run_leaves_weights_metrics_and_what_they_are(structures: list[Structure], tmp_path: Path) -> None:
    seen: list[TrainingProgress] = []
    result = pretrain(structures, GLDM, tmp_path, progress=seen.append, **OPTIONS)
    assert result.structures == 23
    assert result.rate > 0
    assert {p.message for p in seen} == {"making fingerprints", "preparing structures", ""}
    assert (seen[-1].step, seen[-1].steps, seen[-1].epoch) == (4, 4, 2)
    rows = _rows(tmp_path)
    assert [row["epoch"] for row in rows] == ["1.0", "2.0"]
    assert {k: float(v) for k, v in rows[-1].items() if k not in ("epoch", "step")} == result.metrics
    assert set(result.metrics) >= {"loss", "bits", "hidden", "motif_right", "val_bits", "val_hidden"}
    encoder = build("encoder", GLDM)
    encoder.load_state_dict(load_state(tmp_path, GLDM))
    assert not list(tmp_path.glob(".*"))


def test_it_is_found_by_its_name() -> None:
    assert load("pretrainer", "masking") is pretrain


@pytest.mark.parametrize(
    "use", [GLDM, {"use": "attentivefp", "dim": 8, "width": 8, "dropout": 0.1}], ids=["gldm", "attentivefp"]
)
@pytest.mark.parametrize("killed_at", [1, 3])
def test_a_run_killed_anywhere_and_resumed_ends_with_the_same_weights(
    structures: list[Structure], tmp_path: Path, use: dict[str, Any], killed_at: int
) -> None:
    def kill(state: TrainingProgress) -> None:
        if state.step == killed_at and not state.message:
            raise _Killed

    options = {**OPTIONS, "checkpoint_every": 0.0}
    pretrain(structures, use, tmp_path / "whole", **options)
    with pytest.raises(_Killed):
        pretrain(structures, use, tmp_path / "cut", progress=kill, **options)
    assert not (tmp_path / "cut" / "encoder.safetensors").exists()
    torch.manual_seed(99)
    seen: list[TrainingProgress] = []
    pretrain(structures, use, tmp_path / "cut", progress=seen.append, **options)
    assert min(p.step for p in seen if not p.message) == max(1, killed_at)
    whole, cut = _weights(tmp_path / "whole"), _weights(tmp_path / "cut")
    assert all(torch.equal(whole[name], cut[name]) for name in whole)
    assert _rows(tmp_path / "whole") == _rows(tmp_path / "cut")


def test_the_seed_decides(structures: list[Structure], tmp_path: Path) -> None:
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        pretrain(structures, GLDM, tmp_path / name, seed=seed, **OPTIONS)
    a, b, c = (_weights(tmp_path / name)["out.weight"] for name in "abc")
    assert torch.equal(a, b)
    assert not torch.equal(a, c)


def test_workers_change_nothing(structures: list[Structure], tmp_path: Path) -> None:
    pretrain(structures, GLDM, tmp_path / "none", **OPTIONS)
    pretrain(structures, GLDM, tmp_path / "one", workers=1, **OPTIONS)
    assert torch.equal(_weights(tmp_path / "none")["out.weight"], _weights(tmp_path / "one")["out.weight"])


def test_a_run_that_has_ended_is_not_run_again(structures: list[Structure], tmp_path: Path) -> None:
    first = pretrain(structures, GLDM, tmp_path, **OPTIONS)
    seen: list[TrainingProgress] = []
    again = pretrain(structures, GLDM, tmp_path, progress=seen.append, **OPTIONS)
    assert again.metrics == first.metrics
    assert all(p.message for p in seen)


def test_it_learns_to_name_what_is_hidden_and_to_tell_fingerprints(structures: list[Structure], tmp_path: Path) -> None:
    encoder = {**GLDM, "width": 16, "dropout": 0.0}
    pretrain(structures, encoder, tmp_path, **{**OPTIONS, "epochs": 30, "learning_rate": 0.01})
    rows = _rows(tmp_path)
    assert float(rows[-1]["hidden"]) < 0.5 * float(rows[0]["hidden"])
    # Of molecules this much alike most is known from how common each bit is, and a fifth of the pieces stays hidden.
    assert float(rows[-1]["bits"]) < 0.85 * float(rows[0]["bits"])


def test_without_looking_at_a_molecule_the_bits_cost_what_their_rates_cost(structures: list[Structure]) -> None:
    packed = fingerprints([s.smiles for s in structures], ("morgan2",), 64)
    bits = np.unpackbits(packed, axis=1, count=64)
    rates = bit_rates(packed, 64)
    assert rates == pytest.approx((bits.sum(0) + 1) / (len(bits) + 2))
    encoder = build("encoder", GLDM).eval()
    heads = Heads(encoder, rates)
    torch.nn.init.zeros_(heads.bits.weight)
    task = Tasks(encoder, structures, packed, 24, 0.2, 0)[0]
    wanted = -(bits * np.log(rates) + (1 - bits) * np.log(1 - rates)).sum() / bits.sum()
    assert float(heads(encoder, task, torch.device("cpu"))["bits"].detach()) == pytest.approx(wanted, rel=1e-4)


def test_an_epoch_sees_distinct_structures_in_an_order_of_its_own(structures: list[Structure]) -> None:
    tasks = Tasks(build("encoder", GLDM), structures, np.arange(24, dtype=np.uint8)[:, None], 8, 0.2, 0)
    epochs = [np.concatenate([tasks[e * 3 + i].packed[:, 0] for i in range(3)]).tolist() for e in range(2)]
    assert sorted(epochs[0]) == sorted(epochs[1]) == list(range(24))
    assert epochs[0] != epochs[1]
    assert _MOST_ASIDE > 0


def test_an_encoder_that_hides_nothing_learns_fingerprints_alone(structures: list[Structure], tmp_path: Path) -> None:
    spec = {"use": "attentivefp", "dim": 8, "width": 8}
    assert not isinstance(build("encoder", spec), Maskable)
    assert isinstance(build("encoder", GLDM), Maskable)
    assert set(pretrain(structures, spec, tmp_path, **OPTIONS).metrics) == {"loss", "bits", "val_bits"}


def test_a_checkpoint_of_other_settings_or_a_damaged_one_is_refused(
    structures: list[Structure], tmp_path: Path
) -> None:
    pretrain(structures, GLDM, tmp_path, **OPTIONS)
    with pytest.raises(TrainingError, match="'epochs = 2', this run 'epochs = 3'"):
        pretrain(structures, GLDM, tmp_path, **{**OPTIONS, "epochs": 3})
    with pytest.raises(TrainingError, match="structures"):
        pretrain(structures[1:], GLDM, tmp_path, **OPTIONS)
    (tmp_path / "checkpoint.pt").write_bytes(b"PK")
    with pytest.raises(TrainingError, match="damaged"):
        pretrain(structures, GLDM, tmp_path, **OPTIONS)
    pretrain(structures, GLDM, tmp_path, resume=False, **OPTIONS)


def test_what_cannot_be_pretrained_is_told_before_anything_is_made(structures: list[Structure], tmp_path: Path) -> None:
    folder = tmp_path / "run"
    for options, message in (
        ({"epochs": 0}, "epochs must be"),
        ({"batch": 1}, "batch must be"),
        ({"share": 1.0}, "share must be"),
    ):
        with pytest.raises(ConfigError, match=message):
            pretrain(structures, GLDM, folder, **{**OPTIONS, **options})
    with pytest.raises(TrainingError, match="at least 10 structures, got 9"):
        pretrain(structures[:9], GLDM, folder, **OPTIONS)
    with pytest.raises(ConfigError, match="no argument 'with'"):
        pretrain(structures, {**GLDM, "with": 3}, folder, **OPTIONS)
    assert not folder.exists()


def test_a_refused_smiles_is_named_before_the_first_step(structures: list[Structure], tmp_path: Path) -> None:
    with pytest.raises(StructureError, match="C1CC"):
        pretrain([*structures, Structure("C1CC", "A" * 14, "C3H6", 42.047)], GLDM, tmp_path, **OPTIONS)


def test_a_full_disk_is_told_and_the_old_checkpoint_kept(
    structures: list[Structure], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pretrain(structures, GLDM, tmp_path, **OPTIONS)
    before = (tmp_path / "checkpoint.pt").read_bytes()

    def full(self: Path, data: object) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(TrainingError, match="the disk is full"):
        pretrain(structures, GLDM, tmp_path, resume=False, **OPTIONS)
    monkeypatch.undo()
    assert (tmp_path / "checkpoint.pt").read_bytes() == before


def test_a_loss_that_is_not_finite_stops_the_run(structures: list[Structure], tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="Lower the learning rate"):
        pretrain(structures, GLDM, tmp_path, learning_rate=1e30, **{**OPTIONS, "epochs": 4})
