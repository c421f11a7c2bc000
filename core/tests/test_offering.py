from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

from molvis_core import registry
from molvis_core.errors import ComponentError, PluginError
from molvis_core.plugins import Component, Plugin, plugins
from molvis_core.testing import offer, toy_component


class Toy:
    def __init__(self, dim: int = 8) -> None:
        self.dim = dim


def test_what_is_offered_is_found_and_built_until_the_block_ends() -> None:
    with offer(encoder={"toy": Toy}):
        assert registry.build("encoder", {"use": "toy", "dim": 3}).dim == 3
        assert registry.component("encoder", "toy").distribution == "molvis-offered"
    with pytest.raises(ComponentError, match="no encoder named 'toy'"):
        registry.load("encoder", "toy")


def test_an_object_of_the_test_itself_is_offered_as_it_is() -> None:
    def read(path: Path) -> list[Path]:
        return [path]

    with offer(toy_component("reader", "toy", read, suffixes=(".toy",), modality="structure")):
        assert registry.for_suffix("reader", "a.toy.gz").name == "toy"
        assert registry.load("reader", "toy") is read


def test_offers_nest_and_a_whole_plugin_keeps_its_name_and_version() -> None:
    plugin = Plugin("acme", "molvis-acme", "1.5", "", (Component("loss", "acme", "acme:Loss", "Acme's."),))
    with offer(loss={"toy": Toy}):
        with offer(plugin):
            assert {"toy", "acme"} <= {c.name for c in registry.components("loss")}
            assert [(p.distribution, p.version) for p in plugins() if p.name == "acme"] == [("molvis-acme", "1.5")]
        with offer(encoder={"inner": Toy}):
            assert registry.load("encoder", "inner") is Toy
            assert registry.load("loss", "toy") is Toy
        assert "acme" not in {c.name for c in registry.components("loss")}
        assert registry.load("loss", "toy") is Toy


def test_what_is_installed_can_be_hidden() -> None:
    with offer(encoder={"toy": Toy}, hide="*"):
        assert [(c.kind, c.name) for c in registry.components()] == [("encoder", "toy")]
    with offer(hide=["molvis-core"]):
        assert "structure" not in {c.name for c in registry.components("modality")}
    assert "structure" in {c.name for c in registry.components("modality")}


def test_what_is_offered_within_a_block_that_hides_everything_is_found() -> None:
    with offer(encoder={"outer": Toy}, hide="*"):
        with offer(encoder={"inner": Toy}):
            assert {c.name for c in registry.components()} == {"outer", "inner"}
        with offer(encoder={"inner": Toy}, hide="*"):
            assert {c.name for c in registry.components()} == {"inner"}
        assert {c.name for c in registry.components()} == {"outer"}


def test_a_name_that_is_taken_is_as_much_an_error_as_with_installed_plugins() -> None:
    with offer(modality={"structure": object()}), pytest.raises(ComponentError, match="2 plugins offer a modality"):
        registry.load("modality", "structure")


def test_a_kind_that_does_not_exist_is_refused() -> None:
    with pytest.raises(PluginError, match="no kind 'encodr'. Did you mean 'encoder'"), offer(encodr={"toy": Toy}):
        pass


def test_a_process_that_the_test_starts_finds_what_can_be_imported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "importable.py").write_text("class Toy:\n    answer = 42\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    spec = importlib.util.spec_from_file_location("importable", tmp_path / "importable.py")
    assert spec is not None
    assert spec.loader is not None
    module: ModuleType = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "importable", module)
    spec.loader.exec_module(module)
    script = "from molvis_core import registry; print(registry.load('encoder', 'toy').answer)"
    with offer(encoder={"toy": module.Toy}):
        done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("42\n", "")
