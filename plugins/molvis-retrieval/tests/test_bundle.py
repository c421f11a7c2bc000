"""Bundles: what is written is read back, and what is damaged is refused with a reason."""

from __future__ import annotations

import dataclasses
import errno
import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from molvis_core.chemistry.structures import structure
from molvis_core.errors import BundleError, RecordError
from molvis_core.records import PeakList
from molvis_core.testing import offer
from molvis_retrieval import bundle_folder
from molvis_retrieval.bundle import Bundle, Calibration, load_bundle, save_bundle, verify_bundle, write_calibration
from molvis_retrieval.bundle_folder import find_bundle
from molvis_retrieval.config import RunConfig, parse_config

sys.path.insert(0, str(Path(__file__).parent))
import toy


@pytest.fixture(autouse=True)
def toys() -> Iterator[None]:
    with offer(toy.PLUGIN):
        yield


@pytest.fixture
def config() -> RunConfig:
    return parse_config(toy.CONFIG)


@pytest.fixture
def states() -> dict[str, dict[str, torch.Tensor]]:
    torch.manual_seed(0)
    return {"msms": toy.Peaks().state_dict(), "structure": toy.Letters().state_dict()}


@pytest.fixture
def saved(tmp_path: Path, config: RunConfig, states: dict) -> Bundle:
    return save_bundle(tmp_path / "tiny", config, states, metadata={"licence": "CC0", "metrics": {"val_mrr": 0.5}})


SPECTRA = [PeakList(np.array([50.0, 61.5]), np.array([1.0, 0.5])), PeakList(np.array([77.0]), np.array([1.0]))]


def test_vectors_are_the_same_after_a_round_trip(saved: Bundle, states: dict) -> None:
    encoder = toy.Peaks().eval()
    encoder.load_state_dict(states["msms"])
    with torch.inference_mode():
        expected = encoder(encoder.collate(SPECTRA)).numpy()
    vectors = load_bundle(saved.path).embed("msms", SPECTRA)
    assert vectors.dtype == np.float32
    np.testing.assert_array_equal(vectors, expected)
    np.testing.assert_allclose(saved.embed("msms", SPECTRA, batch_size=1), expected, atol=1e-6)


def test_half_precision_is_half_the_size_and_near_enough(tmp_path: Path, config: RunConfig, states: dict) -> None:
    whole = save_bundle(tmp_path / "whole", config, states)
    half = save_bundle(tmp_path / "half", config, states, half=True)
    size = (half.path / "msms.safetensors").stat().st_size / (whole.path / "msms.safetensors").stat().st_size
    assert size < 0.6
    np.testing.assert_allclose(half.embed("msms", SPECTRA), whole.embed("msms", SPECTRA), atol=2e-3)
    assert half.digest != whole.digest


def test_the_card_and_the_metadata_say_what_is_in_it(saved: Bundle) -> None:
    card = (saved.path / "CARD.md").read_text()
    assert "toy-peaks" in card
    assert "CC0" in card
    assert load_bundle(saved.path).metadata["metrics"] == {"val_mrr": 0.5}
    assert load_bundle(saved.path).metadata["plugins"]["molvis-toy"] == "1.0"


def test_calibration_is_stored_and_changes_the_digest_of_the_bundle_but_not_of_its_encoders(saved: Bundle) -> None:
    found = write_calibration(saved, Calibration({"msms": 20.0}, 64, "val"))
    again = load_bundle(saved.path)
    assert again.calibration == found.calibration == Calibration({"msms": 20.0}, 64, "val")
    assert again.encoders_digest == found.encoders_digest == saved.encoders_digest
    assert again.digest == found.digest != saved.digest
    assert saved.with_calibration(again.calibration).digest == again.digest


