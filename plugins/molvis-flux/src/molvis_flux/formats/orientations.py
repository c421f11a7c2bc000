"""The orders of its atoms in which a symmetric molecule looks the same."""

from __future__ import annotations

from molvis_flux.model.network import Metabolite


def orientations(metabolite: Metabolite) -> tuple[tuple[int, ...], ...]:
    """All of them, the written one first; none where the molecule is not symmetric."""
    if not metabolite.symmetries:
        return ()
    found = [tuple(range(len(metabolite.elements)))]
    for turn in found:  # grows while it is gone through, until the turns are closed
        for by in metabolite.symmetries:
            new = tuple(turn[i] for i in by)
            if new not in found:
                found.append(new)
    return tuple(found)
