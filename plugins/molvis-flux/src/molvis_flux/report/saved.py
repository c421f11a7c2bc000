"""The folder of a fit, opened again: to draw its fluxes, to compare it with others, to hand it on."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from molvis_core.errors import ReadError
from molvis_core.output import to_plain
from molvis_files.documents import load_json
from molvis_files.opening import open_bytes, read_text
from molvis_files.writing import write_text
from molvis_flux.fit.estimates import Estimates, estimates
from molvis_flux.fit.identifiability import Verdict
from molvis_flux.fit.multistart import FluxResult
from molvis_flux.formats import read_study
from molvis_flux.formats.writers import write_study

FORMAT = 1
_FIT, _NETWORK, _COVARIANCE = "fit.json", "network.toml", "covariance.npy"


def write(folder: Path, result: FluxResult) -> None:
    """What `read_fit` needs, into a folder that is there."""
    found = estimates(result)
    plain = {
        "format": FORMAT, "name": found.name, "level": found.level, "ssr": found.ssr, "accepted": found.accepted,
        "verdicts": found.verdicts,
    }  # fmt: skip
    write_text(folder / _FIT, json.dumps(to_plain(plain), indent=1) + "\n")
    np.save(folder / _COVARIANCE, found.covariance, allow_pickle=False)
    write_study(folder / _NETWORK, found.study)


def is_fit(path: Path) -> bool:
    """Whether a path is the folder of a fit."""
    return (path / _FIT).is_file()


def read_fit(folder: str | Path) -> Estimates:
    """The estimates of a fit from the folder that `molvis flux fit --out` or `save` wrote.

    Raises:
        ReadError: it is no such folder, or its files are damaged.
    """
    folder = Path(folder)
    if not is_fit(folder):
        raise ReadError(
            folder, f"no folder of a fit: {_FIT} is missing. Make one: molvis flux fit NETWORK --out FOLDER"
        )
    path = folder / _FIT
    try:
        given = load_json(read_text(path))
        if given["format"] > FORMAT:
            raise ReadError(path, f"format {given['format']} is of a later molvis; this one reads up to {FORMAT}")
        verdicts = tuple(_verdict(one) for one in given["verdicts"])
        with open_bytes(folder / _COVARIANCE) as file:
            covariance = np.asarray(np.lib.format.read_array(file, allow_pickle=False), float)
        if covariance.shape != (len(verdicts),) * 2:
            raise ValueError(f"a covariance of shape {covariance.shape} of {len(verdicts)} values")
        level, ssr = float(given["level"]), float(given["ssr"])
    except (json.JSONDecodeError, KeyError, TypeError, ValueError) as error:
        if isinstance(error, ReadError):
            raise
        raise ReadError(path, f"damaged: {error!r}; fit again with --out") from error
    study = read_study(folder / _NETWORK, strict=False)
    return Estimates(str(given.get("name", "")), study, verdicts, covariance, level, ssr, bool(given.get("accepted")))


def _verdict(given: dict[str, Any]) -> Verdict:
    value, mean = given["value"], given["mean"]
    kind, name = given["name"]
    return Verdict(
        (str(kind), str(name)), str(given["kind"]), None if value is None else float(value), float(given["low"]),
        float(given["high"]), float(given["left"]), str(given["low_from"]), str(given["high_from"]),
        None if mean is None else float(mean),
    )  # fmt: skip
