"""What files of mzTab-M 2.0 have in common, whatever was measured: lines, cells, and the metadata of a study.

N. Hoffmann et al., mzTab-M: a data standard for sharing quantitative results in mass spectrometry metabolomics, Anal.
Chem. 91 (2019) 3302, doi:10.1021/acs.analchem.8b04310
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from pathlib import Path

from molvis_files.writing import write_text

NULL = "null"
ARBITRARY = "[PRIDE, PRIDE:0000330, Arbitrary quantification unit, ]"
"""The unit of what is no concentration."""
NO_DATABASE = (
    ("database[1]", '[, , "no database", null]'),
    ("database[1]-prefix", NULL),
    ("database[1]-version", "Unknown"),
    ("database[1]-uri", NULL),
)
"""Where identifiers are of no database."""


def write_sections(path: Path, sections: Sequence[Sequence[Sequence[object]]]) -> None:
    """Write the sections of a document, whole or not at all; those without rows are left out.

    Args:
        path: of the file.
        sections: rows of cells. A cell that is None, empty or no finite number is `null`.

    Raises:
        molvis_core.errors.WriteError: it cannot be written; what was there before is kept.
    """
    write_text(path, "\n".join("\n".join("\t".join(map(_cell, row)) for row in one) + "\n" for one in sections if one))


def _cell(value: object) -> str:
    """A value without what ends a cell or a line."""
    if value is None or value == "" or (isinstance(value, float) and not math.isfinite(value)):
        return NULL
    if isinstance(value, float):
        return f"{value:.9g}"
    return re.sub(r"[\t\r\n]+", " ", str(value))


def software(version: str) -> str:
    """The parameter that names molvis."""
    return f"[MS, MS:1000799, custom unreleased software tool, molvis {version}]"


def study(assays: int) -> list[tuple[str, object]]:
    """Metadata of the one study variable that holds all assays, and of the vocabularies of these terms."""
    return [
        ("study_variable[1]", "undefined"),
        ("study_variable[1]-description", "all runs; nothing was compared"),
        ("study_variable[1]-assay_refs", "| ".join(f"assay[{k}]" for k in range(1, assays + 1))),
        ("study_variable[1]-average_function", "[MS, MS:1002962, mean, ]"),
        ("study_variable[1]-variation_function", "[MS, MS:1002963, variation coefficient, ]"),
        ("cv[1]-label", "MS"),
        ("cv[1]-full_name", "PSI-MS controlled vocabulary"),
        ("cv[1]-version", "4.1.138"),
        ("cv[1]-uri", "https://raw.githubusercontent.com/HUPO-PSI/psi-ms-CV/master/psi-ms.obo"),
        ("cv[2]-label", "PRIDE"),
        ("cv[2]-full_name", "PRIDE PRoteomics IDEntifications (PRIDE) database controlled vocabulary"),
        ("cv[2]-version", "16:10:2023 11:38"),
        ("cv[2]-uri", "https://www.ebi.ac.uk/ols/ontologies/pride"),
    ]


def abundances(values: Sequence[float | None]) -> list[float | None]:
    """A row's cells of all assays, then their mean and coefficient of variation in the study variable of all."""
    known = [v for v in values if v is not None]
    mean = sum(known) / len(known) if known else None
    spread = None
    if mean and len(known) > 1:
        spread = math.sqrt(sum((v - mean) ** 2 for v in known) / (len(known) - 1)) / mean
    return [*values, mean, spread]


def abundance_columns(assays: int) -> list[str]:
    """Headings of what `abundances` gives."""
    each = (f"abundance_assay[{k}]" for k in range(1, assays + 1))
    return [*each, "abundance_study_variable[1]", "abundance_variation_study_variable[1]"]
