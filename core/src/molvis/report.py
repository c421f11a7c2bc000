"""A self-contained HTML report of identifications: nothing in it is fetched from elsewhere."""

from __future__ import annotations

import html
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from molvis.identification import Identification, summary, write_file
from molvis.records import PeakList, Structure

if TYPE_CHECKING:
    from molvis.bundle import Bundle
    from molvis.library import Index

_WIDTH, _HEIGHT = 860, 250
_LEFT, _RIGHT, _TOP, _BOTTOM = 46, 14, 26, 34


@dataclass(frozen=True, slots=True)
class Section:
    """What the template shows of one query."""

    found: Identification
    spectrum: str
    drawings: tuple[str, ...]
    explained: str
    shares: tuple[tuple[str, ...], ...]


def write_report(
    path: Path | str,
    found: Sequence[Identification],
    *,
    bundle: Bundle,
    index: Index,
    settings: Mapping[str, str] | None = None,
    shown: int = 8,
) -> None:
    """Write a report with the annotated spectrum and the drawn candidates of each query.

    Args:
        path: of the HTML file, written whole or not at all.
        found: what `molvis.identify` returned.
        bundle: that identified; its scorers explain peaks where they can.
        index: that was searched.
        settings: further lines of the heading.
        shown: candidates that are drawn for each query.

    Raises:
        molvis.errors.DatasetError: the file cannot be written.
    """
    from jinja2 import Environment, PackageLoader, select_autoescape

    environment = Environment(loader=PackageLoader("molvis", "templates"), autoescape=select_autoescape(["html"]))
    template = environment.get_template("report.html")
    sections = [_section(one, bundle, shown) for one in found]
    text = template.render(
        sections=sections,
        counts=summary(found),
        bundle=bundle,
        index=index,
        settings=dict(settings or {}),
        date=time.strftime("%Y-%m-%d %H:%M"),
        shown=shown,
    )
    write_file(path, text)


def _section(found: Identification, bundle: Bundle, shown: int) -> Section:
    chosen = found.candidates[:shown]
    labels: dict[int, str] = {}
    explained = ""
    record = found.records[0] if found.records else None
    if isinstance(record, PeakList) and chosen:
        labels = _explanations(record, chosen[0].structure, bundle)
        if labels:
            height = np.sqrt(record.intensity)
            share = float(height[list(labels)].sum() / height.sum())
            explained = f"{len(labels)} of {len(record)} peaks are substructures of the first candidate ({share:.0%} by square root of height)"
    picture = spectrum_svg(record, labels) if isinstance(record, PeakList) else ""
    shares = tuple(tuple(f"{key} {value:+.2f}" for key, value in c.evidence.items()) for c in chosen)
    return Section(found, picture, tuple(structure_svg(c.structure) for c in chosen), explained, shares)


def _explanations(record: PeakList, structure: Structure, bundle: Bundle) -> dict[int, str]:
    for scorer in bundle.scorers.values():
        if hasattr(scorer, "explain") and isinstance(record, scorer.accepts):
            return {e.peak: f"{e.formula}\n{e.smiles}\n{e.ppm:+.1f} ppm" for e in scorer.explain(record, structure)}
    return {}


def structure_svg(structure: Structure, width: int = 200, height: int = 150) -> str:
    """A drawing that takes the page's colours, so that it reads on light and on dark."""
    from rdkit import Chem
    from rdkit.Chem.Draw import rdMolDraw2D

    mol = Chem.MolFromSmiles(structure.smiles)
    drawer = rdMolDraw2D.MolDraw2DSVG(width, height)
    options = drawer.drawOptions()
    options.clearBackground = False
    options.useBWAtomPalette()
    rdMolDraw2D.PrepareAndDrawMolecule(drawer, mol)
    drawer.FinishDrawing()
    text = drawer.GetDrawingText()
    text = text[text.index("<svg") :].replace("#000000", "currentColor")
    return text.replace("<svg", f'<svg role="img" aria-label="{html.escape(structure.smiles, quote=True)}"', 1)


def spectrum_svg(record: PeakList, labels: Mapping[int, str]) -> str:
    """Peaks as sticks; explained ones in colour, the highest labelled, and every one with a tooltip."""
    if not len(record):
        return ""
    top = float(max(record.mz.max(), record.precursor_mz or 0.0)) * 1.04
    low = float(record.mz.min()) * 0.9
    height = record.intensity / max(float(record.intensity.max()), 1e-30)

    def x(mz: float) -> float:
        return _LEFT + (mz - low) / (top - low) * (_WIDTH - _LEFT - _RIGHT)

    def y(share: float) -> float:
        return _HEIGHT - _BOTTOM - share * (_HEIGHT - _TOP - _BOTTOM)

    parts = [f'<svg class="spectrum" viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="spectrum">']
    for share in (0.0, 0.5, 1.0):
        parts.append(f'<line class="grid" x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{y(share):.1f}" y2="{y(share):.1f}"/>')
        parts.append(f'<text class="tick" x="{_LEFT - 6}" y="{y(share) + 4:.1f}" text-anchor="end">{share:.0%}</text>')
    for mz in _ticks(low, top):
        parts.append(f'<text class="tick" x="{x(mz):.1f}" y="{_HEIGHT - _BOTTOM + 16}" text-anchor="middle">{mz:g}</text>')
    parts.append(f'<text class="tick" x="{_WIDTH - _RIGHT}" y="{_HEIGHT - 4}" text-anchor="end">m/z</text>')
    if record.precursor_mz:
        at = x(record.precursor_mz)
        parts.append(f'<line class="precursor" x1="{at:.1f}" x2="{at:.1f}" y1="{y(1):.1f}" y2="{y(0):.1f}"/>')
        parts.append(f'<text class="tick" x="{at:.1f}" y="{_TOP - 12}" text-anchor="middle">precursor</text>')
    taken: list[float] = []
    captions: list[str] = []
    for peak in np.argsort(-height, kind="stable").tolist():
        mz, share = float(record.mz[peak]), float(height[peak])
        kind = "explained" if peak in labels else "plain"
        said = html.escape(f"m/z {mz:.4f}, {share:.1%}\n{labels.get(peak, 'not explained')}")
        parts.append(
            f'<line class="{kind}" x1="{x(mz):.1f}" x2="{x(mz):.1f}" y1="{y(0):.1f}" y2="{y(share):.1f}">'
            f"<title>{said}</title></line>"
        )
        # A label wants about 60 pixels of room to either side, or the text of two peaks runs together.
        if share > 0.04 and len(taken) < 12 and all(abs(x(mz) - other) > 62 for other in taken):
            taken.append(x(mz))
            text = labels[peak].split("\n")[0] if peak in labels else f"{mz:.4f}"
            captions.append(
                f'<text class="{kind}" x="{x(mz):.1f}" y="{y(share) - 4:.1f}" text-anchor="middle">{html.escape(text)}</text>'
            )
    return "".join([*parts, *captions, "</svg>"])


def _ticks(low: float, high: float) -> list[float]:
    span = high - low
    step: Any = next(s for s in (1, 2, 5, 10, 20, 25, 50, 100, 200, 500, 1000, 5000) if span / s <= 10 or s == 5000)
    return [float(v) for v in np.arange(np.ceil(low / step) * step, high, step)]
