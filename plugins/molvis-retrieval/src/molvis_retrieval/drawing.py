"""Spectra and structures as SVG whose colours the page chooses."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from html import escape
from typing import Any

import numpy as np
from jaxtyping import Float

from molvis_core import registry
from molvis_core.modality import Modality
from molvis_core.records import EiSpectrum, PeakList, Structure, Trace
from molvis_core.text import visible
from molvis_files.drawing import draw_with_halos
from molvis_files.spectrum_drawing import (
    BOTTOM,
    HEIGHT,
    LEFT,
    RIGHT,
    TOP,
    WIDTH,
    PeakLabel,
    axes,
    draw_spectrum,
    highlight_rules,
    relative,
    scale,
    svg,
    ticks,
)
from molvis_files.substructures import Substructure
from molvis_retrieval.references import Match, Spectrum, match


@dataclass(frozen=True, slots=True)
class Picture:
    """A record as an SVG, and what is known of its peaks.

    Attributes:
        svg: the drawing.
        caption: what it shows.
        explained: share of the intensity that the best candidate's substructures explain, of all but the precursor;
            None where nothing can explain this record.
        peaks: m/z, relative intensity in percent, formula, error in ppm and substructure of each explained peak.
        mirrored: how its peaks pair with those of the reference spectrum below it, where there is one.
        figure: `id` of the part of the page that holds it.
        structure: the best candidate with the atoms of each explained peak behind it; empty where they are not known.
        rules: that show these while the peak is pointed at.
        details: number, m/z and substructure of each explained peak whose atoms are known.
        separating: peaks that one of the first two candidates explains better than the other.
    """

    svg: str
    caption: str
    explained: float | None = None
    peaks: tuple[tuple[float, float, str, float, str], ...] = ()
    mirrored: Match | None = None
    figure: str = ""
    structure: str = ""
    rules: str = ""
    details: tuple[tuple[int, float, Substructure], ...] = ()
    separating: tuple[Separating, ...] = ()


@dataclass(frozen=True, slots=True)
class Separating:
    """A peak that one of two candidates explains better than the other.

    Attributes:
        peak: its number.
        mz: measured.
        height: in percent of the highest peak.
        first, second: probabilities of its substructure of each candidate; 0 where there is none.
    """

    peak: int
    mz: float
    height: float
    first: float
    second: float


def draw_record(
    record: Any,
    explained: Sequence[Any] | None = None,
    *,
    modality: str = "",
    reference: Spectrum | Trace | None = None,
    label: str = "reference spectrum of candidate 1",
) -> Picture | None:
    """A spectrum or a trace as an SVG whose colours the page chooses; None for records that are not drawn.

    Args:
        record: a `PeakList`, an `EiSpectrum` or a `Trace`.
        explained: for peaks: objects with `peak`, `formula`, `ppm` and `smiles`, such as a scorer's `explain` returns.
        modality: of a trace: it decides what the axis shows, and in which direction.
        reference: drawn below the record, upside down; of peaks with the pairs in one colour.
        label: what the reference is.
    """
    if isinstance(record, PeakList | EiSpectrum) and len(record):
        below = as_peaks(reference) if isinstance(reference, PeakList | EiSpectrum) else None
        return _draw_peaks(as_peaks(record), explained, below, label, caption=_caption(record))
    if isinstance(record, Trace) and len(record):
        return _draw_trace(record, modality, reference if isinstance(reference, Trace) else None, label)
    return None


def as_peaks(record: Spectrum) -> PeakList:
    """The peaks of a spectrum, of whichever kind."""
    return record if isinstance(record, PeakList) else PeakList(record.mz, record.intensity)


def _draw_peaks(
    record: PeakList, explained: Sequence[Any] | None, reference: PeakList | None, label: str, *, caption: str
) -> Picture:
    height = relative(record)
    known = {int(e.peak): e for e in explained or ()}
    labels = {i: PeakLabel(str(e.formula), f"{e.formula}, {e.ppm:+.1f} ppm, {e.smiles}") for i, e in known.items()}
    mirrored = None if reference is None else match(record, reference)
    pairs = None if mirrored is None else mirrored.pairs
    drawn = draw_spectrum(record, labels, below=reference, pairs=pairs, below_name=label)
    share = None if explained is None else _explained_share(record, height, known)
    listed = tuple(
        (float(record.mz[i]), 100 * float(height[i]), str(e.formula), float(e.ppm), str(e.smiles))
        for i, e in sorted(known.items())
    )
    return Picture(drawn, caption, share, listed, mirrored)


def with_substructures(
    picture: Picture,
    figure: str,
    record: PeakList,
    structure: Structure,
    explained: Sequence[Any],
    rival: Sequence[Any] = (),
) -> Picture:
    """A picture whose peaks show their atoms, as far as what explains them knows atoms and probabilities.

    Args:
        picture: of the spectrum.
        figure: `id` of the part of the page that will hold it.
        record: the spectrum.
        structure: that explains it.
        explained: substructures of peaks.
        rival: those of the second candidate.
    """
    first = {int(e.peak): e for e in explained if isinstance(e, Substructure)}
    if not first:
        return picture
    second = {int(e.peak): e for e in rival if isinstance(e, Substructure)}
    return replace(
        picture,
        figure=figure,
        structure=draw_with_halos(structure.smiles, {f"h{n}": e.atoms for n, e in first.items()}),
        rules=highlight_rules(figure, sorted(first)),
        details=tuple((n, float(record.mz[n]), e) for n, e in sorted(first.items())),
        separating=_separating(record, first, second) if rival else (),
    )


def _separating(
    record: PeakList, first: Mapping[int, Substructure], second: Mapping[int, Substructure]
) -> tuple[Separating, ...]:
    """The peaks whose probabilities differ by a tenth or more, by falling difference times root height."""
    height = relative(record)
    found = [
        Separating(
            n, float(record.mz[n]), 100 * float(height[n]),
            float(first[n].probability) if n in first else 0.0,
            float(second[n].probability) if n in second else 0.0,
        )
        for n in sorted({*first, *second})
    ]  # fmt: skip
    apart = [one for one in found if abs(one.first - one.second) >= _APART]
    return tuple(sorted(apart, key=lambda one: -abs(one.first - one.second) * one.height**0.5)[:_MOST_SEPARATING])


_APART, _MOST_SEPARATING = 0.1, 12


def _explained_share(record: PeakList, height: Float[np.ndarray, " n"], known: Mapping[int, Any]) -> float | None:
    """The share of the intensity below the precursor that is explained; None where there is none."""
    limit = (record.precursor_mz or np.inf) - 0.5
    inside = np.flatnonzero(record.mz < limit)
    total = float(height[inside].sum())
    return float(sum(height[i] for i in inside if i in known)) / total if total else None


def _caption(record: Spectrum) -> str:
    """Ion or derivative, energy, instrument and number of peaks, as far as they are known."""
    energy = record.collision_energy if isinstance(record, PeakList) else record.energy
    known = [
        record.adduct if isinstance(record, PeakList) else record.derivative,
        f"{energy:g} eV" if energy is not None else None,
        record.instrument_type,
        f"{len(record)} peaks",
    ]
    if isinstance(record, EiSpectrum) and record.retention_index is not None:
        known.append(f"retention index {record.retention_index:g}" + (f" on {record.column}" if record.column else ""))
    return " · ".join(escape(visible(t)) for t in known if t)


def _draw_trace(record: Trace, name: str, below: Trace | None = None, label: str = "") -> Picture:
    known = {c.name for c in registry.components("modality")}
    modality: Modality = registry.load("modality", name) if name in known else Modality(name or "trace", Trace)
    low, high = float(record.x[0]), float(record.x[-1])
    ends = (WIDTH - RIGHT, LEFT) if modality.descending else (LEFT, WIDTH - RIGHT)
    x = scale(low, high if high > low else low + 1, *ends)
    bottom, top = min(0.0, float(record.y.min())), float(record.y.max())
    y = scale(bottom, top if top > bottom else bottom + 1, HEIGHT - BOTTOM, TOP)
    unit = modality.axis_unit.replace("cm^-1", "cm⁻¹")
    across = f"{modality.axis}, {unit}" if unit else modality.axis
    words = [modality.signal or modality.name, f"{low:g} to {high:g} {unit}".strip(), f"{len(record)} points"]
    parts = list(axes(x, y, low, high, across, ""))
    if below is None:
        parts += [*_heights(y, bottom, top), _line(record, x, y), *_bands(record, x, y)]
    else:
        # Each is as high as its half: absorbances of two samples have no common scale.
        inside = (below.x >= low) & (below.x <= high)
        middle, named = (TOP + HEIGHT - BOTTOM) / 2, escape(visible(label))
        upper = scale(*_ends(record.y), middle, TOP)
        parts += [
            _line(record, x, upper),
            *_bands(record, x, upper),
            _line(replace(below, x=below.x[inside], y=below.y[inside]), x,
                  scale(*_ends(below.y[inside]), middle, HEIGHT - BOTTOM), "trace reference"),
            f'<line class="axis" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{middle:.1f}" y2="{middle:.1f}"/>',
            f'<text x="{LEFT + 4}" y="{HEIGHT - BOTTOM - 6}">{named}</text>',
        ]  # fmt: skip
        words.append(f"below: {label}, scaled to the same height")
    title = f"{modality.name} spectrum" + (f" above the {label}" if below is not None else "")
    return Picture(svg(parts, title), " · ".join(escape(visible(w)) for w in words))


def _heights(y: Callable[[float], float], bottom: float, top: float) -> list[str]:
    """Lines at round heights with their numbers; none where a number is wider than the margin."""
    numbers = {f"{height + 0.0:g}": y(height) for height in ticks(bottom, top, 4)} if top > bottom else {}
    if max(map(len, numbers), default=0) > _WIDEST_HEIGHT:
        return []
    return [
        f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{at:.1f}" y2="{at:.1f}"/>'
        f'<text x="{LEFT - 6}" y="{at + 4:.1f}" text-anchor="end">{number}</text>'
        for number, at in numbers.items()
    ]


def _bands(record: Trace, x: Callable[[float], float], y: Callable[[float], float]) -> list[str]:
    """The highest bands by their places on the axis, where the number has room above the line.

    A band stands over what lies to either side of it, within a few times the width of its number, by a share of the
    whole height, so that neither noise nor a slope is one.
    """
    height, span = np.asarray(record.y, dtype=np.float64), float(record.x[-1] - record.x[0])
    if len(height) < 3 or not span > 0:
        return []
    least = _LEAST_BAND * (height.max() - min(0.0, height.min()))
    digits = max(0, 3 - math.floor(math.log10(span)))
    across = np.array([x(float(value)) for value in record.x])
    maxima = np.flatnonzero((height[1:-1] > height[:-2]) & (height[1:-1] >= height[2:])) + 1
    parts: list[str] = []
    taken: list[tuple[float, float, float]] = []
    for i in maxima[np.argsort(-height[maxima], kind="stable")][:_MOST_MAXIMA]:
        text = f"{record.x[i]:.{digits}f}"
        half, top = _DIGIT * len(text) / 2 + 2, y(float(height[i])) - 5
        near = np.abs(across - across[i])
        at = min(max(float(across[i]), LEFT + half), WIDTH - RIGHT - half)
        beside = near <= max(4 * half, near[i - 1], near[i + 1])
        aside = [height[:i][beside[:i]].min(), height[i + 1 :][beside[i + 1 :]].min()]
        crossed = height[np.abs(across - at) < half].max() > height[i]
        written = any(abs(at - a) < half + h and abs(top - t) < _LINE for a, h, t in taken)
        if height[i] - max(aside) < least or crossed or written:
            continue
        taken.append((at, half, top))
        parts.append(f'<text class="band" x="{at:.1f}" y="{top:.1f}" text-anchor="middle">{text}</text>')
        if len(parts) == _MOST_BANDS:
            break
    return parts


_WIDEST_HEIGHT = 6
_LEAST_BAND, _MOST_BANDS, _MOST_MAXIMA = 0.04, 14, 200
_DIGIT, _LINE = 6.6, 12
"""Pixels of a digit and of a line, as browsers set 11 px."""


def _ends(values: Float[np.ndarray, " t"]) -> tuple[float, float]:
    low, high = (min(0.0, float(values.min())), float(values.max())) if len(values) else (0.0, 1.0)
    return low, high if high > low else low + 1


def _line(record: Trace, x: Callable[[float], float], y: Callable[[float], float], kind: str = "trace") -> str:
    # More points than pixels only make the file larger.
    step = max(1, len(record) // (2 * WIDTH))
    points = " ".join(
        f"{x(float(a)):.1f},{y(float(b)):.1f}" for a, b in zip(record.x[::step], record.y[::step], strict=True)
    )
    return f'<polyline class="{kind}" points="{points}"/>'