def test_one_flipped_bit_of_a_bundle_does_not_go_unnoticed(saved: Bundle) -> None:
    rng = np.random.default_rng(0)
    for file in ("bundle.toml", "msms.safetensors", "structure.safetensors"):
        good = (saved.path / file).read_bytes()
        for place in rng.integers(len(good), size=40):
            bad = bytearray(good)
            bad[place] ^= 1 << int(rng.integers(8))
            (saved.path / file).write_bytes(bad)
            with pytest.raises(BundleError):
                load_bundle(saved.path)
        (saved.path / file).write_bytes(good)
    assert load_bundle(saved.path).digest == saved.digest


def test_a_calibration_changed_by_hand_is_refused_until_it_is_accepted(saved: Bundle) -> None:
    write_calibration(saved, Calibration({"msms": 20.0}))
    file = saved.path / "bundle.toml"
    file.write_text(file.read_text().replace("msms = 20.0", "msms = 21.0"))
    with pytest.raises(
        BundleError, match=r"its checksum\. .* edited it on purpose: molvis bundle verify .*tiny --accept"
    ):
        verify_bundle(saved.path)
    assert verify_bundle(saved.path, accept=True).calibration.weights == {"msms": 21.0}
    assert load_bundle(saved.path).calibration.weights == {"msms": 21.0}


def test_an_edit_is_not_accepted_over_damaged_weights(saved: Bundle) -> None:
    file, weights = saved.path / "bundle.toml", saved.path / "msms.safetensors"
    file.write_text(file.read_text().replace("CC0", "CC1"))
    before = file.read_bytes()
    weights.write_bytes(b"x" + weights.read_bytes()[1:])
    with pytest.raises(BundleError, match=r"msms\.safetensors: damaged"):
        verify_bundle(saved.path, accept=True)
    assert file.read_bytes() == before


def test_a_bundle_of_format_1_opens_and_is_written_anew_in_the_present_one(tmp_path: Path) -> None:
    path = shutil.copytree(Path(__file__).parent / "bundles" / "v1", tmp_path / "v1")
    old = load_bundle(path)
    assert (old.calibration, old.metadata["licence"]) == (Calibration({"msms": 7.5}, 32, "val"), "CC0")
    assert np.linalg.norm(old.embed("msms", SPECTRA), axis=1) == pytest.approx([1, 1], abs=1e-6)
    # What molvis of format 1 called the bundle's digest: the indexes that people have stay valid.
    assert old.encoders_digest == "e5f42caa44471444ccdafca97646066867f062e34d6738034db84cfe4dfca288"
    new = write_calibration(old, Calibration({"msms": 8.0}))
    assert (path / "bundle.toml").read_text().startswith(f'format = 2\nchecksum = "{new.digest}"\n')
    assert load_bundle(path).encoders_digest == old.encoders_digest


def test_nothing_is_pickled(saved: Bundle) -> None:
    assert {p.suffix for p in saved.path.iterdir()} == {".toml", ".md", ".safetensors"}


def test_a_bundle_of_a_newer_format_asks_for_an_upgrade(saved: Bundle) -> None:
    file = saved.path / "bundle.toml"
    file.write_text(file.read_text().replace("format = 2", "format = 99"))
    with pytest.raises(BundleError, match=r"format 99; this molvis reads up to 2\. Upgrade it: pip install"):
        load_bundle(saved.path)


def test_damaged_weights_are_named(saved: Bundle) -> None:
    file = saved.path / "structure.safetensors"
    file.write_bytes(file.read_bytes()[:-7])
    with pytest.raises(BundleError, match=r"structure\.safetensors: damaged: its digest"):
        load_bundle(saved.path)


def test_missing_weights_are_named(saved: Bundle) -> None:
    (saved.path / "msms.safetensors").unlink()
    with pytest.raises(BundleError, match=r"incomplete: msms\.safetensors is missing"):
        load_bundle(saved.path)


def test_a_missing_plugin_comes_with_its_pip_line(saved: Bundle) -> None:
    with offer(hide=["molvis-toy"]), pytest.raises(BundleError, match="pip install .*molvis-toy"):
        load_bundle(saved.path)


