"""The route `identify`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from molvis_core.errors import ConfigError
from molvis_core.progress import StageProgress
from molvis_files.routes import Option, Request, Route, Upload
from molvis_retrieval.routes.engine import LIBRARY, open_engine

if TYPE_CHECKING:
    from molvis_retrieval.results import Identification

__all__ = ["ROUTE", "identify"]


def identify(request: Request, progress: StageProgress) -> Mapping[str, Any]:
    """Ranked candidates for the peaks of one spectrum, for all that was measured of one unknown, or for each of many.

    Raises:
        MolvisError: a file cannot be read, or an option makes no sense.
    """
    from molvis_retrieval.identification import identify as search
    from molvis_retrieval.levels import MEANINGS, best_known, confidence_level
    from molvis_retrieval.references import known_references
    from molvis_retrieval.results import to_json

    options, engine = request.options, request.opened
    index, _ = engine.chosen(options["library"])
    bundle = engine.bundle
    for path in request.files.get("calibrants", ()):
        bundle = bundle.with_calibrants(path)
    queries, problems = _queries(request)
    if not queries and not problems:
        raise ConfigError("send peaks with precursor_mz, or files of spectra")
    found = search(
        bundle, queries, index, ppm=options["ppm"], mass=options["mass"], formula=options["formula"],
        candidates=options["candidates"], adduct=options["adduct"], adducts=options["adducts"] or (),
        top=options["top"], rerank=options["rerank"], classes=options["classes"], device=engine.device,
        progress=progress,
    )  # fmt: skip
    everything = [*found, *problems]
    out = to_json(everything)
    reference = known_references(engine.bundle)
    known = (reference,) if reference else ()
    for plain, one in zip(out, everything, strict=True):
        level, why = confidence_level(one, best_known(one, known))
        plain |= {"level": level, "level_meaning": MEANINGS[level], "level_evidence": why}
        plain["records"] = [_plain(record, name) for record, name in zip(one.records, one.modalities, strict=True)]
    told = bundle.channels.calibrated
    return {"unknowns": out} | ({"calibrants": told} if told else {})


def _queries(request: Request) -> tuple[list[Any], list[Identification]]:
    """What is to be identified, and what cannot be read."""
    import numpy as np

    from molvis_core.records import Measurement, PeakList
    from molvis_retrieval.queries import cross_section, read_queries

    options = request.options
    measured: list[Any] = []
    problems: list[Identification] = []
    if options["peaks"]:
        if options["precursor_mz"] is None:
            raise ConfigError("peaks need precursor_mz, the m/z of the ion that was isolated")
        peaks = np.array(sorted(options["peaks"]), dtype=float)
        spectrum = PeakList(
            peaks[:, 0], peaks[:, 1], precursor_mz=options["precursor_mz"], adduct=options["adduct"],
            collision_energy=options["energy"], instrument_type=options["instrument"],
        )  # fmt: skip
        measured.append(Measurement(spectrum, None, "msms", name=options["name"]))
    for path in request.files.get("spectra", ()):
        good, bad = read_queries(path, modality=options["modality"])
        measured += good
        problems += bad
    measured += [Measurement(cross_section(text, options["adduct"]), None, "ccs") for text in options["ccs"] or ()]
    if options["together"] or options["ccs"]:
        return [measured] if measured else [], problems
    return measured, problems


_POINTS = 4000


def _plain(record: Any, modality: str) -> dict[str, Any]:
    """A record as plain values, to be drawn."""
    from dataclasses import fields

    from molvis_core.records import EiSpectrum, PeakList, Trace

    known = {f.name: getattr(record, f.name) for f in fields(record)}
    out: dict[str, Any] = {k: v for k, v in known.items() if isinstance(v, str | int | float)}
    if isinstance(record, PeakList | EiSpectrum):
        out["peaks"] = _pairs(record.mz.round(5).tolist(), record.intensity.tolist())
    elif isinstance(record, Trace):
        step = max(1, len(record.x) // _POINTS)
        out["points"] = _pairs(record.x[::step].tolist(), record.y[::step].tolist())
    return {"modality": modality, **out}


def _pairs(first: Sequence[float], second: Sequence[float]) -> list[list[float]]:
    return [[a, float(f"{b:.6g}")] for a, b in zip(first, second, strict=True)]


_ADDUCT = "[M+H]+"
ROUTE = Route(
    run=identify,
    files=(
        Upload(
            "spectra",
            "Spectra of unknowns, in any format that an installed reader takes.",
            least=0,
            most=50,
        ),
        Upload(
            "calibrants",
            "A table of cross sections that the own laboratory measured of known structures, to correct its offset.",
        ),
    ),
    options=(
        Option("peaks", "MS/MS peaks of one unknown, instead of a file.", "peaks", most=5000),
        Option("precursor_mz", "m/z of the ion that the peaks are of.", "number", least=1, most=100_000),
        LIBRARY,
        Option("adduct", f"Adduct of ions that name none, such as {_ADDUCT}.", most=50),
        Option("adducts", "Adducts to try for ions that name none, such as `positive`.", "texts", most=50),
        Option("energy", "Collision energy of the peaks in eV.", "number", least=0, most=1000),
        Option("instrument", "Instrument of the peaks, as MassBank spells it, such as LC-ESI-QTOF.", most=100),
        Option("name", "What the unknown of the peaks is called.", default="unknown", most=200),
        Option("ccs", "Collision cross sections in Å², as 145.2 or [M+H]+=145.2.", "texts", most=20),
        Option("together", "All that is sent was measured of one unknown.", "flag", default=False),
        Option("modality", "Modality of the files, where readers of several claim their ending.", most=50),
        Option(
            "candidates",
            "Which structures are ranked.",
            default="auto",
            choices=("auto", "mass", "formula", "all"),
        ),
        Option("ppm", "Half width of the mass window in ppm.", "number", default=10.0, least=0.01, most=200),
        Option("mass", "Neutral mass in Da, where it follows from no ion.", "number", least=1, most=100_000),
        Option("formula", "Molecular formula of the candidates.", most=200),
        Option("top", "Candidates that come back of each unknown.", "integer", default=20, least=1, most=1000),
        Option("rerank", "Use the bundle's scorers, such as explained peaks.", "flag", default=True),
        Option("classes", "Also give classes that each unknown probably belongs to.", "flag", default=False),
    ),
    opens=open_engine,
    quick=True,
)
