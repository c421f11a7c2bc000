"""Components for the length of a test: `with offer(encoder={"toy": Toy}): ...`, and the registry finds them.

They are found as those of installed plugins are. A folder on `sys.path` holds what pip would leave of a distribution,
its entry point and a manifest, so that no module is patched, and processes that the test starts find them as well.
"""

from __future__ import annotations

import contextlib
import importlib
import itertools
import operator
import os
import sys
import tempfile
from collections.abc import Collection, Generator, Mapping
from dataclasses import replace
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any
from unittest import mock

from molvis_core import plugins as discovery
from molvis_core.errors import PluginError, did_you_mean
from molvis_core.plugins import KINDS, Component, Plugin

__all__ = ["installed_folder", "offer", "toy_component"]

_numbers = itertools.count(1)
_MANIFEST = """from molvis_core.plugins import Component, hookimpl

@hookimpl
def molvis_components():
    return {components}
"""


def toy_component(kind: str, name: str, thing: object, **fields: Any) -> Component:
    """A component whose target is an object, such as a class or a function of a test module.

    An object that can be imported by its module and qualified name is named so, and other processes find it too. Any
    other object, such as one made within a test, is kept here, and only this process finds it.

    Args:
        kind: of the component, such as `encoder`.
        name: of the component.
        thing: what `molvis_core.registry.load` shall return.
        fields: further fields of `Component`, such as `suffixes` and `modality` of a reader.

    Raises:
        PluginError: there is no such kind.
    """
    if kind not in KINDS:
        raise PluginError(f"There is no kind {kind!r}.{did_you_mean(kind, KINDS)} Kinds: {', '.join(KINDS)}.")
    fields.setdefault("summary", "For tests.")
    return Component(kind, name, _importable(thing) or _kept(thing), **fields)


def _importable(thing: object) -> str:
    """`module:attribute` under which an object can be imported; empty where there is none."""
    module, attribute = getattr(thing, "__module__", ""), getattr(thing, "__qualname__", "")
    if not all(part.isidentifier() for part in f"{module}.{attribute}".split(".")):
        return ""
    try:
        found = operator.attrgetter(attribute)(sys.modules[module])
    except (KeyError, AttributeError):
        return ""
    return f"{module}:{attribute}" if found is thing else ""


def _kept(thing: object) -> str:
    name = f"_offered_{next(_numbers)}"
    globals()[name] = thing
    return f"{__name__}:{name}"


def installed_folder(folder: Path, plugin: str, module: str, *, distribution: str, version: str) -> None:
    """Write what pip leaves of a distribution with one plugin, as far as Python looks for it."""
    info = folder / f"{distribution.replace('-', '_')}-{version}.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {distribution}\nVersion: {version}\n", "utf-8")
    (info / "entry_points.txt").write_text(f"[{discovery.GROUP}]\n{plugin} = {module}\n", "utf-8")


@contextlib.contextmanager
def offer(*given: Component | Plugin, hide: Collection[str] = (), **kinds: Mapping[str, object]) -> Generator[None]:
    """Make components findable by the registry until the block ends.

        with offer(encoder={"toy": Toy}, loss={"toy-softmax": Softmax}):
            build("encoder", {"use": "toy", "dim": 8})

    Args:
        given: components as a manifest has them, for what needs more than a name (`toy_component` makes them of
            objects), or whole plugins, whose names and versions are then those of a distribution of their own.
        hide: distributions whose components are not found meanwhile; `*` hides all that are found now, so that an offer
            within this block is found. This holds in the present process alone.
        kinds: of each kind the objects by name. A kind with a hyphen is written with an underscore.

    Raises:
        PluginError: there is no such kind, or a name is none that a component may have.
    """
    loose = [toy_component(k.replace("_", "-"), n, thing) for k, some in kinds.items() for n, thing in some.items()]
    loose += [one for one in given if isinstance(one, Component)]
    offered = [one for one in given if isinstance(one, Plugin)]
    if loose:
        offered.append(Plugin("offered", _unused("molvis-offered"), "1.0", "", tuple(loose)))
    with contextlib.ExitStack() as undone:
        folder = Path(undone.enter_context(tempfile.TemporaryDirectory(prefix="molvis-offered-")))
        modules = [_write(folder, plugin) for plugin in offered]
        undone.callback(_forget, modules)
        path = os.pathsep.join(filter(None, [str(folder), os.environ.get("PYTHONPATH", "")]))
        undone.enter_context(mock.patch.dict(os.environ, {"PYTHONPATH": path}))
        sys.path.append(str(folder))
        undone.callback(sys.path.remove, str(folder))
        if hide:
            undone.enter_context(mock.patch.object(discovery, "entry_points", _visible(hide, offered)))
        importlib.invalidate_caches()
        discovery.plugins.cache_clear()
        yield


def _unused(distribution: str) -> str:
    """A name that no offer around this one has: Python sees one distribution of a name, the first on its path."""
    taken = {p.distribution for p in discovery.plugins()}
    names = itertools.chain([distribution], (f"{distribution}-{number}" for number in itertools.count(2)))
    return next(name for name in names if name not in taken)


def _write(folder: Path, plugin: Plugin) -> str:
    module = f"_molvis_offered_{os.getpid()}_{next(_numbers)}"
    plain = [replace(c, plugin="", distribution="", version="") for c in plugin.components]
    (folder / f"{module}.py").write_text(_MANIFEST.format(components=plain), "utf-8")
    installed_folder(folder, plugin.name, module, distribution=plugin.distribution, version=plugin.version)
    return module


def _visible(hide: Collection[str], offered: Collection[Plugin]) -> Any:
    entry_points = discovery.entry_points
    hidden = {_distribution(e) for e in entry_points()} if "*" in hide else set(hide)
    hidden -= {p.distribution for p in offered}
    return lambda: [e for e in entry_points() if _distribution(e) not in hidden]


def _distribution(entry_point: EntryPoint) -> str:
    return entry_point.dist.name if entry_point.dist else ""


def _forget(modules: Collection[str]) -> None:
    for module in modules:
        sys.modules.pop(module, None)
    importlib.invalidate_caches()
    discovery.plugins.cache_clear()