def test_a_folder_without_a_bundle_and_a_name_nobody_ships_are_refused(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match=r"bundle\.toml is missing"):
        load_bundle(tmp_path)
    with pytest.raises(BundleError, match="no installed plugin ships a bundle of this name"):
        load_bundle("massbnak")


def test_a_folder_of_a_shipped_bundles_name_does_not_take_its_place(
    saved: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    shipped = tmp_path / "elsewhere" / "known"
    shutil.copytree(saved.path, shipped)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "known").mkdir()
    with offer(bundle={"known": shipped}):
        assert find_bundle("known") == shipped
        assert not caplog.messages
        shutil.copytree(saved.path, tmp_path / "known", dirs_exist_ok=True)
        assert find_bundle("known") == shipped
        said = f"known: the shipped bundle of this name is used; for the folder write .{os.sep}known"
        assert caplog.messages == [said]
        assert find_bundle("./known") == find_bundle(Path("known")) == Path("known")


def test_a_folder_is_found_by_its_name_where_no_bundle_of_that_name_is_shipped(
    saved: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    shutil.copytree(saved.path, tmp_path / "mine")
    assert find_bundle("mine") == Path("mine")
    (tmp_path / "knwon").mkdir()
    with pytest.raises(BundleError, match=r"knwon: no installed .*, and the folder of this name holds no bundle\.toml"):
        find_bundle("knwon")
    with pytest.raises(BundleError, match=r"runs/known: no such folder\. It is a path"):
        find_bundle("runs/known")


def test_an_old_format_is_upgraded_step_by_step(saved: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    def upgrade(raw: dict) -> dict:
        return {**raw, "format": 3, "licence": raw["licence"] + ", upgraded"}

    monkeypatch.setattr(bundle_folder, "FOLDER", dataclasses.replace(bundle_folder.FOLDER, version=3))
    monkeypatch.setitem(bundle_folder.UPGRADES, 2, upgrade)
    assert load_bundle(saved.path).metadata["licence"] == "CC0, upgraded"


def test_a_full_disk_leaves_the_old_bundle(saved: Bundle, states: dict, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(path: Path, *args: object, **options: object) -> int:
        raise OSError(errno.ENOSPC, "No space left on device", str(path))

    monkeypatch.setattr(Path, "write_text", full)
    with pytest.raises(BundleError, match="cannot be written: .*No space left"):
        save_bundle(saved.path, saved.config, states)
    monkeypatch.undo()
    assert saved.path.is_dir()
    assert [p.name for p in saved.path.parent.iterdir()] == ["tiny"]


def test_a_record_of_another_type_is_refused(saved: Bundle) -> None:
    with pytest.raises(RecordError, match="record 1 is a Structure; the 'msms' encoder takes PeakList"):
        saved.embed("msms", [SPECTRA[0], structure("CCO")])
    with pytest.raises(BundleError, match=r"no encoder for 'ms'\. Did you mean 'msms'"):
        saved.embed("ms", SPECTRA)


def test_the_digest_follows_weights_and_configuration_not_the_place(saved: Bundle, tmp_path: Path) -> None:
    shutil.copytree(saved.path, tmp_path / "elsewhere")
    assert load_bundle(tmp_path / "elsewhere").digest == saved.digest


@pytest.mark.skipif(os.name != "posix", reason="permissions as POSIX has them")
def test_others_who_may_read_the_folder_may_read_the_weights(tmp_path: Path, config: RunConfig, states: dict) -> None:
    mask = os.umask(0o022)
    try:
        bundle = save_bundle(tmp_path / "shared", config, states)
    finally:
        os.umask(mask)
    modes = {f.name: f.stat().st_mode & 0o777 for f in bundle.path.iterdir()}
    assert set(modes.values()) == {0o644}, modes
