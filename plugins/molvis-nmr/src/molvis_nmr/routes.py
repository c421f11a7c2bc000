"""Routes: fits and mixtures as operations of `molvis serve`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from molvis_core.errors import ConfigError
from molvis_core.progress import StageProgress
from molvis_files.routes import Option, Request, Route, Upload

if TYPE_CHECKING:
    import numpy as np

__all__ = ["FIT", "MIXTURE", "fit", "mixture"]

_POINTS = 16_384
"""Of a spectrum that is sent to be drawn; the files have all of them."""


def fit(request: Request, progress: StageProgress) -> Mapping[str, Any]:
    """A spin system fitted to spectra of one sample, with curves to draw, in the files that `molvis nmr fit` writes.

    Raises:
        molvis_core.errors.MolvisError: a file cannot be read, or cannot be fitted.
    """
    from molvis_core.output import to_plain
    from molvis_nmr.report.page import fit_summary, fitted, measured, parts, write_fit
    from molvis_nmr.workflows.fit import fit_files, read_window

    options = request.options
    start = request.files.get("start", ())
    windows = [read_window(text) for text in options["exclude"] or ()]
    found = fit_files(
        request.files["spectra"], system=_entry(start[0], options["entry"]) if start else None,
        smiles=options["smiles"], nucleus=options["nucleus"], exclude=windows, phase=options["phase"],
        baseline=options["baseline"], line_shape=options["line_shape"],
        couplings="given" if options["given_couplings"] else "all", starts=options["starts"], seed=options["seed"],
        progress=progress,
    )  # fmt: skip
    names = {"spectra": ", ".join(p.name for p in request.files["spectra"])}
    settings = names | {"start": start[0].name if start else options["smiles"]}
    write_fit(request.folder, found, title=found.system.name, excluded=windows, settings=settings)
    curves = [
        {
            "frequency": trace.frequency, "identifier": trace.identifier,
            **_curves(trace.x, measured=measured(found, n).y, fitted=fitted(found, n).y, **_prefixed(parts(found, n))),
        }
        for n, trace in enumerate(found.simulated)
    ]  # fmt: skip
    return {**to_plain(fit_summary(found)), "spectra": curves, "excluded": to_plain(windows)}


def mixture(request: Request, progress: StageProgress) -> Mapping[str, Any]:
    """Which compounds are in a mixture, with curves to draw, in the files that `molvis nmr quantify` writes.

    Raises:
        molvis_core.errors.MolvisError: a file cannot be read, or cannot be quantified.
    """
    from molvis_core.output import to_plain
    from molvis_nmr.mixture.results import WATER
    from molvis_nmr.report.mixture import quantification_summary, write_quantification
    from molvis_nmr.workflows.fit import read_window
    from molvis_nmr.workflows.mixture import Asked, quantify_file

    options = request.options
    spectrum = request.files["spectrum"][0]
    library = tuple(str(p) for p in request.files.get("library", ())) or (options["shipped"],)
    windows = options["exclude"]
    asked = Asked(
        library=library, only=tuple(options["only"] or []), window=options["window"],
        exclude=(WATER,) if windows is None else tuple(read_window(text) for text in windows),
        standard=None if options["standard"].lower() == "none" else options["standard"],
        concentration=options["concentration"], unit=options["unit"], limit=options["limit"],
    )  # fmt: skip
    found = quantify_file(spectrum, asked, progress=progress)
    settings = {"spectrum": spectrum.name, "library": ", ".join(Path(p).name for p in library)}
    write_quantification(request.folder, found, title=spectrum.stem, settings=settings)
    drawn = _curves(found.measured.x, measured=found.measured.y, fitted=found.fitted.y, **_prefixed(found.parts))
    return {**to_plain(quantification_summary(found)), "spectrum": drawn, "excluded": to_plain(found.excluded)}


def _entry(file: Path, entry: str | None) -> str:
    """A file of spin systems, or one entry of it."""
    if entry and any(mark in entry for mark in "/\\#"):
        raise ConfigError(f"entry {entry[:40]!r}: the name of a spin system has no slash and no #")
    return f"{file}#{entry}" if entry else str(file)


def _prefixed(parts: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    return {f"part {name}": part for name, part in parts.items()}


def _curves(x: np.ndarray, **curves: np.ndarray) -> dict[str, Any]:
    """Curves on one axis, thinned to what a screen shows after some zooming, as plain numbers of six digits."""
    step = max(1, -(-len(x) // _POINTS))
    plain = {name: [float(f"{v:.6g}") for v in curve[::step].tolist()] for name, curve in curves.items()}
    parts = {name.removeprefix("part "): plain.pop(name) for name in list(plain) if name.startswith("part ")}
    return {"ppm": [round(v, 6) for v in x[::step].tolist()], **plain, "parts": parts}


_EXCLUDE = Option("exclude", "Windows in ppm that do not count, such as 4.7:4.9.", "texts", most=50)
_SEED = Option("seed", "Of the starts that are drawn.", "integer", default=0, least=0, most=2**31 - 1)
FIT = Route(
    run=fit,
    files=(
        Upload(
            "spectra",
            "NMR spectra of one sample: JCAMP-DX, text, nmrML, or a ZIP file of a Bruker folder.",
            least=1,
            most=8,
        ),
        Upload("start", "Spin system to start from: GISSMO XML, JSON or TOML.", suffixes=(".xml", ".json", ".toml")),
    ),
    options=(
        Option("smiles", "A structure to start from instead: shifts and couplings by rule.", most=1000),
        Option("entry", "Which spin system of the file, where it holds several.", most=200),
        Option("nucleus", "Observed nucleus.", default="1H", most=10),
        _EXCLUDE,
        Option("phase", "Fit phase errors.", "flag", default=False),
        Option("baseline", "Degree of a polynomial under each multiplet.", "integer", least=0, most=10),
        Option("line_shape", "Fit an instrument line shape, too.", "flag", default=False),
        Option("given_couplings", "Fit no coupling that is 0.", "flag", default=False),
        Option("starts", "Most starts to try where the first ends badly.", "integer", default=24, least=1, most=200),
        _SEED,
    ),
)
MIXTURE = Route(
    run=mixture,
    files=(
        Upload("spectrum", "NMR spectrum of a mixture.", least=1),
        Upload("library", "Spin systems, or reference spectra of single compounds; else one that ships.", most=50),
    ),
    options=(
        Option("shipped", "Name of a library that ships, where none is sent.", default="metabolites", most=100),
        Option("only", "Compounds to take from the library, by name.", "texts", most=500),
        Option("window", "How far in ppm multiplets may move.", "number", default=0.03, least=0, most=1),
        _EXCLUDE,
        Option("standard", "Compound at 0 ppm: DSS, TSP or none.", default="DSS", choices=("DSS", "TSP", "none")),
        Option("concentration", "Of the standard.", "number", least=0, most=1e9),
        Option("unit", "Of that concentration.", default="mM", most=20),
        Option("limit", "Standard errors from which a compound is present.", "number", default=2.0, least=0, most=1000),
    ),
)
