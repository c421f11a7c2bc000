"""What the readers of runs, mzML and mzXML, say of scans; `molvis_lcms.elements` takes the files apart."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from molvis_core.errors import LeftOutError


def profile(path: Path, line: int | None, record: str) -> LeftOutError:
    """Why a profile scan is left out."""
    reason = "a profile scan; pick peaks first, for example with msconvert's peakPicking"
    return LeftOutError(path, reason, line=line, record=record)


def pairs(mz: Sequence[float], height: Sequence[float]) -> list[tuple[float, float]]:
    """Peaks; what an instrument pads its arrays with, zeros at m/z 0, is left out."""
    return [(a, b) for a, b in zip(mz, height, strict=True) if a != 0 or b != 0]
