"""Reference spectra that are like a query, and both drawn against each other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

import numpy as np
from jaxtyping import Bool, Float

from molvis_core.errors import RecordError
from molvis_core.records import Measurement, Trace
from molvis_core.ties import best
from molvis_ir.baselines import Baseline
from molvis_ir.preparation import grid, measured, prepare

_LEAST = 0.25
_TIE = 1e-6


@dataclass(frozen=True, slots=True)
class Match:
    """A reference that was compared.

    Attributes:
        number: of the reference, from 0.
        similarity: cosine of the two spectra without baselines, over the points that both have.
        shared: share of the grid that both have.
    """

    number: int
    similarity: float
    shared: float


def search(query: Trace, references: Sequence[Trace], *, top: int = 10, below: Baseline = "asls") -> list[Match]:
    """References by similarity to a query, the most similar first.

    Both come onto the grid of the encoders (550 to 3846 cm^-1). References that share less than a quarter of it with
    the query are left out.

    Args:
        query: absorbance over wavenumber.
        references: the same.
        top: how many are returned at most.
        below: how baselines are found that are taken away first.

    Raises:
        RecordError: a spectrum that covers less than a quarter of the grid, or is zero on it.
    """
    values = prepare([query, *references], below=below)
    known = measured([query, *references])
    return compare(values[0], known[0], values[1:], known[1:], top=top)


def compare(
    query: Float[np.ndarray, " t"],
    query_known: Bool[np.ndarray, " t"],
    references: Float[np.ndarray, "n t"],
    known: Bool[np.ndarray, "n t"],
    *,
    top: int = 10,
) -> list[Match]:
    """The same of spectra on the grid; see `molvis_ir.preparation`.

    Raises:
        RecordError: no reference shares a quarter of the grid with the query.
    """
    both = known & query_known
    shared = both.mean(axis=1)
    product = (references * both) @ query
    norms = np.sqrt((references**2 * both).sum(axis=1) * (both @ (query**2)))
    similarity = np.divide(product, norms, out=np.zeros_like(product), where=norms > 0)
    usable = np.flatnonzero(shared >= _LEAST)
    if len(known) and not len(usable):
        raise RecordError("no reference was measured over a quarter of 550 to 3846 cm^-1 that the query has too")
    order = usable[best(similarity[usable].astype(np.float64), top, _TIE)]
    return [Match(int(i), float(similarity[i]), float(shared[i])) for i in order]


def mirror_plot(query: Measurement, reference: Measurement, match: Match | None = None) -> str:
    """Query above and reference below one axis, as an SVG drawing that stands alone.

    Both are without baselines and scaled to their highest band. The wavenumber falls to the right, as is the custom.
    Where a spectrum was not measured it has no line.
    """
    points = grid()
    names = [_name(query, "query"), _name(reference, "reference")]
    lines = []
    for number, item in enumerate((query, reference)):
        values, known = prepare([item.record], below="asls")[0], measured([item.record])[0]
        values = values / max(float(values.max()), 1e-12)
        lines.append(_line(points, values, known, up=number == 0))
    said = "" if match is None else f", similarity {match.similarity:.3f}"
    ticks = "".join(
        f'<line x1="{_across(t):.1f}" x2="{_across(t):.1f}" y1="386" y2="391" stroke="#666"/>'
        f'<text x="{_across(t):.1f}" y="405" text-anchor="middle">{t}</text>'
        for t in range(1000, 4000, 500)
    )
    return (
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 900 430" font-family="sans-serif" font-size="12" '
        f'role="img" aria-label="{escape(names[0])} above, {escape(names[1])} below{said}">'
        '<rect width="900" height="430" fill="#fff"/>'
        f'<path d="{lines[0]}" fill="none" stroke="#1f5fa8" stroke-width="1.2"/>'
        f'<path d="{lines[1]}" fill="none" stroke="#b3471d" stroke-width="1.2"/>'
        '<line x1="40" x2="880" y1="205" y2="205" stroke="#666"/>'
        '<line x1="40" x2="880" y1="386" y2="386" stroke="#666"/>'
        f'<text x="44" y="20" fill="#1f5fa8">{escape(names[0])}</text>'
        f'<text x="44" y="378" fill="#b3471d">{escape(names[1])}{said}</text>{ticks}'
        '<text x="880" y="423" text-anchor="end">wavenumber in cm⁻¹</text></svg>\n'
    )


def _name(item: Measurement, other: str) -> str:
    structure = item.structure.smiles if item.structure else ""
    return ", ".join(part for part in (item.name or item.record.identifier or other, structure) if part)


def _across(wavenumber: float) -> float:
    low, high = grid()[[0, -1]]
    return 40 + (high - wavenumber) / (high - low) * 840


def _line(
    points: Float[np.ndarray, " t"], values: Float[np.ndarray, " t"], known: Bool[np.ndarray, " t"], *, up: bool
) -> str:
    parts, pen = [], "M"
    for x, y, there in zip(points.tolist(), values.tolist(), known.tolist(), strict=True):
        if there:
            height = 205 - 165 * y if up else 205 + 165 * y  # equal spectra look equal
            parts.append(f"{pen}{_across(x):.1f} {height:.1f}")
        pen = "L" if there else "M"
    return "".join(parts)
