"""The retrieval engine of molvis: datasets, training, bundles, libraries of candidates, identification, evaluation.

Public names are imported when first used: `import molvis_retrieval` costs no torch and no RDKit.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from molvis_core.lazy import lazy_names

if TYPE_CHECKING:
    from molvis_retrieval.bundle import Bundle, load_bundle
    from molvis_retrieval.config import RunConfig, read_config
    from molvis_retrieval.dataset import Dataset
    from molvis_retrieval.identification import identify
    from molvis_retrieval.index import Index
    from molvis_retrieval.library import Library
    from molvis_retrieval.results import Candidate, Identification
    from molvis_retrieval.training.loop import train

    __version__: str

_HOME = {
    "Bundle": "bundle", "load_bundle": "bundle", "RunConfig": "config", "read_config": "config", "Dataset": "dataset",
    "Candidate": "results", "Identification": "results", "identify": "identification",
    "Index": "index", "Library": "library", "train": "training.loop",
}  # fmt: skip

__all__ = [
    "Bundle", "Candidate", "Dataset", "Identification", "Index", "Library", "RunConfig", "identify", "load_bundle",
    "read_config", "train",
]  # fmt: skip
__getattr__, __dir__ = lazy_names(__name__, _HOME)
