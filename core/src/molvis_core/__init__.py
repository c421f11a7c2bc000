"""The core of molvis: what a plugin's author needs to describe measurements and to offer components.

Public names are imported when first used: `import molvis_core` costs no RDKit.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from molvis_core.lazy import lazy_names
from molvis_core.plugins import Component, hookimpl

if TYPE_CHECKING:
    from molvis_core.chemistry.structures import structure
    from molvis_core.errors import MolvisError
    from molvis_core.fitting import Fit, Fixed, Normal, Uniform
    from molvis_core.modality import Modality
    from molvis_core.records import Distribution, Measurement, PeakList, Structure, Trace, Value
    from molvis_core.registry import build, components, load

    __version__: str

_HOME = {
    "structure": "chemistry.structures", "MolvisError": "errors", "Fit": "fitting", "Fixed": "fitting",
    "Normal": "fitting", "Uniform": "fitting", "Modality": "modality", "Distribution": "records",
    "Measurement": "records", "PeakList": "records", "Structure": "records", "Trace": "records", "Value": "records",
    "build": "registry", "components": "registry", "load": "registry",
}  # fmt: skip
_MOVED = (
    "Bundle", "Candidate", "Dataset", "Identification", "Index", "Library", "RunConfig", "identify", "load_bundle",
    "read_config", "train",
)  # fmt: skip

__all__ = [
    "Component", "Distribution", "Fit", "Fixed", "Measurement", "Modality", "MolvisError", "Normal", "PeakList",
    "Structure", "Trace", "Uniform", "Value", "build", "components", "hookimpl", "load", "structure",
]  # fmt: skip
_attribute, __dir__ = lazy_names(__name__, _HOME)


def __getattr__(name: str) -> Any:
    if name in _MOVED:
        raise AttributeError(f"molvis_core.{name} is now molvis_retrieval.{name}, of the package molvis-retrieval")
    return _attribute(name)
