"""Explanations as one HTML page: spectra whose peaks show their atoms, and tables. It loads and runs nothing."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

import numpy as np

from molvis_core.html import render_page
from molvis_core.records import PeakList
from molvis_files.drawing import draw_with_halos, formula_html
from molvis_files.spectrum_drawing import PeakLabel, draw_spectrum, highlight_rules, spectrum_style
from molvis_files.writing import write_text
from molvis_msms.explanation.annotations import Explained, separating
from molvis_msms.explanation.peaks import Explanation, Substructure
from molvis_msms.explanation.prediction import PredictedPeak, predicted_peaks
from molvis_msms.references.similarity import Similarity

_MOST = 25
"""Peaks that are listed as separating two structures."""


@dataclass(frozen=True, slots=True)
class Peak:
    """A peak as the page shows it.

    Attributes:
        number: in the spectrum.
        mz: measured.
        height: in percent of the highest.
        some: what it can be.
        unexplained: probability.
    """

    number: int
    mz: float
    height: float
    some: tuple[Substructure, ...]
    unexplained: float


@dataclass(frozen=True, eq=False, slots=True)
class Section:
    """A spectrum explained by one structure.

    Attributes:
        figure: `id` of its part of the page.
        title: name of the spectrum.
        found: the explanation.
        svg: the spectrum.
        structure: the drawn molecule, with the atoms of each peak behind it.
        rules: that show these.
        peaks: by falling m/z.
        predicted: peaks of the predicted spectrum, each with the number that the page knows it by.
        likeness: of the measured and the predicted spectrum, from 0 to 1.
        against: the other structure, where it is the first of several.
        separating: peaks that speak for it against the other or the other way round.
    """

    figure: str
    title: str
    found: Explanation
    svg: str
    structure: str
    rules: str
    peaks: tuple[Peak, ...]
    predicted: tuple[tuple[int, PredictedPeak], ...]
    likeness: float
    against: str = ""
    separating: tuple[Mapping[str, float], ...] = ()

    @property
    def facts(self) -> list[str]:
        """What is known of the spectrum, and how much is explained."""
        q = self.found.spectrum
        known = [
            f"m/z {q.precursor_mz:.4f}" if q.precursor_mz is not None else "",
            q.adduct or "",
            f"{q.collision_energy:g} eV" if q.collision_energy is not None else "",
            q.instrument_type or "",
            f"{len(q)} peaks, {len(self.found.best)} of them explained",
            "" if self.found.explained is None else f"{self.found.explained:.0%} of the intensity below the precursor",
            f"mass errors {self.found.offset:+.1f} ± {self.found.width:.1f} ppm",
            f"root cosine with the predicted spectrum {self.likeness:.2f}" if self.predicted else "",
        ]
        return [text for text in known if text]


def write_report(path: Path, found: Sequence[Explained], *, file: str = "") -> None:
    """Write `render_report`, whole or not at all.

    Raises:
        molvis_core.errors.WriteError: the file cannot be written; the old one is kept.
    """
    write_text(path, render_report(found, file=file))


def render_report(found: Sequence[Explained], *, file: str = "", date: dt.datetime | None = None) -> str:
    """Explanations as one page.

    Args:
        found: spectra with what their peaks are.
        file: that they are from, for the head.
        date: to print; now, if none is given.
    """
    template = resources.files("molvis_msms").joinpath("explanation", "templates", "explain.html")
    facts = [("spectra", f"{len(found):,}"), *([("file", file)] if file else [])]
    return render_page(
        template.read_text(encoding="utf-8"),
        title="Explained peaks",
        filters={"formula": formula_html},
        spectrum_style=spectrum_style(),
        facts=facts,
        sections=[section for number, one in enumerate(found, start=1) for section in _sections(number, one)],
        date=(date or dt.datetime.now().astimezone()).strftime("%Y-%m-%d %H:%M"),
    )


def _sections(number: int, one: Explained) -> list[Section]:
    """A section by each structure."""
    every = [one.found, *one.rivals]
    out: list[Section] = []
    for place, found in enumerate(every):
        figure = f"s{number}-{place + 1}"
        rival = every[1] if place == 0 and one.rivals else None
        out.append(_section(figure, one.name, found, rival))
    return out


def _section(figure: str, title: str, found: Explanation, rival: Explanation | None) -> Section:
    highest = float(found.spectrum.intensity.max(initial=0.0)) or 1.0
    peaks = tuple(
        Peak(n, float(mz), 100 * float(height) / highest, some, float(none))
        for n, (mz, height, some, none) in enumerate(
            zip(found.spectrum.mz, found.spectrum.intensity, found.peaks, found.unexplained, strict=True)
        )
    )
    shown = [p for p in peaks if p.some and p.unexplained < 0.5]
    labels = {p.number: PeakLabel(p.some[0].formula, _words(p.some[0])) for p in shown}
    halos = {f"h{p.number}": p.some[0].atoms for p in shown}
    predicted = predicted_peaks(found.fragments, found.structure, found.spectrum)
    below = PeakList(np.array([one.mz for one in predicted]), np.array([one.height for one in predicted]))
    same = Similarity()(found.spectrum, below)
    first = len(peaks)
    halos |= {f"h{first + n}": one.atoms for n, one in enumerate(predicted)}
    return Section(
        figure=figure,
        title=title,
        found=found,
        svg=draw_spectrum(
            found.spectrum,
            labels,
            below=below,
            pairs=same.pairs,
            below_name="predicted for the structure",
            below_labels={n: PeakLabel(one.formula, _predicted_words(one)) for n, one in enumerate(predicted)},
        ),
        structure=draw_with_halos(found.structure.smiles, halos),
        rules=highlight_rules(figure, [*(p.number for p in shown), *range(first, first + len(predicted))]),
        peaks=tuple(reversed(peaks)),
        predicted=tuple(enumerate(predicted, start=first)),
        likeness=same.score,
        against=rival.structure.smiles if rival else "",
        separating=tuple(separating(found, rival)[:_MOST]) if rival else (),
    )


def _predicted_words(one: PredictedPeak) -> str:
    return f"predicted, {one.formula}, {one.smiles}" if one.atoms else "predicted, formed anew"


def _words(one: Substructure) -> str:
    return f"{one.formula}, {one.ppm:+.1f} ppm, probability {one.probability:.2f}, {one.smiles}"
