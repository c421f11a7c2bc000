"""The route `annotate`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from molvis_core.progress import StageProgress
from molvis_files.routes import Option, Request, Route, Upload
from molvis_retrieval.routes.engine import LIBRARY, open_engine

__all__ = ["ROUTE", "annotate"]


def annotate(request: Request, progress: StageProgress) -> Mapping[str, Any]:
    """The features of LC-MS/MS runs with candidates for each, in the files that `molvis annotate` writes.

    Raises:
        molvis_core.errors.MolvisError: a run or a feature list cannot be read, or an option makes no sense.
    """
    from molvis_retrieval.annotating import Annotating, annotate_files

    options, engine = request.options, request.opened
    index, digests = engine.chosen(options["library"])
    settings = Annotating(
        files=tuple(request.files["runs"]),
        blanks=tuple(request.files.get("blanks", ())),
        library=digests,
        blank_ratio=options["blank_ratio"],
        ms1_ppm=options["ms1_ppm"],
        seconds=options["seconds"],
        ppm=options["ppm"],
        adducts=tuple(options["adducts"] or ()),
        top=options["top"],
        rerank=options["rerank"],
        fdr=options["fdr"],
        dataset=options["dataset"] or None,
        processes=1,
        device=engine.device,
        located=False,  # the server's folders are nobody's business
    )
    done = annotate_files(engine.bundle, lambda _: index, settings, request.folder, progress=progress)
    return {
        "features": done.features,
        "searched": done.searched,
        "levels": dict(done.levels),
        "notes": list(done.notes),
    }


ROUTE = Route(
    run=annotate,
    files=(
        Upload("runs", "Runs (mzML), or a feature list with its table of areas.", least=1, most=50),
        Upload("blanks", "Runs without sample; what they have too is left out.", suffixes=(".mzml",), most=20),
    ),
    options=(
        LIBRARY,
        Option(
            "ppm", "Half width of the mass window of candidates in ppm.", "number", default=10.0, least=0.01, most=1000
        ),
        Option(
            "ms1_ppm",
            "Tolerance of m/z in survey scans in ppm, half width.",
            "number",
            default=10.0,
            least=0.1,
            most=1000,
        ),
        Option("seconds", "Tolerance of times between runs in s.", "number", default=6.0, least=0.1, most=600),
        Option(
            "blank_ratio",
            "A feature stays whose area is so many times that in the blanks.",
            "number",
            default=3.0,
            least=0,
            most=1e6,
        ),
        Option("adducts", "Adducts to try for ions that name none.", "texts", most=50),
        Option("top", "Candidates kept of each feature.", "integer", default=10, least=1, most=100),
        Option("rerank", "Use the bundle's scorers, such as explained peaks.", "flag", default=True),
        Option("fdr", "Only what is below this false-discovery rate.", "number", least=0, most=1),
        Option("dataset", "Accession of the public data set that the runs are of.", most=50),
    ),
    opens=open_engine,
    resumes=True,
)
