"""How `molvis check` checks components of the kinds that this package owns."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from molvis_core import Component, registry
from molvis_core.errors import ConfigError
from molvis_core.records import PeakList
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


def check_linker(component: Component) -> None:
    """A linker joins spectra that are the same, and neither unlike ones nor one with itself.

    Raises:
        ConfigError: it does not.
    """
    mz = np.linspace(80.0, 190.0, 12)
    like, other = (PeakList(m, np.ones(12), 200.0, ionmode="positive") for m in (mz, mz + 0.37))
    found = registry.load("linker", component.name)([like, other, like])
    if [(one.first, one.second) for one in found] != [(0, 2)] or not 0.99 < found[0].similarity < 1.01:
        raise ConfigError(f"linker {component.name!r} must join two equal spectra with a similarity of 1, got {found}")
