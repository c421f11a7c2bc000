"""Routes for tests: they open nothing, and do as they are told. Workers import them by name."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from typing import Any

from molvis_core.errors import ConfigError, ReadError
from molvis_core.progress import StageProgress
from molvis_files.opening import read_text
from molvis_files.routes import Option, Request, Route, Setup, Upload


class Shared:
    """What toy routes share."""

    def describe(self) -> dict[str, Any]:
        return {"toy": "open", "shelves": [{"name": "upper"}, {"name": "lower"}]}


def open_shared(setup: Setup) -> Shared:
    if setup.bundle == "broken":
        raise ConfigError("the bundle is broken, as was asked")
    return Shared()


def echo(request: Request, progress: StageProgress) -> Mapping[str, Any]:
    """What was asked, and the sizes of files."""
    if request.options["fault"] == "refuse":
        path = request.files["spectra"][0]
        raise ReadError(path, "it is refused, as was asked", line=3)
    if request.options["fault"] == "die":
        os._exit(9)
    if request.options["fault"] == "eat":
        eaten = bytearray(400_000_000)
        eaten[::4096] = b"x" * len(eaten[::4096])
        time.sleep(30)
    if request.options["fault"] == "odd":
        return {"open": float("inf"), "half": "\ud800", "pair": (1, float("nan"))}
    if request.options["fault"] == "crash":
        raise RuntimeError("secret of the server")
    if request.options["fault"] == "tell":
        return {"problem": f"{request.files['spectra'][0]}:3: it is odd", "folder": str(request.folder)}
    sizes = {path.name: path.stat().st_size for path in request.files.get("spectra", ())}
    return {"options": dict(request.options), "sizes": sizes, "shared": request.opened.describe()}


def count(request: Request, progress: StageProgress) -> Mapping[str, Any]:
    """Counts slowly, names its process, keeps what it has done, and how often it was begun."""
    kept = request.folder / "kept.txt"
    begun = len(read_text(kept).splitlines()) if kept.exists() else 0
    with kept.open("a", encoding="utf-8") as file:
        file.write(f"begun {begun + 1}\n")
    for number in range(request.options["n"]):
        if request.options["heed"]:
            progress(number, request.options["n"], f"counting in {os.getpid()}")
        time.sleep(request.options["pause"])
    (request.folder / "sub").mkdir(exist_ok=True)
    (request.folder / "sub" / "page.html").write_text("<script>alert(1)</script>", encoding="utf-8")
    return {"counted": request.options["n"], "begun": begun + 1}


ECHO = Route(
    run=echo,
    files=(Upload("spectra", "Spectra.", suffixes=(".mgf", ".csv"), most=3),),
    options=(
        Option("word", "A word.", default="ion", most=20),
        Option("n", "A count.", "integer", default=1, least=0, most=10),
        Option("level", "A level.", choices=("low", "high")),
        Option("shelf", "One of those that are open.", among="shelves"),
        Option("peaks", "Peaks.", "peaks", most=10),
        Option("fault", "What goes wrong.", default=""),
    ),
    opens=open_shared,
    quick=True,
)
COUNT = Route(
    run=count,
    options=(
        Option("n", "To count to.", "integer", default=3, least=0, most=100_000),
        Option("pause", "Seconds between.", "number", default=0.01, least=0, most=10),
        Option("heed", "Tell progress.", "flag", default=True),
    ),
    quick=True,
    resumes=True,
)


def read(request: Request, progress: StageProgress) -> Mapping[str, Any]:
    """What readers of measurements make of files, as identification reads them."""
    from molvis_retrieval.queries import read_queries  # the tests that use it ask for it

    found = [read_queries(path, modality=request.options["modality"]) for path in request.files.get("spectra", ())]
    return {"read": [[len(good), len(bad)] for good, bad in found]}


READ = Route(
    run=read,
    files=(Upload("spectra", "Spectra.", most=3),),
    options=(
        Option("modality", "Of the files."),
        Option("peaks", "Peaks.", "peaks", most=10_000),
        Option("precursor_mz", "m/z.", "number", least=1),
    ),
    quick=True,
)
