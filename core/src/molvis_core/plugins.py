"""The one hook: a plugin returns a list of components.

A plugin is a distribution with an entry point in the group `molvis`. The module it names is the plugin's manifest: it
imports next to nothing and returns data, so that listing what is installed costs no torch, no RDKit and no JAX.
"""

from __future__ import annotations

import functools
import importlib.metadata
import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any, cast

import pluggy

from molvis_core.errors import PluginError

GROUP = "molvis"
KINDS = (
    "modality", "encoder", "loss", "target", "predictor", "fitter", "scorer", "classifier", "reader", "writer",
    "linker", "preset", "bundle", "translation", "references", "pretrainer", "command", "command-group", "contract",
    "example", "route", "spin-library",
)  # fmt: skip
"""The kinds of component. A new kind is a string here and a contract, not a new hook; `molvis check` refuses others."""

hookspec = pluggy.HookspecMarker(GROUP)
hookimpl = pluggy.HookimplMarker(GROUP)

_NAME = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
_TARGET = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_][\w.]*")


@dataclass(frozen=True, slots=True)
class Component:
    """One thing a plugin offers.

    Attributes:
        kind: one of `KINDS`.
        name: lowercase with hyphens; as configurations and command lines write it. That of a command begins with its
            group: `nmr-fit` runs as `molvis nmr fit`; one without a hyphen, such as `identify`, runs by itself. That of
            a contract is the kind of component that it checks.
        target: `module:attribute`, imported when first asked for.
        summary: one sentence for people.
        modality: of a reader or a writer: the modality of what it reads.
        suffixes: of a reader or a writer: the file endings it claims, lowercase, with the dot.
        recognises: of a reader whose endings others claim too: `module:function` that returns whether the file at a
            path is its own. It is asked only where several readers claim an ending.
        cite: DOI of the work behind it.
        parts: of a fusion, which is an encoder of the vectors that other encoders give for all measurements of an
            unknown: its argument that names these encoders by their keys in a configuration, such as `of`. It accepts
            `molvis_nn.fusion.Vectors`, and is called with a `VectorBatch`.
        replaces: names that it had before. They work for one release, with a warning.
        plugin, distribution, version: who offers it; filled in on loading.

    Raises:
        PluginError: a name that is not lowercase with hyphens, or a target that is not `module:attribute`.
    """

    kind: str
    name: str
    target: str
    summary: str
    modality: str = ""
    suffixes: tuple[str, ...] = ()
    cite: str = ""
    recognises: str = ""
    parts: str = ""
    replaces: tuple[str, ...] = ()
    plugin: str = ""
    distribution: str = ""
    version: str = ""

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name):
            raise PluginError(
                f"component name {self.name!r} must be lowercase letters and digits with single hyphens between"
            )
        for what, target in (("target", self.target), ("recognises", self.recognises or self.target)):
            if not _TARGET.fullmatch(target):
                raise PluginError(f"component {self.name!r}: {what} {target!r} is not of the form 'module:attribute'")
        if not self.summary.strip():
            raise PluginError(f"component {self.name!r} has no summary; describe it in one sentence")


class HookSpec:
    """The hooks that a plugin may implement."""

    @hookspec
    def molvis_components(self) -> list[Component]:  # ty: ignore[invalid-implicit-return-in-function-with-stub-body]
        """Everything this plugin offers. Data only: nothing heavy is imported here."""


@dataclass(frozen=True, slots=True)
class Plugin:
    """One installed plugin, healthy or not.

    Attributes:
        name: of its entry point.
        distribution, version: what pip installed.
        module: its manifest.
        components: what it offers; empty when broken.
        problem: empty when healthy; else what went wrong.
    """

    name: str
    distribution: str
    version: str
    module: str
    components: tuple[Component, ...] = ()
    problem: str = ""


def _load(entry: importlib.metadata.EntryPoint) -> Plugin:
    distribution = entry.dist.name if entry.dist else "?"
    version = entry.dist.version if entry.dist else "?"
    plugin = Plugin(entry.name, distribution, version, entry.module)
    # A manager for each plugin: registering checks the hook's signature, and nobody else's fault can interfere.
    manager = pluggy.PluginManager(GROUP)
    manager.add_hookspecs(HookSpec)
    try:
        module: Any = entry.load()
        manager.register(module, name=entry.name)
        implementations = manager.hook.molvis_components.get_hookimpls()
        if not implementations:
            raise PluginError(f"{entry.module} has no function molvis_components marked with @molvis_core.hookimpl")
        found = cast("Iterable[Any]", implementations[0].function())
        components: list[Component] = []
        for component in found:
            if not isinstance(component, Component):
                raise PluginError(f"molvis_components returned {component!r}, which is not a molvis_core.Component")
            components.append(replace(component, plugin=entry.name, distribution=distribution, version=version))
    except (Exception, SystemExit) as error:  # noqa: BLE001 - a stranger's manifest may raise anything; it stops nobody
        return replace(plugin, problem=f"{type(error).__name__}: {error}")
    return replace(plugin, components=tuple(components))


def entry_points() -> list[importlib.metadata.EntryPoint]:
    """Those of the group, each once: a folder may stand on `sys.path` twice."""
    found = importlib.metadata.entry_points(group=GROUP)
    return list({(e.name, e.value, e.dist.name if e.dist else ""): e for e in found}.values())


@functools.cache
def plugins() -> tuple[Plugin, ...]:
    """Every installed plugin, broken ones too, sorted by distribution and name.

    They are read once in each process: a plugin installed later needs a new process, or `plugins.cache_clear()`.
    """
    return tuple(sorted((_load(e) for e in entry_points()), key=lambda p: (p.distribution, p.name)))
