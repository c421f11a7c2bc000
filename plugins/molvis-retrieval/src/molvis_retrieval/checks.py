"""How `molvis check` checks components of the kinds that this package owns."""

from __future__ import annotations

from pathlib import Path

from molvis_core import Component, registry
from molvis_core.testing import synthetic_records


def check_preset(component: Component) -> None:
    """A preset is a configuration that reads.

    Raises:
        molvis_core.errors.ConfigError: it does not.
    """
    from molvis_retrieval.config import read_config

    read_config(Path(registry.load("preset", component.name)))


def check_bundle(component: Component) -> None:
    """A bundle opens, and embeds synthetic records.

    Raises:
        molvis_core.errors.BundleError: it does not open.
    """
    from molvis_retrieval.bundle import load_bundle
    from molvis_retrieval.config import is_fused

    bundle = load_bundle(component.name)
    for key in bundle.modalities:
        if not is_fused(bundle.config, key):
            bundle.embed(key, synthetic_records(bundle.encoder(key).accepts))
