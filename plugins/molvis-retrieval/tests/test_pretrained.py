"""Pretrained weights are taken up by the encoder that was pretrained, and by no other."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
import toy
import toy_pretrainer

from molvis_core.errors import BundleError, ComponentError, ConfigError, ReadError, WriteError
from molvis_core.registry import build
from molvis_core.testing import offer
from molvis_nn.pretrained import find_spec, load_state, save_state
from molvis_retrieval.training.pretraining import pretrain

SPEC: dict[str, Any] = {"use": "toy-letters", "dim": 4}


@pytest.fixture(autouse=True)
def toys() -> Iterator[None]:
    with offer(toy.PLUGIN, toy_pretrainer.PLUGIN):
        yield


@pytest.fixture
def library(tmp_path: Path) -> Path:
    path = tmp_path / "some.toysmi"
    path.write_text("\n".join("C" * n + "O" for n in range(1, 21)))
    return path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "run"
    path.mkdir()
    save_state(path, SPEC, build("encoder", SPEC).state_dict(), {"method": "toy"})
    return path


def test_weights_are_read_as_they_were_written(tmp_path: Path) -> None:
    wanted = build("encoder", SPEC).state_dict()
    save_state(tmp_path, SPEC, wanted, {"method": "toy", "settings": {"epochs": 3}})
    for path in (tmp_path, str(tmp_path), tmp_path / "encoder.safetensors"):
        found = load_state(path, SPEC)
        assert set(found) == set(wanted)
        assert all(torch.equal(found[name], wanted[name]) for name in wanted)
    written = tomllib.loads((tmp_path / "config.toml").read_text())
    assert written["encoder"] == {"use": "toy-letters", "dim": 4, "dropout": 0.1}
    assert written["settings"] == {"epochs": 3}


def test_arguments_left_out_count_with_their_defaults_and_dropout_may_differ(tmp_path: Path) -> None:
    save_state(tmp_path, "toy-letters", build("encoder", "toy-letters").state_dict(), {})
    load_state(tmp_path, {"use": "toy-letters", "dim": 8, "dropout": 0.5})


def test_weights_of_another_encoder_or_of_other_arguments_are_refused(folder: Path) -> None:
    with pytest.raises(ConfigError, match="'toy-letters' with dim = 4; the configuration has dim = 8"):
        load_state(folder, "toy-letters")
    with pytest.raises(ConfigError, match="the configuration has use = 'toy-peaks'"):
        load_state(folder, {"use": "toy-peaks", "dim": 4})


def test_a_folder_that_is_missing_unfinished_damaged_or_too_new_is_refused(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="no pretrained encoder here"):
        load_state(tmp_path / "nowhere", SPEC)
    config, weights = folder / "config.toml", folder / "encoder.safetensors"
    text, data = config.read_text(), weights.read_bytes()
    weights.write_bytes(data[:-4] + b"\1\2\3\4")
    with pytest.raises(BundleError, match="its digest is"):
        load_state(folder, SPEC)
    weights.unlink()
    with pytest.raises(BundleError, match="missing or damaged"):
        load_state(folder, SPEC)
    config.write_text(text.replace("format = 2", "format = 3"))
    with pytest.raises(BundleError, match="in format 3; this molvis reads up to 2"):
        load_state(folder, SPEC)
    config.write_text(text.replace("dim = ", "dim = 1"))
    with pytest.raises(BundleError, match="does not match its checksum"):
        load_state(folder, SPEC)
    config.write_text("format = [")
    with pytest.raises(BundleError, match="damaged"):
        load_state(folder, SPEC)


def test_what_cannot_be_written_leaves_what_was_there(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = {p.name: p.read_bytes() for p in folder.iterdir()}

    def full(self: Path, *_: object, **__: object) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(WriteError, match="No space left"):
        save_state(folder, SPEC, build("encoder", SPEC).state_dict(), {})
    assert {p.name: p.read_bytes() for p in folder.iterdir()} == before


def test_a_library_is_read_and_handed_to_the_pretrainer_by_name(library: Path, tmp_path: Path) -> None:
    messages: set[str] = set()
    result = pretrain(library, SPEC, tmp_path / "run", method="toy", limit=5, epochs=3, seed=7,
                      progress=lambda state: messages.add(state.message))  # fmt: skip
    assert (result.structures, result.metrics) == (5, {"loss": 1.0})
    written = tomllib.loads((tmp_path / "run" / "config.toml").read_text())
    assert written["settings"] == {"epochs": 3, "batch": 256, "seed": 7, "workers": 0, "resume": True}
    pretrain(library, SPEC, tmp_path / "same", method="toy", limit=5, epochs=3, seed=7)
    pretrain(library, SPEC, tmp_path / "other", method="toy", limit=5, epochs=3, seed=8)
    pretrain(library, SPEC, tmp_path / "all", method="toy", limit=50)
    names = {p: tomllib.loads((tmp_path / p / "config.toml").read_text())["names"] for p in ("same", "other", "all")}
    assert written["names"] == names["same"] != names["other"]
    assert len(names["all"]) == 20


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"epochs": 0}, ConfigError, "epochs must be 1 or more, got 0"),
        ({"batch": 1}, ConfigError, "batch must be 2 or more, got 1"),
        ({"limit": -1}, ConfigError, "limit must be 0 or more, got -1"),
        ({"method": "toyy"}, ComponentError, "no pretrainer named 'toyy'. Did you mean 'toy'"),
        ({"encoder": "toy-leters"}, ComponentError, "Did you mean 'toy-letters'"),
        ({"encoder": {"use": "toy-letters", "dmi": 3}}, ConfigError, "no argument 'dmi'"),
        ({"library": "nowhere.toysmi"}, ReadError, "no such file"),
    ],
)
def test_what_cannot_be_is_told_first(
    library: Path, tmp_path: Path, options: dict[str, Any], error: type[Exception], message: str
) -> None:
    arguments = {"library": library, "encoder": SPEC, "folder": tmp_path / "run", "method": "toy", **options}
    with pytest.raises(error, match=message):
        pretrain(**arguments)
    assert not (tmp_path / "run").exists()


def test_a_spec_may_stand_in_a_file(tmp_path: Path) -> None:
    path = tmp_path / "encoder.toml"
    path.write_text('use = "toy-letters"\ndim = 4\n')
    assert find_spec(str(path)) == SPEC
    path.write_text("dim = 4\n")
    with pytest.raises(ConfigError, match="'use'"):
        find_spec(str(path))
    with pytest.raises(ConfigError, match="cannot be read"):
        find_spec(str(tmp_path / "none.toml"))
