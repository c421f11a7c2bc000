"""Which format a feature list is of."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from molvis_core.errors import ReadError
from molvis_lcms.formats.documents import read_json_features
from molvis_lcms.formats.fbmn import read_mgf_features
from molvis_lcms.formats.msdial import read_msdial_features
from molvis_lcms.formats.msfinder import ENDING, read_msfinder_features
from molvis_lcms.formats.mztab import read_mztab_features
from molvis_lcms.formats.sirius import read_sirius_features
from molvis_lcms.records import FeatureTable

__all__ = ["is_run", "read_features"]


def is_run(path: Path) -> bool:
    """Whether a file is a run by its ending: mzML, packed or not."""
    return path.name.lower().removesuffix(".gz").endswith(".mzml")


def read_features(path: Path, quantities: Sequence[Path] = ()) -> FeatureTable:
    """The features of a list, by its ending: `.json` of molvis, `.mgf`, `.ms`, `.mztab`, `.mat`, `.txt` of MS-DIAL.

    Args:
        path: the list, or a folder of `.mat` files.
        quantities: tables of areas (CSV) that were given with it; the only one belongs to an MGF file.

    Raises:
        ReadError: the file cannot be read, or no format has this ending.
    """
    name = path.name.lower().removesuffix(".gz")
    if name.endswith(".json"):
        return read_json_features(path)
    if name.endswith(ENDING) or path.is_dir():
        return read_msfinder_features(path)
    if name.endswith(".mgf"):
        return read_mgf_features(path, quantities[0] if len(quantities) == 1 else None)
    if name.endswith(".ms"):
        return read_sirius_features(path)
    if name.endswith(".mztab"):
        return read_mztab_features(path)
    if name.endswith((".txt", ".tsv")):
        return read_msdial_features(path)
    raise ReadError(
        path,
        "is no run (.mzML) and no feature list that is read here: .json of molvis, .mgf, .ms, .mztab, .mat, .txt",
    )
