from __future__ import annotations

from pathlib import Path

import pytest

from molvis_core import structure
from molvis_core.errors import WriteError
from molvis_core.records import Measurement
from molvis_core.testing import checks, synthetic_traces
from molvis_template.reader import read_text_columns
from molvis_template.writer import write_text_columns


def test_what_is_written_is_read_back() -> None:
    trace = synthetic_traces()[0]
    item = Measurement(trace, structure("CCO"), "template", name=trace.identifier)
    checks.writer_round_trip(write_text_columns, read_text_columns, [item], ".txt")


def test_two_traces_do_not_fit_into_one_file(tmp_path: Path) -> None:
    items = [Measurement(trace, None, "template") for trace in synthetic_traces()]
    with pytest.raises(WriteError, match="holds one trace"):
        write_text_columns(tmp_path / "a.txt", items)
