"""Contracts of manifests and of modalities."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys

from molvis_core import registry
from molvis_core.errors import MolvisError, did_you_mean
from molvis_core.modality import Modality
from molvis_core.plugins import KINDS, Component, Plugin
from molvis_core.records import RECORD_TYPES
from molvis_core.testing.checks._contract import ContractError, contract, require

HEAVY = ("torch", "rdkit", "jax", "pyarrow", "matplotlib", "scipy", "pandas", "torch_geometric", "tensorflow")
"""What a manifest must not bring in: any of them makes `molvis --help` slow."""


@contract("plugin-light")
def manifest_is_light(plugin: Plugin) -> None:
    """The manifest imports nothing heavy, in a process of its own."""
    script = (
        # The interpreter's own start-up may bring some in, through .pth files; that is not the manifest's doing.
        "import sys; before = set(sys.modules); import importlib, json; "
        "module = importlib.import_module(sys.argv[1]); list(module.molvis_components()); "
        f"print(json.dumps([h for h in {HEAVY!r} if h in sys.modules and h not in before]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, plugin.module], capture_output=True, text=True, check=False, timeout=120
    )
    require(done.returncode == 0, f"importing {plugin.module} failed: {done.stderr.strip().splitlines()[-1:]}")
    found = json.loads(done.stdout.splitlines()[-1])
    require(
        not found, f"importing the manifest {plugin.module} brings in {', '.join(found)}; import it where it is used"
    )


@contract("plugin-healthy")
def plugin_is_healthy(plugin: Plugin) -> None:
    """It loads, and offers something."""
    require(not plugin.problem, f"plugin {plugin.name} is broken: {plugin.problem}")
    require(plugin.components, f"plugin {plugin.name} offers no component")


@contract("plugin-targets")
def component_resolves(component: Component) -> None:
    """Its target can be imported, and what recognises its files; no other plugin offers the same name."""
    try:
        registry.load(component.kind, component.name)
        registry.recogniser(component)
        arguments = registry.parameters(component.kind, component.name) if component.parts else {}
    except MolvisError as error:
        raise ContractError(str(error)) from error
    require(
        not component.parts or component.parts in arguments,
        f"parts = {component.parts!r} is no argument of {component.kind} {component.name!r}. "
        f"It takes: {', '.join(arguments) or 'none'}.",
    )


@contract("plugin-summaries")
def component_is_described(component: Component) -> None:
    """A kind that there is; one line of summary; suffixes and modality where its kind has them."""
    known = f"{did_you_mean(component.kind, KINDS)} Kinds: {', '.join(KINDS)}."
    require(component.kind in KINDS, f"component {component.name!r} is of an unknown kind, {component.kind!r}.{known}")
    require("\n" not in component.summary, f"the summary of {component.kind} {component.name!r} has several lines")
    require(len(component.summary) <= 120, f"the summary of {component.kind} {component.name!r} is over 120 characters")
    for suffix in component.suffixes:
        fine = suffix.startswith(".") and suffix == suffix.lower()
        require(fine, f"{component.kind} {component.name!r}: suffix {suffix!r} must be lowercase and start with a dot")
    if component.kind in ("reader", "writer"):
        require(component.modality, f"{component.kind} {component.name!r} does not name its modality")
    kind_fits = component.kind == "encoder" or not component.parts
    require(kind_fits, f"{component.kind} {component.name!r} declares parts, which only an encoder has")


@contract("modality")
def modality_is_a_value(component: Component) -> None:
    """It is a `Modality` of the component's name; what is measured is carried by a record type of core."""
    found = registry.load("modality", component.name)
    require(isinstance(found, Modality), f"modality {component.name!r} is {found!r}, not a molvis_core.Modality")
    require(found.name == component.name, f"modality {component.name!r} calls itself {found.name!r}")
    known = ", ".join(RECORD_TYPES)
    of_core = found.record in RECORD_TYPES.values()
    require(of_core or not found.measured, f"modality {component.name!r}: its record is none of {known}")
    require(dataclasses.is_dataclass(found.record), f"modality {component.name!r}: its record is not a dataclass")
