"""Discovery: what is installed is found, and what is broken stops nobody."""

from __future__ import annotations

import subprocess
import sys

import pytest
from fake_plugins import Install, install, manifest

from molvis_core.errors import PluginError
from molvis_core.plugins import Component, Plugin, plugins
from molvis_core.registry import components, load

__all__ = ["install"]


def found(name: str) -> Plugin:
    (plugin,) = [p for p in plugins() if p.name == name]
    return plugin


def test_core_itself_is_a_plugin() -> None:
    core = found("core")
    assert (core.distribution, core.module, core.problem) == ("molvis-core", "molvis_core.plugin", "")
    assert "structure" in {c.name for c in core.components}


def test_a_plugin_on_the_path_is_found_with_its_origin(install: Install) -> None:
    install("acme-raman", {"acme.py": manifest("encoder raman-cnn acme_models:CNN")}, "acme", name="raman")
    plugin = found("raman")
    assert (plugin.distribution, plugin.version, plugin.module, plugin.problem) == ("acme-raman", "1.2", "acme", "")
    (component,) = plugin.components
    assert (component.plugin, component.distribution, component.version) == ("raman", "acme-raman", "1.2")
    assert "acme_models" not in sys.modules


@pytest.mark.parametrize(
    ("source", "problem"),
    [
        ("import nowhere_to_be_found", "ModuleNotFoundError: No module named 'nowhere_to_be_found'"),
        ("raise SystemExit(3)", "SystemExit: 3"),
        ("def broken(:", "SyntaxError"),
        ("x = 1", "has no function molvis_components marked with @molvis_core.hookimpl"),
        (
            "from molvis_core import hookimpl\n@hookimpl\ndef molvis_components(extra): return []",
            "Argument(s) {'extra'} are declared in the hookimpl but can not be found in the hookspec",
        ),
        (
            "from molvis_core import hookimpl\n@hookimpl\ndef molvis_components(): return ['raman']",
            "returned 'raman', which is not a molvis_core.Component",
        ),
        (
            "from molvis_core import hookimpl\n@hookimpl\ndef molvis_components(): return None",
            "TypeError: 'NoneType' object is not iterable",
        ),
        (manifest("encoder Raman acme:CNN"), "component name 'Raman' must be lowercase letters"),
        (manifest("encoder raman acme.CNN"), "target 'acme.CNN' is not of the form 'module:attribute'"),
    ],
)
def test_a_broken_plugin_is_reported_and_stops_nobody(source: str, problem: str, install: Install) -> None:
    install("acme-broken", {"acme_broken.py": source}, "acme_broken")
    install("acme-raman", {"acme.py": manifest("encoder raman-cnn acme_models:CNN")}, "acme")
    assert problem in found("acme-broken").problem
    assert found("acme-broken").components == ()
    assert "raman-cnn" in [c.name for c in components("encoder")]
    assert "structure" in [c.name for c in components("modality")]


def test_an_entry_point_to_nowhere_is_reported(install: Install) -> None:
    install("acme-gone", {}, "acme_gone.plugin")
    assert "No module named 'acme_gone'" in found("acme-gone").problem


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"name": "two--hyphens"}, "with single hyphens between"),
        ({"name": ""}, "with single hyphens between"),
        ({"target": "module"}, "not of the form"),
        ({"summary": " "}, "has no summary"),
    ],
)
def test_a_component_that_cannot_be_is_refused(fields: dict[str, str], message: str) -> None:
    with pytest.raises(PluginError, match=message):
        Component(**{"kind": "loss", "name": "a", "target": "m:a", "summary": "For tests.", **fields})


def test_loading_a_component_imports_its_module_and_no_other(install: Install) -> None:
    both = manifest("loss one acme_one:Loss", "loss two acme_two:Loss")
    install("acme", {"acme.py": both, "acme_one.py": "class Loss: pass", "acme_two.py": "raise ValueError"}, "acme")
    assert load("loss", "one").__module__ == "acme_one"
    assert "acme_two" not in sys.modules


def test_importing_molvis_and_listing_components_brings_in_no_torch_and_no_rdkit() -> None:
    script = (
        "import sys, molvis_core; molvis_core.components(); "
        "print([m for m in ('torch', 'rdkit', 'pyarrow', 'numpy') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_a_public_name_that_is_none_offers_the_nearest() -> None:
    import molvis_core

    with pytest.raises(AttributeError, match="Did you mean 'PeakList'"):
        _ = molvis_core.PeakLst
    for name in set(molvis_core.__all__) & set(dir(molvis_core)):
        assert name in dir(molvis_core)
