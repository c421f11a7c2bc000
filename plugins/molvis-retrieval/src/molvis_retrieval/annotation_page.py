"""What features were found to be, as one page to look at: a row for each feature, with its first candidate."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import Any

from molvis_core.html import render_page
from molvis_files.writing import write_text
from molvis_retrieval.annotation_tables import Found, rows_of

__all__ = ["write_annotation_page"]


def write_annotation_page(
    path: Path, found: Iterable[Found], *, files: Sequence[str], notes: Sequence[str], facts: Mapping[str, object]
) -> None:
    """The page, whole or not at all. It holds everything it shows: no script, nothing from elsewhere.

    Args:
        path: of the page.
        found: features with what was found.
        files: whose features they are.
        notes: what was left out or is odd.
        facts: the settings of the run, for its head.

    Raises:
        molvis_core.errors.WriteError: it cannot be written; the old one is kept.
    """
    rows = [_row(number, rows_of(f, one)[0], f.area) for number, (f, one) in enumerate(found, start=1)]
    levels: dict[str, int] = {}
    for row in rows:
        levels[row["level"]] = levels.get(row["level"], 0) + 1
    template = resources.files("molvis_retrieval").joinpath("templates", "annotations.html").read_text(encoding="utf-8")
    page = render_page(
        template,
        title="Annotated features",
        features=rows,
        files=list(files),
        notes=list(notes),
        levels=sorted(levels.items()),
        facts=list(facts.items()),
    )
    write_text(path, page)


def _row(number: int, row: Mapping[str, Any], area: float | None) -> dict[str, Any]:
    def share(value: float | None) -> str:
        return "" if value is None else f"{100 * value:.0f}%"

    return {
        "number": number,
        "feature_id": row["feature_id"],
        "group": row["group"],
        "mz": f"{row['mz']:.4f}",
        "minutes": "" if row["time_s"] is None else f"{row['time_s'] / 60:.2f}",
        "area": "" if area is None else f"{area:.3g}",
        "level": row["level"],
        "level_evidence": row["level_evidence"],
        "smiles": row["smiles"],
        "name": row["name"],
        "formula": row["formula"],
        "inchikey": row["inchikey14"],
        "adduct": row["adduct"] or "",
        "adduct_evidence": row["adduct_evidence"] or "",
        "probability": share(row["probability"]),
        "none": share(row["none_of_these"]),
        "problem": row["problem"] or "",
    }
