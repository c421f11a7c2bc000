"""Candidates ranked by the spectrum of a file."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from molvis_core.errors import ConfigError
from molvis_core.output import to_plain
from molvis_core.progress import Progress
from molvis_nmr.formats.opening import read_spectrum
from molvis_nmr.prediction.ranking import LEFT_OUT, Ranked, rank
from molvis_nmr.workflows.candidates import Candidates, read_candidates, write_ranked
from molvis_nmr.workflows.fit import read_window

PICTURES = (".png", ".svg", ".pdf")


@dataclass(frozen=True, slots=True)
class RankedFile:
    """What was found.

    Attributes:
        spectrum: the file.
        found: candidates, the best first.
        informed: whether they had probabilities before.
    """

    spectrum: Path
    found: tuple[Ranked, ...]
    informed: bool

    def as_dict(self) -> dict[str, Any]:
        """As plain values; what could not be compared has none."""
        rows = [{"rank": place, **to_plain(one)} for place, one in enumerate(self.found, start=1)]
        return {"spectrum": str(self.spectrum), "candidates": rows}


def rank_file(
    spectrum: Path,
    candidates: Path | None,
    *,
    query: str | None = None,
    smiles: Sequence[str] = (),
    exclude: Sequence[str] | None = None,
    width: float = 0.7,
    exchangeable: bool = False,
    frequency: float | None = None,
    out: Path | None = None,
    picture: Path | None = None,
    progress: Progress | None = None,
) -> RankedFile:
    """Rank the candidates of a file and others by a spectrum, and write what is asked for.

    Args:
        spectrum: what `molvis_nmr.formats.opening.read_spectrum` reads.
        candidates: what `read_candidates` reads.
        query: the unknown, where that is of several.
        smiles: more candidates; where those of the file have probabilities, these have the mean of them.
        exclude: windows in ppm such as `4.6:5.0`; `LEFT_OUT` without.
        width: of simulated lines, half at half height, in Hz.
        exchangeable: also the hydrogen on O, N and S.
        frequency: in MHz, where the spectrum does not state it.
        out: a table, `.csv`.
        picture: `.png`, `.svg` or `.pdf`.
        progress: called with the candidates done and in all.

    Raises:
        ConfigError: no candidates are given, a window or a width is none, or an ending is unknown.
        ReadError: a file cannot be read.
        RecordError: nothing of the spectrum is left to compare, or it does not state its frequency.
    """
    _check(candidates, smiles, query, width, out, picture)
    windows = [read_window(text) for text in exclude] if exclude else list(LEFT_OUT)
    some = read_candidates(candidates, query) if candidates else Candidates(())
    more = tuple(dict.fromkeys(one for one in smiles if one not in some.smiles))
    prior = None if some.prior is None else (*some.prior, *(len(more) * [sum(some.prior) / len(some.prior)]))
    trace = read_spectrum(spectrum, frequency=frequency)
    found = rank(
        trace, (*some.smiles, *more), prior=prior, exclude=windows, width=width, exchangeable=exchangeable,
        progress=progress,
    )  # fmt: skip
    if out:
        write_ranked(out, found)
    if picture:
        from molvis_nmr.report.figures import save
        from molvis_nmr.report.ranked import draw_ranked

        save(draw_ranked(trace, found, windows, width=width, exchangeable=exchangeable), picture)
    return RankedFile(spectrum, found, prior is not None)


def _check(
    candidates: Path | None, smiles: Sequence[str], query: str | None, width: float, out: Path | None,
    picture: Path | None,
) -> None:  # fmt: skip
    if candidates is None and not smiles:
        raise ConfigError("there are no candidates: name a file by --candidates, or structures by --smiles")
    if query is not None and candidates is None:
        raise ConfigError(f"query {query!r} is one of a table: name the table by --candidates")
    if not 0 < width < math.inf:
        raise ConfigError(f"width must be positive, got {width}")
    if out and out.suffix.lower() != ".csv":
        raise ConfigError(f"{out}: the table is written as .csv")
    if picture and picture.suffix.lower() not in PICTURES:
        raise ConfigError(f"{picture}: a picture ends in {', '.join(PICTURES)}")
