"""molvis names unknown molecules from what instruments measure.

Public names are imported when first used: `import molvis_core` costs no torch and no RDKit.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from molvis_core.plugins import Component, hookimpl

if TYPE_CHECKING:
    from molvis_core.bundle import Bundle, load_bundle
    from molvis_core.config import RunConfig, read_config
    from molvis_core.dataset import Dataset, Measurement
    from molvis_core.errors import MolvisError
    from molvis_core.fitting import Fit, Fixed, Normal, Uniform
    from molvis_core.identification import Candidate, Identification, identify
    from molvis_core.identity import structure
    from molvis_core.library import Index, Library
    from molvis_core.modality import Modality
    from molvis_core.records import Distribution, PeakList, Structure, Trace, Value
    from molvis_core.registry import build, components, load
    from molvis_core.training import train

_HOME = {
    "Bundle": "bundle", "load_bundle": "bundle", "RunConfig": "config", "read_config": "config",
    "Dataset": "dataset", "Measurement": "dataset", "MolvisError": "errors", "Fit": "fitting", "Fixed": "fitting",
    "Normal": "fitting", "Uniform": "fitting", "Candidate": "identification", "Identification": "identification",
    "identify": "identification", "structure": "identity", "Index": "library", "Library": "library",
    "Modality": "modality",
    "Distribution": "records", "PeakList": "records", "Structure": "records", "Trace": "records", "Value": "records",
    "build": "registry", "components": "registry", "load": "registry", "train": "training",
}  # fmt: skip

__version__ = "0.1.0"
__all__ = [
    "Bundle", "Candidate", "Component", "Dataset", "Distribution", "Fit", "Fixed", "Identification", "Index",
    "Library", "Measurement", "Modality", "MolvisError", "Normal", "PeakList", "RunConfig", "Structure", "Trace",
    "Uniform", "Value", "build", "components", "hookimpl", "identify", "load", "load_bundle", "read_config",
    "structure", "train",
]  # fmt: skip


def __getattr__(name: str) -> Any:
    if name in _HOME:
        return getattr(importlib.import_module(f"molvis_core.{_HOME[name]}"), name)
    from molvis_core.errors import did_you_mean

    raise AttributeError(f"module 'molvis_core' has no attribute {name!r}.{did_you_mean(name, _HOME)}")


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOME})
