from __future__ import annotations

from molvis_core import Trace
from molvis_template.modality import MODALITY


def test_its_records_are_traces_in_wavenumbers() -> None:
    assert (MODALITY.record, MODALITY.axis_unit) == (Trace, "cm^-1")
