"""Installed plugins from source, broken ones too; `molvis_core.testing.offer` makes components of objects findable."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from molvis_core.plugins import plugins
from molvis_core.testing.offering import installed_folder

Install = Callable[..., None]

MANIFEST = """
from molvis_core import Component, hookimpl

@hookimpl
def molvis_components():
    return [{components}]
"""


def manifest(*components: str) -> str:
    """Source of a manifest; each component is `kind name target`."""
    made = []
    for component in components:
        kind, name, target = component.split()
        made.append(f"Component(kind={kind!r}, name={name!r}, target={target!r}, summary='For tests.')")
    return MANIFEST.format(components=", ".join(made))


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Install]:
    """Put a distribution with one plugin on sys.path: `install("acme-raman", {"acme.py": source}, "acme")`."""
    before = set(sys.modules)
    monkeypatch.syspath_prepend(str(tmp_path))

    def put(distribution: str, files: dict[str, str], module: str, *, name: str = "", version: str = "1.2") -> None:
        installed_folder(tmp_path, name or distribution, module, distribution=distribution, version=version)
        for file, source in files.items():
            (tmp_path / file).write_text(source)
        importlib.invalidate_caches()
        plugins.cache_clear()

    plugins.cache_clear()
    yield put
    plugins.cache_clear()
    for fresh in set(sys.modules) - before:
        if str(getattr(sys.modules[fresh], "__file__", None) or "").startswith(str(tmp_path)):
            del sys.modules[fresh]
