"""Plugins are found by their entry points, from fake dist-info folders as pip would write them."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from molvis_core import plugins as discovery
from molvis_core import registry
from molvis_core.errors import ComponentError, PluginError

Install = Callable[..., None]

MANIFEST = """
from molvis_core import Component, hookimpl

@hookimpl
def molvis_components():
    return [Component(kind="loss", name={name!r}, target={target!r}, summary="A loss made for this test.")]
"""


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Install]:
    """Put a distribution with one plugin where Python looks for them."""
    monkeypatch.syspath_prepend(str(tmp_path))
    before = set(sys.modules)

    def put(distribution: str, manifest: str, *, version: str = "1.0") -> None:
        module = distribution.replace("-", "_")
        (tmp_path / f"{module}.py").write_text(manifest, encoding="utf-8")
        info = tmp_path / f"{module}-{version}.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {distribution}\nVersion: {version}\n")
        (info / "entry_points.txt").write_text(f"[molvis]\n{module} = {module}\n")
        discovery.plugins.cache_clear()

    yield put
    for name in set(sys.modules) - before:
        if name.startswith("fake"):
            del sys.modules[name]
    monkeypatch.undo()
    discovery.plugins.cache_clear()


def plugin(distribution: str) -> discovery.Plugin:
    (found,) = [p for p in discovery.plugins() if p.distribution == distribution]
    return found


def test_an_installed_distribution_is_found_with_its_origin(install: Install) -> None:
    install("fake-raman", MANIFEST.format(name="fake-loss", target="math:sqrt"), version="2.3")
    found = registry.component("loss", "fake-loss")
    assert (found.distribution, found.version, found.plugin) == ("fake-raman", "2.3", "fake_raman")
    assert registry.load("loss", "fake-loss")(9.0) == 3.0


@pytest.mark.parametrize(
    ("manifest", "problem"),
    [
        ("import a_module_that_is_not_there", "ModuleNotFoundError"),
        ("raise RuntimeError('no licence file')", "RuntimeError: no licence file"),
        ("raise SystemExit(3)", "SystemExit"),
        ("def f(:", "SyntaxError"),
        ("", "no function molvis_components"),
        (
            "from molvis_core import hookimpl\n@hookimpl\ndef molvis_components():\n    return ['clerms']",
            "not a molvis_core.Comp",
        ),
        (MANIFEST.format(name="Fake_Loss", target="math:sqrt"), "lowercase letters"),
        (MANIFEST.format(name="fake-loss", target="math.sqrt"), "module:attribute"),
        (
            "from molvis_core import hookimpl\n@hookimpl\ndef molvis_components(settings):\n    return []",
            "settings",
        ),
    ],
)
def test_a_broken_plugin_is_reported_and_stops_nobody(install: Install, manifest: str, problem: str) -> None:
    install("fake-broken", manifest)
    install("fake-sound", MANIFEST.format(name="fake-sound", target="math:sqrt"))
    assert problem in plugin("fake-broken").problem
    assert plugin("fake-broken").components == ()
    assert registry.load("loss", "fake-sound")(4.0) == 2.0


def test_a_missing_component_names_the_broken_plugins_that_may_have_had_it(install: Install) -> None:
    install("fake-broken", "raise RuntimeError('no licence file')")
    with pytest.raises(ComponentError, match=r"Broken plugins: .*fake-broken \(RuntimeError: no licence file\)"):
        registry.load("loss", "fake-loss")


def test_two_plugins_with_one_name_are_an_error_only_when_that_name_is_asked_for(install: Install) -> None:
    install("fake-one", MANIFEST.format(name="fake-twin", target="math:sqrt"))
    install("fake-two", MANIFEST.format(name="fake-twin", target="math:cos"))
    install("fake-three", MANIFEST.format(name="fake-single", target="math:sin"))
    assert registry.load("loss", "fake-single")(0.0) == 0.0
    with pytest.raises(ComponentError, match=r"fake-one \(math:sqrt\) and fake-two \(math:cos\)"):
        registry.load("loss", "fake-twin")


def test_a_target_that_cannot_be_imported_is_named_when_it_is_asked_for(install: Install) -> None:
    install("fake-hollow", MANIFEST.format(name="fake-hollow", target="math:no_such_function"))
    assert plugin("fake-hollow").problem == ""
    with pytest.raises(PluginError, match=r"fake-hollow 1\.0 cannot be loaded from math:no_such_function"):
        registry.load("loss", "fake-hollow")


def test_a_distribution_seen_twice_on_the_path_is_one_plugin(
    install: Install, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install("fake-raman", MANIFEST.format(name="fake-loss", target="math:sqrt"))
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    discovery.plugins.cache_clear()
    assert plugin("fake-raman").problem == ""
