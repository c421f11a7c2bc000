"""Which features of a run are alike, by whatever a plugin offers for joining spectra."""

from __future__ import annotations

from molvis_core import registry
from molvis_core.records import PeakList
from molvis_lcms.networks import LinksSpectra
from molvis_lcms.records import FeatureTable

__all__ = ["neighbours_of"]

_SHOWN = 8


def neighbours_of(table: FeatureTable) -> dict[str, list[tuple[str, float]]]:
    """Of each feature those that are like it, the most similar first; empty where no plugin joins spectra.

    Args:
        table: features; those without MS/MS are like no other.
    """
    names = [c.name for c in registry.components("linker")]
    some = [f for f in table.features if f.merged is not None and len(f.merged)]
    if not names or not some:
        return {}
    join = registry.load("linker", names[0])
    assert isinstance(join, LinksSpectra)
    spectra: list[PeakList] = [f.merged for f in some if f.merged is not None]
    near: dict[str, list[tuple[str, float]]] = {}
    for link in join(spectra):
        first, second = some[link.first].identifier, some[link.second].identifier
        near.setdefault(first, []).append((second, link.similarity))
        near.setdefault(second, []).append((first, link.similarity))
    return {name: sorted(others, key=lambda one: -one[1])[:_SHOWN] for name, others in near.items()}
