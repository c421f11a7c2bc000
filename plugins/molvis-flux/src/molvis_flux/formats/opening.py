"""One function that reads them all."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from molvis_core.errors import ReadError, did_you_mean
from molvis_files.opening import read_text
from molvis_flux.formats.fluxml import read_fluxml
from molvis_flux.formats.freeflux import read_freeflux
from molvis_flux.formats.inca import read_inca
from molvis_flux.formats.mfapy import read_mfapy
from molvis_flux.formats.native import read_native
from molvis_flux.formats.tables import rows
from molvis_flux.model.network import Study

READERS: dict[str, Callable[..., Study]] = {
    "native": read_native,
    "fluxml": read_fluxml,
    "mfapy": read_mfapy,
    "freeflux": read_freeflux,
    "inca": read_inca,
}


def read_study(path: str | Path, *, reader: str | None = None, strict: bool = True, **options: Any) -> Study:
    """A network model and its experiments, in any format that is known.

    Args:
        path: the file; of FreeFlux and INCAWrapper also the folder.
        reader: `native` (TOML), `fluxml`, `mfapy`, `freeflux` or `inca`; by default found from what the file holds.
        strict: refuse a study in which `molvis_flux.model.checking.check_structure` finds an error, such as an atom map
            that does not balance.
        options: of the reader: see `read_fluxml`, `read_mfapy`, `read_freeflux` and `read_inca`.

    Raises:
        ReadError: the file cannot be read, is of no known format, or says what cannot be; the message names the line.
        TypeError: the reader has no such option.
    """
    from molvis_flux.model.checking import check_structure

    path = Path(path)
    if reader is not None and reader not in READERS:
        raise ReadError(path, f"no reader {reader!r}.{did_you_mean(reader, READERS)} There are {', '.join(READERS)}")
    study = READERS[reader or recognise(path)](path, **options)
    errors = [finding for finding in check_structure(study) if finding.severity == "error"] if strict else []
    if errors:
        file, _, line = errors[0].where.rpartition(":")
        more = f" ({len(errors) - 1} more: `molvis flux check` lists them.)" if len(errors) > 1 else ""
        known = line.isdigit() and bool(file)
        raise ReadError(file if known else path, errors[0].message + more, line=int(line) if known else None)
    return study


def recognise(path: Path) -> str:
    """The format of a file or folder, by what it holds.

    Raises:
        ReadError: none that is known.
    """
    suffix = path.suffix.lower()
    if path.is_dir():
        for name, kind in (("reactions.tsv", "freeflux"), ("reactions.xlsx", "freeflux"), ("model.json", "inca")):
            if (path / name).is_file():
                return kind
        path, suffix = path / "reactions.csv", ".csv"
    if suffix == ".toml":
        return "native"
    if suffix in (".xlsx", ".xlsm", ".tsv", ".csv"):
        head = next(rows(path), None)
        cells = () if head is None else head.cells
        if "rxn_eqn" in cells:
            return "inca"
        if any(cell.startswith(("reactant_IDs", "substrate_IDs")) for cell in cells):
            return "freeflux"
    else:
        text = read_text(path)
        if "<fluxml" in text:
            return "fluxml"
        if "//Reactions" in text:
            return "mfapy"
        if suffix == ".json":
            return "inca"
    raise ReadError(path, f"holds no network that is known; formats are {', '.join(READERS)}")
