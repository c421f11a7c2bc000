"""What the readers of INCA share: its tables, its JSON and its MATLAB files say the same in three ways."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from molvis_core.text import count_of
from molvis_flux.formats.builder import Draft
from molvis_flux.formats.notation import blend
from molvis_flux.model.network import Datum, Tracer


def mixture(
    draft: Draft, source: str, parts: list[tuple[tuple[int, ...], float, float]], line: int | None, path: Path | None
) -> Tracer:
    """A tracer of `(labelled atoms from 1, share, purity)`; the rest is unlabelled."""
    place = None if path is None else str(path)
    metabolite = draft.known_metabolite(source, line, "a tracer", place)
    count = len(metabolite.elements)
    patterns: list[tuple[str, float, float]] = []
    for atoms, share, purity in parts:
        if max(atoms, default=0) > count:
            raise draft.error(
                f"the tracer of {source!r} is labelled at atom {max(atoms)}, and {source} has {count} atoms; correct "
                "the positions",
                line,
                place,
            )
        patterns.append(("".join("1" if i + 1 in atoms else "0" for i in range(count)), share, purity))
    total = sum(share for _, share, _ in patterns)
    if total > 1 + 1e-9:
        raise draft.error(f"the tracers of {source!r} add up to {total:g}; shares sum to at most one", line, place)
    if total < 1 - 1e-9:
        patterns.append(("0" * count, 1 - total, 1.0))
    return blend(patterns)


def normalised(name: str, values: tuple[float, ...], sd: tuple[float, ...], **more: Any) -> Datum:
    """Intensities are in any unit: a complete MID is made to sum to one, another has a scale to be fitted."""
    total = sum(values)
    if not total > 0:
        return Datum(name, "mid", values, sd, scaled=True, **more)
    return Datum(name, "mid", tuple(v / total for v in values), tuple(s / total for s in sd), **more)


def joined(formula: str) -> str:
    """A formula in which an element stands once: `C2C12H32` is `C14H32`."""
    counts: dict[str, int] = {}
    for element, count in re.findall(r"([A-Z][a-z]?)(\d*)", formula):
        counts[element] = counts.get(element, 0) + count_of(count)
    return "".join(f"{element}{count}" for element, count in counts.items())
