"""The retrieval engine of molvis: datasets, training, bundles, libraries of candidates, identification, evaluation.

Public names are imported when first used: `import molvis_retrieval` costs no torch and no RDKit.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from molvis_retrieval.bundle import Bundle, load_bundle
    from molvis_retrieval.config import RunConfig, read_config
    from molvis_retrieval.dataset import Dataset
    from molvis_retrieval.identification import Candidate, Identification, identify
    from molvis_retrieval.library import Index, Library
    from molvis_retrieval.training.loop import train

_HOME = {
    "Bundle": "bundle", "load_bundle": "bundle", "RunConfig": "config", "read_config": "config", "Dataset": "dataset",
    "Candidate": "identification", "Identification": "identification", "identify": "identification",
    "Index": "library", "Library": "library", "train": "training.loop",
}  # fmt: skip

__version__ = "0.1.0"
__all__ = [
    "Bundle", "Candidate", "Dataset", "Identification", "Index", "Library", "RunConfig", "identify", "load_bundle",
    "read_config", "train",
]  # fmt: skip


def __getattr__(name: str) -> Any:
    if name in _HOME:
        return getattr(importlib.import_module(f"molvis_retrieval.{_HOME[name]}"), name)
    from molvis_core.errors import did_you_mean

    raise AttributeError(f"module 'molvis_retrieval' has no attribute {name!r}.{did_you_mean(name, _HOME)}")


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOME})
