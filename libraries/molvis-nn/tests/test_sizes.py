"""Modules are held against the weights that they are for before any memory is taken."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from molvis_core.errors import BundleError
from molvis_nn.sizes import build_within, read_shapes


class _Deep(nn.Module):
    def __init__(self, layers: int, asks: bool = False) -> None:
        super().__init__()
        self.layers = nn.ModuleList(nn.Linear(1, 1) for _ in range(layers))
        if asks:
            torch.zeros(1).item()  # which the meta device cannot answer


@pytest.mark.parametrize("asks", [False, True])
def test_very_many_small_layers_are_given_up_early(tmp_path: Path, asks: bool) -> None:
    made: list[int] = []

    def build() -> nn.Module:
        made.append(0)
        return _Deep(900_000, asks)

    file = tmp_path / "weights.safetensors"
    save_file({"weight": torch.zeros(8, 3), "bias": torch.zeros(8)}, file)
    with pytest.raises(BundleError, match="requires more parameters than its weights have"):
        build_within(file, {"layers": 900_000}, build, "here")
    assert len(made) == 1
    assert isinstance(build_within(file, {"layers": 4}, lambda: _Deep(4, asks), "here"), _Deep)
    assert len(_Deep(2000).layers) == 2000  # afterwards nobody is watched


def test_nothing_is_drawn_for_the_module_that_is_made_to_be_measured(tmp_path: Path) -> None:
    made: list[nn.Embedding] = []

    def build() -> nn.Module:
        made.append(nn.Embedding(8, 3))
        nn.init.uniform_(made[-1].weight)
        return made[-1]

    file = tmp_path / "weights.safetensors"
    save_file({"weight": torch.zeros(8, 3)}, file)
    torch.manual_seed(0)
    assert build_within(file, {}, build, "here") is made[1]
    torch.manual_seed(0)
    build()
    assert [m.weight.device.type for m in made] == ["meta", "cpu", "cpu"]
    assert torch.equal(made[1].weight, made[2].weight)


def test_the_shapes_of_weights_are_read_without_the_weights(tmp_path: Path) -> None:
    file = tmp_path / "weights.safetensors"
    save_file({"weight": torch.zeros(8, 3), "bias": torch.zeros(8)}, file)
    assert sorted(tuple(s) for s in read_shapes(file).values()) == [(8,), (8, 3)]


def test_weights_without_a_sound_header_are_damaged(tmp_path: Path) -> None:
    file = tmp_path / "a.safetensors"
    for raw in (b"", (1 << 62).to_bytes(8, "little") + b"{}", b"\x02" + b"\0" * 7 + b"[]" * 4):
        file.write_bytes(raw)
        with pytest.raises(BundleError, match="damaged"):
            read_shapes(file)
