"""Translations as one HTML page of mirror plots. It loads nothing from elsewhere."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

from molvis_core.html import render_page
from molvis_core.records import PeakList
from molvis_files.spectrum_drawing import spectrum_style
from molvis_files.writing import write_text
from molvis_msms.references.drawing import mirror_plot
from molvis_msms.references.similarity import Similarity
from molvis_msms.translation.run import Translated
from molvis_msms.translation.settings import Settings
from molvis_msms.translation.translator import Translator


@dataclass(frozen=True, eq=False, slots=True)
class Row:
    """A translation as the page shows it.

    Attributes:
        one: that was made.
        source, target: settings in words.
        change: the spectrum as measured above its translation.
        check: the translation above what was measured at these settings; empty where nothing was.
    """

    one: Translated
    source: str
    target: str
    change: str
    check: str


def write_report(path: Path, found: Sequence[Translated], translator: Translator, *, file: str = "") -> None:
    """Write `render_report`, whole or not at all.

    Raises:
        molvis_core.errors.WriteError: the file cannot be written; the old one is kept.
    """
    write_text(path, render_report(found, translator, file=file))


def render_report(
    found: Sequence[Translated], translator: Translator, *, file: str = "", date: dt.datetime | None = None
) -> str:
    """Translations, as one page.

    Args:
        found: what `translate` returned.
        translator: that made them.
        file: that the spectra are from, for the head.
        date: to print; now, if none is given.
    """
    about = translator.about
    facts = [
        ("translations", f"{sum(one.result is not None for one in found):,} of {len(found):,}"),
        ("formulas known", f"{len(translator.vocabulary):,}"),
        *([("trained on", f"{about['compounds']:,} compounds")] if "compounds" in about else []),
        *([("file", file)] if file else []),
    ]
    template = resources.files("molvis_msms").joinpath("translation", "templates", "translation.html")
    return render_page(
        template.read_text(encoding="utf-8"),
        title="Translated spectra",
        spectrum_style=spectrum_style(),
        facts=facts,
        rows=[_row(one) for one in found],
        date=(date or dt.datetime.now().astimezone()).strftime("%Y-%m-%d %H:%M"),
    )


def in_words(settings: Settings | None) -> str:
    """Settings as people write them."""
    if settings is None:
        return ""
    energy = "unknown energy" if settings.energy is None else f"{settings.energy:.4g} eV"
    return energy if settings.instrument == "other" else f"{energy}, {settings.instrument}"


def _row(one: Translated) -> Row:
    source = in_words(Settings.of(one.source.record)) if one.source else ""
    change = check = ""
    if one.result and one.source:
        change = _mirror(one.source.record, one.result.record, ("measured", "translated"))
        if one.measured is not None:
            check = _mirror(one.result.record, one.measured, ("translated", "measured there"))
    return Row(one, source, in_words(one.target), change, check)


def _mirror(above: PeakList, below: PeakList, sides: tuple[str, str]) -> str:
    return mirror_plot(above, below, Similarity()(above, below).pairs, sides)
