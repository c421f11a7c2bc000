"""Universal spectrum identifiers: addresses of scans in public data sets, such as `mzspec:MSV000084951:run:scan:17`.

References:
    E. W. Deutsch et al., Nat. Methods 18 (2021) 768, doi:10.1038/s41592-021-01184-6
    W. Bittremieux et al., for metabolomics, doi:10.1101/2020.05.09.086066
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import PurePath

from molvis_core.errors import ConfigError
from molvis_core.text import quoted
from molvis_lcms.records import Feature, FeatureTable

__all__ = ["check_dataset", "is_usi", "scan_usi", "with_usis"]

_DATASET = re.compile(r"[A-Z]{2,10}[0-9]{2,12}(?:-[A-Z0-9-]{1,20})?")
_USI = re.compile(r"mzspec:[A-Za-z0-9._-]+:\S.*:(?:scan|index|nativeId|accession|mzdata|trace):.+")
_ENDINGS = (".gz", ".mzml", ".mzxml", ".raw")
MOST = 20
"""Addresses of one feature."""


def check_dataset(text: str) -> str:
    """The accession of a public data set, as it is.

    Raises:
        ConfigError: it is none, such as `MSV000084951` of MassIVE, `MTBLS2207` of MetaboLights or `ST001234`.
    """
    if not _DATASET.fullmatch(text):
        raise ConfigError(
            f"--dataset {quoted(text)}: not the accession of a public data set, such as MSV000084951, MTBLS2207 or "
            "ST001234"
        )
    return text


def is_usi(text: str | None) -> bool:
    """Whether a text is an address of a spectrum."""
    return bool(text and _USI.fullmatch(text.strip()))


def scan_usi(dataset: str, file: str, scan: str) -> str:
    """The address of a scan of a run, by the name of the run without its ending."""
    name = PurePath(file).name
    for ending in _ENDINGS:
        if name.lower().endswith(ending):
            name = name[: -len(ending)]
    return f"mzspec:{dataset}:{name}:scan:{scan}"


def with_usis(table: FeatureTable, dataset: str) -> FeatureTable:
    """Features found in runs of a public data set, with the addresses of their MS/MS scans.

    Raises:
        ConfigError: it is no accession, see `check_dataset`.
    """
    check_dataset(dataset)
    return replace(table, features=tuple(replace(f, usis=_addresses(f, table.files, dataset)) for f in table.features))


def _addresses(feature: Feature, files: Sequence[str], dataset: str) -> tuple[str, ...]:
    found: list[str] = []
    for scan in feature.scans[:MOST]:
        file, _, number = scan.rpartition(":")
        if number.isdigit() and (file or files):
            found.append(scan_usi(dataset, file or files[0], number))
    return tuple(found)
